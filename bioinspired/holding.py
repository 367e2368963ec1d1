"""Does a defense hold? The worst case per image over the attacks of an access, against the best plain network."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np

from bioinspired.claims import Claims, Evidence, Headline, Holding, frontier, holds
from bioinspired.claims.declarations import Endpoint
from bioinspired.claims.statistics import image_deviation
from bioinspired.keys import number, strength
from bioinspired.records import Bits
from bioinspired.results import Result
from bioinspired.trials import Clean, Direct, Member, Study

Access = Literal["the paper's", "white box"]
UNDEFENDED = "standard"
BASELINES = (UNDEFENDED, "pgd-trained", "noise-trained")
"""Labels of the networks that every defense has to beat at equal clean accuracy; a study may name more rivals."""

BALLS = ("attack", "rescaled", "feature_attack", "adaptive", "logit_scale")
"""Kinds of questions that ask which images hold out against an attack within `eps`, in Linf where no norm is given; the
42 members and direct attacks ask it in several norms at once."""

Level = tuple[str, str]
"""A norm and a strength in it, such as ("linf", "0.1"); ("all", ...) are thresholds in three norms at once."""

HALF = 0.25, 0.75
"""The least and most that the twin may keep at a strength which counts as halving it."""


def holding(headline: Headline, claims: Claims, study: Study, found: Sequence[Result], access: Access) -> Holding:
    """Worst case per image over the attacks of an access, at the claim's level and where the twin keeps about half.

    With the paper's access these are attacks moved from undefended networks, unless the paper's own access is white
    box; in white box they are all attacks, where one of them had the network itself.
    """
    if headline.unit != "points":
        empty = Evidence(unit=headline.unit, reason="a claim of distances has no ε to be judged at")
        return holds(headline, at_eps=empty, at_eps50=empty, access=access, failed=(), m=claims.m)
    white = access == "white box" or headline.access == "white box"
    attacks = Attacks([result for result in found if white or _is_moved(result)], white=white)
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
    failed = failed_checks(found, headline.defended, own[0] if own else "all")
    return holds(headline, at_eps=arms[0], at_eps50=arms[1], access=access, failed=failed, m=claims.m)


def failed_checks(found: Sequence[Result], label: str, norm: str) -> list[str]:
    """Names of the checks in a norm, or in "all", that failed on a network of this label.

    A norm in which nothing was checked is judged by the others.
    """
    mine = [r for r in found if r.label == label and r.checks]
    here = [r for r in mine if getattr(r.measurement.question, "norm", "linf") == norm] or mine
    failed = [check["name"] for result in here for check in result.checks if not check["passed"]]
    return list(dict.fromkeys(failed))


def held(result: Result) -> dict[Level, Bits]:
    """Which test images held out in which balls; empty for a question that is no attack within a ball."""
    asked = result.measurement.question
    if result.measurement.images.split != "test" or result.correct is None:
        return {}
    if isinstance(asked, Direct | Member):
        found = {level: bits for level in asked.balls if (bits := result.bits(level[0])) is not None}
        if len(found) == len(asked.balls):
            found["all", _spelled(asked)] = np.logical_and.reduce(list(found.values()))
        return found
    if asked.kind not in BALLS:
        return {}
    return {(getattr(asked, "norm", "linf"), strength(getattr(asked, "eps", "0"))): result.correct}


def _spelled(asked: Direct | Member) -> str:
    return f"linf {asked.linf}, l2 {asked.l2}, l0 {asked.l0}"


def _is_moved(result: Result) -> bool:
    """Whether its images were made on other networks, none of which has a defense."""
    sources = result.measurement.sources
    return bool(result.source) and all(source.defense is None for source in sources)


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
        """Seed, question and source of each attack on a label, in this ball and in smaller ones of its norm."""
        return {_question(result) for result, _ in self._within(label, level)}

    def directly(self, label: str, level: Level) -> bool:
        """Whether direct attacks on a label were made in this ball."""
        return any(isinstance(result.measurement.question, Direct) for result, _ in self._by.get((label, level), []))

    def worst(self, label: str, level: Level, among: Collection[tuple[int, str, str]] | None = None) -> dict[int, Bits]:
        """Per seed, the images that held out against every attack that saw them, in this ball and in smaller ones.

        The images and seeds are those that direct attacks saw; where there are none, the images that every attack saw
        which all seeds met; of a single seed all. An attack on fewer images counts on those.

        Args:
            label, level: whose, and in which ball.
            among: of these attacks only; None: of all.
        """
        here = self._chosen(self._by.get((label, level), []), among)
        within = self._chosen(self._within(label, level), among)
        n = _images([result for result, _ in here])
        worst = {}
        direct = {result.seed for result, _ in here if isinstance(result.measurement.question, Direct)}
        for seed in sorted(direct or {result.seed for result, _ in here}):
            mine = [(result, bits) for result, bits in here if result.seed == seed]
            if max(result.n for result, _ in mine) < n or (self._white and all(result.source for result, _ in mine)):
                continue
            every = [_padded(bits, n) for result, bits in within if result.seed == seed]
            worst[seed] = np.logical_and.reduce(every)
        return worst

    def _within(self, label: str, level: Level) -> list[tuple[Result, Bits]]:
        norm, size = level
        if norm == "all":
            return self._by.get((label, level), [])
        levels = [found for found in self.levels if found[0] == norm and number(found[1]) <= number(size)]
        return [pair for found in levels for pair in self._by.get((label, found), [])]

    def _chosen(
        self, pairs: list[tuple[Result, Bits]], among: Collection[tuple[int, str, str]] | None
    ) -> list[tuple[Result, Bits]]:
        return [pair for pair in pairs if among is None or _question(pair[0]) in among]


def _images(results: Sequence[Result]) -> int:
    """On how many images a worst case over attacks is taken: see `Attacks.worst`."""
    direct = [result.n for result in results if isinstance(result.measurement.question, Direct)]
    if direct:
        return max(direct)
    seeds = {result.seed for result in results}
    met = defaultdict[tuple[str, str], set[int]](set)
    for result in results:
        met[result.key, result.source].add(result.seed)
    shared = [result.n for result in results if met[result.key, result.source] == seeds]
    return min(shared) if shared and len(seeds) > 1 else max((result.n for result in results), default=0)


def _question(result: Result) -> tuple[int, str, str]:
    """Seed, question, source. Direct attacks are one question, whatever slopes and draws a network calls for."""
    asked = result.measurement.question
    return result.seed, asked.name if isinstance(asked, Direct) else result.key, result.source


def _padded(bits: Bits, n: int) -> Bits:
    return np.pad(bits[:n], (0, max(n - len(bits), 0)), constant_values=True)


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
    for label in (*BASELINES, *study.rivals):
        if attacks.directly(label, level) < attacks.directly(headline.defended, level):
            continue
        worst[label] = attacks.worst(label, level, asked)
        if label in clean and worst[label] and label != headline.defended:
            rivals[label] = (clean[label], 100 * float(np.mean([bits.mean() for bits in worst[label].values()])))
    best = frontier(rivals, clean=clean[headline.defended])
    if best is None:
        return Evidence(fidelity=study.fidelity, changes=study.changes, reason="no baseline at equal clean accuracy")
    used = [result for result in found if result.label in (headline.defended, best)]
    if not all(trained(result) for result in used if result.label == best):
        worst[best] = dict.fromkeys(defended, next(iter(worst[best].values())))
    shared = sorted(set(defended) & set(worst[best]))
    if not shared:
        return blank
    n = min(len(arm[seed]) for arm in (defended, worst[best]) for seed in shared)
    arrays = [100.0 * np.stack([arm[seed][:n] for seed in shared]) for arm in (defended, worst[best])]
    return Evidence(
        defended=tuple(arrays[0].mean(1).tolist()),
        baseline=tuple(arrays[1].mean(1).tolist()),
        n=n,
        paired=alike(used),
        fidelity=study.fidelity,
        changes=study.changes,
        image_deviation=image_deviation(arrays[0], arrays[1]),
    )


def alike(results: Sequence[Result]) -> bool:
    """Whether all networks of a seed start from the same weights and see the same batches: only then are they pairs."""
    defenses = [result.trial.network.defense for result in results]
    return all(defense is None or defense.trained_alike for defense in defenses)


def trained(result: Result) -> bool:
    """Whether anything about the network is random, so that seeds differ."""
    defense = result.trial.network.defense
    return defense is None or not defense.closed_form


def _clean_accuracy(found: Sequence[Result]) -> Mapping[str, float]:
    rates = defaultdict[str, list[float]](list)
    for result in found:
        if isinstance(result.measurement.question, Clean) and (rate := result.rate()) is not None:
            rates[result.label].append(rate)
    return {label: sum(values) / len(values) for label, values in rates.items()}
