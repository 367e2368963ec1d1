"""APGD: projected gradient ascent with momentum that chooses its step sizes by itself.

Linf and L2 after Croce and Hein, 2020 (arXiv 2003.01690), algorithm 1:

    z_{i+1} = project(x_i + eta_i steepest(gradient at x_i))
    x_{i+1} = project(x_i + 3/4 (z_{i+1} - x_i) + 1/4 (x_i - x_{i-1}))

The step eta starts at 2 eps. At checkpoints it is halved, and the search goes back to the best point so far, when
fewer than 3/4 of the steps since the last one raised the loss, or when neither the step nor the best loss has changed.

L1 after Croce and Hein, 2021 (arXiv 2103.01208), algorithm 2: no momentum, steps along the signs of the largest
gradients only, projected exactly; how many follows from how many pixels the best point has changed. The search runs
through balls of 3, 2 and 1 eps.
"""

import math

import torch
from torch import Tensor

from bioinspired.attacks.batches import Batch, Found, Images, remaining
from bioinspired.attacks.losses import evaluate, verdict
from bioinspired.attacks.norms import BALLS, l1_box_projection, normal, per_image, uniform
from bioinspired.attacks.queries import Queries

_TINY = 1e-12
_MOMENTUM = 0.25
_FRACTION_OF_RISES = 0.75
_SPARSER = 1.5


def apgd(
    queries: Queries,
    images: Images,
    *,
    norm: str,
    eps: float,
    steps: int,
    loss: str,
    generator: torch.Generator,
) -> Found:
    """One run from a random point. Images that are fooled leave the batch.

    Args:
        queries: the model, counted.
        images: what to attack; with targets, the loss is the targeted one.
        norm: "linf", "l2" or "l1".
        eps: radius of the ball.
        steps: number of steps; in L1 3/10 of them go to each of the two larger balls.
        loss: "ce", "margin" or "dlr".
        generator: where the random start comes from.
    """
    found = Found(images)
    if norm != "l1":
        start = _far_away(images.x, norm, eps, generator)
        climb = _Climb(queries, images, start, loss)
        climb.run(_Halving(climb, norm, eps, steps), steps, found)
        return found
    start = images.x + l1_box_projection(normal(images.x, generator), images.x, 3 * eps)
    large = math.ceil(0.3 * steps)
    for radius, share in ((3 * eps, large), (2 * eps, large), (eps, steps - 2 * large)):
        start = images.x + l1_box_projection(start - images.x, images.x, radius)
        climb = _Climb(queries, images, start.clamp_(0, 1), loss)
        # Only the last ball is the one that counts.
        climb.run(_Sparsity(climb, radius, share), share, found if radius == eps else None)
        start = climb.best
    return found


class _Climb(Batch):
    """The state of a run: where it is, and the best point so far by its loss."""

    def __init__(self, queries: Queries, images: Images, start: Tensor, loss: str) -> None:
        self.x, self.y, self.rows, self.targets = images.x, images.y, images.rows, images.targets
        self.at = torch.arange(len(images.y), device=images.y.device)
        self.current = start
        self.previous = start
        self._queries = queries
        self._loss = loss

    def run(self, schedule: "_Halving | _Sparsity", steps: int, found: Found | None) -> None:
        """Takes the steps of a schedule; with `found`, fooled images are recorded there and leave."""
        logits, losses, self.gradient = self._queries.gradient(self.current, self.rows, self._objective)
        self.loss = losses
        self.best, self.best_loss, self.best_gradient = self.current, losses, self.gradient
        schedule.begin(self)
        if not self._goes_on(logits, schedule, found, ahead=steps):
            return
        for step in range(steps):
            self.previous, self.current = self.current, schedule.step(self, first=step == 0)
            if step < steps - 1:
                logits, losses, self.gradient = self._queries.gradient(self.current, self.rows, self._objective)
            else:
                logits = self._queries.logits(self.current, self.rows)
                losses = self._objective(logits)
            schedule.observe(losses > self.loss)
            self.loss = losses
            better = losses > self.best_loss
            self.best_loss = torch.where(better, losses, self.best_loss)
            better = per_image(better, self.x)
            self.best = torch.where(better, self.current, self.best)
            self.best_gradient = torch.where(better, self.gradient, self.best_gradient)
            if not self._goes_on(logits, schedule, found, ahead=steps - 1 - step):
                return
            schedule.check(self)

    def go_back(self, which: Tensor) -> None:
        """Returns these images [m] to their best point."""
        which = per_image(which, self.x)
        self.current = torch.where(which, self.best, self.current)
        self.gradient = torch.where(which, self.best_gradient, self.gradient)

    def _goes_on(self, logits: Tensor, schedule: "_Halving | _Sparsity", found: Found | None, *, ahead: int) -> bool:
        if found is None:
            return True
        fooled = verdict(logits, self.y) >= 0
        if not found.record(self.at, self.current, fooled):
            return True
        index = remaining(found.fooled[self.at], ahead)
        if 0 < len(index) < len(fooled):
            self.keep(index)
            schedule.keep(index)
        return len(index) > 0

    def _objective(self, logits: Tensor) -> Tensor:
        return evaluate(self._loss, logits, self.y, self.targets)


class _Halving(Batch):
    """Linf and L2: steps with momentum, halved at checkpoints."""

    def __init__(self, climb: _Climb, norm: str, eps: float, steps: int) -> None:
        self._ball = BALLS[norm]
        self._norm = norm
        self._eps = eps
        self._interval = max(int(0.22 * steps), 1)
        self._shrink = max(int(0.03 * steps), 1)
        self._least = max(int(0.06 * steps), 1)
        self._since = 0
        self.length = torch.full_like(climb.x[:, :1].flatten(1)[:, 0], 2 * eps)
        self.rises = torch.zeros_like(self.length)
        self.halved = torch.ones_like(climb.y, dtype=torch.bool)

    def begin(self, climb: _Climb) -> None:
        self.best_at_check = climb.best_loss

    def step(self, climb: _Climb, *, first: bool) -> Tensor:
        x, here = climb.x, climb.current
        if self._norm == "linf":
            direction = climb.gradient.sign()
        else:
            direction = climb.gradient / per_image(self._ball.size(climb.gradient) + _TINY, x)
        there = self._ball.project(here + per_image(self.length, x) * direction, x, self._eps)
        if first:
            return there
        mixed = torch.lerp(here, there, 1 - _MOMENTUM).add_(here - climb.previous, alpha=_MOMENTUM)
        return self._ball.project(mixed, x, self._eps)

    def observe(self, rose: Tensor) -> None:
        self.rises += rose

    def check(self, climb: _Climb) -> None:
        self._since += 1
        if self._since < self._interval:
            return
        stuck = ~self.halved & (climb.best_loss <= self.best_at_check)
        self.halved = (self.rises <= _FRACTION_OF_RISES * self._interval) | stuck
        self.best_at_check = climb.best_loss
        self.length = torch.where(self.halved, self.length / 2, self.length)
        climb.go_back(self.halved)
        self.rises = torch.zeros_like(self.rises)
        self._since = 0
        self._interval = max(self._interval - self._shrink, self._least)


class _Sparsity(Batch):
    """L1: steps along the largest gradients, whose number and length follow the best point."""

    def __init__(self, climb: _Climb, eps: float, steps: int) -> None:
        self._eps = eps
        self._interval = max(int(0.04 * steps), 1)
        self._since = 0
        self.changed = _changed(climb.current, climb.x)
        self.share = self.changed / climb.x[0].numel() / _SPARSER
        self.length = torch.full_like(self.share, eps)

    def begin(self, climb: _Climb) -> None:
        pass

    def step(self, climb: _Climb, *, first: bool) -> Tensor:
        gradient = climb.gradient.flatten(1)
        size = gradient.abs()
        pixels = size.shape[1]
        place = ((1 - self.share) * pixels).clamp(0, pixels - 1).long()
        threshold = size.sort(dim=1).values.gather(1, place.unsqueeze(1))
        direction = torch.where(size >= threshold, gradient.sign(), 0)
        taken = direction.abs().sum(1, keepdim=True) + _TINY
        there = climb.current + (self.length.unsqueeze(1) * direction / taken).view_as(climb.x)
        return (climb.x + l1_box_projection(there - climb.x, climb.x, self._eps)).clamp_(0, 1)

    def observe(self, rose: Tensor) -> None:
        pass

    def check(self, climb: _Climb) -> None:
        self._since += 1
        if self._since < self._interval:
            return
        self._since = 0
        changed = _changed(climb.best, climb.x)
        sparser = changed < 0.95 * self.changed
        self.share = changed / climb.x[0].numel() / _SPARSER
        self.length = torch.where(sparser, self._eps, self.length / _SPARSER).clamp_(self._eps / 10, self._eps)
        self.changed = changed
        climb.go_back(sparser)


def _far_away(x: Tensor, norm: str, eps: float, generator: torch.Generator) -> Tensor:
    """A random point on the border of the ball, clipped to [0, 1]."""
    ball = BALLS[norm]
    noise = uniform(x, generator).mul_(2).sub_(1) if norm == "linf" else normal(x, generator)
    return (x + eps * noise / per_image(ball.size(noise) + _TINY, x)).clamp_(0, 1)


def _changed(points: Tensor, x: Tensor) -> Tensor:
    """How many pixels differ, per image, as a floating-point number."""
    return (points != x).flatten(1).sum(1).to(x.dtype)
