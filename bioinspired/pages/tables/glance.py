"""All papers on one page: a row each with its two answers and a small picture, and every headline claim, filtered."""

from collections import Counter
from collections.abc import Sequence
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.claims import Holding
from bioinspired.lab.claims.assessment import Assessment
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.holding import UNDEFENDED
from bioinspired.lab.claims.summary import ball, counted, of_attacks, price, sentence, speaks_of_an_attacker
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.claims import behind, claimed, effect_of
from bioinspired.pages.tables.layout import NOTHING, badge, interval, link, small, table

FILTERS = {
    "all": "",
    "positive": ".verdict-good, .verdict-fair",
    "negative": ".verdict-bad",
    "undecided": ".verdict-open",
    "robustness": ".sort-robustness",
    "cost": ".sort-cost",
    "control": ".sort-control",
}
"""What the list of claims can be narrowed to: names, and what a row that stays has in it."""


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
    """One row a paper: what is left under attack as three bars, whether claims reproduce, whether the defense holds."""
    rows = []
    for chapter in chapters:
        found = chapter.assessments
        attacked = of_attacks(found)
        holding = next((one.white_box for one in attacked if one.white_box.rates), None)
        words = Counter(one.verdict.word for one in found if one.headline.sort == "robustness")
        rows.append(
            {
                "paper": link(chapter.study.name) + small(escape(_made(chapter))),
                "what an attacker with full knowledge leaves": _picture(holding),
                "does it reproduce?": "<br>".join(f"{badge(word, '')} × {n}" for word, n in words.most_common()),
                "does it hold?": _answers(attacked),
                "the simple baseline": NOTHING if holding is None else _rival(holding),
                "clean accuracy": _clean(attacked),
            }
        )
    caption = (
        "Bars: percent of the images that survive every attack, at the strength that is named. Reproduces: headline "
        "claims about robustness. Holds: against attackers with the paper's access, and in white box. The simple "
        "baseline is the one against which the defense gains least, of those that are as accurate on clean images."
    )
    return table(pd.DataFrame(rows), caption)


def all_claims(chapters: Sequence[Chapter]) -> str:
    """Every headline claim with its verdict, as HTML; buttons above it narrow the list without a script."""
    rows = []
    for chapter in chapters:
        for found in chapter.assessments:
            asked = speaks_of_an_attacker(found.headline)
            rows.append(
                {
                    "paper": link(chapter.study.name),
                    "claim": escape(found.headline.statement)
                    + f'<br><small class="sort-{found.headline.sort}">{found.headline.sort}</small>',
                    "the paper's": claimed(found),
                    "ours": effect_of(found.verdict) + small(behind(found.verdict)),
                    "verdict": badge(found.verdict.word, found.verdict.text),
                    "holds in white box?": escape(found.white_box.word) if asked else "",
                }
            )
    chosen = {"all": " checked"}
    buttons = "".join(
        f'<label><input type="radio" name="claims" id="claims-{name}"{chosen.get(name, "")}> {name}</label>'
        for name in FILTERS
    )
    rules = "".join(
        f".claims:has(#claims-{name}:checked) tbody tr:not(:has({kept})) {{ display: none; }}"
        for name, kept in FILTERS.items()
        if kept
    )
    listed = table(pd.DataFrame(rows), "Every headline claim of every paper.").to_html()
    return (
        f'<div class="claims"><style>{rules}</style><fieldset><legend>Show claims that are</legend>{buttons}</fieldset>'
        f"{listed}</div>"
    )


def _picture(holding: Holding | None) -> str:
    """Bars for the defense, the simple baseline and the undefended twin, with the strength."""
    if holding is None or holding.rates is None or holding.level is None:
        return NOTHING
    kept = {"defense": holding.rates[0], holding.rival: holding.rates[1]}
    if UNDEFENDED in holding.rivals:
        kept[UNDEFENDED] = holding.rivals[UNDEFENDED][1]
    bars = "".join(
        f'<span class="bar" style="--kept: {rate:.1f}%"><span>{escape(_named(name))} {rate:.0f} %</span></span>'
        for name, rate in kept.items()
    )
    return bars + f"<small>{ball(holding.level)}, {holding.n:,} images, {holding.k} seeds</small>"


def _answers(attacked: Sequence[Assessment]) -> str:
    """Every different pair of answers, the paper's access first."""
    said = [
        badge(one.paper_access.word, "") + small("paper's access") + "<br>" + badge(one.white_box.word, "")
        + small("white box") for one in attacked
    ]  # fmt: skip
    return "<br>".join(dict.fromkeys(said)) or NOTHING


def _rival(holding: Holding) -> str:
    """The baseline against which least is gained, and the difference with its interval."""
    difference = interval(holding.effect or 0.0, holding.low, holding.high, "points")
    return escape(_named(holding.rival)) + small(f"defense minus baseline: {difference}")


def _clean(attacked: Sequence[Assessment]) -> str:
    """Clean accuracy of the first defense that was measured and of its twin."""
    for one in attacked:
        defended, twin = one.clean
        if defended is not None and twin is not None:
            return f"{defended:.1f} %" + small(f"undefended {twin:.1f} %")
    return NOTHING


def _named(label: str) -> str:
    return "undefended" if label == UNDEFENDED else label


def _made(chapter: Chapter) -> str:
    """The data, how near the study is to the paper, and how many of the study's units have been made."""
    made = sum(unit.state == "done" for unit in chapter.units)
    return f"{data_of(chapter.study)}; {chapter.study.fidelity}; {made:,} of {len(chapter.units):,} units made"
