"""The worst case per image: which images held out, in which ball, against every attack that saw them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np

from bioinspired.keys import number, strength
from bioinspired.records import Bits
from bioinspired.results import Result
from bioinspired.trials.dim import Direct, InThreeNorms

BALLS = ("attack", "rescaled", "feature_attack", "adaptive", "logit_scale")
"""Kinds of questions that ask which images hold out against an attack within `eps`, in Linf where no norm is given; the
42 members, direct attacks and flips ask it in several norms at once."""

Level = tuple[str, str]
"""A norm and a strength in it, such as ("linf", "0.1"); ("all", "linf 0.3, l2 1.5, l0 12") are three balls at once."""


def held(result: Result) -> dict[Level, Bits]:
    """Which test images held out in which balls; empty for a question that is no attack within a ball."""
    asked = result.measurement.question
    if result.measurement.images.split != "test" or result.correct is None:
        return {}
    if isinstance(asked, InThreeNorms):
        found = {level: bits for level in asked.balls if (bits := result.bits(level[0])) is not None}
        if len(found) == len(asked.balls):
            found["all", asked.together] = np.logical_and.reduce(list(found.values()))
        return found
    if asked.kind not in BALLS:
        return {}
    return {(getattr(asked, "norm", "linf"), strength(getattr(asked, "eps", "0"))): result.correct}


def parts(name: str) -> list[Level]:
    """The balls that stand in the name of several at once."""
    return [(norm, strength(size)) for norm, size in (part.split(" ") for part in name.split(", "))]


class Attacks:
    """The attacks of an access, by network and ball. `white`: they must include one on the network itself."""

    def __init__(self, results: Sequence[Result], *, white: bool) -> None:
        self._by: dict[tuple[str, Level], list[tuple[Result, Bits]]] = defaultdict(list)
        self._white = white
        for result in results:
            for level, bits in held(result).items():
                self._by[result.label, level].append((result, bits))

    @cached_property
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
        which all seeds met; of a single seed all. An attack on fewer images counts on those. In several balls at once
        an image holds out that does so in each.

        Args:
            label, level: whose, and in which ball.
            among: of these attacks only; None: of all.
        """
        if level[0] == "all":
            return _in_each([self.worst(label, part, among) for part in parts(level[1])])
        here = _chosen(self._by.get((label, level), []), among)
        within = _chosen(self._within(label, level), among)
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
            return [pair for part in parts(size) for pair in self._within(label, part)]
        levels = [found for found in self.levels if found[0] == norm and number(found[1]) <= number(size)]
        return [pair for found in levels for pair in self._by.get((label, found), [])]


def _chosen(
    pairs: list[tuple[Result, Bits]], among: Collection[tuple[int, str, str]] | None
) -> list[tuple[Result, Bits]]:
    return [pair for pair in pairs if among is None or _question(pair[0]) in among]


def _in_each(found: Sequence[dict[int, Bits]]) -> dict[int, Bits]:
    seeds = set.intersection(*(set(worst) for worst in found))
    n = min((len(worst[seed]) for worst in found for seed in seeds), default=0)
    return {seed: np.logical_and.reduce([worst[seed][:n] for worst in found]) for seed in sorted(seeds)}


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
