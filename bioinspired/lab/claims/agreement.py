"""How far our numbers agree with a paper's cells: shown, never counted as a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Ours against theirs over n cells: mean absolute deviation, and Spearman's rank correlation in [-1, 1].

    A field is None where it has no meaning: nothing measured, fewer than three cells, or all values of a side equal.
    """

    n: int
    deviation: float | None
    correlation: float | None


def agreement(ours: Sequence[float | None], theirs: Sequence[float]) -> Agreement:
    """Compare cell by cell; cells that we did not measure (None) are left out.

    Args:
        ours, theirs: values of the same cells in the same order and unit.

    Raises:
        ValueError: not the same number of cells.
    """
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if one is not None]
    if not pairs:
        return Agreement(n=0, deviation=None, correlation=None)
    values = np.array(pairs, dtype=float)
    deviation = float(np.abs(values[:, 0] - values[:, 1]).mean())
    if len(pairs) < 3 or (np.ptp(values, axis=0) == 0).any():
        return Agreement(n=len(pairs), deviation=deviation, correlation=None)
    correlation = float(np.corrcoef(_ranks(values[:, 0]), _ranks(values[:, 1]))[0, 1])
    return Agreement(n=len(pairs), deviation=deviation, correlation=correlation)


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return ranks
