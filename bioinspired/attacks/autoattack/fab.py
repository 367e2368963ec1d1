"""FAB: the fast adaptive boundary attack, led to a target class; looks for the nearest point that fools.

Croce and Hein, 2020 (arXiv 1907.02044), algorithm 1, with the boundary towards one class at a time as in AutoAttack:

    boundary   at x_i, z_t - z_y is replaced by its tangent: a hyperplane <w, .> = b
    d_i, d     the smallest steps from x_i, and from the image x, onto the hyperplane within [0, 1]
    alpha      min(|d_i| / (|d_i| + |d|), alpha_max)
    x_{i+1}    (1 - alpha) (x_i + eta d_i) + alpha (x + eta d), clipped; where that fools, x + beta (x_{i+1} - x)

Unlike the other attacks it knows no budget: an image counts as fooled once a point that fools lies within eps of it.
"""

import torch
from torch import Tensor

from bioinspired.attacks.batches import Batch, Found, Images, remaining
from bioinspired.attacks.losses import targeted_margin, verdict
from bioinspired.attacks.norms import BALLS, per_image
from bioinspired.attacks.queries import Queries

_ALPHA_MAX = 0.1
_ETA = 1.05
_BETA = 0.9
_TINY = 1e-12
_MOST_CORNERS = 50


def fab(queries: Queries, images: Images, *, norm: str, eps: float, steps: int) -> Found:
    """One run from the images towards their targets. Images that are fooled within eps leave the batch.

    Args:
        queries: the model, counted.
        images: what to attack, with targets.
        norm: "linf", "l2" or "l1".
        eps: radius of the ball.
        steps: number of steps.
    """
    found = Found(images)
    search = _Search(images)
    size = BALLS[norm].size
    for number in range(steps):
        _, gap, normal = queries.gradient(search.current, search.rows, search.lead)
        step, step_from_image = onto_hyperplane(search.current, search.x, normal, gap, norm)
        near, far = size(step).clamp_min(1e-8), size(step_from_image).clamp_min(1e-8)
        alpha = per_image((near / (near + far)).clamp_max(_ALPHA_MAX), step)
        forward, back = search.current + _ETA * step, search.x + _ETA * step_from_image
        reached = torch.lerp(forward, back, alpha).clamp_(0, 1)
        fooled = verdict(queries.logits(reached, search.rows), search.y) >= 0
        away = reached - search.x
        search.current = torch.where(per_image(fooled, away), search.x + _BETA * away, reached)
        if not found.record(search.at, reached, fooled & (size(away) <= eps)):
            continue
        index = remaining(found.fooled[search.at], ahead=steps - 1 - number)
        if not len(index):
            break
        if len(index) < len(fooled):
            search.keep(index)
    return found


def onto_hyperplane(points: Tensor, others: Tensor, normal: Tensor, gap: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """The smallest steps from two batches of points onto the same hyperplanes, within [0, 1].

    The hyperplane of a row is where a linear function with gradient `normal`, which is `gap` at the first batch's
    point, is zero. Where the box does not reach it, the step goes as far as the box allows.

    Args:
        points: [m, ...] in [0, 1].
        others: [m, ...] in [0, 1].
        normal: [m, ...].
        gap: [m].
        norm: what "smallest" means: "linf", "l2" or "l1".

    Returns:
        Two tensors shaped like points.
    """
    w = torch.nan_to_num(normal, nan=0.0).flatten(1)
    scale = w.abs().amax(1)
    scale = torch.where(scale > 0, scale, 1)
    w, gap = w / scale.unsqueeze(1), gap / scale  # a network that is sure of itself has slopes whose squares underflow
    here, there = points.flatten(1), others.flatten(1)
    gap_there = gap + (w * (there - here)).sum(1)
    both = torch.cat([here, there])
    w, gaps = w.repeat(2, 1), torch.cat([gap, gap_there])
    # Against the sign of the gap: pixel i may move by up to room_i, and then lowers the gap by |w_i| times that.
    direction = -w.sign() * gaps.sign().unsqueeze(1)
    room = torch.where(direction > 0, 1 - both, both)
    slope = w.abs()
    room = torch.where(slope > 0, room, 0)
    if norm == "l1":
        moved = _steepest_first(slope, room, gaps.abs())
    else:
        moved = _all_at_once(slope, room, gaps.abs(), torch.ones_like(slope) if norm == "linf" else slope)
    step = (direction * moved).view(-1, *points.shape[1:])
    return step[: len(points)], step[len(points) :]


class _Search(Batch):
    """Where the search for each image is."""

    def __init__(self, images: Images) -> None:
        if images.targets is None:
            raise ValueError("this form of FAB needs targets")
        self.x, self.y, self.rows, self.targets = images.x, images.y, images.rows, images.targets
        self.at = torch.arange(len(images.y), device=images.y.device)
        self.current = images.x

    def lead(self, logits: Tensor) -> Tensor:
        return targeted_margin(logits, self.y, self.targets)


def _all_at_once(slope: Tensor, room: Tensor, needed: Tensor, speed: Tensor) -> Tensor:
    """min(t speed, room) with t >= 0 such that the slopes add up to what is needed.

    The sum is concave and piecewise linear in t, so Newton's iteration from t = 0 climbs to the solution without ever
    passing it, one corner or more at a time, and is exact on the last piece.
    """
    needed = needed.unsqueeze(1)
    rate = slope * speed
    moved = torch.zeros_like(room)
    full = room <= 0
    missing, left = needed, rate.masked_fill(full, 0).sum(1, keepdim=True)
    t = torch.zeros_like(needed)
    for _ in range(_MOST_CORNERS):
        t = t + torch.where(left > 0, missing / left.clamp_min(_TINY * _TINY), 0)
        moved = torch.minimum(t * speed, room)
        now_full = t * speed >= room
        if torch.equal(now_full, full):
            break
        full = now_full
        missing = (needed - (slope * moved).sum(1, keepdim=True)).clamp_min(0)
        left = rate.masked_fill(full, 0).sum(1, keepdim=True)
    return moved


def _steepest_first(slope: Tensor, room: Tensor, needed: Tensor) -> Tensor:
    """Pixels in the order of their slope, each moved as far as it has room until what is needed is reached."""
    slope, order = slope.sort(dim=1, descending=True)
    room = room.gather(1, order)
    gained = (slope * room).cumsum(1)
    before = gained - slope * room
    share = ((needed.unsqueeze(1) - before) / slope.clamp_min(_TINY * _TINY)).clamp_min(0)
    return torch.zeros_like(room).scatter_(1, order, torch.minimum(share, room))
