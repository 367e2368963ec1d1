"""What a store holds of a study, as plain rows: one per measurement that was made."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bioinspired.keys import key
from bioinspired.lab.declarations import Measurement, Study, Trial
from bioinspired.lab.measurements.declarations import Attack, Checked, Corruption, Gallery
from bioinspired.lab.records.store import Bits, DamagedRecordError, Record, Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One measurement of one network.

    Attributes:
        trial: the network and what the study calls it.
        measurement: the question.
        record: the network's record.
        source: label of the trial that the examples were made on; "" for none, several joined by " + ".
        source_seeds: seeds of those networks.
        correct: per image, whether the network answered right (for an attack: held out), in the image set's order.
        clean: the same without any attack, on the same images; None where it was not measured.
        source_correct: for a transfer, whether the sources still answered right.
    """

    trial: Trial
    measurement: Measurement
    record: Record
    source: str
    source_seeds: tuple[int, ...]
    correct: Bits | None
    clean: Bits | None
    source_correct: Bits | None

    @cached_property
    def key(self) -> str:
        """The measurement's key."""
        return key(self.measurement)

    @property
    def label(self) -> str:
        """What the study calls the network."""
        return self.trial.label

    @property
    def seed(self) -> int:
        """The seed of the network's training."""
        return self.trial.network.seed

    @cached_property
    def n(self) -> int:
        """How many images."""
        return int(self.record.measurements[self.key]["images"]["n"])

    def bits(self, name: str) -> Bits | None:
        """Outcome bits of the measurement by name, one per image; None where there are none."""
        return _bits(self.record, self.measurement, name)

    def values(self, name: str) -> NDArray[np.float64] | None:
        """Numbers of the measurement by name, mostly one per image; infinite where there was none to be found."""
        found = self.record.measurements[self.key].get("values", {}).get(name)
        return None if found is None else np.array([np.inf if v is None else v for v in found], dtype=np.float64)

    def distance(self) -> float | None:
        """The median smallest perturbation over the images that are right when clean; None where there is none."""
        distances = self.values("distance")
        if distances is None or self.correct is None or not self.correct.any():
            return None
        median = float(np.median(distances[self.correct]))
        return median if np.isfinite(median) else None

    def artifact(self, store: Store) -> Mapping[str, NDArray[Any]]:
        """The arrays kept with the measurement."""
        return store.artifact(self.record, self.key)

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Outcomes of the checks, each with name, passed, value and advice; empty for other questions."""
        found: list[dict[str, Any]] = self.record.measurements[self.key].get("checks", [])
        return found

    @property
    def cost(self) -> Mapping[str, float]:
        """Seconds, and forward and backward passes per image."""
        return self.record.cost[self.key]

    @property
    def unit(self) -> Mapping[str, Any]:
        """The measurement's provenance."""
        unit: dict[str, Any] = self.record.provenance["units"][self.key]
        return unit

    def rate(self, metric: str = "unconditional") -> float | None:
        """What a metric says; for the first two, the percentage of images answered right.

        "unconditional" is over all images. "conditional" is the defective-convolution paper's success rate of defense:
        over the images that the network gets right when clean and that fool the source; None where there are none.
        "distance" is not a percentage: see `distance`. "value" is the mean of the numbers called "value". Any other
        metric is the percentage of the bits of its name; None where there are none.
        """
        if metric == "distance":
            return self.distance()
        if metric == "value":
            values = self.values("value")
            return None if values is None or not np.isfinite(values).all() else float(values.mean())
        if metric not in ("unconditional", "conditional"):
            named = self.bits(metric)
            return None if named is None else 100.0 * float(named.mean())
        if self.correct is None:
            return None
        if metric == "unconditional":
            return 100.0 * float(self.correct.mean())
        if self.source_correct is None or self.clean is None:
            return None
        counted = self.clean & ~self.source_correct
        return 100.0 * float(self.correct[counted].mean()) if counted.any() else None

    def images(self, metric: str) -> NDArray[np.float64] | None:
        """What `rate` is made of, one number an image; None where there is none.

        A conditional rate is a ratio of two counts: here it is linearised, so that the mean is the rate and the
        variance over images is that of the ratio.
        """
        if metric in ("value", "distance"):
            return self.values(metric)
        rate = self.rate(metric)
        bits = self.correct if metric in ("unconditional", "conditional") else self.bits(metric)
        if rate is None or bits is None:
            return None
        percent = np.where(bits, 100.0, 0.0)
        if metric != "conditional" or self.clean is None or self.source_correct is None:
            return percent
        counted = self.clean & ~self.source_correct
        return np.asarray(rate + counted * (percent - rate) / counted.mean(), dtype=np.float64)

    def counted(self, metric: str = "unconditional") -> int:
        """How many images stand under the fraction that `rate` gives."""
        if metric != "conditional" or self.clean is None or self.source_correct is None:
            return self.n
        return int((self.clean & ~self.source_correct).sum())


def read(study: Study, store: Store) -> list[Result]:
    """The measurements of a study that a store holds, in the study's order.

    Measurements made on other weights than the network's present ones are left out, and so are damaged records and
    measurements whose artifact is lost.
    """
    records = {trial.network: _record(store, key(trial.network)) for trial in study.trials}
    labels = {trial.network: trial.label for trial in study.trials}
    found = []
    for trial in study.trials:
        record = records[trial.network]
        if record is None or record.unit("training") is None:
            continue
        for measurement in trial.measurements:
            unit = record.unit(key(measurement))
            sources = [records.get(source) for source in measurement.sources]
            if unit is None or unit["weights"] != _weights(record):
                continue
            if any(
                unit["sources"].get(key(s)) != _weights(r) for s, r in zip(measurement.sources, sources, strict=True)
            ):
                continue
            if not store.has_artifact(record, key(measurement)):
                continue
            found.append(
                Result(
                    trial=trial,
                    measurement=measurement,
                    record=record,
                    source=" + ".join(dict.fromkeys(labels[source] for source in measurement.sources)),
                    source_seeds=tuple(source.seed for source in measurement.sources),
                    correct=_bits(record, measurement, "correct"),
                    clean=_clean(record, trial, measurement),
                    source_correct=_bits(record, measurement, "source_correct"),
                )
            )
    return found


def strength(measurement: Measurement) -> str:
    """The epsilon of an attack or of checks, or the strength of a corruption; "" for a question that has none."""
    match measurement.question:
        case Attack(eps=eps) | Checked(eps=eps) | Gallery(attack=Attack(eps=eps)):
            return eps
        case Corruption(strength=sigma):
            return sigma
    return ""


def _record(store: Store, name: str) -> Record | None:
    try:
        return store.read(name)
    except DamagedRecordError:
        return None


def _weights(record: Record | None) -> str | None:
    unit = record.unit("training") if record else None
    return unit["weights"] if unit else None


def _bits(record: Record, measurement: Measurement, name: str) -> Bits | None:
    entry = record.measurements[key(measurement)]
    return record.bits(key(measurement), name) if name in entry.get("bits", {}) else None


def _clean(record: Record, trial: Trial, measurement: Measurement) -> Bits | None:
    """Clean answers on the measurement's images: image sets are nested, so a longer clean measurement serves."""
    here = record.measurements[key(measurement)]["images"]
    for other in trial.measurements:
        entry, unit = record.measurements.get(key(other)), record.unit(key(other))
        if (
            entry is None
            or unit is None
            or unit["weights"] != _weights(record)
            or entry["config"]["question"] != {"kind": "clean"}
            or other.images.split != measurement.images.split
        ):
            continue
        if entry["images"]["n"] >= here["n"]:
            return record.bits(key(other))[: here["n"]]
    return None
