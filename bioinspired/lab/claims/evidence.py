"""What was measured for one claim, as plain numbers, and the effect they show."""

import math
from dataclasses import dataclass
from typing import Literal

from bioinspired.evaluation import statistics
from bioinspired.evaluation.statistics import Array, Effect
from bioinspired.lab.claims.declarations import Unit

Fidelity = Literal["paper", "changed", "reconstruction", "proxy"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """The measurements of a contrast. Empty groups mean that it was not measured, and `reason` says why.

    Attributes:
        defended, baseline: one value per seed: accuracies in percent, or distances above 0 (unit "ratio").
        n: images under the statistic, of every value.
        paired: value i of both groups shares initialisation and data order.
        registered: the criterion was fixed before the networks were trained, see `registration`.
        fidelity: how near to the paper; changes: in words what differs, required for "changed".
        reason: why there are no values.
        images: what the values are made of, defended and baseline, [seeds, images], in points or logarithms; None
            where images are not told apart.
        inflation: of the images' variance: pi / 2 for a median, as for normal differences.
        caveat: what must be said of it beside the numbers, in words: that another search found shorter distances, or
            how many of several measurements show the claim; "" for nothing.
        bridge: the effect at the paper's own schedule minus the effect at this one, where both were measured.
    """

    defended: tuple[float, ...] = ()
    baseline: tuple[float, ...] = ()
    n: int = 0
    paired: bool = False
    unit: Unit = "points"
    registered: bool = False
    fidelity: Fidelity = "paper"
    changes: str = ""
    reason: str = "no records"
    images: tuple[Array, Array] | None = None
    inflation: float = 1.0
    caveat: str = ""
    bridge: float | None = None

    def __post_init__(self) -> None:
        values = self.defended + self.baseline
        if not all(math.isfinite(value) for value in values):
            raise ValueError("every value of the evidence must be a finite number")
        if self.unit == "points" and not all(0 <= value <= 100 for value in values):
            raise ValueError("accuracies are in percent, 0 to 100")
        if self.unit == "ratio" and not all(value > 0 for value in values):
            raise ValueError("distances must be above 0")
        if self.tested and self.n < 1:
            raise ValueError("evidence needs the number of images behind it")
        if self.tested and self.paired and len(self.defended) != len(self.baseline):
            raise ValueError(f"pairs of {len(self.defended)} and {len(self.baseline)} seeds do not match")
        if self.fidelity == "changed" and not self.changes:
            raise ValueError("changed evidence must say what was changed")

    @property
    def tested(self) -> bool:
        """Both groups were measured."""
        return bool(self.defended and self.baseline)

    @property
    def k(self) -> int:
        """Seeds: of the smaller group."""
        return min(len(self.defended), len(self.baseline))

    def mean(self) -> float:
        """Mean of defended minus mean of baseline, in points or logarithms."""
        defended, baseline = self._values()
        return sum(defended) / len(defended) - sum(baseline) / len(baseline)

    def effect(self) -> Effect:
        """Defended minus baseline with its uncertainty, in points or logarithms; needs two seeds in each group."""
        return statistics.effect(
            *self._values(),
            paired=self.paired,
            points=self.unit == "points",
            images=self.images,
            n=self.n,
            inflation=self.inflation,
        )

    def _values(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.unit == "points":
            return self.defended, self.baseline
        return tuple(math.log(value) for value in self.defended), tuple(math.log(value) for value in self.baseline)
