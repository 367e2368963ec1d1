"""Square: random search with square windows; asks for logits only, never for a gradient.

Andriushchenko et al., 2020 (arXiv 1912.00049), algorithms 1 to 3, with the L1 form of Croce and Hein, 2021
(arXiv 2103.01208) and the schedule of window sizes that AutoAttack uses. In every round each image gets a proposal of
its own: a window at a random place is changed, and kept if that lowers the lead of the right answer.

Two things save time and leave the path of the search as it is. Several proposals are shown to the model at once where
few are accepted; those behind an accepted one are made again from there. And a proposal whose answer is known is not
shown: one that changes nothing, or one that was refused before from the same point. In Linf on small images this is
most of them.
"""

import functools
import math
import sys

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
_MOST_PIXELS = 1 << 10
_SHOWN_AT_ONCE = 128
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
    search.keep(remaining(found.fooled))
    if len(search.at):
        search.begin()
    number = 1
    while len(search.at):
        if found.record(search.at, search.points(), search.margin >= 0):
            search.keep(remaining(found.fooled[search.at], ahead=rounds - number))
        if number == rounds or not len(search.at):
            break
        number += search.propose(number, rounds - number, ~found.fooled[search.at])
    return found


def side(number: int, height: int, width: int) -> int:
    """The side of the window in a round, in pixels."""
    halvings = sum(number > threshold for threshold in _HALVINGS)
    return max(round(math.sqrt(_SHARE / 2**halvings * height * width)), 1)


def _rounds_alike(number: int) -> int:
    """How many rounds, from this one on, have the same window size."""
    return next((threshold - number + 1 for threshold in _HALVINGS if number <= threshold), sys.maxsize)


class _Search(Batch):
    """The best point of each image so far, as [m, channels, height, width], and its margin."""

    def __init__(self, queries: Queries, images: Images, norm: str, eps: float, generator: torch.Generator) -> None:
        shape = images.x.shape[1:]
        self._shape = shape
        channels, *rows, self._width = (*(1,) * (3 - len(shape)), *shape)
        self._channels, self._height = channels, math.prod(rows)
        self._queries, self._norm, self._eps, self._generator = queries, norm, eps, generator
        self.x = images.x.reshape(-1, self._channels, self._height, self._width)
        self.y, self.rows = images.y, images.rows
        self.at = torch.arange(len(images.y), device=images.y.device)
        self.best = self.x
        self.margin = torch.full_like(self.x[:, 0, 0, 0], -torch.inf)
        self._at_once = 1

    def begin(self) -> None:
        """Goes to the first point."""
        raise NotImplementedError

    def points(self) -> Tensor:
        """The best points, in the shape of the images."""
        return self.best.view(-1, *self._shape)

    def propose(self, number: int, most: int, goes_on: Tensor) -> int:
        """Makes the proposals of some rounds, from this one on, to the images that go on; returns how many rounds."""
        height, width = self._window(number)
        # Few rounds in the beginning, where images still leave often.
        rounds = min(most, _rounds_alike(number), number // 8 + 1, max(_MOST_PIXELS // (height * width), 1))
        self._draw(rounds, height, width)
        turns = torch.arange(rounds, device=self.at.device)
        passed = torch.zeros_like(self.at)
        while True:
            waiting = self._worth_asking() & (turns >= passed.unsqueeze(1)) & goes_on.unsqueeze(1)
            if self._at_once < rounds:
                waiting &= waiting.cumsum(1) <= self._at_once
            image, turn = waiting.nonzero(as_tuple=True)
            if not len(image):
                return rounds
            image, turn = _filled_up(image), _filled_up(turn)
            points = self._points(image, turn)
            margin = verdict(self._queries.logits(points.view(-1, *self._shape), self.rows[image]), self.y[image])
            better = margin > self.margin[image]
            first = torch.full_like(passed, rounds)
            first.scatter_reduce_(0, image[better], turn[better], "amin")
            accepted = turn == first[image]
            winners = image[accepted]
            self._learn(image, turn, winners, first)
            self.best[winners] = points[accepted]
            self.margin[winners] = margin[accepted].to(self.margin.dtype)
            goes_on = goes_on & (self.margin < 0)
            last = torch.zeros_like(passed).scatter_reduce_(0, image, turn + 1, "amax")
            passed = torch.where(first < rounds, first + 1, torch.maximum(passed, last))
            self._hurry(asked=int((last > 0).sum()), accepted=int((first < rounds).sum()))

    def _draw(self, rounds: int, height: int, width: int) -> None:
        """Draws what is random in the proposals of these rounds."""
        raise NotImplementedError

    def _points(self, image: Tensor, turn: Tensor) -> Tensor:
        """The points [q, channels, height, width] proposed to images [q], by their place in the batch, in turns [q]."""
        raise NotImplementedError

    def _worth_asking(self) -> Tensor:
        """bool [m, rounds], the proposals whose answer is not known."""
        return torch.ones(len(self.at), self._rounds, dtype=torch.bool, device=self.at.device)

    def _learn(self, image: Tensor, turn: Tensor, winners: Tensor, first: Tensor) -> None:
        """Told which proposals were asked; those of an image before its first accepted one were refused."""

    def _hurry(self, *, asked: int, accepted: int) -> None:
        """More proposals at once while few are accepted, fewer when many are: what lies behind those is lost."""
        if 4 * accepted > asked:
            self._at_once = max(self._at_once // 2, 1)
        elif 16 * accepted < asked:
            self._at_once = min(self._at_once * 2, max(_SHOWN_AT_ONCE // asked, 1))

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

    def _range(self, height: int, width: int) -> tuple[int, int]:
        """How many places a window can take, downwards and across."""
        # In images the last row and column of places stay unused, as in the authors' code: robust accuracies compare.
        unused = 1 if len(self._shape) >= 3 else 0
        return max(self._height - height + 1 - unused, 1), max(self._width - width + 1 - unused, 1)

    def _places(self, rounds: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Random places [m, rounds] of windows, and the pixels inside [m, rounds, height * width]."""
        down, across = self._range(height, width)
        place = (self._uniform(len(self.at), rounds) * (down * across)).long().clamp_max(down * across - 1)
        corner = place // across * self._width + place % across
        device = corner.device
        inside = torch.arange(height, device=device).unsqueeze(1) * self._width + torch.arange(width, device=device)
        self._rounds = rounds
        return place, corner.unsqueeze(2) + inside.view(1, 1, -1)


class _Corners(_Search):
    """Linf: every pixel at the border of the ball; a window's pixels jump together, with one sign per channel."""

    def begin(self) -> None:
        self.low, self.high = (self.x - self._eps).clamp_min(0), (self.x + self._eps).clamp_max(1)
        stripes = self._signs(len(self.at), self._channels, 1, self._width)
        self.best = torch.where(stripes > 0, self.high, self.low)
        noise = noise_state(self.x.device)
        self.margin = verdict(self._queries.logits(self.points(), self.rows), self.y).to(self.x.dtype)
        self._random = not same_noise(noise, noise_state(self.x.device))
        self._remembered = (0, 0)
        self.refused = torch.zeros(len(self.at), 0, dtype=torch.bool, device=self.x.device)

    def _draw(self, rounds: int, height: int, width: int) -> None:
        images, channels = len(self.at), self._channels
        place, inside = self._places(rounds, height, width)
        up = self._uniform(images, channels, rounds) < 0.5
        pixels = inside.view(images, 1, -1).expand(-1, channels, -1)
        shape = (images, channels, rounds, -1)
        low, high = (image.flatten(2).gather(2, pixels).view(shape) for image in (self.low, self.high))
        self._pixels = pixels.view(shape)
        self._proposed = torch.where(up.unsqueeze(3), high, low)
        self._names = self._named(place, up, (height, width))

    def _worth_asking(self) -> Tensor:
        now = self.best.flatten(2).gather(2, self._pixels.flatten(2)).view_as(self._proposed)
        changes = (self._proposed != now).any(3).any(1)
        return changes if self._names is None else changes & ~self.refused.gather(1, self._names)

    def _points(self, image: Tensor, turn: Tensor) -> Tensor:
        points = self.best[image].flatten(2)
        points.scatter_(2, self._pixels[image, :, turn], self._proposed[image, :, turn])
        return points.view(-1, *self.x.shape[1:])

    def _learn(self, image: Tensor, turn: Tensor, winners: Tensor, first: Tensor) -> None:
        if self._names is not None:
            self.refused[image, self._names[image, turn]] = True
            self.refused[winners] = False

    def _named(self, place: Tensor, up: Tensor, size: tuple[int, int]) -> Tensor | None:
        """Each proposal's number [m, rounds] among all of its size; None where there are too many to remember."""
        places = math.prod(self._range(*size))
        if self._random or self._channels > 8 or places << self._channels > _MOST_REMEMBERED:
            return None
        if size != self._remembered:
            self._remembered = size
            self.refused = self.refused.new_zeros(len(self.at), places << self._channels)
        signs = (up.long() << torch.arange(self._channels, device=up.device).view(-1, 1)).sum(1)
        return (place << self._channels) + signs


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
        self.best = self._within(delta, self.x)
        self.margin = verdict(self._queries.logits(self.points(), self.rows), self.y).to(self.x.dtype)

    def _draw(self, rounds: int, height: int, width: int) -> None:
        images, channels = len(self.at), self._channels
        _, self._filled = self._places(rounds, height, width)
        _, self._emptied = self._places(rounds, height, width)
        upright, turned = self._bumps(height, width), self._bumps(width, height).T
        shapes = torch.where(self._uniform(images, rounds, 1, 1) < 0.5, upright.reshape(-1), turned.reshape(-1))
        self._shapes = shapes * self._signs(images, rounds, channels, 1)

    def _points(self, image: Tensor, turn: Tensor) -> Tensor:
        filled, emptied = (
            places[image, turn].unsqueeze(1).expand(-1, self._channels, -1) for places in (self._filled, self._emptied)
        )
        x = self.x[image]
        delta = (self.best[image] - x).flatten(2)
        either = torch.zeros_like(delta).scatter_(2, filled, 1).scatter_(2, emptied, 1)
        budget = self._length(delta * either)
        old = delta.gather(2, filled)
        new = self._shapes[image, turn] + old / (self._length(old) + _TINY)
        new = new / (self._length(new) + _TINY) * self._spend(budget, delta)
        return self._within(delta.scatter(2, emptied, 0).scatter_(2, filled, new).view_as(x), x)

    def _length(self, delta: Tensor) -> Tensor:
        """Length per channel, [q, c, 1]."""
        if self._norm == "l1":
            return delta.abs().sum(2, keepdim=True)
        return delta.square().sum(2, keepdim=True).sqrt()

    def _spend(self, budget: Tensor, delta: Tensor) -> Tensor:
        """The length per channel of a window that gets what two held, and its part of what is unused."""
        used = BALLS[self._norm].size(delta).view(-1, 1, 1)
        if self._norm == "l1":
            return (self._eps - used).clamp_min(0) + budget * self._channels
        return ((self._eps**2 - used.square()).clamp_min(0) / self._channels + budget.square()).sqrt()

    def _within(self, delta: Tensor, x: Tensor) -> Tensor:
        if self._norm == "l1":
            return (x + l1_box_projection(delta, x, self._eps)).clamp_(0, 1)
        length = BALLS["l2"].size(delta).view(-1, 1, 1, 1)
        return (x + delta * (self._eps / (length + _TINY))).clamp_(0, 1)

    def _bumps(self, height: int, width: int) -> Tensor:
        return two_bumps(height, width, self._norm).to(self.x)


def _filled_up(index: Tensor) -> Tensor:
    """An index repeated up to a batch size that is in use."""
    size = bucket(len(index))
    return index.repeat(-(-size // len(index)))[:size]


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
        window = torch.ones(1, 1, device="cpu")
    return _unit(window, norm)


def _bump(height: int, width: int, norm: str) -> Tensor:
    down, across = torch.arange(height) - height // 2, torch.arange(width) - width // 2
    ring = torch.maximum(down.abs().unsqueeze(1), across.abs())
    worth = 1 / torch.arange(1, max(height, width) // 2 + 2) ** (4 if norm == "l1" else 2)
    bump = worth.flip(0).cumsum(0).flip(0)[ring]
    return _unit(bump, norm)


def _unit(window: Tensor, norm: str) -> Tensor:
    return window / (window.abs().sum() if norm == "l1" else window.square().sum().sqrt())
