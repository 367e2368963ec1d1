"""Pairs of different images in a random order without repetition, out of millions that are never all held at once.

5,000 images have 12,497,500 pairs, of which an epoch sees some 12,000. Where few pairs fit, they are listed and
shuffled; where many do, pairs are drawn until enough are found that fit and have not been drawn. Both give the law of a
shuffled list.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bioinspired.errors import UserError

LISTED = 1_000_000  # pairs at most; such a list takes 16 MB
ROWS = 256  # of the similarity matrix at a time


def similarities(units: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All pairs i < j, some rows of the matrix at a time.

    Args:
        units: float [n, d], rows of unit length or zero, as `targets.unit_images` gives them.

    Yields:
        i, j int64 [m] and their cosines [m].
    """
    n = len(units)
    for start in range(0, n, ROWS):
        rows = torch.arange(start, min(start + ROWS, n))
        i, j = torch.where(rows[:, None] < torch.arange(n))
        yield i + start, j, (units[start : start + ROWS] @ units.T)[i, j]


class Pairs:
    """Pairs i < j of a set of images that fit a condition, in an order of its own for every epoch.

    Args:
        units: as for `similarities`, on the CPU.
        fits: from cosines [m] to a mask [m] of the pairs to be drawn.
        generator: on the CPU, where the order comes from.

    Attributes:
        count: how many pairs fit.
    """

    def __init__(self, units: Tensor, fits: Callable[[Tensor], Tensor], generator: torch.Generator) -> None:
        self._units, self._fits, self._generator = units, fits, generator
        self.count = sum(int(fits(cosine).sum()) for _, _, cosine in similarities(units))
        self._list: Tensor | None = None
        if self.count <= LISTED:
            found = [torch.stack([i, j])[:, fits(cosine)] for i, j, cosine in similarities(units)]
            self._list = torch.cat(found, 1)
        self.restart()

    def restart(self) -> None:
        """Begins a new epoch: every pair can be drawn again, in a new order."""
        self._used = 0
        if self._list is None:
            self._seen: set[tuple[int, int]] = set()
        else:
            self._order = torch.randperm(self.count, generator=self._generator)

    def draw(self, k: int) -> tuple[Tensor, Tensor]:
        """The next k pairs, as two index tensors int64 [k]; a new epoch begins where fewer than k are left.

        Raises:
            UserError: fewer than k pairs fit.
        """
        if self.count < k:
            raise UserError(
                f"Only {self.count} pairs of {len(self._units)} images fit the target, and {k} are drawn at a time: "
                "choose another threshold or more images."
            )
        if self._used + k > self.count:
            self.restart()
        self._used += k
        if self._list is None:
            return self._search(k)
        i, j = self._list[:, self._order[self._used - k : self._used]]
        return i, j

    def _search(self, k: int) -> tuple[Tensor, Tensor]:
        found: list[tuple[int, int]] = []
        while len(found) < k:
            i, j = self.any(k)
            fitting = self._fits((self._units[i] * self._units[j]).sum(1))
            for pair in zip(i[fitting].tolist(), j[fitting].tolist(), strict=True):
                if pair not in self._seen and len(found) < k:
                    self._seen.add(pair)
                    found.append(pair)
        i, j = torch.tensor(found).T
        return i, j

    def any(self, k: int) -> tuple[Tensor, Tensor]:
        """Pairs i < j, independent and uniform."""
        n = len(self._units)
        i = torch.randint(n, (k,), generator=self._generator)
        j = torch.randint(n - 1, (k,), generator=self._generator)
        j += j >= i
        return torch.minimum(i, j), torch.maximum(i, j)
