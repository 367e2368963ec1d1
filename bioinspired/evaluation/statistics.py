"""Uncertainty of a difference between two groups of networks: intervals, levels, power, what more would decide.

Two things make a measured accuracy uncertain: which seed trained the network, and which images were asked. Each part
keeps its own t quantile, and the parts add in quadrature (S. Banerjee, 1960): of k seeds and n images, at a one-sided
level a,

    w(a)^2 = sum over arms t(1-a, k-1)^2 V_s + t(1-a, n-1)^2 V_i
    V_s = s_seed^2 / k     V_i = max(0, s_img^2 / n - V_r)     V_r = MS(seed x image) / (k n)

The interaction of seeds and images is in the spread over seeds already, so V_r takes it out of the images' part. In
points, t(1-a, n-1) s_img / sqrt(n) counts as at least 100 (1 - a^(1/n)), which n images that all answer alike leave
open: the rule of three at level a.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

LEVEL = 0.025
"""One-sided level of a family of claims: intervals of 95 %."""

MOST_SEEDS, MOST_IMAGES = 1000, 1_000_000
"""Where the search for more seeds and images gives up."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One group of networks: the variance over k seeds, and the mean square of the interaction with images."""

    variance: float
    k: int
    interaction: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A mean difference and what its uncertainty is made of.

    Attributes:
        mean: defended minus baseline, in points or logarithms.
        groups: one group of paired differences, or two independent groups; none where nothing is random.
        image_variance: s_img^2, of the images' mean difference, in the unit squared.
        n: images under the statistic; 0 where it is none of images.
        points: the unit is accuracy points, which end at 100 and have the rule of three.
        none_left: the defended networks got no image right, so that the difference has an exact upper bound.
    """

    mean: float
    groups: tuple[Group, ...]
    image_variance: float = 0.0
    n: int = 0
    points: bool = True
    none_left: bool = False

    @property
    def k(self) -> int:
        """Seeds: of the smaller group; 0 without groups."""
        return min((group.k for group in self.groups), default=0)

    @property
    def _interaction(self) -> float:
        """V_r times n."""
        return sum(group.interaction / group.k for group in self.groups)

    def reach(self, a: float) -> float:
        """Half the width w(a) of an interval that leaves `a` on each side."""
        seeds = sum(_t(a, group.k - 1) ** 2 * group.variance / group.k for group in self.groups)
        if self.n < 2:
            return float(np.sqrt(seeds))
        t = _t(a, self.n - 1) ** 2 / self.n
        images = max(t * self.image_variance, self._unseen(a) ** 2) - t * self._interaction
        return float(np.sqrt(seeds + max(images, 0.0)))

    def interval(self, a: float) -> tuple[float, float]:
        """The interval around the mean that leaves `a` on each side; points end at -100 and 100."""
        low, high = self.mean - self.reach(a), self.mean + self.reach(a)
        if not self.points:
            return low, high
        return max(low, -100.0), min(high, self._unseen(a) if self.none_left and self.n else 100.0)

    def at(self, k: int, n: int) -> "Effect":
        """The same mean and spreads with k seeds a group and n images."""
        fewer = (1 / self.n - 1 / n) if self.n else 0.0
        groups = tuple(
            replace(group, k=k, variance=max(0.0, group.variance - group.interaction * fewer)) for group in self.groups
        )
        return replace(self, groups=groups, n=n if self.n else 0)

    def detectable(self, a: float = LEVEL, *, power: float = 0.8) -> float:
        """The effect that these seeds and images would have found with the given power.

        By the noncentral t of the seeds' share of the error and of the images'; never less than the interval's reach.
        """
        seeds = sum(group.variance / group.k for group in self.groups)
        images = max(0.0, self.image_variance - self._interaction) / self.n if self.n > 1 else 0.0
        parts = ((seeds, self.k - 1.0), (images, self.n - 1.0))
        found = [_noncentral(freedom, a, power) ** 2 * variance for variance, freedom in parts if variance > 0]
        return max(float(np.sqrt(sum(found))), self.reach(a))

    def _unseen(self, a: float) -> float:
        """What n images that all answer alike leave open, in points."""
        return unseen(self.n, a) if self.points and self.n else 0.0


def unseen(n: int, a: float) -> float:
    """The largest rate, in percent, of what none of n images showed, at level a: 100 (1 - a^(1/n))."""
    return float(100.0 * (1.0 - a ** (1.0 / n)))


def effect(
    defended: Sequence[float],
    baseline: Sequence[float],
    *,
    paired: bool,
    points: bool = True,
    images: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    n: int | None = None,
    inflation: float = 1.0,
) -> Effect:
    """The difference of two groups of networks.

    Args:
        defended, baseline: one value a seed, in the unit of the effect: accuracies in percent, logarithms of distances.
        paired: value i of both shares initialisation and data order.
        points: the unit is accuracy points.
        images: what the values are made of, [seeds, images] on the same images, in the same unit; None where they are
            not made of images, or what each brings is not known.
        n: images under the statistic, where that is not all of `images`.
        inflation: of the images' variance, for statistics other than a mean.

    Raises:
        ValueError: fewer than two seeds in a group, pairs that do not match, or not the same two or more images.
    """
    if paired and len(defended) != len(baseline):
        raise ValueError(f"pairs of {len(defended)} and {len(baseline)} seeds do not match")
    one, other = np.array(defended, dtype=float), np.array(baseline, dtype=float)
    mean = float(one.mean() - other.mean())
    seeds = [one - other] if paired else [one, other]
    if images is None:
        groups = tuple(_group(values) for values in seeds)
        return Effect(mean=mean, groups=groups, points=points)
    a, b = (np.asarray(arm, dtype=float) for arm in images)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] < 2:
        raise ValueError(f"needs [seeds, images] over the same two or more images, got {a.shape} and {b.shape}")
    size = a.shape[1] if n is None else n
    scale = inflation * size / a.shape[1]
    groups = tuple(
        _group(values, scale * _interaction(bits))
        for values, bits in zip(seeds, [a - b] if paired else [a, b], strict=True)
    )
    variance = scale * float(np.var(a.mean(axis=0) - b.mean(axis=0), ddof=1))
    return Effect(
        mean=mean, groups=groups, image_variance=variance, n=size, points=points, none_left=points and not one.any()
    )


def of_bits(defended: npt.ArrayLike, baseline: npt.ArrayLike, *, paired: bool) -> Effect:
    """The difference of two accuracies in points, from 0 and 100 for each network and image: [seeds, images] twice."""
    one, other = np.asarray(defended, dtype=float), np.asarray(baseline, dtype=float)
    return effect(one.mean(axis=-1).tolist(), other.mean(axis=-1).tolist(), paired=paired, images=(one, other))


def of_seeds(differences: Sequence[float], *, points: bool = True) -> Effect:
    """The effect of paired numbers, one a seed, that are none of images: Student's interval.

    Raises:
        ValueError: fewer than two.
    """
    return Effect(mean=float(np.mean(differences)), groups=(_group(np.array(differences)),), points=points)


def holm(smallest: Sequence[float], m: int) -> list[float]:
    """The level of each claim in a family of m: a = .025 / (m - r + 1) for rank r (Holm, 1979).

    Args:
        smallest: for each claim the smallest level that decides it; infinite where none does.
        m: claims of the family, those without measurements included.

    Returns:
        One level a claim. From the first that its own level leaves open, all keep that one's.
    """
    levels, rank, stopped = [LEVEL / m] * len(smallest), 1, False
    for i in sorted(range(len(smallest)), key=lambda i: smallest[i]):
        levels[i] = LEVEL / (m - rank + 1)
        stopped = stopped or smallest[i] > levels[i]
        rank += not stopped
    return levels


def smallest_level(decided: Callable[[float], bool]) -> float:
    """The smallest one-sided level at which something is decided, to six digits; infinite where it is not at .025."""
    if not decided(LEVEL):
        return float("inf")
    low, high = np.log(1e-30), np.log(LEVEL)
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if decided(float(np.exp(middle))) else (middle, high)
    return float(np.exp(high))


def needed(found: Effect, decided: Callable[[Effect], bool], *, least: int = 5) -> tuple[int | None, int | None]:
    """Seeds on the same images, and images with the same seeds, that would decide if mean and spreads stayed.

    Args:
        found: what was found. decided: whether an effect is decided; more of either never undoes it.
        least: the smallest number of seeds worth naming.

    Returns:
        Each alone; None for one that is not enough alone.
    """
    k, n = max(least, found.k), found.n
    seeds = _first(lambda k: decided(found.at(k, n)), k, MOST_SEEDS)
    return seeds, _first(lambda n: decided(found.at(found.k, n)), n, MOST_IMAGES) if n else None


def _first(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number of low to high that is enough; None where not even high is."""
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a proportion, in [0, 1] (Wilson 1927).

    Raises:
        ValueError: not 0 <= successes <= n with n at least 1.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes of {n} are no proportion")
    z = float(special.ndtri(0.5 + confidence / 2.0))
    rate = successes / n
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def _t(a: float, freedom: int) -> float:
    return float(special.stdtrit(float(freedom), 1.0 - a))


def _noncentral(freedom: float, a: float, power: float) -> float:
    """The effect, in standard errors, that a t test at level a finds with this power."""
    return float(special.nctdtrinc(freedom, 1.0 - power, special.stdtrit(freedom, 1.0 - a)))


def _group(values: Array, interaction: float = 0.0) -> Group:
    if len(values) < 2:
        raise ValueError(f"a spread over seeds needs two of them, got {len(values)}")
    return Group(variance=float(values.var(ddof=1)), k=len(values), interaction=interaction)


def _interaction(values: Array) -> float:
    """MS(seed x image) of [seeds, images]; 0 for a single seed."""
    k, n = values.shape
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    return float((rest**2).sum() / ((k - 1) * (n - 1))) if k > 1 else 0.0
