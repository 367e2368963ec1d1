"""The three balls an attack may move in. Each gives the loop its hooks, and its own measure of length.

start      a point drawn uniformly from the ball around x, clipped to [0, 1]
step       the current point moved by a given length in the direction of steepest ascent
project    the point brought back into the ball and into [0, 1]; may overwrite its first argument
size       the length of a perturbation, per image
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bioinspired.errors import UserError

_TINY = 1e-12


@dataclass(frozen=True)
class Ball:
    """The hooks of one norm. Images are [n, ...] in [0, 1]; eps and lengths are in the units of the images."""

    start: Callable[[Tensor, float, torch.Generator], Tensor]
    step: Callable[[Tensor, Tensor, float], Tensor]
    project: Callable[[Tensor, Tensor, float], Tensor]
    size: Callable[[Tensor], Tensor]


def ball(norm: str) -> Ball:
    """The ball of a norm, by its name.

    Raises:
        UserError: the norm is unknown.
    """
    if norm not in BALLS:
        raise UserError(f'There is no norm "{norm}": choose one of {", ".join(BALLS)}.')
    return BALLS[norm]


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Values [n] shaped to multiply images [n, ...]."""
    return values.view(-1, *(1,) * (like.ndim - 1))


def uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform numbers of [0, 1) in the shape of a tensor, drawn where the generator lives."""
    drawn = torch.rand(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
    return drawn.to(like.device)


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers in the shape of a tensor, drawn where the generator lives."""
    drawn = torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
    return drawn.to(like.device)


def _linf_start(x: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    return uniform(x, generator).mul_(2).sub_(1).mul_(eps).add_(x).clamp_(0, 1)


def _linf_step(current: Tensor, gradient: Tensor, length: float) -> Tensor:
    return torch.add(current, gradient.sign(), alpha=length)


def _linf_project(point: Tensor, x: Tensor, eps: float) -> Tensor:
    # Through the difference, not through bounds computed once: this is how the other libraries round.
    return point.sub_(x).clamp_(-eps, eps).add_(x).clamp_(0, 1)


def _linf_size(delta: Tensor) -> Tensor:
    return delta.flatten(1).abs().amax(1)


def _l2_start(x: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    direction = normal(x, generator)
    dimensions = direction[0].numel()
    radius = uniform(x[:, :1].flatten(1)[:, 0], generator).pow_(1 / dimensions).mul_(eps)
    return direction.mul_(per_image(radius / _l2_size(direction).clamp_min(_TINY), x)).add_(x).clamp_(0, 1)


def _l2_step(current: Tensor, gradient: Tensor, length: float) -> Tensor:
    gradient = torch.nan_to_num(gradient, nan=0.0)
    size = _l2_size(gradient)
    if bool((size < _TINY).any()):  # squares underflow where a network is sure of itself: bring the largest to 1 first
        largest = _linf_size(gradient)
        vanishing = (size < _TINY) & (largest > 0)
        gradient = gradient / per_image(torch.where(vanishing, largest, 1), gradient)
        size = _l2_size(gradient)
    return current + length * (gradient * per_image(1 / size.clamp_min(_TINY), gradient))


def _l2_project(point: Tensor, x: Tensor, eps: float) -> Tensor:
    delta = point.sub_(x)
    factor = (eps / _l2_size(delta).clamp_min(_TINY)).clamp_max(1)
    return delta.mul_(per_image(factor, x)).add_(x).clamp_(0, 1)


def _l2_size(delta: Tensor) -> Tensor:
    return delta.flatten(1).square().sum(1).sqrt()


def _l1_start(x: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    # d + 1 exponential variates over their sum are uniform on the simplex; the first d, with random signs, in the ball.
    flat = x.flatten(1)
    spread = -torch.log1p(-uniform(torch.cat([flat, flat[:, :1]], 1), generator))
    simplex = spread[:, :-1] / spread.sum(1, keepdim=True).clamp_min(_TINY)
    sign = uniform(flat, generator).mul_(2).sub_(1).sign_()
    return (flat + eps * sign * simplex).clamp_(0, 1).view_as(x)


def _l1_step(current: Tensor, gradient: Tensor, length: float) -> Tensor:
    """The longest ascent of a linear function: pixels in the order of their gradient, each as far as the box allows."""
    gradient = torch.nan_to_num(gradient, nan=0.0).flatten(1)
    flat = current.flatten(1)
    room = torch.where(gradient > 0, 1 - flat, flat)
    strength, order = torch.where(room > 0, gradient.abs(), 0).sort(dim=1, descending=True)
    room = torch.where(strength > 0, room.gather(1, order), 0)
    taken_before = room.cumsum(1) - room
    moved = torch.minimum(room, (length - taken_before).clamp_min(0))
    step = torch.zeros_like(flat).scatter_(1, order, moved) * gradient.sign()
    return (flat + step).view_as(current)


def _l1_project(point: Tensor, x: Tensor, eps: float) -> Tensor:
    return l1_box_projection(point.sub_(x), x, eps).add_(x).clamp_(0, 1)


def l1_box_projection(delta: Tensor, x: Tensor, eps: float) -> Tensor:
    """The nearest perturbation, in Euclidean distance, with an L1 norm of at most eps and x + delta in [0, 1]; exact.

    The solution is sign(d_i) min(max(|d_i| - s, 0), c_i), where c_i is the room the box leaves in the direction of d_i
    and s >= 0 the smallest shift at which the norm is at most eps. The norm is piecewise linear in s with corners at
    |d_i| and |d_i| - c_i; sorting them finds the piece (Croce and Hein, 2021, arXiv 2103.01208, section 3).

    Args:
        delta: [n, ...], perturbations.
        x: [n, ...] in [0, 1], the images they belong to.
        eps: radius of the ball.
    """
    # In double precision: the running sums go over every pixel.
    d = delta.flatten(1).double()
    flat = x.flatten(1).double()
    length = d.abs()
    room = torch.minimum(torch.where(d > 0, 1 - flat, flat), length)  # a corner below s = 0 is of no interest
    corners, order = torch.cat([length, length - room], 1).sort(dim=1, descending=True)
    slope = torch.where(order < d.shape[1], 1.0, -1.0).to(d.dtype).cumsum(1)
    norm_at = torch.zeros_like(corners)
    norm_at[:, 1:] = (slope[:, :-1] * (corners[:, :-1] - corners[:, 1:])).cumsum(1)
    # The last corner at which the norm is still within eps, and from there down the straight line.
    last = (norm_at <= eps).sum(1, keepdim=True) - 1
    shift = corners.gather(1, last) - (eps - norm_at.gather(1, last)) / slope.gather(1, last).clamp_min(1)
    within = room.sum(1, keepdim=True) <= eps
    shift = torch.where(within, 0.0, shift.clamp_min(0))
    nearest = d.sign() * torch.minimum((length - shift).clamp_min(0), room)
    return nearest.to(delta.dtype).view_as(delta)


def _l1_size(delta: Tensor) -> Tensor:
    return delta.flatten(1).abs().sum(1)


BALLS = {
    "linf": Ball(_linf_start, _linf_step, _linf_project, _linf_size),
    "l2": Ball(_l2_start, _l2_step, _l2_project, _l2_size),
    "l1": Ball(_l1_start, _l1_step, _l1_project, _l1_size),
}
