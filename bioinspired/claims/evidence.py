"""What was measured for one claim, as plain numbers, and the effect they show."""

import math
from dataclasses import dataclass
from typing import Literal

from bioinspired.claims import statistics
from bioinspired.claims.declarations import Unit
from bioinspired.claims.statistics import Effect

Fidelity = Literal["paper", "changed", "reconstruction", "proxy"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The measurements of a contrast. Empty groups mean that it was not measured, and `reason` says why.

    Attributes:
        defended, baseline: one value per seed: accuracies in percent, or distances above 0 (unit "ratio").
        n: images behind every value.
        paired: value i of both groups shares initialisation and data order.
        criteria: the criterion hashes stored with the measurements.
        fidelity: how near to the paper; changes: in words what differs, required for "changed".
        reason: why there are no values.
        image_deviation: s_img of the difference between the groups, from `statistics.image_deviation`, in points or in
            logarithms. None takes the two accuracies as independent; distances need it.
        bridge: the effect at the paper's own schedule minus the effect at this one, where both were measured.
    """

    defended: tuple[float, ...] = ()
    baseline: tuple[float, ...] = ()
    n: int = 0
    paired: bool = False
    unit: Unit = "points"
    criteria: tuple[str, ...] = ()
    fidelity: Fidelity = "paper"
    changes: str = ""
    reason: str = "no records"
    image_deviation: float | None = None
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
        if self.tested and self.unit == "ratio" and self.image_deviation is None:
            raise ValueError("distances need the deviation over images")
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
        defended, baseline = self._values()
        if self.paired:
            differences = [one - other for one, other in zip(defended, baseline, strict=True)]
            return statistics.paired(differences, image_variance=self._image_variance())
        return statistics.welch(defended, baseline, image_variance=self._image_variance())

    def _values(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.unit == "points":
            return self.defended, self.baseline
        return tuple(math.log(value) for value in self.defended), tuple(math.log(value) for value in self.baseline)

    def _image_variance(self) -> float:
        """s_img^2 / n of the difference; at 0 and 100 % never below what the rule of three allows."""
        if self.unit == "ratio":
            return float(self.image_deviation or 0.0) ** 2 / self.n
        arms = [sum(group) / len(group) for group in (self.defended, self.baseline)]
        independent = [statistics.accuracy_variance(mean, self.n) for mean in arms]
        if self.image_deviation is None:
            return sum(independent)
        edge = sum(v for v, mean in zip(independent, arms, strict=True) if min(mean, 100 - mean) * self.n < 1e-4)
        return max(self.image_deviation**2 / self.n, edge)
