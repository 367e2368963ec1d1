"""The rules: does a paper's claim reproduce, and does the defense hold? Pure functions of plain numbers.

Both work in the claimed direction: e is the mean difference between defended and baseline times the claimed sign, in
points or, for distances, in logarithms; [L, H] = e -+ t(1 - .025 / m, k - 1) x SE for k seeds and m headline claims.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bioinspired.claims import statistics
from bioinspired.claims.declarations import Headline, Unit
from bioinspired.claims.evidence import Evidence

Word = Literal[
    "not tested",
    "exploratory",
    "contradicted",
    "not reproduced",
    "inconclusive",
    "partly",
    "reproduced",
    "agrees in direction with a second-hand report",
    "supported in our reconstruction",
    "not supported in our reconstruction",
    "seen at small scale",
    "not seen at small scale",
]
HoldingWord = Literal["not tested", "does not hold", "unreliable", "holds", "small gain only", "unclear"]

SEEDS_FOR_A_VERDICT = 5
SEEDS_FOR_A_PROVISIONAL_VERDICT = 3
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
        seeds_needed: seeds a group that would decide, if means and spreads stayed; for inconclusive verdicts.
        detectable: the effect that these seeds and images would have found with 80 % power, in points or as a factor.
    """

    word: Word
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
    seeds_needed: int | None = None
    detectable: float | None = None


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Whether a defense holds, for one access of the attacker, with both intervals (defended minus baseline).

    Attributes:
        word: the answer. text: the same with what must be said beside it.
        beyond: white box is more than the paper claims robustness for.
        at_eps, at_eps50: (mean, low, high) at the paper's epsilon and at the twin's eps50, in points or as factors;
            None where not measured, low and high None below three seeds.
        k: seeds, the fewest of what was measured.
    """

    word: HoldingWord
    text: str
    beyond: bool
    unit: Unit
    k: int
    at_eps: tuple[float, float | None, float | None] | None
    at_eps50: tuple[float, float | None, float | None] | None


def verdict(headline: Headline, evidence: Evidence, *, m: int) -> Verdict:
    """Judge a claim by its evidence.

    The first three outcomes stand as they are: not tested, exploratory (a measurement stores no criterion hash, or
    another one), and inconclusive for fewer than three seeds. Everything after them is qualified: second-hand sources,
    fidelity, and "(provisional)" below five seeds, in this order. A verdict that is inconclusive is qualified in its
    text, but fidelity does not reword it. A contradiction is "not reproduced" for a second-hand source and for changed
    evidence. Where the paper's own schedule gives another effect (by more than tau), the verdict is inconclusive.
    Equivalence uses the 90 % interval without correction over claims, and ignores sign and value.

    Args:
        headline: the claim, for the data set of the evidence (`Headline.on`).
        evidence: measurements in the same unit.
        m: headline claims of the paper, at least 1.

    Raises:
        ValueError: units differ, or m is below 1.
    """
    if evidence.unit != headline.unit:
        raise ValueError(f"the claim is in {headline.unit}, the evidence in {evidence.unit}")
    if m < 1:
        raise ValueError("a paper has at least one headline claim")
    blank = _blank(headline, evidence)
    if not evidence.tested:
        return replace(blank, word="not tested", text=f"not tested ({evidence.reason})")
    blank = replace(blank, effect=_shown(evidence.mean(), headline.unit))
    exploratory = replace(blank, word="exploratory", text="exploratory")
    registered = set(evidence.criteria) == {headline.criterion}
    if evidence.k < SEEDS_FOR_A_PROVISIONAL_VERDICT:
        needed = SEEDS_FOR_A_VERDICT
        few = replace(blank, word="inconclusive", text=f"inconclusive (needs {needed} seeds)", seeds_needed=needed)
        return few if registered else exploratory
    found = _judged(headline, evidence, m, blank)
    if not registered:
        return replace(found, word="exploratory", text="exploratory", seeds_needed=None)
    return _qualified(headline, evidence, found)


def holds(
    headline: Headline,
    *,
    at_eps: Evidence,
    at_eps50: Evidence,
    access: Literal["the paper's", "white box"],
    failed: Sequence[str],
    m: int,
) -> Holding:
    """Does the defense hold against attackers with this access?

    The evidence compares the defended network with the frontier baseline (see `frontier`), worst case per image and
    unconditional. Below three seeds the interval is unbounded, so the answer is unclear or unreliable; the same at an
    epsilon that was not measured. The text names failed checks, a gain that is excluded at the paper's epsilon alone,
    the fidelity, and fewer than five seeds.

    Args:
        headline: the claim, for its margin, unit and access.
        at_eps: at the paper's epsilon. at_eps50: at the epsilon that halves the undefended twin's accuracy.
        access: whose attackers. failed: names of the checks of the evaluation that failed.
        m: headline claims of the paper, at least 1.
    """
    arms = (at_eps, at_eps50)
    if any(arm.unit != headline.unit for arm in arms):
        raise ValueError(f"the claim is in {headline.unit}, the evidence is not")
    measured = [arm for arm in arms if arm.tested]
    beyond = access == "white box" and headline.access != "white box"
    k = min((arm.k for arm in measured), default=0)
    delta = _inner(headline.margin, headline.unit)
    (low, high), (low50, high50) = (_bounds(arm, m) for arm in arms)
    word: HoldingWord
    if not measured:
        word = "not tested"
    elif high < delta and high50 < delta:
        word = "does not hold"
    elif failed:
        word = "unreliable"
    elif low > delta:
        word = "holds"
    elif low50 > delta:
        word = "small gain only"
    else:
        word = "unclear"
    notes = [] if measured else [at_eps.reason]
    if word == "unreliable":
        notes.append("failed: " + ", ".join(failed))
    if word == "unclear" and high < delta:
        notes.append("no gain at the claim's ε")
    notes += [_fidelity_note(arm) for arm in measured[:1] if arm.fidelity != "paper"]
    if 0 < k < SEEDS_FOR_A_VERDICT:
        notes.append("provisional")
    if beyond:
        notes.append("beyond the paper's claim")
    return Holding(
        word=word,
        text=_with(word, notes),
        beyond=beyond,
        unit=headline.unit,
        k=k,
        at_eps=_interval(at_eps, m),
        at_eps50=_interval(at_eps50, m),
    )


def frontier(baselines: Mapping[str, tuple[float, float]], *, clean: float, tolerance: float = 1.0) -> str | None:
    """The strongest baseline at equal clean accuracy: the label that a defense is measured against.

    Equal means within the tolerance or better: a baseline that is more accurate and more robust leaves nothing to gain.

    Args:
        baselines: clean and robust accuracy by label, in percent.
        clean: the defended network's clean accuracy, in percent.
        tolerance: points of clean accuracy that a baseline may be worse.

    Returns:
        The label (the first of equals), or None when every baseline is less accurate.
    """
    equal = {label: robust for label, (accuracy, robust) in baselines.items() if accuracy >= clean - tolerance}
    return max(equal, key=lambda label: equal[label]) if equal else None


def _judged(headline: Headline, evidence: Evidence, m: int, blank: Verdict) -> Verdict:
    """The rule itself, before any qualification."""
    effect = evidence.effect()
    tail = 0.05 if headline.kind == "equivalence" else 0.025 / m
    low, high = effect.interval(tail)
    delta = _inner(headline.margin, headline.unit)
    e, lower, upper = (effect.mean, low, high) if headline.sign == 1 else (-effect.mean, -high, -low)
    size = None if headline.value is None else abs(_inner(headline.value, headline.unit))
    if headline.kind == "equivalence":
        word = _equivalence(lower, upper, delta)
    else:
        near = size is None or abs(e - size) + effect.reach(0.05) <= _tau(headline)
        word = _direction(e, lower, upper, delta, near=near)
    needed = None
    if word == "inconclusive":
        needed = statistics.seeds_needed(effect, gap=_gap(e, delta, headline), tail=tail)
    least = statistics.detectable(effect.freedom, level=2 * tail) * effect.error
    return replace(
        blank,
        word=word,
        low=_shown(low, headline.unit),
        high=_shown(high, headline.unit),
        share=e / size if size and headline.kind == "effect" else None,
        seeds_needed=needed,
        detectable=_shown(least, headline.unit),
    )


def _direction(e: float, lower: float, upper: float, delta: float, *, near: bool) -> Word:
    if upper < -delta:
        return "contradicted"
    if upper < delta:
        return "not reproduced"
    if not (lower > 0 and e >= delta):
        return "inconclusive"
    return "reproduced" if near else "partly"


def _equivalence(lower: float, upper: float, delta: float) -> Word:
    if lower > -delta and upper < delta:
        return "reproduced"
    return "not reproduced" if lower > delta or upper < -delta else "inconclusive"


def _gap(e: float, delta: float, headline: Headline) -> float:
    """How far the interval may reach from the mean before it crosses the line that leaves a claim undecided."""
    if headline.kind == "equivalence":
        return abs(abs(e) - delta)
    return e if e >= delta else delta - e


def _qualified(headline: Headline, evidence: Evidence, found: Verdict) -> Verdict:
    """The verdict in the words that schedule, source, fidelity and seeds allow."""
    word, needed, notes = found.word, found.seeds_needed, []
    if evidence.bridge is not None and abs(evidence.bridge) > _tau(headline):
        word, needed = "inconclusive", None
        notes.append("the paper's own schedule gives another effect")
    elif word == "inconclusive":
        notes.append(f"needs {needed} seeds" if needed else "more seeds alone would not decide")
    if word == "contradicted" and (headline.reliability == "second-hand" or evidence.fidelity == "changed"):
        word = "not reproduced"
    if word in ("reproduced", "partly") and headline.reliability == "second-hand":
        word = "agrees in direction with a second-hand report"
    if word != "inconclusive" and evidence.fidelity in ("reconstruction", "proxy"):
        supported = word in ("reproduced", "partly", "agrees in direction with a second-hand report")
        if evidence.fidelity == "reconstruction":
            word = "supported in our reconstruction" if supported else "not supported in our reconstruction"
        else:
            word = "seen at small scale" if supported else "not seen at small scale"
    if word == "partly":
        notes.append(f"{found.share:.2f} of the claimed effect")
    if evidence.fidelity == "changed":
        notes.append(f"changed: {evidence.changes}")
    if evidence.k < SEEDS_FOR_A_VERDICT:
        notes.append("provisional")
    return replace(found, word=word, text=_with(word, notes), seeds_needed=needed)


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
    return max(delta, 3 * reading, 0.25 * abs(_inner(value, headline.unit)))


def _bounds(evidence: Evidence, m: int) -> tuple[float, float]:
    if not evidence.tested or evidence.k < SEEDS_FOR_A_PROVISIONAL_VERDICT:
        return -math.inf, math.inf
    return evidence.effect().interval(0.025 / m)


def _interval(evidence: Evidence, m: int) -> tuple[float, float | None, float | None] | None:
    if not evidence.tested:
        return None
    low, high = _bounds(evidence, m)
    ends = [_shown(end, evidence.unit) if math.isfinite(end) else None for end in (low, high)]
    return _shown(evidence.mean(), evidence.unit), ends[0], ends[1]


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
