"""Batches that shrink as their images finish, in few sizes and never below a least one."""

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_BATCH = 8
"""Batches shrink no further than this: a smaller one takes as long.

The same image may give other bits in another batch, whatever its size: a processor chooses its way through a matrix
product by the product's size. Logits and gradients then differ by about 1e-7 of the largest, points by less than 1e-5,
and verdicts only where two classes tie up to that.
"""

_WARM_UP = 2
"""What the first pass of a new batch size costs more, in passes of the size before: memory and kernels are chosen."""


def remaining(finished: Tensor, ahead: int | None = None) -> Tensor:
    """The rows of a batch to go on with: all that are not finished, and as many others as fill up its new size.

    With `ahead`, the number of steps to come, these are all rows while cutting them down would cost more than it saves.
    """
    left = len(finished) - int(finished.sum())
    size = min(bucket(left), len(finished)) if left else 0
    if size and ahead is not None and (len(finished) - size) * ahead < _WARM_UP * len(finished):
        size = len(finished)
    if size == len(finished):
        return torch.arange(size, device=finished.device)
    return finished.sort(stable=True).indices[:size].sort().values


def bucket(size: int) -> int:
    """The batch size that this many images go on with: few sizes in all, because each new one costs a warm-up."""
    spacing = 1 << max(size.bit_length() - 4, 0)
    return max(-(-size // spacing) * spacing, LEAST_BATCH)


@dataclass(frozen=True)
class Images:
    """The images that an attack of an ensemble works on.

    Attributes:
        x: [m, ...] in [0, 1].
        y: int64 [m], labels.
        rows: int64 [m], which images of the counted batch they are.
        finished: bool [m], images that are fooled already and only fill up the batch.
        targets: int64 [m], classes to lead them to, or None.
        copies: how many times the same images stand in x, one series after the other, to be led to several targets at
            once; as soon as one copy of an image is fooled, all are finished.
    """

    x: Tensor
    y: Tensor
    rows: Tensor
    finished: Tensor
    targets: Tensor | None = None
    copies: int = 1


class Found:
    """What an attack of an ensemble has found.

    Attributes:
        fooled: bool [m], those that were finished before included, and copies of images that are.
        points: [m, ...], points that fool; the image itself elsewhere.
    """

    def __init__(self, images: Images) -> None:
        self.fooled = images.finished.clone()
        self.points = images.x.clone()
        self._hit = torch.zeros_like(self.fooled)
        self._copies = images.copies

    def by_image(self) -> tuple[Tensor, Tensor]:
        """Over the copies: whether an image was fooled here, bool [m / copies], and a point that fools it."""
        hit = self._hit.view(self._copies, -1)
        which = hit.byte().argmax(0)
        points = self.points.view(self._copies, hit.shape[1], *self.points.shape[1:])
        return hit.any(0), points[which, torch.arange(hit.shape[1], device=which.device)]

    def record(self, at: Tensor, points: Tensor, fooled: Tensor) -> bool:
        """Takes over the points that fool, for the images at these positions that were not fooled before.

        Returns:
            Whether there were any.
        """
        if not bool(fooled.any()):
            return False
        new = fooled & ~self.fooled[at]
        self.points[at[new]] = points[new]
        self._hit[at[new]] = True
        self.fooled |= self._hit.view(self._copies, -1).any(0).repeat(self._copies)
        return bool(new.any())


class Batch:
    """Tensors whose first dimension is the batch, cut down together.

    Subclasses hold such tensors as attributes; everything else they hold stays as it is.
    """

    def keep(self, index: Tensor) -> None:
        """Goes on with these rows only."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[index])
