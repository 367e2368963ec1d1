"""Claims, verdicts, and how near our numbers are to the printed ones."""

from collections.abc import Callable
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.claims import Holding, Verdict, agreement, load
from bioinspired.lab.claims.assessment import Assessment
from bioinspired.lab.claims.declarations import Cell
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.summary import ball, of_attacks
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.layout import NOTHING, badge, interval, small, table


def verdicts(chapter: Chapter, source_set: str) -> Styler:
    """The headline claims of one set of sources with what was found: page one of a chapter."""
    rows = [
        {
            "claim": escape(found.headline.statement) + _pilot(found),
            "verdict": badge(found.verdict.word, found.verdict.text),
            "ours": effect_of(found.verdict) + small(behind(found.verdict)),
            "the paper's": claimed(found)
            + small(f"{escape(found.headline.place)}; {escape(found.headline.reliability)}"),
        }
        for found in chapter.assessments
        if found.headline.source_set == source_set
    ]
    return table(
        pd.DataFrame(rows),
        "Does it reproduce? Defended minus baseline with its interval, corrected for all headline claims.",
    )


def holdings(chapter: Chapter) -> Styler:
    """For the claims that speak of an attacker: does the defense hold, with the paper's access and in white box."""
    rows = [
        {
            "claim": escape(found.headline.statement),
            "with the paper's access": _holding(found.paper_access),
            "white box": _holding(found.white_box),
        }
        for found in of_attacks(chapter.assessments)
    ]
    return table(
        pd.DataFrame(rows),
        "Does it hold? At one strength, worst case per image over the attacks that both networks met, on the images "
        "that all of these saw, unconditional: defended minus the simple baseline against which least is gained, of "
        "those that are on clean images at most one point less accurate.",
    )


def cells(chapter: Chapter, source_set: str, ours: Callable[[Chapter, Cell], float | None]) -> Styler:
    """How far our numbers agree with the numbers a paper prints, table by table; shown, never judged.

    A number that is printed in two places counts once, where it stands first. `ours` gives our value of a cell on the
    cell's own data, or None where there is none.
    """
    claims = load(chapter.study.name)
    data = data_of(chapter.study)
    rows = []
    counted = [cell for cell in claims.cells if cell.source_set == source_set and not cell.same_as]
    for place, unit in dict.fromkeys((cell.place, cell.unit) for cell in counted):
        here = [cell for cell in counted if (cell.place, cell.unit) == (place, unit)]
        measured = [ours(chapter, cell) if cell.data == data else None for cell in here]
        found = agreement(measured, [cell.value for cell in here])
        rows.append(
            {
                "place": place,
                "unit": unit,
                "reliability": ", ".join(dict.fromkeys(cell.reliability for cell in here)),
                "numbers printed": len(here),
                "measured here": found.n,
                "mean absolute deviation": NOTHING if found.deviation is None else f"{found.deviation:.1f}",
                "rank correlation": NOTHING if found.correlation is None else f"{found.correlation:.2f}",
            }
        )
    frame = pd.DataFrame(rows)
    if not frame["measured here"].any():
        frame = frame[["place", "unit", "reliability", "numbers printed", "measured here"]]
    return table(
        frame, "What the sources print, table by table, and how far our numbers agree where they can be compared."
    )


def _pilot(found: Assessment) -> str:
    pilot = found.headline.pilot
    return small(f"Known before the criterion was written: {escape(pilot)}") if pilot else ""


def claimed(found: Assessment) -> str:
    """What the paper says of the size of an effect."""
    value, unit = found.headline.value, found.headline.unit
    if found.headline.kind != "effect":
        return "no difference" if found.headline.kind == "equivalence" else "at least as good"
    if value is None:
        return "a direction only: " + ("higher" if found.headline.sign == 1 else "lower")
    return f"× {value:.2f}" if unit == "ratio" else f"{value:+.1f} points"


def effect_of(verdict: Verdict) -> str:
    """The measured effect with its interval."""
    return NOTHING if verdict.effect is None else interval(verdict.effect, verdict.low, verdict.high, verdict.unit)


def behind(found: Verdict) -> str:
    """How many seeds and images stand behind a verdict."""
    return f"{found.k} seed{'s' * (found.k > 1)}, {found.n:,} images" if found.k else ""


def _holding(found: Holding) -> str:
    return badge(found.word, found.text) + small(measured(found))


def measured(found: Holding) -> str:
    """The numbers behind the answer whether a defense holds; "" where there are none."""
    if found.effect is None or found.rates is None or found.level is None:
        return ""
    kept = f"{found.rates[0]:.1f} %, {escape(found.rival)} {found.rates[1]:.1f} %"
    return (
        f"{ball(found.level)} ({found.primary}): {kept}, difference "
        f"{interval(found.effect, found.low, found.high, 'points')}; {found.k} seeds, {found.n:,} images, "
        f"{found.attacks} attacks"
    )


def accesses(paper_access: Holding, white_box: Holding) -> str:
    """The answers whether a defense holds, with the paper's access and in white box, one below the other."""
    both = {"with the paper's access": paper_access, "in white box": white_box}
    return "<br>".join(badge(holding.word, "") + small(access) for access, holding in both.items())
