"""One row against the undefended network, seed by seed: for the Weight Map layer, and for sleep under attack.

Networks of one seed share their initial weights and the order of their images, so differences are paired. Intervals
are of 95 %, of both seeds and images, and not corrected for the number of rows: this is exploration; the headline
claims have their own rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bioinspired.evaluation import statistics
from bioinspired.evaluation.statistics import LEVEL, MOST_SEEDS, Effect
from bioinspired.lab.claims.endpoints import answers
from bioinspired.lab.claims.holding import UNDEFENDED
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Defended minus baseline, in points.

    Attributes:
        differences: of each seed. n: images.
        effect: their mean and its uncertainty; None for a single seed.
    """

    differences: dict[int, float]
    n: int
    effect: Effect | None

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(list(self.differences.values())))

    @property
    def deviation(self) -> float | None:
        """Of the differences over seeds; None for a single one."""
        return None if self.effect is None else float(np.sqrt(self.effect.groups[0].variance))

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The 95 % interval."""
        return (None, None) if self.effect is None else self.effect.interval(LEVEL)

    def detectable(self) -> float | None:
        """The difference that these seeds and images would have found in four of five such studies, in points."""
        return None if self.effect is None else self.effect.detectable()

    def seeds_for(self, points: float) -> int | None:
        """Seeds with which a difference of so many points is found in four of five studies, on these images.

        None where no number up to `MOST_SEEDS` is enough, because the images are too few, or for a single seed.
        """
        if self.effect is None:
            return None
        sizes = (k for k in range(2, MOST_SEEDS + 1) if self.effect.at(k, self.effect.n).detectable() <= points)
        return next(sizes, None)


def asked(chapter: Chapter, claim: str) -> list[Result]:
    """The measurements that answer the endpoint of a headline claim, of every row."""
    endpoint = chapter.endpoint(claim)
    return [r for r in chapter.results if answers(endpoint, r.measurement, [r.source] if r.source else [])]


def contrast(results: Sequence[Result], label: str, baseline: str = UNDEFENDED) -> Contrast | None:
    """A label against the baseline on the same question; None where they share no seed."""
    arms = [{r.seed: r.correct for r in results if r.label == name and r.correct is not None}
            for name in (label, baseline)]  # fmt: skip
    seeds = sorted(set(arms[0]) & set(arms[1]))
    if not seeds:
        return None
    one, other = (100.0 * np.stack([arm[seed] for seed in seeds]) for arm in arms)
    differences = dict(zip(seeds, (one.mean(1) - other.mean(1)).tolist(), strict=True))
    effect = statistics.of_bits(one, other, paired=True) if len(seeds) > 1 else None
    return Contrast(differences=differences, n=one.shape[1], effect=effect)
