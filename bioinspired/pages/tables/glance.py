"""All papers on one page: a row each with its two answers and a small picture, and every headline claim, filtered."""

from collections import Counter
from collections.abc import Sequence
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.claims.assessment import Assessment
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.holding import UNDEFENDED
from bioinspired.lab.claims.summary import ball, of_attacks, speaks_of_an_attacker
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.claims import accesses, behind, claimed, effect_of
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


def glance(chapters: Sequence[Chapter]) -> Styler:
    """One row a paper: what is left under attack as three bars, whether claims reproduce, whether the defense holds."""
    rows = []
    for chapter in chapters:
        found = chapter.assessments
        attacked = of_attacks(found)
        first = next((one for one in attacked if one.white_box.rates), None) or next(iter(attacked), None)
        words = Counter(one.verdict.word for one in found if one.headline.sort == "robustness")
        rows.append(
            {
                "paper": link(chapter.study.name) + small(escape(_made(chapter))),
                "what an attacker with full knowledge leaves": _picture(first),
                "does it reproduce?": "<br>".join(f"{n} × {badge(word, '')}" for word, n in words.most_common()),
                "does it hold?": accesses(first.paper_access, first.white_box) if first else NOTHING,
            }
        )
    caption = (
        "Bars: percent of the images that survive every attack at the strength that is named; the simple baseline is "
        "the one against which the defense gains least, of those as accurate on clean images. Reproduces: headline "
        "claims about robustness. Holds: for the first of them, with the paper's access and in white box."
    )
    return table(pd.DataFrame(rows), caption)


def all_claims(chapters: Sequence[Chapter]) -> str:
    """Every headline claim with its verdict, as HTML; buttons above it narrow the list without a script."""
    rows = []
    for chapter in chapters:
        for found in chapter.assessments:
            asked, sort = speaks_of_an_attacker(found.headline), f"sort-{found.headline.sort}"
            rows.append(
                {
                    "claim": escape(found.headline.statement)
                    + small(f'{link(chapter.study.name)}, <span class="{sort}">{found.headline.sort}</span>'),
                    "ours": effect_of(found.verdict) + small(behind(found.verdict)) + small(f"paper: {claimed(found)}"),
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


def _picture(found: Assessment | None) -> str:
    """Bars for the defense, the simple baseline and the undefended twin, with the numbers beside them."""
    holding = found.white_box if found else None
    if found is None or holding is None or holding.rates is None or holding.level is None:
        return NOTHING
    kept = {found.headline.defended: holding.rates[0], _named(holding.rival): holding.rates[1]}
    if UNDEFENDED in holding.rivals:
        kept[_named(UNDEFENDED)] = holding.rivals[UNDEFENDED][1]
    bars = "".join(
        f'<span class="bar" style="--kept: {rate:.1f}%"><span>{escape(name)} {rate:.0f} %</span></span>'
        for name, rate in kept.items()
    )
    difference = interval(holding.effect or 0.0, holding.low, holding.high, "points")
    said = f"{ball(holding.level)}, {holding.n:,} images, {holding.k} seeds; {difference} points"
    clean = [rate for rate in found.clean if rate is not None]
    said += f"<br>clean: {clean[0]:.1f} %, undefended {clean[1]:.1f} %" if len(clean) > 1 else ""
    return f"{bars}<small>{said}</small>"


def _named(label: str) -> str:
    return "undefended" if label == UNDEFENDED else label


def _made(chapter: Chapter) -> str:
    """The data, how near the study is to the paper, and how many of the study's units have been made."""
    return f"{data_of(chapter.study)}; {chapter.study.fidelity}; {chapter.made} units made"
