"""One task, done in the present process: train a network or answer questions of networks, and save each at once."""

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from bioinspired.data import Split, load, select
from bioinspired.declarations import Data, Images, Network
from bioinspired.errors import UserError
from bioinspired.keys import canonical, key
from bioinspired.lab.claims import registration
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.engine import measuring
from bioinspired.lab.engine.costs import asked_of
from bioinspired.lab.engine.plan import Task
from bioinspired.lab.measurements.outcome import Outcome
from bioinspired.lab.records.provenance import name_of
from bioinspired.lab.records.store import Record, Store, known_sha256, pack, sha256_of, write
from bioinspired.training import train


@dataclass(frozen=True)
class Order:
    """What all tasks of a run share. `run` is what `provenance.of_run` says."""

    store: Store
    device: str
    run: Mapping[str, Any]


def perform(task: Task, order: Order) -> list[str]:
    """Does a task; returns a sentence for whatever of it could not be done."""
    # Every verdict is computed in fp32: no TF32, which convolutions on a GPU use by default.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        if task.network is not None:
            _train(task.network, order)
        _answer(task, order)
    except UserError as error:
        return [str(error)]
    except (Exception, SystemExit) as error:  # a fault of the code, of a library or of the machine
        return [f"{type(error).__name__}: {error} (the traceback is in {_logged(order.store)})"]
    return []


def _logged(store: Store) -> Path:
    """The file to which the traceback of the present exception was added."""
    path = store.root / "logs" / f"{datetime.now(UTC):%Y-%m-%d}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(traceback.format_exc() + "\n")
    return path


def _train(network: Network, order: Order) -> None:
    trained = train.make(network, order.device, at_hand=lambda other: _at_hand(other, order))
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in trained.model.state_dict().items()}
    path = order.store.weights(key(network))
    write(path, save(weights))
    unit = _provenance(order, sha256_of(path))
    unit["data"] = _split(network.data, Images(split="train"), order.device).sha256
    cost = {"seconds": round(trained.seconds, 3), "work": float(trained.images)}

    def change(record: Record | None) -> Record:
        new = record or Record(key=key(network), config=canonical(network))
        before = new.unit("training")
        if before is not None and all(before.get(part) == unit[part] for part in ("weights", "data")):
            # The same weights, made for want of their file: the network is as old as it was.
            again = {part: unit[part] for part in ("run", "weights", "finished")} | {"identical": True}
            return new.with_unit("training", before | {"verified": again}, {unit["run"]: dict(order.run)})
        if before is None:
            unit["registered"] = registration.current(order.store.scale, network.data.name)
        elif "registered" in before:
            unit["registered"] = before["registered"]
        return _with(replace(new, training=trained.history), order, "training", cost, unit)

    order.store.update(key(network), change)


def _at_hand(network: Network, order: Order) -> nn.Module | None:
    """A trained network whose weights lie in the store; a copy that may be changed."""
    try:
        record = order.store.read(key(network))
    except UserError:
        return None
    path = order.store.weights(key(network))
    unit = None if record is None else record.unit("training")
    if unit is None or not path.exists() or unit["weights"] != sha256_of(path):
        return None
    model = train.assemble(network, order.device)
    model.load_state_dict(load_file(path, device=order.device))
    return model.eval()


def _answer(task: Task, order: Order) -> None:
    examples: measuring.Examples | None = None
    seconds = 0.0
    checked = set[Network]()
    for network, question in task.questions:
        split = _split(network.data, question.images, order.device)
        if any(
            (source.data.name, source.data.size) != (network.data.name, network.data.size)
            for source in question.sources
        ):
            raise UserError("A transfer needs sources and target of one data set and image size: correct the study.")
        for other in {network, *question.sources} - checked:
            _check_data(other, order)
            checked.add(other)
        model = model_of(network, order.store, order.device)
        sources = [model_of(source, order.store, order.device) for source in question.sources]
        torch.manual_seed(question.seed)  # for a network that draws random numbers when it answers
        start = time.perf_counter()
        if question.is_transfer:
            if examples is None:
                examples = measuring.craft(question, split, sources)
                seconds = (time.perf_counter() - start) / len(task.questions)
            start = time.perf_counter()
            outcome = measuring.transfer(model, examples, split.labels, sources)
        else:
            outcome = measuring.measure(question, model, split, sources)
        _save(network, question, split, outcome, seconds + time.perf_counter() - start, order)


def _check_data(network: Network, order: Order) -> None:
    """Raises UserError where a user's own data are no longer those that a network was trained on."""
    record = order.store.read(key(network))
    unit = record.unit("training") if record else None
    if unit is None or "data" not in unit:
        return
    if unit["data"] != _split(network.data, Images(split="train"), order.device).sha256:
        raise UserError(
            f"The training images of {network.data.name} are not those that network {key(network)[:12]} was trained on "
            f"(another sha256): put the former file back, or move {order.store.path(key(network))} away and run again."
        )


def _save(
    network: Network, question: Measurement, split: Split, outcome: Outcome, seconds: float, order: Order
) -> None:
    name = key(question)
    n = len(split.labels)
    entry: dict[str, Any] = {
        "config": canonical(question),
        "images": {"id": split.id, "n": n, "sha256": split.sha256},
        "bits": {which: pack(bits) for which, bits in outcome.bits.items()},
    }
    if outcome.checks:
        entry["checks"] = [dict(result) for result in outcome.checks]
    if outcome.values:
        entry["values"] = {which: list(numbers) for which, numbers in outcome.values.items()}
    if outcome.arrays:
        entry["artifact"] = order.store.save_artifact(key(network), name, outcome.arrays)
    unit = _provenance(order, _weights_sha256(network, order))
    unit["sources"] = {key(source): _weights_sha256(source, order) for source in question.sources}
    cost = {
        "seconds": round(seconds, 3),
        "work": round(asked_of(question, n) * (outcome.forwards + outcome.backwards), 1),
        "forwards": outcome.forwards,
        "backwards": outcome.backwards,
    }

    def change(record: Record | None) -> Record:
        if record is None:
            raise UserError(f"The record of network {key(network)[:12]} vanished while it was measured: run again.")
        before = record.unit(name)
        if before is not None and "criteria" in before and before["weights"] == unit["weights"]:
            unit["criteria"] = before["criteria"]  # of records from before registrations: never written anew
        new = replace(record, measurements=record.measurements | {name: entry})
        return _with(new, order, name, cost, unit)

    order.store.update(key(network), change)


def _with(record: Record, order: Order, name: str, cost: dict[str, float], unit: dict[str, Any]) -> Record:
    new = replace(record, cost=record.cost | {name: cost})
    return new.with_unit(name, unit, {unit["run"]: dict(order.run)})


def _provenance(order: Order, weights: str) -> dict[str, Any]:
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return {"run": name_of(dict(order.run)), "weights": weights, "finished": finished}


def _weights_sha256(network: Network, order: Order) -> str:
    return known_sha256(order.store.weights(key(network)))


def model_of(network: Network, store: Store, device: str = "cpu") -> nn.Module:
    """A trained network in eval mode, its parameters frozen.

    Raises:
        UserError: its weights are not in the store, are damaged, or are not those that its record names.
    """
    path = store.weights(key(network))
    try:
        modified = path.stat().st_mtime_ns
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the study that trains this network first.") from None
    record = store.read(key(network))
    unit = record.unit("training") if record else None
    if unit is not None and unit["weights"] != known_sha256(path):
        raise UserError(
            f"{path} holds other weights than those that the network's record names (another sha256): move the file "
            "away and run the study again, which trains the network anew."
        )
    return _loaded(network, str(path), modified, device)


@lru_cache(maxsize=16)
def _loaded(network: Network, path: str, modified: int, device: str) -> nn.Module:
    model = train.assemble(network, device)
    try:
        model.load_state_dict(load_file(path, device=device))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{path} cannot be read as this network's weights ({reason}): move it away and run again."
        ) from None
    return model.eval().requires_grad_(False)


@lru_cache(maxsize=8)
def _split(data: Data, images: Images, device: str) -> Split:
    return select(load(data, images.split, device), images)


def prepare() -> None:
    """Sets a fresh process up: one thread for torch."""
    torch.set_num_threads(1)
