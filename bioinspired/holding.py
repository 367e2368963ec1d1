"""Does a defense hold? The worst case per image over the attacks of an access, against the best plain network."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np

from bioinspired.claims import Claims, Evidence, Headline, Holding, frontier, holds
from bioinspired.claims.declarations import Endpoint
from bioinspired.claims.statistics import image_deviation
from bioinspired.keys import strength
from bioinspired.records import Bits
from bioinspired.results import Result
from bioinspired.trials import Clean, Direct, Study

Access = Literal["the paper's", "white box"]
UNDEFENDED = "standard"
BASELINES = (UNDEFENDED, "pgd-trained", "noise-trained")
"""Labels of the networks that a defense has to beat at equal clean accuracy."""

BALLS = ("attack", "rescaled", "feature_attack", "adaptive", "logit_scale")
"""Kinds of questions that ask which images hold out against an attack within `eps`, in Linf where no norm is given."""

Level = tuple[str, str]
"""A norm and a strength in it, such as ("linf", "0.1"); ("all", ...) are thresholds in three norms at once."""

HALF = 0.25, 0.75
"""The least and most that the twin may keep at a strength which counts as halving it."""


def holding(headline: Headline, claims: Claims, study: Study, found: Sequence[Result], access: Access) -> Holding:
    """Worst case per image over the attacks of an access, at the claim's level and where the twin keeps about half.

    With the paper's access these are attacks moved from other networks, unless the paper's own access is white box; in
    white box they are all attacks, where one of them had the network itself.
    """
    if headline.unit != "points":
        empty = Evidence(unit=headline.unit, reason="a claim of distances has no ε to be judged at")
        return holds(headline, at_eps=empty, at_eps50=empty, access=access, failed=(), m=claims.m)
    white = access == "white box" or headline.access == "white box"
    attacks = Attacks([result for result in found if white or result.source], white=white)
    own = _own(headline.endpoint)
    twin = {
        level: float(np.mean([bits.mean() for bits in worst.values()]))
        for level in attacks.levels
        if (own is None or level[0] == own[0])
        and (worst := attacks.worst(UNDEFENDED, level))
        and attacks.worst(headline.defended, level)
    }
    halving = {level: kept for level, kept in twin.items() if HALF[0] <= kept <= HALF[1]}
    half = min(halving, key=lambda level: abs(halving[level] - 0.5)) if halving else None
    arms = [_arm(headline, study, found, attacks, level) for level in (own, half)]
    failed = failed_checks(found, headline.defended)
    return holds(headline, at_eps=arms[0], at_eps50=arms[1], access=access, failed=failed, m=claims.m)


def failed_checks(found: Sequence[Result], label: str) -> list[str]:
    """Names of the checks that failed on a network of this label."""
    failed = [c["name"] for result in found if result.label == label for c in result.checks if not c["passed"]]
    return list(dict.fromkeys(failed))


def held(result: Result) -> dict[Level, Bits]:
    """Which test images held out in which balls; empty for a question that is no attack within a ball."""
    asked = result.measurement.question
    if result.measurement.images.split != "test" or result.correct is None:
        return {}
    if isinstance(asked, Direct):
        found = {level: result.bits(level[0]) for level in asked.balls}
        found["all", asked.name.partition(";")[0]] = result.correct
        return {level: bits for level, bits in found.items() if bits is not None}
    if asked.kind not in BALLS:
        return {}
    return {(getattr(asked, "norm", "linf"), strength(getattr(asked, "eps", "0"))): result.correct}


class Attacks:
    """The attacks of an access, by network and ball. `white`: they must include one on the network itself."""

    def __init__(self, results: Sequence[Result], *, white: bool) -> None:
        self._by: dict[tuple[str, Level], list[tuple[Result, Bits]]] = defaultdict(list)
        self._white = white
        for result in results:
            for level, bits in held(result).items():
                self._by[result.label, level].append((result, bits))

    @property
    def levels(self) -> list[Level]:
        """All balls, in order."""
        return sorted({level for _, level in self._by})

    def asked(self, label: str, level: Level) -> set[tuple[int, str, str]]:
        """Seed, question and source of each attack on a label."""
        return {_question(result) for result, _ in self._by.get((label, level), [])}

    def worst(self, label: str, level: Level, among: Collection[tuple[int, str, str]] | None = None) -> dict[int, Bits]:
        """Per seed, the images that held out against every attack that saw them.

        Args:
            label, level: whose, and in which ball.
            among: of these attacks only; None: of all.
        """
        seeds = defaultdict[int, list[tuple[Result, Bits]]](list)
        for result, bits in self._by.get((label, level), []):
            if among is None or _question(result) in among:
                seeds[result.seed].append((result, bits))
        most = max((result.n for mine in seeds.values() for result, _ in mine), default=0)
        return {
            seed: np.logical_and.reduce([_padded(bits, most) for _, bits in mine])
            for seed, mine in seeds.items()
            if max(result.n for result, _ in mine) == most and not (self._white and all(r.source for r, _ in mine))
        }


def _question(result: Result) -> tuple[int, str, str]:
    return result.seed, result.key, result.source


def _padded(bits: Bits, n: int) -> Bits:
    return np.pad(bits, (0, n - len(bits)), constant_values=True)


def _own(endpoint: Endpoint) -> Level | None:
    """The ball of a claim's endpoint; None where it has none."""
    if endpoint.question == "direct":
        sizes = dict(part.split(" ") for part in endpoint.name.split(", "))
        return (
            (endpoint.metric, strength(sizes[endpoint.metric])) if endpoint.metric in sizes else ("all", endpoint.name)
        )
    if endpoint.question == "attack" and endpoint.eps is not None:
        return endpoint.norm or "linf", strength(endpoint.eps)
    return None


def _arm(headline: Headline, study: Study, found: Sequence[Result], attacks: Attacks, level: Level | None) -> Evidence:
    """Defended and best baseline in one ball; the baseline's attacks are those that the defense saw too."""
    blank = Evidence(
        fidelity=study.fidelity, changes=study.changes, reason="no attack with this access at this epsilon"
    )
    defended = {} if level is None else attacks.worst(headline.defended, level)
    clean = _clean_accuracy(found)
    if level is None or not defended or headline.defended not in clean:
        return blank
    asked = attacks.asked(headline.defended, level)
    rivals, worst = {}, {}
    for label in BASELINES:
        worst[label] = attacks.worst(label, level, asked)
        if label in clean and worst[label] and label != headline.defended:
            rivals[label] = (clean[label], 100 * float(np.mean([bits.mean() for bits in worst[label].values()])))
    best = frontier(rivals, clean=clean[headline.defended])
    if best is None:
        return Evidence(fidelity=study.fidelity, changes=study.changes, reason="no baseline at equal clean accuracy")
    shared = sorted(set(defended) & set(worst[best]))
    if not shared:
        return blank
    n = min(len(arm[seed]) for arm in (defended, worst[best]) for seed in shared)
    arrays = [100.0 * np.stack([arm[seed][:n] for seed in shared]) for arm in (defended, worst[best])]
    return Evidence(
        defended=tuple(arrays[0].mean(1).tolist()),
        baseline=tuple(arrays[1].mean(1).tolist()),
        n=n,
        paired=True,
        fidelity=study.fidelity,
        changes=study.changes,
        image_deviation=image_deviation(arrays[0], arrays[1]),
    )


def _clean_accuracy(found: Sequence[Result]) -> Mapping[str, float]:
    rates = defaultdict[str, list[float]](list)
    for result in found:
        if isinstance(result.measurement.question, Clean) and (rate := result.rate()) is not None:
            rates[result.label].append(rate)
    return {label: sum(values) / len(values) for label, values in rates.items()}
