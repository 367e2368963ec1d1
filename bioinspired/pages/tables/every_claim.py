"""All headline claims of the book in one table, with what would change each verdict."""

from collections.abc import Sequence
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.claims import Holding
from bioinspired.lab.claims.assessment import Assessment
from bioinspired.lab.claims.changes import of_holding, of_verdict
from bioinspired.lab.claims.summary import ball, of_attacks
from bioinspired.lab.engine.plan import command
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.claims import behind, effect_of
from bioinspired.pages.tables.layout import badge, link, small, table


def index(chapters: Sequence[Chapter]) -> Styler:
    """One row a headline claim: where it stands, what it says, the verdict with its numbers."""
    rows = [
        {
            "chapter": link(chapter.study.name),
            "claim": escape(found.headline.statement)
            + small(f"{escape(found.headline.id)}; {found.headline.sort}; {escape(found.headline.place)}"),
            "verdict": badge(found.verdict.word, found.verdict.text),
            "ours": effect_of(found.verdict) + small(behind(found.verdict)),
        }
        for chapter in chapters
        for found in chapter.assessments
    ]
    return table(
        pd.DataFrame(rows, columns=["chapter", "claim", "verdict", "ours"]),
        "All headline claims. Ours is defended minus baseline, or their ratio, with its interval.",
    )


def changes(chapters: Sequence[Chapter]) -> Styler:
    """One row a headline claim: what would have to be measured for its verdict to be another one."""
    rows = [
        {
            "chapter": link(chapter.study.name),
            "claim": escape(found.headline.statement),
            "verdict now": badge(found.verdict.word, ""),
            "another verdict": escape(of_verdict(found.headline, found.verdict, command(chapter.study))),
        }
        for chapter in chapters
        for found in chapter.assessments
    ]
    return table(
        pd.DataFrame(rows, columns=["chapter", "claim", "verdict now", "another verdict"]),
        "What would change each verdict, if the interval stayed as wide as it is.",
    )


def answers(chapters: Sequence[Chapter]) -> Styler:
    """One row a defense and strength: what would change the answer whether it holds, for both kinds of access."""
    rows = [
        {
            "chapter": link(chapter.study.name),
            "defense": escape(found.headline.defended) + small(_at(found)),
            "with the paper's access": _answer(found.headline.defended, found.paper_access),
            "white box": _answer(found.headline.defended, found.white_box),
        }
        for chapter in chapters
        for found in of_attacks(chapter.assessments)
    ]
    return table(
        pd.DataFrame(rows, columns=["chapter", "defense", "with the paper's access", "white box"]).drop_duplicates(),
        "What would change the answer whether a defense holds, if the interval stayed as wide as it is.",
    )


def _answer(defended: str, holding: Holding) -> str:
    return badge(holding.word, "") + small(escape(of_holding(defended, holding)))


def _at(found: Assessment) -> str:
    levels = {holding.level: None for holding in (found.paper_access, found.white_box)}
    return escape(", ".join(ball(level) for level in levels if level is not None))
