"""The smallest perturbation that fools, searched in one run: fast minimum norm (Pintor et al. 2021, arXiv 2102.12827).

A point x + d moves up the gradient of the margin while the radius it must stay within adapts: as long as nothing fools,
the radius reaches for the boundary where a linear model would have it; from then on it shrinks at every fooling point
and grows at every other one, by a factor that fades (the paper's algorithm 1, section 3). Two things are added: the
reach overshoots the linear boundary by that factor, for on a piecewise linear network the exact reach ends a rounding
error short of the boundary and stays there; and until something fools, the radius never shrinks, for the box [0, 1] can
stop a point short of its reach.
"""

import math

import torch
from torch import Tensor

from bioinspired.attacks import arguments, door
from bioinspired.attacks.frozen import Model, frozen
from bioinspired.attacks.losses import margin
from bioinspired.attacks.norms import ball, per_image
from bioinspired.attacks.queries import Queries
from bioinspired.attacks.result import Result

_FIRST_STEP, _LAST_STEP = 1.0, 0.01  # Euclidean length of a step, by a cosine over the steps: the paper's alpha
_FIRST_FACTOR, _LAST_FACTOR = 0.05, 0.001  # relative change of the radius, likewise: the paper's gamma
_TINY = 1e-12


def fmn(model: Model, x: Tensor, y: Tensor, *, norm: str, steps: int = 100) -> Result:
    """Searches the smallest perturbation that fools the model. Deterministic; needs no epsilon.

    Args:
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], [n, ...].
        y: labels, integers [n].
        norm: "linf", "l2" or "l1".
        steps: passes forward and backward per image.

    Returns:
        `x_adv`, the nearest fooling image found, or the image itself; `success`, whether one was found. The distance
        is an upper bound of the smallest one.

    Raises:
        UserError: an argument is not as described.
    """
    model, x, y = door.enter(model, x, y)
    steps = arguments.count(steps, "steps")
    size = ball(norm).size
    rows = torch.arange(len(x), device=x.device)
    queries = Queries(model, y)
    delta, best = torch.zeros_like(x), torch.zeros_like(x)
    smallest = torch.full_like(x.flatten(1)[:, 0], math.inf)
    radius = smallest.clone()
    with frozen(model, x.device):
        for step in range(steps if len(x) else 0):
            _, height, gradient = queries.gradient(x + delta, rows, lambda logits: margin(logits, y))
            gradient = torch.nan_to_num(gradient, nan=0.0)
            fooled, length = height >= 0, size(delta)
            better = fooled & (length < smallest)
            smallest = torch.where(better, length, smallest)
            best = torch.where(per_image(better, x), delta, best)
            fade = (1 + math.cos(math.pi * step / steps)) / 2
            factor = _LAST_FACTOR + (_FIRST_FACTOR - _LAST_FACTOR) * fade
            wider = torch.where(radius.isfinite(), radius, 0) * (1 + factor)
            reach = (length + height.abs() / _dual(gradient, norm).clamp_min(_TINY)) * (1 + factor)
            outside = torch.where(smallest.isfinite(), wider, torch.maximum(wider, reach))
            radius = torch.where(fooled, torch.minimum(radius * (1 - factor), smallest), outside)
            stride = _LAST_STEP + (_FIRST_STEP - _LAST_STEP) * fade
            unit = gradient / per_image(_dual(gradient, "l2").clamp_min(_TINY), x)
            delta = _within(delta + stride * unit, radius, norm)
            delta = (x + delta).clamp(0, 1) - x
        queries.settle()
    return Result(x + best, smallest.isfinite(), queries.forwards, queries.backwards)


def _dual(gradient: Tensor, norm: str) -> Tensor:
    order = {"linf": 1.0, "l2": 2.0, "l1": math.inf}[norm]
    lengths: Tensor = torch.linalg.vector_norm(gradient.flatten(1), ord=order, dim=1)
    return lengths


def _within(delta: Tensor, radius: Tensor, norm: str) -> Tensor:
    """The nearest point of each image's own ball; infinite radii leave the point as it is."""
    bound = per_image(radius, delta)
    if norm == "linf":
        return torch.minimum(torch.maximum(delta, -bound), bound)
    if norm == "l2":
        return delta * (bound / per_image(_dual(delta, "l2"), delta).clamp_min(_TINY)).clamp_max(1)
    lengths = delta.flatten(1).abs()
    ordered = lengths.sort(dim=1, descending=True).values
    ranks = torch.arange(1, ordered.shape[1] + 1, device=delta.device)
    shifts = (ordered.cumsum(1) - radius[:, None]) / ranks  # Duchi et al. 2008: soft threshold onto the simplex
    shift = shifts.gather(1, (ordered > shifts).sum(1, keepdim=True).clamp_min(1) - 1).clamp_min(0)
    return (delta.flatten(1).sign() * (lengths - shift).clamp_min(0)).view_as(delta)
