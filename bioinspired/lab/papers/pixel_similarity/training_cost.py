"""What one step of a network's training costs, as a multiple of a step of plain training.

Both run in turns in one process, so that whatever else the machine does slows both alike.
"""

import time
from dataclasses import replace
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor

from bioinspired.declarations import Network
from bioinspired.lab.measurements.outcome import Asked, Outcome
from bioinspired.lab.papers.pixel_similarity.declarations import TrainingCost
from bioinspired.training import train

TURNS = 3


def ask(question: TrainingCost, asked: Asked) -> Outcome:
    """Values: "value", the ratio; "defended" and "plain", medians over steps of processor seconds or of bytes.

    The first step of a turn is left out: it pays for what is set up once.
    """
    recipe = replace(question.network.recipe, epochs=1, cycle=None, validation=0, select="last")
    images = (question.steps + 1) * recipe.batch
    defended = replace(question.network, recipe=recipe, data=replace(question.network.data, train=images))
    plain = replace(defended, defense=None, recipe=replace(recipe, adversary=None))
    cost = _seconds if question.name == "time" else _bytes
    found: dict[str, list[float]] = {"defended": [], "plain": []}
    for _ in range(TURNS):
        found["defended"] += cost(defended, asked.images.device)
        found["plain"] += cost(plain, asked.images.device)
    ours, theirs = (float(f"{median(found[name]):.6g}") for name in ("defended", "plain"))
    return Outcome(values={"value": [ours / theirs], "defended": [ours], "plain": [theirs]})


def _seconds(network: Network, device: torch.device) -> list[float]:
    """Processor seconds of each step, those of all threads together."""
    times: list[float] = []
    train.make(network, device, progress=lambda done: times.append(time.process_time()))
    return [later - earlier for earlier, later in pairwise(times)]


def _bytes(network: Network, device: torch.device) -> list[float]:
    """What the forward passes of each step keep for the backward pass, every storage counted once."""
    kept: dict[int, int] = {}
    sizes: list[float] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def ended(done: float) -> None:
        sizes.append(sum(kept.values()))
        kept.clear()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        train.make(network, device, progress=ended)
    return sizes[1:]
