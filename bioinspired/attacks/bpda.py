"""Backward pass differentiable approximation: through what has no useful gradient, with the gradient of a stand-in.

Athalye et al., 2018 (arXiv 1802.00420), section 4.1: run the function in the forward pass, and differentiate a smooth
surrogate in its place. Which surrogate serves an attack best is not known beforehand, so `sweep` tries several and
judges each image by the worst.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bioinspired.attacks.frozen import Model
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError

Function = Callable[[Tensor], Tensor]


def bpda(function: Function, surrogate: Function) -> Function:
    """A function whose value is the first's and whose gradient is the second's.

    Args:
        function: any map of tensors, such as a binarization; need not be differentiable.
        surrogate: a differentiable map of the same shapes, such as `identity` or `sigmoid_step(...)`.
    """

    def both(x: Tensor) -> Tensor:
        with torch.no_grad():
            value = function(x)
        smooth = surrogate(x)
        return value + (smooth - smooth.detach())  # the difference is zero, exactly, and carries the gradient

    return both


def identity(x: Tensor) -> Tensor:
    """The straight-through surrogate."""
    return x


def sigmoid_step(*, threshold: float, width: float) -> Function:
    """A smooth step from 0 to 1 for functions that compare with a threshold; width is in the units of the input."""

    def step(x: Tensor) -> Tensor:
        return torch.sigmoid((x - threshold) / width)

    return step


@dataclass(frozen=True)
class Sweep:
    """What each surrogate achieved, and the worst case over them per image.

    Attributes:
        results: one result per surrogate, by its name.
        worst: per image the first surrogate's result that fools it (else the first's), with the passes of all.
    """

    results: Mapping[str, Result]
    worst: Result


def sweep(attack: Callable[[Model], Result], models: Mapping[str, Model]) -> Sweep:
    """Runs one attack through several surrogates.

    Args:
        attack: from a model to a result, such as `lambda model: pgd(model, x, y, norm="linf", eps=0.1, steps=50)`.
        models: the same model with different surrogates, by name; their forward passes must agree, or the verdicts are
            those of different models.

    Raises:
        UserError: there is no model.
    """
    if not models:
        raise UserError("A sweep needs one surrogate or more: pass models by name.")
    results = {name: attack(model) for name, model in models.items()}
    first, *others = results.values()
    x_adv, success = first.x_adv, first.success
    forwards, backwards = first.forwards, first.backwards
    for result in others:
        new = result.success & ~success
        x_adv = torch.where(new.view(-1, *(1,) * (x_adv.ndim - 1)), result.x_adv, x_adv)
        success = success | result.success
        forwards, backwards = forwards + result.forwards, backwards + result.backwards
    return Sweep(results, Result(x_adv, success, forwards, backwards))
