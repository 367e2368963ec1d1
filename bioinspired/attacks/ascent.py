"""The one loop body behind FGSM, PGD and MI-FGSM: gradient, direction, step, projection."""

from collections.abc import Callable

from torch import Tensor

from bioinspired.attacks.losses import Loss, evaluate
from bioinspired.attacks.norms import Ball
from bioinspired.attacks.queries import Queries

Direction = Callable[[Tensor], Tensor]
"""From a gradient to what the step follows instead, shaped alike; it may keep a memory, such as a momentum."""


class Ascent:
    """A batch of images on its way up the loss.

    Attributes:
        current: [m, ...], where the batch is now.
        rows: [m], which image each row of the batch is.
        x, y, targets: the images, their labels and (or None) their target classes, in the order of the batch.
    """

    def __init__(
        self,
        queries: Queries,
        ball: Ball,
        x: Tensor,
        y: Tensor,
        *,
        start: Tensor,
        rows: Tensor,
        eps: float,
        length: float,
        loss: str | Loss,
        targets: Tensor | None = None,
        direction: Direction | None = None,
    ) -> None:
        self.current = start
        self.rows = rows
        self.x, self.y, self.targets = x, y, targets
        self._queries = queries
        self._ball = ball
        self._eps = eps
        self._length = length
        self._loss = loss
        self._direction = direction

    def step(self) -> Tensor:
        """Moves on by one step, and returns the logits [m, k] of the point it left."""
        logits, _, gradient = self._queries.gradient(self.current, self.rows, self._objective)
        if self._direction is not None:
            gradient = self._direction(gradient)
        moved = self._ball.step(self.current, gradient, self._length)
        self.current = self._ball.project(moved, self.x, self._eps)
        return logits

    def look(self) -> Tensor:
        """The logits [m, k] of the current point."""
        return self._queries.logits(self.current, self.rows)

    def keep(self, index: Tensor) -> None:
        """Goes on with these rows of the batch only."""
        self.current, self.rows = self.current[index], self.rows[index]
        self.x, self.y = self.x[index], self.y[index]
        if self.targets is not None:
            self.targets = self.targets[index]

    def _objective(self, logits: Tensor) -> Tensor:
        return evaluate(self._loss, logits, self.y, self.targets)
