"""The parts that the first page of every chapter has: the answer, what made it, the claims, and whether to trust it.

page = chapter.open("sleep", scale=scale, store=store)
found = anatomy.said(page, "fgsm")
Markdown(anatomy.answer(page, f"The paper claims ... . We measured {found.effect}: {found.verdict}. ..."))
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.claims import Holding, load
from bioinspired.lab.claims.declarations import Cell
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.holding import UNDEFENDED
from bioinspired.lab.claims.summary import ball, speaks_of_an_attacker
from bioinspired.lab.engine import plan
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.claims import accesses, behind, claimed, effect_of
from bioinspired.pages.tables.layout import badge, interval, small, table
from bioinspired.pages.tables.networks import checks
from bioinspired.pages.tables.records import hardware

ABSENT = "not measured"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a defense keeps against an attacker, as text for prose; "not measured" where nothing was.

    Attributes:
        word: whether it holds. at: norm and strength. defended, rival_kept, twin: percent kept in the worst case by
            the defense, by the simple baseline against which it gains least, and by the undefended twin.
        rival: that baseline. difference: defended minus rival in points, with its interval.
        images, attacks, seeds: how many were counted.
    """

    word: str
    at: str = ABSENT
    defended: str = ABSENT
    rival: str = "the baseline"
    rival_kept: str = ABSENT
    twin: str = ABSENT
    difference: str = ABSENT
    images: str = "no"
    attacks: str = "no"
    seeds: str = "no"


@dataclass(frozen=True, kw_only=True)
class Said:
    """A headline claim as text for prose: its verdict, the effect with its interval, and what attackers leave."""

    verdict: str
    effect: str
    seeds: str
    images: str
    paper_access: Kept
    white_box: Kept


def said(page: Chapter, claim: str) -> Said:
    """What the records say of a headline claim, by its name in the claims file."""
    found = next(one for one in page.assessments if one.headline.id == claim)
    return Said(
        verdict=found.verdict.word,
        effect=effect_of(found.verdict) if found.verdict.effect is not None else ABSENT,
        seeds=str(found.verdict.k),
        images=f"{found.verdict.n:,}",
        paper_access=_kept(found.paper_access),
        white_box=_kept(found.white_box),
    )


def answer(page: Chapter, text: str, *, needs: str = "") -> str:
    """The answer in its box, as Markdown; before anything was measured, the command that does instead of it.

    Args:
        page: the chapter.
        text: what the records say.
        needs: a headline claim without which there is nothing to say.
    """
    command = f"`{plan.command(page.study)}`"
    if not page.results:
        text = f"Nothing has been measured here yet: {command} makes it."
    elif needs and said(page, needs).effect == ABSENT:
        text = (
            f"The claims of this paper have not been judged yet: {page.made} trainings and "
            f"measurements have been made. What there is stands below; {command} makes the rest."
        )
    return f'<div class="answer">\n\n{" ".join(text.split())}\n\n</div>'


def made(page: Chapter) -> str:
    """What stands under the picture, as Markdown: data, networks, seeds, hardware, days, the command to remake it."""
    days, computed_on, verified = _stamps(page)
    facts = {
        "Data": data_of(page.study),
        "Networks": page.networks(),
        "Seeds": str(max(Counter(result.label for result in _distinct(page.results)).values(), default=0)),
        "How near to the paper": ": ".join(part for part in (page.study.fidelity, page.study.changes) if part),
        "Made": f"{page.made} measurements and trainings" + (f", {days}" if days else ""),
        "Hardware": computed_on,
        "Last verified": verified or "not since they were made",
        "To make it again": f"`{plan.command(page.study)}`",
    }
    return " · ".join(f"**{name}** {value}" for name, value in facts.items() if value)


def claims(page: Chapter) -> Styler:
    """The headline claims: what the paper says, what we found, the verdict, and whether the defense holds."""
    rows = []
    for found in page.assessments:
        attacked = speaks_of_an_attacker(found.headline)
        rows.append(
            {
                "claim": escape(found.headline.statement) + small(escape(found.headline.place)),
                "paper": claimed(found),
                "ours": effect_of(found.verdict) + small(behind(found.verdict)),
                "does it reproduce?": badge(found.verdict.word, ""),
                "does it hold?": _holds(found.paper_access, found.white_box) if attacked else "",
            }
        )
    caption = (
        "Ours: defended minus baseline, or its multiple, with the interval corrected for all claims. Holds: in the "
        "worst case per image it keeps more than every simple baseline of equal clean accuracy."
    )
    return table(pd.DataFrame(rows), caption)


def trust(page: Chapter) -> str:
    """How many checks of the evaluation passed and which failed, in one line of Markdown; the table is folded."""
    found = [(result.label, check) for result in page.results for check in result.checks]
    if not found:
        return "The checks of the evaluation have not been made yet."
    failed = Counter(f"{check['name'].replace('_', ' ')} ({label})" for label, check in found if not check["passed"])
    line = (
        f"{len(found) - failed.total()} of {len(found)} checks passed, on {len({label for label, _ in found})} networks"
    )
    line += ". Failed: " + ", ".join(escape(name) for name in failed) + "." if failed else "."
    return f"**{line}**\n\n<details><summary>All checks</summary>{checks(page).to_html()}</details>"


def beside(page: Chapter, ours: Callable[[Chapter, Cell], float | None]) -> pd.DataFrame:
    """The numbers that the paper prints for this page's data, one a row, each beside ours where we have one.

    Columns: place, paper, ours, and what the cells file says of the number. A number printed twice counts once.
    """
    rows = [
        {"place": cell.place, **cell.columns, "paper": cell.value, "ours": ours(page, cell)}
        for cell in load(page.study.name).cells
        if cell.data == data_of(page.study) and not cell.same_as
    ]
    return pd.DataFrame(rows or None, columns=None if rows else ["place", "paper", "ours"]).dropna(subset=["ours"])


def _kept(holding: Holding) -> Kept:
    if holding.rates is None or holding.effect is None or holding.level is None:
        return Kept(word=holding.word)
    twin = holding.rivals.get(UNDEFENDED)
    return Kept(
        word=holding.word,
        at=ball(holding.level),
        defended=f"{holding.rates[0]:.0f} %",
        rival="the undefended twin" if holding.rival == UNDEFENDED else f"the {holding.rival} network",
        rival_kept=f"{holding.rates[1]:.0f} %",
        twin=ABSENT if twin is None else f"{twin[1]:.0f} %",
        difference=interval(holding.effect, holding.low, holding.high, "points"),
        images=f"{holding.n:,}",
        attacks=str(holding.attacks),
        seeds=str(holding.k),
    )


def _holds(paper_access: Holding, white_box: Holding) -> str:
    if white_box == paper_access:
        return badge(white_box.word, "")
    return accesses(paper_access, white_box)


def _distinct(results: Iterable[Result]) -> list[Result]:
    """One result for each network."""
    return list({(result.label, result.seed): result for result in results}.values())


def _stamps(page: Chapter) -> tuple[str, str, str]:
    """First and last day, the hardware, and the last day on which a unit was made again with the same result."""
    days, verified = set[str](), set[str]()
    computed_on: dict[str, None] = {}
    for record in page.records():
        for unit in record.provenance["units"].values():
            days.add(unit["finished"][:10])
            computed_on[hardware(record.provenance["runs"][unit["run"]])] = None
            if "verified" in unit:
                verified.add(unit["verified"]["finished"][:10])
    span = " to ".join(sorted({min(days), max(days)})) if days else ""
    return span, ", ".join(computed_on), max(verified, default="")
