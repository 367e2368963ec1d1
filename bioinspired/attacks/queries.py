"""Asking the model: logits, or logits and the gradient of a loss at the input, counted per image."""

from collections.abc import Callable

import torch
from torch import Tensor

from bioinspired.attacks.eot import Expectation, mean_answer
from bioinspired.attacks.frozen import Model
from bioinspired.errors import UserError

Objective = Callable[[Tensor], Tensor]
"""From the logits of the images shown to their losses, [m, k] -> [m]."""

NO_GRADIENT = (
    "The model's logits carry no gradient to its input: attack it with bioinspired.attacks.bpda, "
    "or with an attack that needs no gradient, such as square."
)


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
        self._rows: Tensor | None = None
        self._pending = [0, 0]
        self._ones: Tensor | None = None
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
            raise UserError(NO_GRADIENT)
        if self._ones is None or self._ones.shape != losses.shape or self._ones.dtype != losses.dtype:
            self._ones = torch.ones_like(losses)
        (gradient,) = torch.autograd.grad(losses, point, self._ones, allow_unused=True)
        if gradient is None:
            raise UserError(NO_GRADIENT)
        return logits.detach(), losses.detach(), gradient

    def _ask(self, x: Tensor) -> Tensor:
        return self._model(x)

    def _count(self, rows: Tensor, differentiated: int) -> None:
        if rows is not self._rows:
            self.settle()
            self._rows = rows
        self._pending[0] += 1
        self._pending[1] += differentiated
