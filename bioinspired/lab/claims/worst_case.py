"""The worst case per image: which images held out, in which ball, against every attack of a list."""

from collections.abc import Sequence, Set
from functools import cached_property

import numpy as np

from bioinspired.keys import key, number, strength
from bioinspired.lab.measurements.declarations import Distance
from bioinspired.lab.papers.dim.declarations import Direct, InThreeNorms
from bioinspired.lab.records.results import Result
from bioinspired.lab.records.store import Bits

BALLS = ("attack", "rescaled", "feature_attack", "adaptive", "logit_scale")
"""Kinds of questions that ask which images hold out against an attack within `eps`, in Linf where no norm is given; the
42 members, direct attacks and flips ask it in several norms at once."""

Level = tuple[str, str]
"""A norm and a strength in it, such as ("linf", "0.1"); ("all", "linf 0.3, l2 1.5, l0 12") are three balls at once."""

Name = tuple[str, str]
"""Of an attack, whatever its strength and the network it meets: the question, and the label of the source."""


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


def parts(level: Level) -> list[Level]:
    """The balls that are meant by a level: itself, or those that stand in the name of several at once."""
    if level[0] != "all":
        return [level]
    return [(norm, strength(size)) for norm, size in (part.split(" ") for part in level[1].split(", "))]


class Attacks:
    """The attacks of an access. `white`: a list must include one that had the network itself."""

    def __init__(self, results: Sequence[Result], *, white: bool) -> None:
        self._results = results
        self._white = white
        self._known: dict[tuple[str, Level, bool], dict[Name, dict[int, Bits]]] = {}

    @cached_property
    def levels(self) -> list[Level]:
        """All balls, in order."""
        return sorted({level for result in self._results for level in held(result)})

    @cached_property
    def _direct(self) -> set[Name]:
        return {name_of(result) for result in self._results if isinstance(result.measurement.question, Direct)}

    def names(self, level: Level, *labels: str) -> set[Name]:
        """The attacks of the list that all these labels met, see `worst`."""
        seeds = self._seeds(level, labels)
        return {name for part in parts(level) for name in self._list(part, labels, seeds)[0]}

    def direct(self, level: Level, label: str) -> bool:
        """Whether direct attacks on a label were made in this ball."""
        return any(name in self._direct for part in parts(level) for name in self._met(label, part, smaller=False))

    def worst(self, level: Level, *labels: str) -> list[dict[int, Bits]]:
        """For each label, per seed, the images that held out against every attack of one list that all labels met.

        On the list stand attacks in this ball that every network met, searches for the smallest change in its norm (an
        image has fallen where one below the strength was found), and attacks in smaller balls that saw as many images.
        The images are those that all of the list saw; where direct attacks were made, what saw fewer is not on it. The
        seeds are those that most attacks on all labels share; a label with one seed has that one. In several balls at
        once an image holds out that does so in each.
        """
        seeds = self._seeds(level, labels)
        found: list[dict[int, list[Bits]]] = [{} for _ in labels]
        for part in parts(level):
            names, n = self._list(part, labels, seeds)
            if not names or (self._white and all(source for _, source in names)):
                return [{} for _ in labels]
            for label, out, own in zip(labels, found, seeds, strict=True):
                met = self._met(label, part, smaller=True)
                for seed in own:
                    out.setdefault(seed, []).append(np.logical_and.reduce([met[name][seed][:n] for name in names]))
        n = min((len(bits) for out in found for each in out.values() for bits in each), default=0)
        return [
            {seed: np.logical_and.reduce([bits[:n] for bits in each]) for seed, each in out.items()} for out in found
        ]

    def _seeds(self, level: Level, labels: Sequence[str]) -> list[Set[int]]:
        """The seeds of each label: for labels of several the ones that most attacks in the ball share."""
        options: list[tuple[Set[int], ...]] = []
        met = [self._met(label, parts(level)[0], smaller=False) for label in labels]
        for name in sorted(set.intersection(*(set(each) for each in met))):
            own = [set(each[name]) for each in met]
            several = [seeds for seeds in own if len(seeds) > 1]
            shared = set.intersection(*several) if several else set()
            options.append(tuple(shared if len(seeds) > 1 else seeds for seeds in own))
        most = max(options, key=lambda own: (sum(map(len, own)), options.count(own)), default=None)
        return list(most) if most else [set() for _ in labels]

    def _list(self, level: Level, labels: Sequence[str], seeds: Sequence[Set[int]]) -> tuple[set[Name], int]:
        """The attacks that all networks met, and how many images all of them saw."""

        def size(name: Name, met: Sequence[dict[Name, dict[int, Bits]]]) -> int:
            """Of the fewest images that a network met the attack on; 0 where one did not."""
            sizes = [
                len(each.get(name, {}).get(seed, ())) for each, own in zip(met, seeds, strict=True) for seed in own
            ]
            return min(sizes, default=0)

        here = [self._met(label, level, smaller=False) for label in labels]
        within = [self._met(label, level, smaller=True) for label in labels]
        sizes = {name: n for name in here[0] if (n := size(name, here))}
        least = max((n for name, n in sizes.items() if name in self._direct), default=0)
        sizes = {name: n for name, n in sizes.items() if n >= least}
        if not sizes:
            return set(), 0
        n = min(sizes.values())
        return set(sizes) | {name for name in within[0] if size(name, within) >= n}, n

    def _met(self, label: str, level: Level, *, smaller: bool) -> dict[Name, dict[int, Bits]]:
        """What held out against each attack on a label, by seed; `smaller`: in smaller balls of the norm too."""
        known = self._known.get((label, level, smaller))
        if known is None:
            known = self._known[label, level, smaller] = {}
            for result in self._results:
                if result.label == label and (bits := _against(result, level, smaller)) is not None:
                    by_seed = known.setdefault(name_of(result), {})
                    before = by_seed.get(result.seed, bits)
                    n = min(len(before), len(bits))
                    by_seed[result.seed] = before[:n] & bits[:n]
        return known


def _against(result: Result, level: Level, smaller: bool) -> Bits | None:
    """Which images held out against an attack in a ball; None for one that says nothing of it."""
    norm, size = level
    asked = result.measurement.question
    if isinstance(asked, Distance) and asked.norm == norm == "linf" and result.measurement.images.split == "test":
        found = result.values("distance")
        return None if found is None or result.correct is None else result.correct & (found > float(number(size)))
    bits = [
        each
        for (own, eps), each in held(result).items()
        if own == norm and (eps == size or (smaller and norm != "all" and number(eps) <= number(size)))
    ]
    return np.logical_and.reduce(bits) if bits else None


def name_of(result: Result) -> Name:
    """Direct attacks are one question, whatever slopes and draws a network calls for."""
    asked = result.measurement.question
    return asked.name if isinstance(asked, Direct) else key(asked), result.source
