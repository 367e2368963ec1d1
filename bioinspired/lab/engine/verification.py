"""Makes units of a study again, in a folder of their own, and compares them with what the records say.

A unit is reproduced when it comes out the same, or within these tolerances, which are for machines on which the same
training gives other weights:

    training                   accuracies of the last epoch within 1 percentage point, all else within 10 %
    bits of a measurement      their mean within 2 percentage points, or within 3 standard errors of the paired
                               difference and 10 percentage points; the same bits where there are fewer than 20; where
                               the weights are the same, no more than 2 % of the bits changed
    values of a measurement    their median within 5 %, as many undefined ones within 2 percentage points; numbers that
                               are all 0 or 100 like bits
    checks                     the same ones pass
    arrays                     the same shapes, their mean size within 10 %

A record keeps what it says. A reproduced unit is stamped "verified" with the run that made it again and its weights.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bioinspired.declarations import Network
from bioinspired.errors import UserError
from bioinspired.keys import key
from bioinspired.lab.declarations import Study, Tier
from bioinspired.lab.engine.making import make
from bioinspired.lab.engine.plan import Unit, units
from bioinspired.lab.records.store import Bits, Record, Store

FOLDER = "verify"
"""Beside the scales in a store's root: where units are made again. A run that was stopped goes on there; one that ends
removes it, so that the next one makes everything again."""

ACCURACY = 0.01  # of the last epoch's accuracies
HISTORY = 0.10  # of the other numbers of a training, relative
POINTS, MOST = 0.02, 0.10  # of the mean of bits
ERRORS = 3.0  # standard errors of the same
FEW = 20  # bits
MEDIAN = 0.05  # of a median, relative

Outcome = Literal["identical", "within tolerance", "different"]


@dataclass(frozen=True)
class Finding:
    """What came of making a unit again: the outcome and, where it is not identical, by how much it differs."""

    unit: Unit
    outcome: Outcome
    difference: str = ""


def choose(study: Study, store: Store, *, tier: Tier | None = None, label: str = "", every: bool = False) -> list[Unit]:
    """The units to verify: those that the store has and that are not stamped yet, or, with `every`, all that it has.

    Raises:
        UserError: the study has no such label.
    """
    labels = list(dict.fromkeys(trial.label for trial in study.trials))
    if label and label not in labels:
        raise UserError(f'{study.name} has no row "{label}": its rows are {", ".join(labels)}.')
    done = [unit for unit in units(study, store, tier=tier) if unit.state == "done"]
    done = [unit for unit in done if not label or unit.trial.label == label]
    return done if every else [unit for unit in done if not _stamped(unit, store)]


def verify(
    study: Study, store: Store, chosen: Sequence[Unit], *, device: str = "cpu", workers: int = 2
) -> list[Finding]:
    """Makes the units again, compares them, stamps the reproduced ones.

    Raises:
        UserError: some units could not be made; what could be is kept, and the next call goes on from there.
    """
    bench = Store(store.root / FOLDER, store.scale)
    make([narrowed(study, chosen)], bench, device=device, workers=workers)
    findings = []
    for unit in chosen:
        network, name = key(unit.trial.network), name_of(unit)
        seen = store.read(network)
        outcome, difference = compare(store, bench, network, name)
        if outcome != "different" and seen is not None:
            _stamp(store, bench, unit, seen.unit(name), identical=outcome == "identical")
        findings.append(Finding(unit, outcome, difference))
    shutil.rmtree(bench.root)
    return findings


def name_of(unit: Unit) -> str:
    """What a record calls a unit: "training", or the measurement's key."""
    return "training" if unit.measurement is None else key(unit.measurement)


def _stamped(unit: Unit, store: Store) -> bool:
    record = store.read(key(unit.trial.network))
    made = record.unit(name_of(unit)) if record else None
    return made is not None and "verified" in made


def narrowed(study: Study, chosen: Iterable[Unit]) -> Study:
    """The study with nothing but these units, the networks that they are asked of, and their sources."""
    wanted: dict[tuple[str, Network], set[str]] = {}
    sources: set[Network] = set()
    for unit in chosen:
        wanted.setdefault((unit.trial.label, unit.trial.network), set()).add(name_of(unit))
        sources.update(unit.measurement.sources if unit.measurement is not None else ())
    trials = []
    for trial in study.trials:
        if (trial.label, trial.network) in wanted or trial.network in sources:
            asked = wanted.get((trial.label, trial.network), set())
            trials.append(replace(trial, measurements=tuple(m for m in trial.measurements if key(m) in asked)))
    return replace(study, trials=tuple(trials))


def compare(store: Store, bench: Store, network: str, name: str) -> tuple[Outcome, str]:
    """A unit of a network in two stores, both of which have it, and the differences in words."""
    ours, again = store.read(network), bench.read(network)
    assert ours is not None
    assert again is not None
    if name == "training":
        return _compare_trainings(ours, again)
    one, other = ours.measurements[name], again.measurements[name]
    if one["images"]["sha256"] != other["images"]["sha256"]:
        return "different", "other images"
    if one == other:
        return "identical", ""
    others = _other_parts(one, other)
    if others:
        return "different", others
    same = _same_weights(ours.unit(name), again.unit(name))
    found = [_bits(ours, again, name, which, same=same) for which in one["bits"]]
    for which, values in one.get("values", {}).items():
        found.append(_values(which, values, other["values"][which]))
    passed = {check["name"]: check["passed"] for check in other.get("checks", [])}
    for check in one.get("checks", []):
        found.append((check["passed"] == passed.get(check["name"]), f"check {check['name']}"))
    if "artifact" in one:
        found += _arrays(store.artifact(ours, name), bench.artifact(again, name))
    return _judged(found)


def _other_parts(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Which bits, values or artifacts only one of two measurements has, in words."""
    for part in ("bits", "values"):
        names = set(one.get(part, {})) ^ set(other.get(part, {}))
        if names:
            return f"{part} {', '.join(sorted(names))} on one side only"
    return "an artifact on one side only" if ("artifact" in one) != ("artifact" in other) else ""


def _same_weights(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two measurements were made on the same weights, their sources' included."""
    if one is None or other is None:
        return False
    return all(one[part] == other[part] for part in ("weights", "sources"))


def _judged(found: Sequence[tuple[bool, str]]) -> tuple[Outcome, str]:
    outside = [words for within, words in found if not within]
    words = outside or [words for _, words in found if words]
    return "different" if outside else "within tolerance", ", ".join(words)


def _compare_trainings(ours: Record, again: Record) -> tuple[Outcome, str]:
    one, other = ours.provenance["units"]["training"], again.provenance["units"]["training"]
    if one.get("data") != other.get("data"):
        return "different", "other training images"
    if one["weights"] == other["weights"]:
        return "identical", ""
    found = []
    for name, numbers in ours.training.items():
        if not numbers:
            continue
        last, now = numbers[-1], (again.training.get(name) or [np.inf])[-1]
        allowed = ACCURACY if name.endswith("accuracy") else HISTORY * abs(last)
        found.append((abs(now - last) <= allowed, f"{name} {now:.4g} instead of {last:.4g}"))
    return _judged(found or [(False, "other weights")])


def _bits(ours: Record, again: Record, name: str, which: str, *, same: bool) -> tuple[bool, str]:
    one, other = ours.bits(name, which), again.bits(name, which)
    changed = int((one != other).sum())
    if same and len(one) >= FEW and changed > POINTS * len(one):
        return False, f"{changed} of {len(one)} bits {which} changed on the same weights"
    return _shares(which, one, other)


def _shares(which: str, one: Bits, other: Bits) -> tuple[bool, str]:
    n, changed = len(one), int((one != other).sum())
    difference = float(other.mean() - one.mean())
    error = float(np.sqrt(max(changed / n - difference**2, 0.0) / n))
    within = not changed if n < FEW else abs(difference) <= max(POINTS, min(MOST, ERRORS * error))
    return within, f"{which} {100 * other.mean():.1f} % instead of {100 * one.mean():.1f} %" if changed else ""


def _values(which: str, one: Sequence[float | None], other: Sequence[float | None]) -> tuple[bool, str]:
    if len(one) != len(other):
        return False, f"{which}: {len(other)} values instead of {len(one)}"
    if {*one, *other} <= {0.0, 100.0}:
        return _shares(which, np.array(one) > 0, np.array(other) > 0)
    there, again = ([v for v in values if v is not None] for values in (one, other))
    if abs(len(there) - len(again)) > POINTS * len(one):
        return False, f"{which}: {len(again)} defined values instead of {len(there)}"
    if not there or not again:
        return True, ""
    median, now = float(np.median(there)), float(np.median(again))
    within = abs(now - median) <= MEDIAN * abs(median)
    return within, f"median {which} {now:.4g} instead of {median:.4g}" if now != median else ""


def _arrays(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> list[tuple[bool, str]]:
    found = []
    for which, array in one.items():
        again = other.get(which)
        if again is None or again.shape != array.shape:
            found.append((False, f"{which} of another shape"))
        else:
            size, now = (float(np.abs(a[np.isfinite(a)], dtype=np.float64).mean()) for a in (array, again))
            words = "" if np.array_equal(array, again) else f"mean size of {which} {now:.4g} instead of {size:.4g}"
            found.append((abs(now - size) <= HISTORY * size, words))
    return found


def _stamp(store: Store, bench: Store, unit: Unit, compared: Mapping[str, Any] | None, *, identical: bool) -> None:
    again, name, network = bench.read(key(unit.trial.network)), name_of(unit), unit.trial.network
    assert again is not None
    made = again.provenance["units"][name]
    kept: dict[str, Any] = {part: made[part] for part in ("run", "weights", "finished")}

    def change(record: Record | None) -> Record:
        assert record is not None
        if record.unit(name) != compared:  # another run has made it anew meanwhile
            return record
        stamped = record.provenance["units"][name] | {"verified": kept | {"identical": identical}}
        return record.with_unit(name, stamped, again.provenance["runs"])

    store.update(key(network), change)
