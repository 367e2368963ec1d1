"""What a paper's claims came to, at a glance: clean accuracy, the worst case at one strength, the price, one sentence.

Claims about robustness, about its price, and controls are counted apart.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from bioinspired.lab.claims.assessment import Assessment
from bioinspired.lab.claims.declarations import Headline, Sort
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.holding import UNDEFENDED
from bioinspired.lab.claims.verdicts import Holding
from bioinspired.lab.declarations import Study

ATTACKING = ("attack", "distance", "direct", "fgsm_scan")
"""Kinds of endpoints that an attacker decides."""


def speaks_of_an_attacker(claim: Headline) -> bool:
    """Whether to ask of a claim if the defense holds: its endpoint is an attacker's, and it speaks of robustness."""
    return claim.endpoint.question in ATTACKING and claim.sort == "robustness"


def of_attacks(assessments: Iterable[Assessment]) -> list[Assessment]:
    """The claims of which to ask whether the defense holds, one for each network, access and strength."""
    kept: dict[tuple[object, ...], Assessment] = {}
    for found in assessments:
        claim = found.headline
        if speaks_of_an_attacker(claim):
            kept.setdefault((claim.defended, claim.access, found.paper_access.level, found.white_box.level), found)
    return list(kept.values())


def counted(assessments: Sequence[Assessment]) -> str:
    """The verdicts, counted by sort of claim, such as "robustness: supported (2), not tested (1); cost: ..."."""
    said = []
    for sort in get_args(Sort):
        words = Counter(found.verdict.word for found in assessments if found.headline.sort == sort)
        if words:
            said.append(f"{sort}: " + ", ".join(f"{word} ({n})" for word, n in words.most_common()))
    return "; ".join(said)


def sentence(found: Assessment, holding: Holding) -> str:
    """Whether a defense holds, with the numbers that say so; in plain text."""
    if holding.effect is None or holding.rates is None or holding.level is None:
        return f"{found.headline.defended}: {holding.text}."
    twin = holding.rivals.get(UNDEFENDED)
    also = f", the undefended twin {twin[1]:.1f} %" if twin and holding.rival != UNDEFENDED else ""
    ends = "" if holding.low is None else f" [{holding.low:+.1f}, {holding.high:+.1f}]"
    return (
        f"{found.headline.defended} {holding.word}: at {ball(holding.level)} ({holding.primary}) it keeps "
        f"{holding.rates[0]:.1f} % of {holding.n:,} images against {holding.attacks} attacks, "
        f"{_named(holding.rival)} {holding.rates[1]:.1f} %{also}: {holding.effect:+.1f} points{ends}."
    )


def price(found: Assessment) -> str:
    """Clean accuracy of a defense and of its undefended twin, in plain text; "" where either was not measured."""
    defended, twin = found.clean
    if defended is None or twin is None:
        return ""
    return f"Clean accuracy: {found.headline.defended} {defended:.1f} %, the undefended twin {twin:.1f} %."


def ball(level: tuple[str, str]) -> str:
    """A norm and a strength in it, as text."""
    return level[1] if level[0] == "all" else f"{level[0]} {level[1]}"


def as_data(study: Study, found: Assessment) -> dict[str, Any]:
    """A headline claim with what was found, as plain data."""
    claim, verdict = found.headline, found.verdict
    return {
        "study": study.name,
        "data": data_of(study),
        "id": claim.id,
        "statement": claim.statement,
        "sort": claim.sort,
        "kind": claim.kind,
        "source_set": claim.source_set,
        "place": claim.place,
        "reliability": claim.reliability,
        "unit": claim.unit,
        "paper": claim.value,
        "ours": verdict.effect,
        "interval": None if verdict.low is None else [verdict.low, verdict.high],
        "seeds": verdict.k,
        "n": verdict.n,
        "verdict": verdict.text,
        "registered": found.evidence.registered if found.evidence.tested else None,
        "clean": dict(zip(("defended", "twin"), found.clean, strict=True)),
        "holds": None
        if claim.access == "none"
        else {"paper's access": described(found.paper_access), "white box": described(found.white_box)},
    }


def described(holding: Holding) -> dict[str, Any]:
    """An answer whether a defense holds, as plain data."""
    return {
        "answer": holding.text,
        "at": None if holding.level is None else {"ball": ball(holding.level), "whose": holding.primary},
        "baseline": holding.rival or None,
        "kept": None if holding.rates is None else {"defended": holding.rates[0], "baseline": holding.rates[1]},
        "difference": holding.effect,
        "interval": None if holding.low is None else [holding.low, holding.high],
        "seeds": holding.k,
        "n": holding.n,
        "attacks": holding.attacks,
        "checks failed": list(holding.failed),
    }


def _named(label: str) -> str:
    return "the undefended twin" if label == UNDEFENDED else label
