"""What an attack climbs: losses per image that grow as the answer gets worse.

Each takes logits z [n, k] and gives [n]; y is the label, t the target, z_(i) the i-th largest logit.

    ce       -log softmax(z)_y                              targeted  log softmax(z)_t
    margin   max_{j != y} z_j - z_y                         targeted  z_t - z_y
    dlr      (max_{j != y} z_j - z_y) / (z_(1) - z_(3))     targeted  (z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2)

The difference of logits ratio (dlr) is from Croce and Hein, 2020 (arXiv 2003.01690), equations 6 and 7. It changes
neither under shifts nor under a rescaling of the logits, and is defined from 3 classes on, targeted from 4; with fewer
it raises a UserError.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bioinspired.errors import UserError

Loss = Callable[[Tensor, Tensor], Tensor]
"""A loss per image: (logits [n, k], labels [n]) -> [n]."""

_TINY = 1e-12


def ce(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy."""
    return F.cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """How far the best wrong logit lies above the label's: negative while the answer is right, 0 at a tie."""
    label = y.unsqueeze(1)
    return logits.scatter(1, label, -torch.inf).amax(1) - logits.gather(1, label).squeeze(1)


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio."""
    _need(logits, 3, "dlr")
    top = logits.topk(3, dim=1).values
    return margin(logits, y) / (top[:, 0] - top[:, 2] + _TINY)


def targeted_ce(logits: Tensor, y: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy towards the target."""
    return -F.cross_entropy(logits, targets, reduction="none")


def targeted_margin(logits: Tensor, y: Tensor, targets: Tensor) -> Tensor:
    """How far the target's logit lies above the label's."""
    return _at(logits, targets) - _at(logits, y)


def targeted_dlr(logits: Tensor, y: Tensor, targets: Tensor) -> Tensor:
    """Difference of logits ratio towards the target."""
    _need(logits, 4, "dlr with targets")
    top = logits.topk(4, dim=1).values
    return targeted_margin(logits, y, targets) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + _TINY)


LOSSES: dict[str, Loss] = {"ce": ce, "margin": margin, "dlr": dlr}
TARGETED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "ce": targeted_ce,
    "margin": targeted_margin,
    "dlr": targeted_dlr,
}


def check_known(loss: str | Loss) -> None:
    """Refuses a loss that does not exist.

    Raises:
        UserError: there is no such loss.
    """
    if isinstance(loss, str) and loss not in LOSSES:
        raise UserError(f'There is no loss "{loss}": choose one of {", ".join(LOSSES)}, or pass a function.')


def evaluate(loss: str | Loss, logits: Tensor, y: Tensor, targets: Tensor | None) -> Tensor:
    """A loss [n] by its name, towards the targets where there are some; or a function of one's own."""
    if not isinstance(loss, str):
        return loss(logits, y)
    return LOSSES[loss](logits, y) if targets is None else TARGETED[loss](logits, y, targets)


def verdict(logits: Tensor, y: Tensor) -> Tensor:
    """The margin as the attacks judge by it: an image is fooled where it is not negative; undefined counts as +inf."""
    return torch.nan_to_num(margin(logits, y), nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _need(logits: Tensor, least: int, loss: str) -> None:
    if logits.shape[1] < least:
        raise UserError(
            f"The loss {loss} is defined from {least} classes on and the model has {logits.shape[1]}: "
            'use loss="margin" instead.'
        )


def _at(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes.unsqueeze(1)).squeeze(1)
