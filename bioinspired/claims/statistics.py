"""Intervals, power and seeds for the difference between two groups of networks.

Two things make a measured accuracy uncertain: which seed trained the network, and which images were asked. The
standard error of a difference holds both, SE^2 = s_seed^2 / k + s_img^2 / n for k seeds and n images. More seeds shrink
the first term only, because every network sees the same images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

MOST_SEEDS = 1000
"""Where the search for a number of seeds gives up: more networks than any one contrast is worth."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Spread of one group of networks: the variance over seeds and how many seeds there are (at least 2)."""

    variance: float
    k: int


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A mean difference and what its uncertainty is made of.

    Attributes:
        mean: of the difference, in its unit.
        groups: one group of paired differences, or two independent groups.
        image_variance: s_img^2 / n, in the unit squared.
        image_freedom: degrees of freedom of the image variance, n - 1; None, as for verdicts, gives the whole standard
            error those of the seeds, which is wider.
    """

    mean: float
    groups: tuple[Group, ...]
    image_variance: float
    image_freedom: int | None = None

    @property
    def k(self) -> int:
        """Seeds: of the smaller group."""
        return min(group.k for group in self.groups)

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(sum(group.variance / group.k for group in self.groups) + self.image_variance))

    @property
    def freedom(self) -> float:
        """Degrees of freedom: k - 1 for pairs; Welch and Satterthwaite's for two groups, and with images."""
        groups = [(group.variance, np.array([float(group.k)])) for group in self.groups]
        if self.image_freedom is not None:
            k = self.image_freedom + 1
            groups.append((self.image_variance * k, np.array([float(k)])))
        return float(freedom(groups)[0])

    def reach(self, tail: float) -> float:
        """Half the width of an interval that leaves `tail` on each side: t(1 - tail) x SE."""
        return float(special.stdtrit(self.freedom, 1.0 - tail)) * self.error

    def interval(self, tail: float) -> tuple[float, float]:
        """The interval around the mean that leaves `tail` on each side."""
        return self.mean - self.reach(tail), self.mean + self.reach(tail)


def paired(differences: Sequence[float], *, image_variance: float = 0.0) -> Effect:
    """The effect of networks that share initialisation and data order, seed by seed.

    Raises:
        ValueError: fewer than two seeds, which have no spread.
    """
    return Effect(mean=float(np.mean(differences)), groups=(_group(differences),), image_variance=image_variance)


def welch(defended: Sequence[float], baseline: Sequence[float], *, image_variance: float = 0.0) -> Effect:
    """The effect of networks that share nothing, as a difference of means with unequal variances.

    Raises:
        ValueError: fewer than two seeds in a group.
    """
    mean = float(np.mean(defended)) - float(np.mean(baseline))
    return Effect(mean=mean, groups=(_group(defended), _group(baseline)), image_variance=image_variance)


def freedom(groups: Sequence[tuple[float, Array]]) -> Array:
    """Welch and Satterthwaite's degrees of freedom, for arrays of group sizes.

    One group of k gives k - 1. Groups without any spread count as the smaller one alone.

    Args:
        groups: the variance of each group, and its sizes [j].
    """
    smallest: Array = np.min([k for _, k in groups], axis=0) - 1.0
    parts = [(variance / k, k) for variance, k in groups]
    total: Array = np.sum([part for part, _ in parts], axis=0)
    spread: Array = np.sum([part**2 / (k - 1.0) for part, k in parts], axis=0)
    safe = np.where(spread > 0, spread, 1.0)
    return np.where(spread > 0, total**2 / safe, smallest)


def accuracy_variance(percent: float, n: int) -> float:
    """s_img^2 / n of one accuracy, in points squared.

    At 0 and at 100 % the binomial variance vanishes although the images could have missed the rare case. The rule of
    three bounds its rate by 3 / n with 95 % confidence; the variance is the one whose normal limit (one-sided, 95 %)
    is that bound.

    Args:
        percent: accuracy in percent, 0 to 100.
        n: images, at least 1.
    """
    rate = percent / 100.0
    if min(rate, 1.0 - rate) * n < 1e-6:
        return float((100.0 * min(3.0 / n, 1.0) / special.ndtri(0.95)) ** 2)
    return 100.0**2 * rate * (1.0 - rate) / n


def image_deviation(defended: npt.ArrayLike, baseline: npt.ArrayLike) -> float:
    """s_img of a difference measured on the same images: the deviation over images of the mean difference.

    Both networks find the same images hard, so this is smaller than for independent accuracies.

    Args:
        defended, baseline: one value per network and image, [seeds, images], in the unit of the effect (0 or 100 for
            accuracies in points, logarithms for distances). The seeds may differ in number, the images may not.

    Returns:
        The standard deviation in that unit.

    Raises:
        ValueError: not the same images, or fewer than two.
    """
    one, other = np.asarray(defended, dtype=float), np.asarray(baseline, dtype=float)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1] or one.shape[1] < 2:
        raise ValueError(f"needs [seeds, images] over the same two or more images, got {one.shape} and {other.shape}")
    return float(np.std(one.mean(axis=0) - other.mean(axis=0), ddof=1))


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


def detectable(freedom: float, *, level: float = 0.05, power: float = 0.8) -> float:
    """The effect, in standard errors, that a two-sided t test finds with the given power (noncentral t)."""
    critical = special.stdtrit(freedom, 1.0 - level / 2.0)
    return float(special.nctdtrinc(freedom, 1.0 - power, critical))


def detectable_deviations(k: int, *, level: float = 0.05, power: float = 0.8) -> float:
    """The same in standard deviations of the paired difference, for k seeds: 3.3 for 3, 1.7 for 5, 1.0 for 10."""
    return detectable(k - 1.0, level=level, power=power) / float(np.sqrt(k))


def seeds_needed(effect: Effect, *, gap: float, tail: float, least: int = 5) -> int | None:
    """Seeds a group at which the interval would reach less than `gap`, if mean and spreads stayed as they are.

    Groups that have more seeds already keep them.

    Args:
        gap: distance from the mean to the line that the interval must not cross, in the unit of the effect, 0 or more.
        tail: what the interval leaves on each side.
        least: the smallest number worth naming.

    Returns:
        The number, or None when more seeds alone do not decide (too few images, an effect on the line itself, or more
        than `MOST_SEEDS`).
    """
    if effect.image_variance >= gap**2:
        return None
    k = np.arange(float(least), MOST_SEEDS + 1.0)
    groups = [(group.variance, np.maximum(k, float(group.k))) for group in effect.groups]
    variance = np.sum([spread / size for spread, size in groups], axis=0) + effect.image_variance
    enough = special.stdtrit(freedom(groups), 1.0 - tail) * np.sqrt(variance) < gap
    return int(k[np.argmax(enough)]) if enough.any() else None


def _group(values: Sequence[float]) -> Group:
    if len(values) < 2:
        raise ValueError(f"a spread over seeds needs two of them, got {len(values)}")
    return Group(variance=float(np.var(values, ddof=1)), k=len(values))
