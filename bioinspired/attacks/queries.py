"""Asking the model: logits, or logits and the gradient of a loss at the input, counted per image."""

from collections.abc import Callable

import torch
from torch import Tensor

from bioinspired.attacks.eot import Expectation, mean_answer
from bioinspired.attacks.frozen import Model
from bioinspired.errors import UserError

Objective = Callable[[Tensor], Tensor]
"""From the logits of the images shown to their losses, [m, k] -> [m]."""


class Queries:
    """Shows images to a model and keeps the count; to an `Expectation`, as often as it has draws.

    A batch is shown together with `rows` [m], which says which of the n images each row of the batch belongs to. The
    count is kept per image. Rows are compared by identity: while an attack shows the same images, it passes the same
    tensor, and counting costs nothing.

    Attributes:
        forwards: int64 [n], passes so far (complete after `settle`).
        backwards: int64 [n], differentiated passes so far.
    """

    def __init__(self, model: Model, y: Tensor) -> None:
        self._model, self._draws = (model.model, model.draws) if isinstance(model, Expectation) else (model, 1)
        self._labels = y
        self._rows: Tensor | None = None
        self._pending = [0, 0]
        self._ones: Tensor | None = None
        self._classes = 0
        self.forwards = torch.zeros_like(y)
        self.backwards = torch.zeros_like(y)

    def logits(self, x: Tensor, rows: Tensor) -> Tensor:
        """Logits [m, k] without a graph."""
        self._count(rows, 0)
        with torch.no_grad():
            return mean_answer([self._ask(x) for _ in range(self._draws)])

    def gradient(self, x: Tensor, rows: Tensor, objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [m, k], losses [m] and the gradient of their sum at the input, shaped like x; none has a graph.

        Of an `Expectation`, losses and gradients are means over its draws.

        Raises:
            UserError: the logits do not depend on the input in a way that can be differentiated.
        """
        self._count(rows, 1)
        point = x.detach().requires_grad_()
        if self._draws == 1:
            return self._differentiate(point, objective)
        draws = [self._differentiate(point, objective) for _ in range(self._draws)]
        logits, losses, gradients = zip(*draws, strict=True)
        return mean_answer(list(logits)), torch.stack(losses).mean(0), torch.stack(gradients).mean(0)

    def settle(self) -> None:
        """Books the passes that are still pending."""
        if self._rows is not None:
            for counts, passes in zip((self.forwards, self.backwards), self._pending, strict=True):
                if passes:
                    counts.index_add_(0, self._rows, torch.full_like(self._rows, passes * self._draws))
        self._rows, self._pending = None, [0, 0]

    def _differentiate(self, point: Tensor, objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
        logits = self._ask(point)
        losses = objective(logits)
        if not losses.requires_grad:
            raise UserError(
                "The model's logits carry no gradient to its input: attack it with bioinspired.attacks.bpda, "
                "or with an attack that needs no gradient, such as square."
            )
        if self._ones is None or self._ones.shape != losses.shape or self._ones.dtype != losses.dtype:
            self._ones = torch.ones_like(losses)
        (gradient,) = torch.autograd.grad(losses, point, self._ones)
        return logits.detach(), losses.detach(), gradient

    def _ask(self, x: Tensor) -> Tensor:
        logits = self._model(x)
        if not self._classes:
            self._check(logits, x)
        return logits

    def _count(self, rows: Tensor, differentiated: int) -> None:
        if rows is not self._rows:
            self.settle()
            self._rows = rows
        self._pending[0] += 1
        self._pending[1] += differentiated

    def _check(self, logits: object, x: Tensor) -> None:
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(x) or logits.shape[1] < 2:
            got = f"a tensor of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
            raise UserError(
                f"The model must return logits of shape [{len(x)}, classes], from 2 classes on, for {len(x)} images "
                f"and returned {got}: wrap it in a function that does."
            )
        classes = logits.shape[1]
        largest = int(self._labels.max())
        if largest >= classes:
            raise UserError(
                f"A label is {largest} and the model has {classes} classes: labels run from 0 to {classes - 1}."
            )
        self._classes = classes
