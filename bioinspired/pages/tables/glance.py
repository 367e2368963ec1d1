"""All verdicts of a chapter in a sentence, and those of all chapters in one table."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import get_args

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.claims import Holding
from bioinspired.lab.claims.assessment import Assessment
from bioinspired.lab.claims.declarations import Sort
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.holding import UNDEFENDED
from bioinspired.lab.claims.summary import counted, of_attacks, price, sentence
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.claims import measured
from bioinspired.pages.tables.layout import NOTHING, badge, link, small, table


def in_short(chapter: Chapter) -> str:
    """The answer of a chapter: its verdicts by sort of claim, the price, and whether the defense holds, as Markdown."""
    found = chapter.assessments
    lines = [f"**In short.** Of {len(found)} headline claims, {counted(found)}."]
    for one in of_attacks(found):
        lines.append(f"- {price(one)} With the paper's access: {sentence(one, one.paper_access)}")
        if one.white_box != one.paper_access:
            lines.append(f"- In white box: {sentence(one, one.white_box)}")
    return "\n".join([lines[0], "", *dict.fromkeys(line.replace("-  ", "- ") for line in lines[1:])])


def glance(chapters: Sequence[Chapter]) -> Styler:
    """One row a chapter: how it was made, what its claims came to, and whether the defense holds."""
    rows = []
    for chapter in chapters:
        found = chapter.assessments
        attacked = of_attacks(found)
        holdings = _holdings(attacked)
        about = (_made(chapter), _fidelity(chapter), _clean(chapter, attacked))
        words = {sort: [one.verdict.word for one in found if one.headline.sort == sort] for sort in get_args(Sort)}
        rows.append(
            {"chapter": link(chapter.study.name) + "".join(small(escape(line)) for line in about)}
            | {f"holds? {access}": _answers(each) for access, each in holdings.items()}
            | {"claims": "<br>".join(f"{sort}:<br>{_badges(each)}" for sort, each in words.items() if each)}
        )
    caption = (
        "Whether each defense holds, for attackers with the paper's access and in white box: what it keeps in the "
        "worst case, what the baseline keeps against which it gains least, and their difference in points; and all "
        "headline claims by verdict, those about robustness, its cost, and controls apart. Below each title: the data, "
        "how near the study is to the paper and what differs, and what the defenses of these claims cost in accuracy "
        "on clean images."
    )
    return table(pd.DataFrame(rows), caption)


def _holdings(found: Sequence[Assessment]) -> dict[str, list[Holding]]:
    return {
        "paper's access": [one.paper_access for one in found],
        "white box": [one.white_box for one in found],
    }


def _answers(found: Iterable[Holding]) -> str:
    """Each different answer with its numbers."""
    return "<br>".join(dict.fromkeys(badge(one.word, "") + small(measured(one)) for one in found)) or NOTHING


def _badges(words: Sequence[str]) -> str:
    return "<br>".join(f"{badge(word, '')} × {n}" for word, n in Counter(words).most_common()) or NOTHING


def _fidelity(chapter: Chapter) -> str:
    return ": ".join(part for part in (chapter.study.fidelity, chapter.study.changes.rstrip(".")) if part)


def _clean(chapter: Chapter, attacked: Sequence[Assessment]) -> str:
    """Clean accuracy of the undefended twin and of the defenses that claims speak of; "" where none was measured."""
    labels = dict.fromkeys((UNDEFENDED, *(found.headline.defended for found in attacked)))
    rates = {label: chapter.rate(label, kind="clean") for label in labels}
    said = [f"{rate:.1f} % {_named(label)}" for label, rate in rates.items() if rate is not None]
    return "clean accuracy: " + ", ".join(said) if said else ""


def _named(label: str) -> str:
    return "undefended" if label == UNDEFENDED else label


def _made(chapter: Chapter) -> str:
    """The data, and how many of the study's units have been made."""
    made = sum(unit.state == "done" for unit in chapter.units)
    return f"{data_of(chapter.study)}; {made:,} of {len(chapter.units):,} units made"
