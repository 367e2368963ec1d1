"""Square: random search with square windows; asks for logits only, never for a gradient.

Andriushchenko et al., 2020 (arXiv 1912.00049), algorithms 1 to 3, with the L1 form of Croce and Hein, 2021
(arXiv 2103.01208) and the schedule of window sizes that AutoAttack uses. In each of `queries` rounds every image gets a
proposal of its own: a window at a random place is changed, and kept if that lowers the lead of the right answer.

A proposal whose answer is known is not shown to the model: one that changes nothing, or one that was refused before
from the same point. In Linf on small images this is most of them; the search takes the same path as without.
"""

import functools
import math

import torch
from torch import Tensor

from bioinspired.attacks.batches import Batch, Found, Images, bucket, remaining
from bioinspired.attacks.frozen import noise_state, same_noise
from bioinspired.attacks.losses import verdict
from bioinspired.attacks.norms import BALLS, l1_box_projection
from bioinspired.attacks.queries import Queries

_SHARE = 0.8
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The share of pixels in a window starts at 4/5 and is halved after these rounds."""
_MOST_REMEMBERED = 1 << 15
_TINY = 1e-12


def square(
    queries: Queries, images: Images, *, norm: str, eps: float, rounds: int, generator: torch.Generator
) -> Found:
    """One run. Images that are fooled leave the batch.

    Args:
        queries: the model, counted.
        images: what to attack; any shape [m, ...]: three dimensions are channels, height, width; two are height and
            width; one is a row of pixels.
        norm: "linf", "l2" or "l1".
        eps: radius of the ball.
        rounds: number of proposals per image, the first point included.
        generator: where windows and signs come from.
    """
    found = Found(images)
    kind: type[_Corners | _Windows] = _Corners if norm == "linf" else _Windows
    search = kind(queries, images, norm, eps, generator)
    search.begin()
    for number in range(rounds):
        found.record(search.at, search.points(), search.margin >= 0)
        index = remaining(found.fooled[search.at])
        if not len(index):
            break
        if len(index) < len(search.at):
            search.keep(index)
        search.propose(number, ~found.fooled[search.at])
    found.record(search.at, search.points(), search.margin >= 0)
    return found


def side(number: int, height: int, width: int) -> int:
    """The side of the window in a round, in pixels."""
    halvings = sum(number > threshold for threshold in _HALVINGS)
    return max(round(math.sqrt(_SHARE / 2**halvings * height * width)), 1)


class _Search(Batch):
    """The best point of each image so far, as [m, channels, height, width], and its margin."""

    def __init__(self, queries: Queries, images: Images, norm: str, eps: float, generator: torch.Generator) -> None:
        shape = images.x.shape[1:]
        self._shape = shape
        self._channels, self._height, self._width = (*(1,) * (3 - len(shape)), *shape)
        self._queries, self._norm, self._eps, self._generator = queries, norm, eps, generator
        self.x = images.x.reshape(-1, self._channels, self._height, self._width)
        self.y, self.rows = images.y, images.rows
        self.at = torch.arange(len(images.y), device=images.y.device)
        self.best = self.x
        self.margin = torch.full_like(self.x[:, 0, 0, 0], -torch.inf)

    def points(self) -> Tensor:
        return self.best.view(-1, *self._shape)

    def _ask(self, points: Tensor, rows: Tensor, y: Tensor) -> Tensor:
        return verdict(self._queries.logits(points.view(-1, *self._shape), rows), y)

    def _uniform(self, *shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=self._generator, device=self._generator.device, dtype=self.x.dtype)
        return drawn.to(self.x.device)

    def _signs(self, *shape: int) -> Tensor:
        return torch.where(self._uniform(*shape) < 0.5, -1.0, 1.0).to(self.x.dtype)

    def _window(self, number: int) -> tuple[int, int]:
        size = side(number, self._height, self._width)
        if self._norm != "linf":
            size = max(size, 3) | 1  # odd, so that there is a middle
        height = min(size, self._height)
        # On a row of pixels the window is a stretch of the same number of pixels.
        return height, min(size if self._height > 1 else size * size, self._width)

    def _places(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Random corners [m] of windows, and the pixels [m, height * width] inside."""
        highest, rightmost = self._height - height + 1, self._width - width + 1
        place = (self._uniform(len(self.at)) * (highest * rightmost)).long().clamp_max(highest * rightmost - 1)
        corner = place // rightmost * self._width + place % rightmost
        device = corner.device
        inside = torch.arange(height, device=device).unsqueeze(1) * self._width + torch.arange(width, device=device)
        return place, corner.unsqueeze(1) + inside.view(1, -1)


class _Corners(_Search):
    """Linf: every pixel at the border of the ball; a window's pixels jump together, with one sign per channel."""

    def begin(self) -> None:
        self.low, self.high = (self.x - self._eps).clamp_min(0), (self.x + self._eps).clamp_max(1)
        stripes = self._signs(len(self.at), self._channels, 1, self._width)
        self.best = torch.where(stripes > 0, self.high, self.low)
        noise = noise_state(self.x.device)
        self.margin = self._ask(self.best, self.rows, self.y)
        self._random = not same_noise(noise, noise_state(self.x.device))
        self._remembered = (0, 0)
        self.refused = torch.zeros(len(self.at), 0, dtype=torch.bool, device=self.x.device)

    def propose(self, number: int, goes_on: Tensor) -> None:
        size = self._window(number)
        place, inside = self._places(*size)
        up = self._uniform(len(self.at), self._channels) < 0.5
        pixels = inside.unsqueeze(1).expand(-1, self._channels, -1)
        now, low, high = (image.flatten(2).gather(2, pixels) for image in (self.best, self.low, self.high))
        proposed = torch.where(up.unsqueeze(2), high, low)
        name = self._name(place, up, size)
        worth_asking = goes_on & (proposed != now).flatten(1).any(1)
        if name is not None:
            worth_asking &= ~self.refused.gather(1, name).squeeze(1)
        which = worth_asking.nonzero().squeeze(1)
        if not len(which):
            return
        which = which.repeat(-(-bucket(len(which)) // len(which)))[: bucket(len(which))]
        points = self.best[which].flatten(2).scatter_(2, pixels[which], proposed[which]).view(-1, *self.x.shape[1:])
        margin = self._ask(points, self.rows[which], self.y[which])
        better = margin > self.margin[which]
        if name is not None:
            self.refused[which, name[which].squeeze(1)] = True
            self.refused[which[better]] = False
        self.best[which[better]] = points[better]
        self.margin[which[better]] = margin[better]

    def _name(self, place: Tensor, up: Tensor, size: tuple[int, int]) -> Tensor | None:
        """Each proposal's number [m, 1] among all of its size; None where there are too many to remember."""
        places = (self._height - size[0] + 1) * (self._width - size[1] + 1)
        if self._random or self._channels > 8 or places << self._channels > _MOST_REMEMBERED:
            return None
        if size != self._remembered:
            self._remembered = size
            self.refused = self.refused.new_zeros(len(self.at), places << self._channels)
        signs = (up.long() << torch.arange(self._channels, device=up.device)).sum(1)
        return ((place << self._channels) + signs).unsqueeze(1)


class _Windows(_Search):
    """L2 and L1: the budget of a second window moves into the first, in the shape of two bumps of opposite sign."""

    def begin(self) -> None:
        height, width = max(self._height // 5, 1), max(self._width // 5, 1)
        down, across = self._height // height, self._width // width
        signs = self._signs(len(self.at), self._channels, down, across)
        tiles = signs.repeat_interleave(height, 2).repeat_interleave(width, 3)
        tiles = tiles * self._bumps(height, width).repeat(down, across)
        delta = torch.zeros_like(self.x)
        top, left = (self._height - down * height) // 2, (self._width - across * width) // 2
        delta[:, :, top : top + down * height, left : left + across * width] = tiles
        self.best = self._within(delta)
        self.margin = self._ask(self.best, self.rows, self.y)

    def propose(self, number: int, goes_on: Tensor) -> None:
        height, width = self._window(number)
        _, inside = self._places(height, width)
        _, emptied = self._places(height, width)
        first, second = (pixels.unsqueeze(1).expand(-1, self._channels, -1) for pixels in (inside, emptied))
        delta = (self.best - self.x).flatten(2)
        either = torch.zeros_like(delta).scatter_(2, first, 1).scatter_(2, second, 1)
        budget = self._length(delta * either)
        upright, turned = self._bumps(height, width), self._bumps(width, height).T
        bumps = torch.where(self._uniform(len(self.at), 1, 1) < 0.5, upright.reshape(-1), turned.reshape(-1))
        old = delta.gather(2, first)
        new = bumps * self._signs(len(self.at), self._channels, 1) + old / (self._length(old) + _TINY)
        new = new / (self._length(new) + _TINY) * self._spend(budget, delta)
        delta = delta.scatter(2, second, 0).scatter_(2, first, new).view_as(self.x)
        points = self._within(delta)
        margin = self._ask(points, self.rows, self.y)
        better = goes_on & (margin > self.margin)
        self.margin = torch.where(better, margin, self.margin)
        self.best = torch.where(better.view(-1, 1, 1, 1), points, self.best)

    def _length(self, delta: Tensor) -> Tensor:
        """Length per channel, [m, c, 1]."""
        if self._norm == "l1":
            return delta.abs().sum(2, keepdim=True)
        return delta.square().sum(2, keepdim=True).sqrt()

    def _spend(self, budget: Tensor, delta: Tensor) -> Tensor:
        """The length per channel of a window that gets what two held, and its part of what is unused."""
        used = BALLS[self._norm].size(delta).view(-1, 1, 1)
        if self._norm == "l1":
            return (self._eps - used).clamp_min(0) + budget * self._channels
        return ((self._eps**2 - used.square()).clamp_min(0) / self._channels + budget.square()).sqrt()

    def _within(self, delta: Tensor) -> Tensor:
        if self._norm == "l1":
            return (self.x + l1_box_projection(delta, self.x, self._eps)).clamp_(0, 1)
        length = BALLS["l2"].size(delta).view(-1, 1, 1, 1)
        return (self.x + delta * (self._eps / (length + _TINY))).clamp_(0, 1)

    def _bumps(self, height: int, width: int) -> Tensor:
        return two_bumps(height, width, self._norm).to(self.x)


@functools.cache
def two_bumps(height: int, width: int, norm: str) -> Tensor:
    """A window whose one half is a bump and whose other half a dent, [height, width], of length 1.

    A bump is a pyramid of rings around its middle: ring r is worth 1/(r + 1)^p + 1/(r + 2)^p + ..., p being 2 in L2 and
    4 in L1 (equation 2 of the paper).
    """
    if height > 1:
        halves = [_bump(height // 2, width, norm), -_bump(height - height // 2, width, norm)]
        window = torch.cat(halves)
    elif width > 1:
        window = torch.cat([_bump(1, width // 2, norm), -_bump(1, width - width // 2, norm)], 1)
    else:
        window = torch.ones(1, 1)
    return _unit(window, norm)


def _bump(height: int, width: int, norm: str) -> Tensor:
    down, across = torch.arange(height) - height // 2, torch.arange(width) - width // 2
    ring = torch.maximum(down.abs().unsqueeze(1), across.abs())
    worth = 1 / torch.arange(1, max(height, width) // 2 + 2) ** (4 if norm == "l1" else 2)
    bump = worth.flip(0).cumsum(0).flip(0)[ring]
    return _unit(bump, norm)


def _unit(window: Tensor, norm: str) -> Tensor:
    return window / (window.abs().sum() if norm == "l1" else window.square().sum().sqrt())
