"""Asks one question of one network: a `trials.Measurement` becomes bits, values and arrays.

Each kind of question has a module beside its declaration, imported when it is asked. Transfer is here, because examples
that were made once on the sources are shown to many networks.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bioinspired.attacks.predictions import correct
from bioinspired.data import Split
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.measurements.outcome import Asked, Model, Outcome, bits, mean


@dataclass(frozen=True)
class Examples:
    """Images made to fool a network, and what they cost per image."""

    images: Tensor
    forwards: float
    backwards: float


def measure(measurement: Measurement, model: Model, split: Split, sources: Sequence[Model] = ()) -> Outcome:
    """Asks the question.

    Args:
        measurement: the question; it says how many sources there are.
        model: the network, from images in [0, 1] to logits, in eval mode.
        split: the images, uint8 [n, C, H, W], and labels, on the network's device.
        sources: the measurement's other networks, in its order; an attack makes its examples on them.
    """
    if measurement.is_transfer:
        return transfer(model, craft(measurement, split, sources), split.labels, sources)
    module = importlib.import_module(measurement.question.module())
    x = split.images.float() / 255
    outcome: Outcome = module.ask(
        measurement.question, Asked(model, x, split.labels, sources, _generator(measurement.seed, x))
    )
    return outcome


def craft(measurement: Measurement, split: Split, sources: Sequence[Model]) -> Examples:
    """Adversarial examples on the mean logits of the sources, to be shown to other networks.

    The attack runs to its last step and its last iterate is taken, as the papers do: an example that only just fools
    its source transfers worse.
    """
    from bioinspired.lab.measurements.attack import run

    attack = measurement.question
    assert isinstance(attack, Attack)
    x, y = split.images.float() / 255, split.labels
    model = sources[0] if len(sources) == 1 else lambda images: torch.stack([s(images) for s in sources]).mean(0)
    result = run(attack, model, x, y, _generator(measurement.seed, x), last=True)
    scale = len(sources)
    return Examples(result.x_adv, scale * mean(result.forwards), scale * mean(result.backwards))


def transfer(model: Model, examples: Examples, y: Tensor, sources: Sequence[Model]) -> Outcome:
    """Shows the examples to the network; `source_correct` says where every source still answers right."""
    survived = torch.stack([correct(source, examples.images, y) for source in sources]).all(0)
    return Outcome(
        bits={"correct": bits(correct(model, examples.images, y)), "source_correct": bits(survived)},
        forwards=examples.forwards + 1,
        backwards=examples.backwards,
    )


def _generator(seed: int, x: Tensor) -> torch.Generator:
    return torch.Generator(x.device).manual_seed(seed)
