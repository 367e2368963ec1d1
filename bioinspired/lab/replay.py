"""Measurements made again on published weights and fixed images, without training, and compared bit for bit.

    bioinspired replay sleep/set-b

is what somebody can do who has nothing but an archive of the book: load the weights, attack the images, and see whether
the outcome of each image is the one in the record.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from bioinspired.keys import key
from bioinspired.lab.declarations import Measurement, Trial
from bioinspired.lab.engine import measuring
from bioinspired.lab.records.store import Record, Store
from bioinspired.lab.weights import FIXED, fixed, model

SECONDS = 60.0
"""Measurements that took longer are left out unless more time is allowed."""


@dataclass(frozen=True)
class Replayed:
    """A measurement that was made again: how many images it has, and on how many its outcome changed, of any bits."""

    measurement: Measurement
    n: int
    changed: int


def again(
    name: str, trial: Trial, store: Store, *, seconds: float = SECONDS, device: str = "cpu"
) -> Iterator[Replayed]:
    """Makes the measurements of a network again that need no other network, on images that are at hand.

    Args:
        name: what `weights.find` calls the network.
        trial: the network and what is asked of it.
        store: its record and its weights.
        seconds: measurements that took longer are left out.
        device: where.

    Raises:
        UserError: the weights are not at hand, or not those of the record.
    """
    network, record = model(name, trial, store, device), store.read(key(trial.network))
    for measurement in trial.measurements:
        if record is None or not _asked(measurement, record, seconds):
            continue
        entry = record.measurements[key(measurement)]
        split = fixed(trial.network.data, entry["images"]["n"], store)
        if split.sha256 != entry["images"]["sha256"]:
            continue
        torch.manual_seed(measurement.seed)  # for a network that draws random numbers when it answers
        outcome = measuring.measure(measurement, network, split)
        changed = sum(outcome.bits[name] != record.bits(key(measurement), name) for name in entry["bits"])
        yield Replayed(measurement, len(split.labels), int((changed > 0).sum()))


def _asked(measurement: Measurement, record: Record, seconds: float) -> bool:
    """Whether the record has bits of it on a part of the fixed images, made of these weights in so many seconds."""
    name = key(measurement)
    unit, training = record.unit(name), record.unit("training")
    if measurement.sources or measurement.images.split != "test" or unit is None or training is None:
        return False
    entry = record.measurements[name]
    few = entry["images"]["n"] <= FIXED and record.cost[name]["seconds"] <= seconds
    return few and bool(entry.get("bits")) and unit["weights"] == training["weights"]
