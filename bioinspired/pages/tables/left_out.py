"""Which attack broke which images, and what the worst case would be without it."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.keys import number
from bioinspired.lab.claims.summary import ball, of_attacks
from bioinspired.lab.claims.worst_case import Attacks, Level, name_of
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.records.results import Result
from bioinspired.lab.records.store import Bits
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.layout import NOTHING, link, small, table
from bioinspired.pages.tables.networks import attack_name

COLUMNS = ["network", "attack", "wrong under it", "under it alone", "stands without it", "stands with it"]


def left_out(chapters: Sequence[Chapter]) -> Styler:
    """One row an attack on a defended network, in white box at the strength at which it is judged.

    An attack that was tried at several strengths is one: those at smaller ones count as well.
    """
    rows = [row for chapter in chapters for row in _rows(chapter)]
    caption = (
        "What each attack contributes to the worst case per image, in percent of all images, mean over seeds: what is "
        "wrong under it, what is wrong under no other, and what stands if this attack is left out."
    )
    return table(pd.DataFrame(rows, columns=COLUMNS), caption)


def _rows(chapter: Chapter) -> Iterator[dict[str, str]]:
    judged = {(found.headline.defended, found.white_box.level): None for found in of_attacks(chapter.assessments)}
    for label, level in judged:
        if level is None:
            continue
        mine = [result for result in chapter.results if result.label == label]
        tried = Attacks(mine, white=True)
        whole, counted = tried.worst(level, label)[0], tried.names(level, label)
        for attack in sorted({_words(result) for result in mine if name_of(result) in counted}):
            only = _stood([one for one in mine if _words(one) == attack], label, level, whole)
            others = _stood([one for one in mine if _words(one) != attack], label, level, whole)
            yield {
                "network": link(chapter.study.name) + small(escape(f"{label}, {ball(level)}")),
                "attack": escape(attack),
                "wrong under it": _percent([~bits for bits in only.values()]),
                "under it alone": _percent([bits & ~whole[seed] for seed, bits in others.items()]),
                "stands without it": _percent(list(others.values())),
                "stands with it": _percent(list(whole.values())),
            }


def _stood(some: Sequence[Result], label: str, level: Level, whole: Mapping[int, Bits]) -> dict[int, Bits]:
    """The worst case over some of the attacks, on the images and the seeds of the whole; not of seeds that lack any.

    Where none of them was made in this ball, the largest smaller one counts.
    """
    tried = Attacks(some, white=False)
    smaller = [one for one in tried.levels if one[0] == level[0] != "all" and number(one[1]) < number(level[1])]
    for one in (level, *sorted(smaller, key=lambda each: number(each[1]), reverse=True)):
        found = tried.worst(one, label)[0]
        kept = {seed: found[seed][: len(bits)] for seed, bits in whole.items() if len(found.get(seed, ())) >= len(bits)}
        if kept:
            return kept
    return {}


def _percent(each: Sequence[Bits]) -> str:
    return f"{100 * np.mean([bits.mean() for bits in each]):.1f}" if each else NOTHING


def _words(result: Result) -> str:
    """What a table calls an attack: its kind, or its name with loss and steps, and what it was made on."""
    question = result.measurement.question
    said = attack_name(question) if isinstance(question, Attack) else getattr(question, "name", "") or question.kind
    said = str(said).replace("_", " ")
    return f"{said}, made on {result.source.replace('source ', '')}" if result.source else said
