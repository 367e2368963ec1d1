"""What a model answers, and whether that is right. A tie of the largest logits is no answer, so it counts as wrong."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Model = Callable[[Tensor], Tensor]
"""From images in [0, 1], first dimension the image, to logits [n, classes]."""

STEADY = 1e-3
"""Least `unsteadiness` of a random model; the rounding of a GPU's kernels stays below."""

NO_ANSWER = -1
"""Stands for the class where no single logit is the largest: a tie, or NaN."""


def answers(logits: Tensor) -> Tensor:
    """The class of the one largest logit.

    Args:
        logits: [n, classes].

    Returns:
        int64 [n]; -1 where two classes share the largest logit or a logit is NaN.
    """
    top, label = logits.max(dim=1)
    alone = (logits == top[:, None]).sum(dim=1) == 1
    return torch.where(alone, label, NO_ANSWER)


@torch.no_grad()
def predict(model: Model, x: Tensor, batch: int = 512) -> Tensor:
    """The model's answers, in batches and in the mode the model is in.

    Args:
        model: from images to logits.
        x: images in [0, 1], [n, ...].
        batch: images per forward pass.

    Returns:
        int64 [n] on the device of x; -1 where there is no single answer, see `answers`.
    """
    if not len(x):
        return torch.empty(0, dtype=torch.int64, device=x.device)
    return torch.cat([answers(model(part)) for part in torch.split(x, batch)])


def correct(model: Model, x: Tensor, y: Tensor, batch: int = 512) -> Tensor:
    """Whether the model's answer is the label: bool [n]. Ties and NaN are wrong."""
    return predict(model, x, batch) == y


@torch.no_grad()
def unsteadiness(model: Model, x: Tensor) -> float:
    """How much the logits of one batch differ between two forward passes, in units of their spread.

    What is not finite must be the same twice, else it is infinite. 0 for a deterministic model on a CPU, see `STEADY`.
    """
    first, second = model(x), model(x)
    finite = first.isfinite() & second.isfinite()
    alike = finite | (first == second) | (first.isnan() & second.isnan())
    if not bool(alike.all()):
        return math.inf
    gap = torch.where(finite, first - second, 0).abs().max()
    spread = first[first.isfinite()].std()
    return float(gap / spread.nan_to_num().clamp_min(1e-12))
