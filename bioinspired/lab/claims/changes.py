"""What would change a verdict, or the answer whether a defense holds: the nearest result that gives another word."""

import math
from dataclasses import dataclass
from typing import Literal

from bioinspired.lab.claims.declarations import MARGINS, Headline, Unit
from bioinspired.lab.claims.verdicts import Holding, Verdict

ATTACKED = ("attack", "direct", "fgsm_scan")
"""Kinds of endpoints in points that a stronger attack lowers."""


@dataclass(frozen=True)
class Turn:
    """Where a verdict turns, if its interval stays as wide: at a mean effect `side` this, in points or as a factor.

    "inside" and "outside" are of an equivalence: nearer to no effect, or farther from it, than this.
    """

    side: Literal["above", "below", "inside", "outside"]
    effect: float


def turning_point(claim: Headline, verdict: Verdict) -> Turn | None:
    """The nearest mean effect that would turn a decided verdict; None where nothing is decided yet."""
    if verdict.effect is None or verdict.low is None or verdict.high is None or verdict.word.endswith("inconclusive"):
        return None
    e, *ends = (claim.sign * _inner(value, claim.unit) for value in (verdict.effect, verdict.low, verdict.high))
    low, high = sorted(ends)
    delta = _inner(claim.margin, claim.unit)
    if claim.kind == "equivalence":
        reach = max(high - e, e - low)
        inside = low > -delta and high < delta
        return Turn(
            "outside" if inside else "inside", _shown(max(0.0, delta + (-reach if inside else reach)), claim.unit)
        )
    floor = -delta if claim.kind == "non-inferiority" else delta
    found = high >= floor
    if not found:
        at = floor - (high - e)
    elif claim.kind == "effect":
        at = max(delta, e - low)
    else:
        at = floor + (e - low)
    upward = (not found) == (claim.sign == 1)
    return Turn("above" if upward else "below", _shown(claim.sign * at, claim.unit))


def of_verdict(claim: Headline, verdict: Verdict, make: str) -> str:
    """What would change a verdict, as a sentence; `make` is the command that makes what is missing."""
    if verdict.effect is None:
        return f"Any measurement of it: {make}."
    turn = turning_point(claim, verdict)
    if turn is None:
        return _more(verdict.needed)
    if turn.side in ("inside", "outside"):
        least = f"a factor of {turn.effect:.2f}" if claim.unit == "ratio" else f"{turn.effect:.1f} points"
        return f"A mean effect {'smaller' if turn.side == 'inside' else 'larger'} than {least} in either direction."
    said = f"A mean effect {turn.side} " + (
        f"× {turn.effect:.2f}" if claim.unit == "ratio" else f"{turn.effect:+.1f} points"
    )
    if claim.endpoint.question not in ATTACKED or claim.unit != "points":
        return said + "."
    weaker, stronger = (claim.defended, claim.baseline) if turn.side == "below" else (claim.baseline, claim.defended)
    points = abs(verdict.effect - turn.effect)
    return f"{said}: an attack that takes {points:.1f} points more off {weaker} than off {stronger} would do."


def of_holding(defended: str, holding: Holding) -> str:
    """What would change the answer whether a defense holds, as a sentence."""
    delta = MARGINS["points"]
    if holding.rates is None:
        return "Attacks with this access on the defense and on a baseline."
    if holding.low is None or holding.high is None:
        return "More seeds."
    if holding.word.endswith("does not hold"):
        more = f"A defense that keeps {delta - holding.high:.1f} points more"
        return f"{more}, or an attack that takes as much off {holding.rival} alone."
    if holding.word.endswith(("holds", "small gain only")):
        return f"An attack that takes {holding.low - delta:.1f} points off {defended} alone."
    if holding.word.endswith("unreliable"):
        return f"An attack on which no check fails ({'; '.join(holding.failed)})."
    return f"More measurements {holding.text.removeprefix(holding.word).strip()}."


def _more(needed: tuple[int | None, int | None] | None) -> str:
    seeds, images = needed or (None, None)
    said = [f"{seeds} seeds"] * bool(seeds) + [f"{images or 0:,} images"] * bool(images)
    return (
        f"More of the same: {' or '.join(said)}." if said else "Another effect: more seeds or images alone would not."
    )


def _inner(value: float, unit: Unit) -> float:
    return math.log(value) if unit == "ratio" else value


def _shown(value: float, unit: Unit) -> float:
    return math.exp(value) if unit == "ratio" else value
