"""A hard-label attack: RayS (Chen and Gu, 2020, arXiv 2006.12792), which asks for answers only.

Along a direction of signs d the model is fooled from some radius r(d) on. The search flips the signs of one block of
pixels after the other, blocks half as long after every round, and keeps a flip that still fools at the best radius,
which a bisection then lowers (the paper's algorithms 1 to 3). What fools here fools a reader of labels, so white-box
attacks that do worse are failing.
"""

from itertools import pairwise

import torch
from torch import Tensor

from bioinspired.attacks import arguments, door
from bioinspired.attacks.frozen import Model, frozen
from bioinspired.attacks.norms import ball, per_image
from bioinspired.attacks.predictions import answers
from bioinspired.attacks.queries import Queries
from bioinspired.attacks.result import Result

_BISECTIONS = 8


def rays(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, steps: int = 400) -> Result:
    """Searches a direction of signs along which the model is fooled early. Deterministic.

    The search shortens the largest change of a pixel, as the paper does; for "l2" and "l1" it is a weak attack.

    Args:
        model: any callable from images in [0, 1] to logits; only the answers are used.
        x: images in [0, 1], [n, ...].
        y: labels, integers [n].
        norm: "linf", "l2" or "l1": in what the result is measured.
        eps: radius of the ball; an image that is fooled within it is finished.
        steps: flips tried per image; one that succeeds costs 8 more forward passes.

    Raises:
        UserError: an argument is not as described.
    """
    model, x, y = door.enter(model, x, y)
    eps = arguments.length(eps, "eps")
    steps = arguments.count(steps, "steps")
    size = ball(norm).size
    queries = Queries(model, y)
    direction, radius = torch.ones_like(x), torch.full_like(x.flatten(1)[:, 0], torch.inf)

    def point(rows: Tensor, direction: Tensor, radius: Tensor) -> Tensor:
        return (x[rows] + per_image(radius, x) * direction).clamp(0, 1)

    def fooled(rows: Tensor, direction: Tensor, radius: Tensor) -> Tensor:
        return answers(queries.logits(point(rows, direction, radius), rows)) != y[rows]

    with frozen(model, x.device):
        everything = torch.arange(len(x), device=x.device)
        wrong = fooled(everything, direction, torch.zeros_like(radius)) if len(x) else radius.bool()
        radius[wrong] = 0
        for block in _blocks(x.shape[1:].numel(), steps):
            best = point(everything, direction, radius.clamp_max(1))
            rows = ((size(best - x) > eps) | radius.isinf()).nonzero().squeeze(1)
            if not len(rows):
                break
            flipped = direction[rows].flatten(1)
            flipped[:, block] *= -1
            flipped = flipped.view_as(x[rows])
            hit = fooled(rows, flipped, radius[rows].clamp_max(1))
            rows, flipped = rows[hit], flipped[hit]
            if not len(rows):
                continue
            low, high = torch.zeros_like(radius[rows]), radius[rows].clamp_max(1)
            for _ in range(_BISECTIONS):
                middle = (low + high) / 2
                inside = fooled(rows, flipped, middle)
                low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
            direction[rows], radius[rows] = flipped, high
        queries.settle()
        best = point(everything, direction, torch.where(radius.isinf(), 0, radius))
        success = radius.isfinite() & (size(best - x) <= eps * (1 + 1e-6))
    x_adv = torch.where(per_image(success, x), best, x)
    return Result(x_adv, success, queries.forwards, queries.backwards)


def _blocks(pixels: int, steps: int) -> list[slice]:
    """The blocks to flip, in order: nothing, all, halves, quarters, ..., single pixels, and again from the start."""
    blocks = [slice(0, 0)]
    while len(blocks) < steps:
        parts = 1
        while True:
            edges = [pixels * i // parts for i in range(parts + 1)]
            blocks += [slice(start, stop) for start, stop in pairwise(edges) if stop > start]
            if parts >= pixels:
                break
            parts *= 2
    return blocks[:steps]
