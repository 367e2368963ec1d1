"""Asks one question of one network: a `trials.Measurement` becomes bits, values and arrays.

Attacks and corruptions are imported where they are used, so that a measurement depends only on the code it runs
through; `staleness.modules_of_measurement` names that code.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bioinspired.answers import correct, predict
from bioinspired.attacks.result import Result
from bioinspired.data import Split
from bioinspired.keys import number
from bioinspired.trials import Attack, Checked, Clean, Corruption, Gallery, Measurement

Model = Callable[[Tensor], Tensor]

GALLERY = 24  # images kept; at 32x32 in colour, clean and adversarial, this is 144 KiB


@dataclass(frozen=True)
class Outcome:
    """What a measurement found; `forwards` and `backwards` are passes per image through whichever network was used."""

    bits: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    values: Mapping[str, list[float | None]] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    checks: Sequence[Mapping[str, Any]] = ()
    forwards: float = 0.0
    backwards: float = 0.0


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
        sources: the networks that the examples are made on, in the measurement's order; none: the network itself. For
            checks, the undefended twin.
    """
    x, y = split.images.float() / 255, split.labels
    question = measurement.question
    match question:
        case Clean():
            return Outcome(bits={"correct": _numpy(correct(model, x, y))}, forwards=1)
        case Corruption():
            return _corrupted(question, model, x, y, measurement.seed)
        case Gallery():
            return _gallery(question, model, x[:GALLERY], y[:GALLERY], measurement.seed)
        case Checked():
            return _checked(question, model, x, y, sources, measurement.seed)
        case Attack():
            if sources:
                return transfer(model, craft(measurement, split, sources), y, sources)
            return _white_box(question, model, x, y, measurement.seed)


def craft(measurement: Measurement, split: Split, sources: Sequence[Model]) -> Examples:
    """Adversarial examples on the mean logits of the sources, to be shown to other networks.

    The attack runs to its last step and its last iterate is taken, as the papers do: an example that only just fools
    its source transfers worse.
    """
    attack = measurement.question
    assert isinstance(attack, Attack)
    x, y = split.images.float() / 255, split.labels
    model = sources[0] if len(sources) == 1 else lambda images: torch.stack([s(images) for s in sources]).mean(0)
    result = _run(attack, model, x, y, measurement.seed, last=True)
    scale = len(sources)
    return Examples(result.x_adv, scale * _mean(result.forwards), scale * _mean(result.backwards))


def transfer(model: Model, examples: Examples, y: Tensor, sources: Sequence[Model]) -> Outcome:
    """Shows the examples to the network; `source_correct` says where every source still answers right."""
    survived = torch.stack([correct(source, examples.images, y) for source in sources]).all(0)
    return Outcome(
        bits={"correct": _numpy(correct(model, examples.images, y)), "source_correct": _numpy(survived)},
        forwards=examples.forwards + 1,
        backwards=examples.backwards,
    )


def _white_box(attack: Attack, model: Model, x: Tensor, y: Tensor, seed: int) -> Outcome:
    result = _run(attack, model, x, y, seed)
    return Outcome(
        bits={"correct": _numpy(~result.success)},
        forwards=_mean(result.forwards),
        backwards=_mean(result.backwards),
    )


def _run(attack: Attack, model: Model, x: Tensor, y: Tensor, seed: int, *, last: bool = False) -> Result:
    """Runs an attack; `last` asks for the last iterate of the whole run instead of the best of one that stops early."""
    generator = torch.Generator(x.device).manual_seed(seed)
    common: dict[str, Any] = {"norm": attack.norm, "eps": number(attack.eps)}
    step_size = None if attack.step_size is None else number(attack.step_size) * number(attack.eps)
    if attack.name == "autoattack":
        from bioinspired.attacks.ensemble import autoattack

        return autoattack(model, x, y, **common, generator=generator)
    common |= {"loss": attack.loss}
    if attack.name == "mi_fgsm":
        from bioinspired.attacks.momentum import mi_fgsm

        return mi_fgsm(model, x, y, **common, steps=attack.steps, step_size=step_size, generator=generator)
    from bioinspired.attacks.gradient import fgsm, pgd

    if attack.name == "fgsm":
        return fgsm(model, x, y, **common)
    common |= {"steps": attack.steps, "step_size": step_size, "random_start": attack.random_start}
    if last:
        return pgd(model, x, y, **common, early_exit=False, keep="last", generator=generator)
    return pgd(model, x, y, **common, restarts=attack.restarts, generator=generator)


def _corrupted(question: Corruption, model: Model, x: Tensor, y: Tensor, seed: int) -> Outcome:
    from bioinspired.corruptions import corrupt

    images = corrupt(x, question.name, strength=number(question.strength), generator=_generator(seed, x))
    return Outcome(bits={"correct": _numpy(correct(model, images, y))}, forwards=1)


def _checked(question: Checked, model: Model, x: Tensor, y: Tensor, sources: Sequence[Model], seed: int) -> Outcome:
    from bioinspired.checks import check

    twin = sources[0] if sources else None
    generator = _generator(seed, x)
    found = check(model, x, y, norm=question.norm, eps=number(question.eps), twin=twin, generator=generator)
    return Outcome(
        checks=[
            {
                "name": result.name,
                "passed": result.passed,
                "value": float(f"{result.value:.6g}") if math.isfinite(result.value) else None,
                "advice": result.advice,
            }
            for result in found
        ]
    )


def _gallery(question: Gallery, model: Model, x: Tensor, y: Tensor, seed: int) -> Outcome:
    result = _run(question.attack, model, x, y, seed, last=True)
    return Outcome(
        arrays={
            "clean": _bytes(x),
            "adversarial": _bytes(result.x_adv),
            "label": y.to(torch.int16).cpu().numpy(),
            "clean_answer": predict(model, x).to(torch.int16).cpu().numpy(),
            "adversarial_answer": predict(model, result.x_adv).to(torch.int16).cpu().numpy(),
        },
        forwards=_mean(result.forwards) + 2,
        backwards=_mean(result.backwards),
    )


def _generator(seed: int, x: Tensor) -> torch.Generator:
    return torch.Generator(x.device).manual_seed(seed)


def _mean(counts: Tensor) -> float:
    return round(float(counts.double().mean()), 3)


def _numpy(bits: Tensor) -> NDArray[np.bool_]:
    return bits.cpu().numpy().astype(np.bool_)


def _bytes(images: Tensor) -> NDArray[np.uint8]:
    return (images * 255).round().to(torch.uint8).cpu().numpy()
