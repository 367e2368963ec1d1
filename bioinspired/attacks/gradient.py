"""FGSM and PGD in Linf, L2 and L1: fixed budget, any callable, the best point found.

    x_0     = x, or a random point of the ball
    x_{i+1} = project(x_i + step_size * steepest(gradient of the loss at x_i))

FGSM (Goodfellow et al., 2015, arXiv 1412.6572) is one step of length eps; PGD is Madry et al., 2018
(arXiv 1706.06083). Three things are done differently from the usual loop, none of which changes which images are
fooled: an image that is fooled leaves the batch; so does one whose path has entered a cycle, since it will only see
again what it has seen; and the point returned is the best one of the path, not the last.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from bioinspired.attacks import arguments, door
from bioinspired.attacks.ascent import Ascent
from bioinspired.attacks.batches import Batch, remaining
from bioinspired.attacks.frozen import Model, frozen, noise_state, same_noise
from bioinspired.attacks.losses import Loss, check_known, verdict
from bioinspired.attacks.norms import ball, per_image
from bioinspired.attacks.queries import Queries
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError


def fgsm(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    eps: float,
    loss: str | Loss = "ce",
    targets: Tensor | None = None,
    batch: int = 512,
) -> Result:
    """The fast gradient (sign) method: one step of length eps along the steepest ascent of the norm.

    Arguments, result and errors are those of `pgd`.
    """
    return pgd(model, x, y, norm=norm, eps=eps, steps=1, step_size=eps, loss=loss, targets=targets, batch=batch)


def pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    eps: float,
    steps: int,
    step_size: float | None = None,
    loss: str | Loss = "ce",
    random_start: bool = False,
    restarts: int = 1,
    early_exit: bool = True,
    generator: torch.Generator | None = None,
    targets: Tensor | None = None,
    keep: Literal["best", "last"] = "best",
    batch: int = 512,
) -> Result:
    """Projected gradient descent within a ball of radius eps and within [0, 1].

    Args:
        model: any callable from images [n, ...] in [0, 1] to logits [n, k]. A module in training mode is attacked in
            evaluation mode; mode, gradients and global random state are afterwards as before.
        x: float32 or float64 [n, ...] in [0, 1], with one dimension or more per image.
        y: integers [n], the labels.
        norm: "linf", "l2" or "l1".
        eps: radius of the ball in the units of x; for "l1" the sum over all pixels.
        steps: number of steps.
        step_size: length of a step in the units of x, like eps; None is 2.5 eps / steps, with which the border is in
            reach from every start.
        loss: "ce", "margin", "dlr" (see `bioinspired.attacks.losses`), or a function (logits, labels) -> [n].
        random_start: whether the first run starts at a random point of the ball instead of at x.
        restarts: number of runs; every run after the first starts at a random point. Only images that are not yet
            fooled run again.
        early_exit: whether images stop as soon as they are fooled, or (Linf) are in a cycle. The same images are
            fooled either way. A model that draws random numbers from a source of its own (not torch's, numpy's or
            Python's global one) should be attacked without.
        generator: where the random starts come from; None is a generator seeded with 0.
        targets: integers [n]; given, the loss leads each image towards this class. Success still means that the label
            is not the answer.
        keep: "best" returns the point with the largest margin among all points visited, x included, so that more
            restarts never fool fewer images; "last" the last point, fooled or not, as papers craft their images for
            transfer. "last" goes with early_exit=False and one run.
        batch: images shown to the model at once; matters for memory and speed only (and for which random start an
            image gets, and for rounding: see `bioinspired.attacks.batches.LEAST_BATCH`).

    Returns:
        The result; see `Result`.

    Raises:
        UserError: an argument is wrong.
    """
    if targets is not None:
        _, targets = arguments.images(x, targets)
        if bool((targets == y.to(targets.device)).any()):
            raise UserError("A target is the label of its image: give every image another class to be led to.")
    model, x, y = door.enter(model, x, y, targets=targets)
    eps = arguments.length(eps, "eps")
    steps = arguments.count(steps, "steps")
    restarts = arguments.count(restarts, "restarts")
    batch = arguments.count(batch, "batch")
    length = 2.5 * eps / steps if step_size is None else arguments.length(step_size, "step_size")
    check_known(loss)
    if keep not in ("best", "last"):
        raise UserError(f'keep must be "best" or "last" and is {keep!r}.')
    if keep == "last" and (early_exit or restarts > 1):
        raise UserError('keep="last" returns the end of one whole run: pass early_exit=False and restarts=1 with it.')
    runs = _Runs(norm, eps, length, steps, loss, random_start, restarts, early_exit, arguments.dice(generator))
    parts = []
    with frozen(model, x.device):
        for images in torch.split(torch.arange(len(x), device=x.device), batch):
            towards = None if targets is None else targets[images]
            run = runs.to_the_end if keep == "last" else runs.to_the_best
            parts.append(run(model, x[images], y[images], towards))
    return joined(parts, x)


def iterates(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    eps: float,
    steps: int,
    step_size: float | None = None,
    loss: str | Loss = "ce",
    random_start: bool = False,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """The points of one run of PGD, one [n, ...] after every step, without early exit and in one batch.

    Arguments and errors are those of `pgd`; FGSM is one step with step_size=eps.
    """
    model, x, y = door.enter(model, x, y)
    eps = arguments.length(eps, "eps")
    steps = arguments.count(steps, "steps")
    length = 2.5 * eps / steps if step_size is None else arguments.length(step_size, "step_size")
    check_known(loss)
    rows = torch.arange(len(x), device=x.device)
    start = ball(norm).start(x, eps, arguments.dice(generator)) if random_start else x
    ascent = Ascent(Queries(model, y), ball(norm), x, y, start=start, rows=rows, eps=eps, length=length, loss=loss)
    for _ in range(steps):
        with frozen(model, x.device):
            ascent.step()
        yield ascent.current


def joined(parts: Sequence[Result], x: Tensor) -> Result:
    """The results of consecutive batches of x as one."""
    if not parts:
        none = torch.zeros(0, dtype=torch.int64, device=x.device)
        return Result(x_adv=x.clone(), success=none.bool(), forwards=none, backwards=none.clone())
    return Result(
        x_adv=torch.cat([part.x_adv for part in parts]),
        success=torch.cat([part.success for part in parts]),
        forwards=torch.cat([part.forwards for part in parts]),
        backwards=torch.cat([part.backwards for part in parts]),
    )


class _Runs:
    """What one call of PGD has settled; runs it on one batch after the other."""

    def __init__(
        self,
        norm: str,
        eps: float,
        length: float,
        steps: int,
        loss: str | Loss,
        random_start: bool,
        restarts: int,
        early_exit: bool,
        generator: torch.Generator,
    ) -> None:
        self.ball = ball(norm)
        self.eps = eps
        self.length = length
        self.steps = steps
        self.loss = loss
        self.random_start = random_start
        self.restarts = restarts
        self.early_exit = early_exit
        # A path of sign steps lies on a grid and repeats itself; the other norms' paths do not, up to rounding.
        self.cycles = early_exit and norm == "linf"
        self.generator = generator

    def to_the_end(self, model: Model, x: Tensor, y: Tensor, targets: Tensor | None) -> Result:
        """One run; the last point."""
        queries = Queries(model, y)
        ascent = self._ascent(queries, x, y, targets, torch.arange(len(x), device=x.device), first=True)
        for _ in range(self.steps):
            ascent.step()
        success = verdict(ascent.look(), y) >= 0
        queries.settle()
        return Result(ascent.current, success, queries.forwards, queries.backwards)

    def to_the_best(self, model: Model, x: Tensor, y: Tensor, targets: Tensor | None) -> Result:
        """All runs; the best point of each image."""
        queries = Queries(model, y)
        best = _Best(x)
        everything = torch.arange(len(x), device=x.device)
        if self.random_start:
            best.see(x, verdict(queries.logits(x, everything), y))
        for run in range(self.restarts):
            rows = remaining(best.margin >= 0) if self.early_exit else everything
            if not len(rows):
                break
            # Drawn for every image, so that who has left does not change the start of the others.
            ascent = self._ascent(queries, x, y, targets, rows, first=run == 0)
            self._climb(ascent, best)
        if x.is_cuda:
            # Kernels choose their algorithm by the batch's shape: the verdict is that of one shape for all.
            best.margin = verdict(queries.logits(best.point, everything), y)
        queries.settle()
        return Result(best.point, best.margin >= 0, queries.forwards, queries.backwards)

    def _ascent(
        self, queries: Queries, x: Tensor, y: Tensor, targets: Tensor | None, rows: Tensor, *, first: bool
    ) -> Ascent:
        start = x if first and not self.random_start else self.ball.start(x, self.eps, self.generator)
        return Ascent(
            queries,
            self.ball,
            x[rows],
            y[rows],
            start=start[rows],
            rows=rows,
            eps=self.eps,
            length=self.length,
            loss=self.loss,
            targets=None if targets is None else targets[rows],
        )

    def _climb(self, ascent: Ascent, best: "_Best") -> None:
        path = _Path(ascent.current, self.steps) if self.cycles else None
        part = best.part(ascent.rows)
        finished = part.margin >= 0
        for step in range(self.steps):
            here = ascent.current
            margin = verdict(ascent.step(), ascent.y)
            part.see(here, margin)
            if not self.early_exit:
                continue
            finished = finished | (margin >= 0)
            if path is not None:
                finished = finished | path.repeats(here, margin, ~finished)
            index = remaining(finished, ahead=self.steps - step)
            if len(index) == len(finished):
                continue
            best.take_over(ascent.rows, part)
            if not len(index):
                return
            finished = finished[index]
            for batch in (ascent, part, path):
                if batch is not None:
                    batch.keep(index)
        part.see(ascent.current, verdict(ascent.look(), ascent.y))
        best.take_over(ascent.rows, part)


class _Best(Batch):
    """The point with the largest margin that each image has visited."""

    def __init__(self, x: Tensor) -> None:
        self.point = x
        self.margin = x.new_full((len(x),), -torch.inf)

    def see(self, points: Tensor, margin: Tensor) -> None:
        better = margin > self.margin
        self.margin = torch.where(better, margin, self.margin)
        self.point = torch.where(per_image(better, points), points, self.point)

    def part(self, rows: Tensor) -> "_Best":
        """The same of some of the images."""
        part = _Best(self.point)
        part.point, part.margin = self.point[rows], self.margin[rows]
        return part

    def take_over(self, rows: Tensor, part: "_Best") -> None:
        """Puts back what a part has become."""
        self.point = self.point.index_copy(0, rows, part.point)
        self.margin = self.margin.index_copy(0, rows, part.margin.to(self.margin.dtype))


class _Path:
    """Where a batch has been: 64-bit sums over the bits of each point, and the margin there.

    A deterministic model that is shown a point for the second time does what it did after the first: the path is a
    cycle. Whether the model is deterministic is told by its margin there, and by the global random state.
    """

    def __init__(self, start: Tensor, steps: int) -> None:
        self._device = start.device
        self._bits = torch.int32 if start.dtype == torch.float32 else torch.int64
        dice = torch.Generator("cpu").manual_seed(0)
        weights = torch.randint(-(2**63), 2**63 - 1, (start[0].numel(),), generator=dice)
        self._weights = weights.bitwise_or(1).to(start.device)
        self._sums = torch.zeros(steps, len(start), dtype=torch.int64, device=start.device)
        self._margins = torch.zeros(steps, len(start), dtype=start.dtype, device=start.device)
        self._length = 0
        self._noise = noise_state(self._device)

    def repeats(self, points: Tensor, margin: Tensor, asked: Tensor) -> Tensor:
        """bool [m], whether a row that is asked about has been here before; remembers the points of all."""
        bits = points.reshape(len(points), -1).view(self._bits)
        sums = (bits * self._weights).sum(1)
        same = (self._sums[: self._length] == sums) & asked
        self._sums[self._length] = sums
        self._margins[self._length] = margin
        self._length += 1
        if not bool(same.any()) or not same_noise(self._noise, noise_state(self._device)):
            return torch.zeros_like(margin, dtype=torch.bool)
        return (same & (self._margins[: len(same)] == margin)).any(0)

    def keep(self, index: Tensor) -> None:
        self._sums, self._margins = self._sums[:, index], self._margins[:, index]
