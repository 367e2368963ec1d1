"""Stores filled with made-up records: every number is chosen by the test, nothing is trained."""

import hashlib
from collections.abc import Callable

import numpy as np

from bioinspired.keys import canonical, key
from bioinspired.lab.claims.registration import digest
from bioinspired.lab.declarations import Measurement, Study, Trial
from bioinspired.lab.measurements.declarations import Checked, Clean, Distance, Gallery
from bioinspired.lab.records.store import Record, Store, pack

RUN = {
    "commit": "0" * 40,
    "dirty": False,
    "versions": {"python": "3.11", "torch": "2.15"},
    "hardware": {"device": "cpu", "processor": "a processor", "cores": 2},
}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def first(share: float, n: int) -> np.ndarray:
    """n bits, the first `share` of them set."""
    return np.arange(n) < round(share * n)


def fill(
    store: Store,
    study: Study,
    share: Callable[[Trial, Measurement], float | None],
    *,
    n: int | None = 200,
    stamp: bool = True,
    source_share: float = 0.1,
) -> None:
    """Writes a record for every trial; `share` gives the part of the images answered right, None for not measured.

    `n` images everywhere; None: as many as each measurement asks for.
    """
    weights = {trial.network: sha(key(trial.network)) for trial in study.trials}
    marks = {"registered": {study.name: digest(study)} if stamp else {}}
    for trial in study.trials:
        name = key(trial.network)
        unit = {"run": "r", "weights": weights[trial.network], "finished": "2026-01-02T03:04:05+00:00"}
        measurements, cost, units = {}, {"training": {"seconds": 1.0, "work": 100.0}}, {}
        units["training"] = unit | marks
        for measurement in trial.measurements:
            right = share(trial, measurement)
            if right is None:
                continue
            asked, size = key(measurement), n or measurement.images.n or 200
            entry = {"config": canonical(measurement), "images": {"id": "made-up", "n": size, "sha256": sha("images")}}
            if isinstance(measurement.question, Gallery):
                small = np.zeros((24, 1, 4, 4), np.uint8)
                answers = np.arange(24, dtype=np.int16)
                arrays = {"clean": small, "adversarial": small, "label": answers, "adversarial_answer": answers}
                entry["artifact"] = store.save_artifact(name, asked, arrays)
            elif isinstance(measurement.question, Checked):
                entry["checks"] = [{"name": "noise", "passed": right >= 0.5, "value": right, "advice": "made up"}]
            else:
                entry["bits"] = {"correct": pack(first(right, size))}
                if isinstance(measurement.question, Distance):
                    entry["values"] = {"distance": [right * (1 + i / size) for i in range(size)]}
            if measurement.is_transfer:
                entry["bits"]["source_correct"] = pack(~first(1 - source_share, size))
            measurements[asked] = entry
            cost[asked] = {"seconds": 0.5, "work": 400.0, "forwards": 1.0, "backwards": 1.0}
            units[asked] = unit | {
                "sources": {key(source): weights[source] for source in measurement.sources},
            }
        record = Record(
            key=name,
            config=canonical(trial.network),
            measurements=measurements,
            cost=cost,
            provenance={"runs": {"r": RUN}, "units": units},
        )
        store.update(name, lambda old, record=record: record)


def is_clean(measurement: Measurement) -> bool:
    return isinstance(measurement.question, Clean)
