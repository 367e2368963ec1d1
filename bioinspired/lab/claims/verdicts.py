"""The rules: does a paper's claim reproduce, and does the defense hold? Pure functions of plain numbers.

Both work in the claimed direction: e is the mean difference between defended and baseline times the claimed sign, in
points or, for distances, in logarithms; [L, H] = e -+ w(a), see `statistics`, at the level a of the claim.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bioinspired.evaluation import statistics
from bioinspired.evaluation.statistics import Effect
from bioinspired.lab.claims.declarations import MARGINS, Headline, Unit
from bioinspired.lab.claims.evidence import Evidence

Base = Literal[
    "contradicted",
    "not reproduced",
    "inconclusive",
    "supported",
    "reproduced",
    "smaller",
    "larger",
    "direction only",
]
"""What the rule says before source and fidelity choose the words."""

POSITIVE = ("supported", "reproduced", "smaller", "larger", "direction only")
AGREES = "agrees in direction with a second-hand report"
EXPLORATORY = "exploratory: "
HoldingWord = Literal["not tested", "does not hold", "unreliable", "holds", "small gain only", "open"]
Access = Literal["the paper's", "white box"]
Primary = Literal["the claim's ε", "the study's ε", "the twin's ε50"]

EQUIVALENCE = 0.05
"""One-sided level of the interval that has to lie inside the margin for an equivalence: 90 %, not corrected."""

SIZE = 0.05
"""One-sided level of the uncertainty of a size, when it is compared with the claimed one."""

EQUAL = 1.0
"""Points of clean accuracy that a baseline may be worse and still count as equal; it may be better by any amount."""

SEEDS_FOR_A_VERDICT = 5
SEEDS_FOR_A_PROVISIONAL_VERDICT = 3
READING_ERRORS, SHARE = 3, 0.25
"""tau: how many reading errors, and which part of the claimed effect, still count as the claimed size."""

RULE: Mapping[str, Any] = {
    "version": 2,
    "level": statistics.LEVEL,
    "equivalence": EQUIVALENCE,
    "size": SIZE,
    "equal": EQUAL,
    "seeds": [SEEDS_FOR_A_PROVISIONAL_VERDICT, SEEDS_FOR_A_VERDICT],
    "margins": MARGINS,
    "tau": [READING_ERRORS, SHARE],
}
"""What is registered of the rules. Whoever changes what they say in any other way raises the version."""

LARGEST_LOGARITHM = 700.0  # beyond it a factor is no finite number


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A verdict and the numbers behind it.

    Numbers are as a reader sees them, defended against baseline: differences in points, or factors for distances. None
    where there is none.

    Attributes:
        word: the verdict. text: the same with what must be said beside it.
        unit: "points" or "ratio". effect: the mean; low, high: its interval.
        claimed: the paper's value. share: effect / claimed (of logarithms for distances).
        tau: how far from the claimed value still counts as reproduced, in points or as a factor.
        k, n: seeds (of the smaller group) and images.
        needed: seeds, and images, either of which would decide if mean and spreads stayed; for inconclusive verdicts.
        detectable: the effect that these seeds and images would have found with 80 % power, in points or as a factor.
    """

    word: str
    text: str
    unit: Unit
    claimed: float | None
    tau: float
    k: int
    n: int
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    share: float | None = None
    needed: tuple[int | None, int | None] | None = None
    detectable: float | None = None


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Whether a defense holds, for one access of the attacker, at one strength.

    Attributes:
        word: the answer. text: the same with what must be said beside it.
        beyond: white box is more than the paper claims robustness for.
        level, primary: norm and strength, and whose strength it is; None where there is none.
        rival: the baseline against which least was gained; "" where there is none. k, n: seeds and images of both.
        rates: what defended and rival keep, in percent; rivals: the same against every baseline.
        effect: their difference in points; low, high: its interval, None below three seeds.
        attacks: how many were counted.
        failed: the checks that failed, with the network they failed on.
    """

    word: str
    text: str
    beyond: bool
    k: int
    n: int
    level: tuple[str, str] | None
    primary: Primary
    rival: str
    rates: tuple[float, float] | None
    rivals: Mapping[str, tuple[float, float]]
    effect: float | None
    low: float | None
    high: float | None
    attacks: int
    failed: tuple[str, ...]


def judge(claims: Sequence[tuple[Headline, Evidence]], *, m: int) -> list[Verdict]:
    """The verdicts of all claims of a paper, their intervals corrected for all of them (Holm).

    Args:
        claims: each claim, for the data set of the evidence (`Headline.on`), with measurements in the same unit.
        m: headline claims of the paper, at least as many as there are here.
    """
    levels = statistics.holm([_smallest(*claim) for claim in claims], m)
    return [verdict(headline, evidence, a=a) for (headline, evidence), a in zip(claims, levels, strict=True)]


def verdict(headline: Headline, evidence: Evidence, *, a: float = statistics.LEVEL) -> Verdict:
    """Judge a claim by its evidence, at a one-sided level.

    Not tested, and inconclusive for fewer than three seeds, stand as they are. Everything after them is qualified:
    second-hand sources, fidelity, and "(provisional)" below five seeds, in this order; fidelity does not reword an
    inconclusive verdict. A contradiction is "not reproduced" for a second-hand source and for changed evidence. Where
    the paper's own schedule gives another effect (by more than tau), the verdict is inconclusive. In front of the words
    of a claim that was not registered stands "exploratory: ".

    Raises:
        ValueError: units differ.
    """
    if evidence.unit != headline.unit:
        raise ValueError(f"the claim is in {headline.unit}, the evidence in {evidence.unit}")
    blank = _blank(headline, evidence)
    if not evidence.tested:
        return replace(blank, word="not tested", text=f"not tested ({evidence.reason})")
    blank = replace(blank, effect=_shown(evidence.mean(), headline.unit))
    if evidence.k < SEEDS_FOR_A_PROVISIONAL_VERDICT:
        found = replace(blank, word="inconclusive", text=f"inconclusive (needs {SEEDS_FOR_A_VERDICT} seeds)")
        found = replace(found, needed=(SEEDS_FOR_A_VERDICT, None))
    else:
        found = _qualified(headline, evidence, _judged(headline, evidence, a, blank))
    if evidence.registered:
        return found
    return replace(found, word=EXPLORATORY + found.word, text=EXPLORATORY + found.text)


def holds(
    headline: Headline,
    rivals: Mapping[str, Evidence],
    *,
    level: tuple[str, str] | None,
    primary: Primary,
    access: Access,
    failed: Mapping[str, Sequence[str]],
    attacks: Mapping[str, int],
    registered: bool,
    reason: str,
    m: int,
) -> Holding:
    """Does the defense hold against attackers with this access, at one strength?

    Unconditional, worst case per image, in points. Below three seeds nothing is known of an interval. The text names
    failed checks, what would decide, the fidelity, and fewer than five seeds.

    Args:
        headline: the claim, for its access. m: headline claims of the paper, at least 1.
        rivals: the defended network against each simple baseline of equal clean accuracy.
        level, primary: norm and strength, and whose strength it is. access: whose attackers.
        failed: names of the checks that failed, by label of the network. attacks: how many were counted, by rival.
        registered: whether claim and strength were fixed before the networks were trained.
        reason: why there is nothing to compare, where that is so.
    """
    delta, a = MARGINS["points"], statistics.LEVEL / m
    effects = {label: each.effect() for label, each in rivals.items() if each.k >= SEEDS_FOR_A_PROVISIONAL_VERDICT}
    ends = {label: effect.interval(a) for label, effect in effects.items()}
    lowest = min(ends, key=lambda label: ends[label][1], default=next(iter(rivals), ""))
    broken = [f"{label}: {', '.join(names)}" for label, names in failed.items() if names]
    notes = []
    word: HoldingWord
    if not rivals:
        word = "not tested"
        notes.append(reason)
    elif ends and ends[lowest][1] < delta:
        word = "does not hold"
    elif broken:
        word = "unreliable"
        notes.append("failed: " + "; ".join(broken))
    elif len(ends) == len(rivals) and all(low > delta for low, _ in ends.values()):
        word = "small gain only" if primary == "the twin's ε50" else "holds"
    else:
        word = "open"
        notes.append(_open(effects.get(lowest), a))
    evidence = rivals.get(lowest)
    if evidence is not None and evidence.fidelity != "paper":
        notes.append(_fidelity_note(evidence))
    k = 0 if evidence is None else evidence.k
    if 0 < k < SEEDS_FOR_A_VERDICT:
        notes.append("provisional")
    beyond = access == "white box" and headline.access != "white box"
    if beyond:
        notes.append("beyond the paper's claim")
    prefix = "" if registered or not rivals else EXPLORATORY
    return Holding(
        word=prefix + word,
        text=prefix + _with(word, notes),
        beyond=beyond,
        k=k,
        n=0 if evidence is None else evidence.n,
        level=level,
        primary=primary,
        rival=lowest,
        rates=None if evidence is None else (_mean(evidence.defended), _mean(evidence.baseline)),
        rivals={label: (_mean(each.defended), _mean(each.baseline)) for label, each in rivals.items()},
        effect=None if evidence is None else evidence.mean(),
        low=ends[lowest][0] if lowest in ends else None,
        high=ends[lowest][1] if lowest in ends else None,
        attacks=attacks.get(lowest, 0),
        failed=tuple(broken),
    )


def _open(effect: Effect | None, a: float) -> str:
    """What would decide whether a defense holds, in words."""
    if effect is None:
        return f"needs {SEEDS_FOR_A_VERDICT} seeds"

    def decided(more: Effect) -> bool:
        low, high = more.interval(a)
        return high < MARGINS["points"] or low > MARGINS["points"]

    return _more(statistics.needed(effect, decided))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _judged(headline: Headline, evidence: Evidence, a: float, blank: Verdict) -> Verdict:
    """The rule itself, before any qualification."""
    effect = evidence.effect()
    word = _word(headline, effect, a)
    tail = EQUIVALENCE if headline.kind == "equivalence" and word == "reproduced" else a
    low, high = effect.interval(tail)
    size = None if headline.value is None else abs(_inner(headline.value, headline.unit))
    needed = None
    if word == "inconclusive":
        needed = statistics.needed(effect, lambda more: _word(headline, more, a) != "inconclusive")
    return replace(
        blank,
        word=word,
        low=_shown(low, headline.unit),
        high=_shown(high, headline.unit),
        share=headline.sign * effect.mean / size if size and headline.kind == "effect" else None,
        needed=needed,
        detectable=_shown(effect.detectable(a), headline.unit),
    )


def _word(headline: Headline, effect: Effect, a: float) -> Base:
    """What a claim's effect shows, at a one-sided level."""
    low, high = effect.interval(a)
    delta = _inner(headline.margin, headline.unit)
    e, lower, upper = (effect.mean, low, high) if headline.sign == 1 else (-effect.mean, -high, -low)
    if headline.kind == "equivalence":
        inner, outer = effect.interval(EQUIVALENCE)
        if inner > -delta and outer < delta:
            return "reproduced"
        return "not reproduced" if lower > delta or upper < -delta else "inconclusive"
    if headline.kind == "non-inferiority":
        return "supported" if lower > -delta else "not reproduced" if upper < -delta else "inconclusive"
    if upper < delta:
        return "contradicted" if upper < -delta else "not reproduced"
    if not (lower > 0 and e >= delta):
        return "inconclusive"
    if headline.value is None:
        return "supported"
    size, reach, tau = abs(_inner(headline.value, headline.unit)), effect.reach(SIZE), _tau(headline)
    if abs(e - size) + reach <= tau:
        return "reproduced"
    if abs(e - size) - reach > tau:
        return "smaller" if e < size else "larger"
    return "direction only"


def _smallest(headline: Headline, evidence: Evidence) -> float:
    """The smallest level that decides a claim; infinite where none does."""
    if evidence.k < SEEDS_FOR_A_PROVISIONAL_VERDICT:
        return math.inf
    effect = evidence.effect()
    return statistics.smallest_level(lambda a: _word(headline, effect, a) != "inconclusive")


def _qualified(headline: Headline, evidence: Evidence, found: Verdict) -> Verdict:
    """The verdict in the words that schedule, source, fidelity and seeds allow."""
    word, needed, notes = found.word, found.needed, []
    if evidence.bridge is not None and abs(evidence.bridge) > _tau(headline):
        word, needed = "inconclusive", None
        notes.append("the paper's own schedule gives another effect")
    elif word == "inconclusive":
        notes.append(_more(found.needed or (None, None)))
    positive = word in POSITIVE
    if word == "contradicted" and (headline.reliability == "second-hand" or evidence.fidelity == "changed"):
        word = "not reproduced"
    if positive and headline.reliability == "second-hand":
        word = AGREES
    if evidence.caveat:
        notes.append(evidence.caveat)
    if word != "inconclusive" and evidence.fidelity == "reconstruction":
        word = f"{'' if positive else 'not '}supported in our reconstruction"
    elif word != "inconclusive" and evidence.fidelity == "proxy":
        word = f"{'' if positive else 'not '}seen at small scale"
    if word in ("smaller", "larger"):
        notes.append(f"{found.share:.2f} of the claimed effect")
    if evidence.fidelity == "changed":
        notes.append(f"changed: {evidence.changes}")
    if evidence.k < SEEDS_FOR_A_VERDICT:
        notes.append("provisional")
    return replace(found, word=word, text=_with(word, notes), needed=needed)


def _more(needed: tuple[int | None, int | None]) -> str:
    """What would decide, in words."""
    seeds, images = needed
    said = [f"{seeds} seeds"] * bool(seeds) + [f"{images or 0:,} images"] * bool(images)
    return "needs " + " or ".join(said) if said else "neither more seeds nor more images alone would decide"


def _with(word: str, notes: Sequence[str]) -> str:
    return " ".join([word, *(f"({note})" for note in notes)])


def _blank(headline: Headline, evidence: Evidence) -> Verdict:
    return Verdict(
        word="not tested",
        text="",
        unit=headline.unit,
        claimed=headline.value,
        tau=_shown(_tau(headline), headline.unit),
        k=evidence.k,
        n=evidence.n,
    )


def _tau(headline: Headline) -> float:
    """max(delta, 3 x reading error, 25 % of the claimed effect), in points or logarithms."""
    delta, value, error = _inner(headline.margin, headline.unit), headline.value, headline.reading_error
    if value is None:
        return delta
    reading = math.log1p(error / value) if headline.unit == "ratio" else error
    return max(delta, READING_ERRORS * reading, SHARE * abs(_inner(value, headline.unit)))


def _fidelity_note(evidence: Evidence) -> str:
    if evidence.fidelity == "changed":
        return f"changed: {evidence.changes}"
    return "at small scale" if evidence.fidelity == "proxy" else "in our reconstruction"


def _inner(value: float, unit: Unit) -> float:
    return math.log(value) if unit == "ratio" else value


def _shown(value: float, unit: Unit) -> float:
    if unit == "points":
        return value
    return math.exp(value) if value < LARGEST_LOGARITHM else math.inf
