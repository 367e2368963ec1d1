"""Tables of the toy task of patches in the chapter on sleep. A chapter here is one on the patches' trials alone."""

import math

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.claims import load
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.differences import difference, minus
from bioinspired.pages.tables.layout import NOTHING, number, table

MEASURES = {"clean": "clean, %", "linf": "smallest Linf change", "noise": "noise, %"}
DIGITS = {"clean": 1, "linf": 3, "noise": 1}
NOISE = "noise 0.3"
COLUMNS = ["overlap", "row", "seed", "clean", "scan", "linf", "boundary", "noise"]


def networks(chapter: Chapter) -> pd.DataFrame:
    """One row per network: "overlap", "row", "seed", and what it was found to be.

    "clean" and "noise" are percentages over its four images; "scan" (eta), "linf" and "boundary" (mean square) are
    medians of the distance over all four, an image answered wrong counting as 0.
    """
    found: dict[tuple[int, str, int], dict[str, float]] = {}
    for result in chapter.results:
        factors = result.trial.factors
        place = int(factors["overlap"]), factors["row"], result.seed
        named = _named(result)
        if named is not None:
            found.setdefault(place, {})[named[0]] = named[1]
    rows = [dict(zip(COLUMNS, place, strict=False)) | measured for place, measured in found.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _named(result: Result) -> tuple[str, float] | None:
    question = result.measurement.question
    if question.kind == "clean":
        return "clean", result.rate() or 0.0
    if question.kind == "repeated_noise" and getattr(question, "name", "") == NOISE:
        value = result.rate("value")
        return None if value is None else ("noise", value)
    distances = result.values("distance")
    if distances is None:
        return None
    median = float(np.median(distances))  # the questions give 0 to an image that is wrong from the start
    kinds = {
        "fgsm_scan": ("scan", median),
        "one_layer_distance": ("linf", median),
        "distance": ("boundary", float(np.median(distances**2))),
    }
    return kinds.get(question.kind)


def paired(chapter: Chapter) -> Styler:
    """Sleep minus another change of the same waking network, overlap by overlap, with Student's intervals."""
    frame = networks(chapter)
    shown = []
    for overlap in sorted(set(frame["overlap"])):
        for row in dict.fromkeys(frame.loc[frame["overlap"] == overlap, "row"]):
            if row == "sleep":
                continue
            less = minus(frame[frame["overlap"] == overlap], row, list(MEASURES))
            cells = {title: difference(less[name], DIGITS[name]) for name, title in MEASURES.items()}
            shown.append({"overlap": overlap, "sleep minus": row, **cells, "seeds": len(less)})
    caption = (
        "Sleep minus another change of the same waking network, with 95 % intervals over seeds. The Linf distance is "
        "the median over all four images, one that is answered wrong counting as 0; noise has the variance 0.3."
    )
    return table(pd.DataFrame(shown, columns=["overlap", "sleep minus", *MEASURES.values(), "seeds"]), caption)


def reading(chapter: Chapter) -> str:
    """What sleep does to the waking network, overlap by overlap, and what its parts do, as a Markdown list."""
    frame = networks(chapter)
    lines = []
    for overlap in sorted(set(frame["overlap"])):
        here = frame[frame["overlap"] == overlap].groupby("row")[["clean", "linf"]].mean()
        if not {"waking", "sleep"} <= set(here.index):
            continue
        parts = [
            f"{row} {here.loc[row, 'clean']:.0f} % and {here.loc[row, 'linf']:.2f}"
            for row in ("waking", "sleep", "scaled", "turned")
            if row in here.index
        ]
        lines.append(f"- {overlap} of 25 pixels shared: {', '.join(parts)}.")
    if not lines:
        return "Not measured yet."
    return "Clean accuracy, and the median smallest Linf change over all images; means over seeds:\n\n" + "\n".join(
        lines
    )


def cells(chapter: Chapter) -> Styler:
    """The second-hand numbers on patches, ours at every overlap beside them."""
    frame = networks(chapter)
    overlaps = sorted(set(frame["overlap"]))
    shown = []
    for cell in (cell for cell in load("sleep").cells if cell.data == "patches"):
        row = "waking" if cell["target"] == "standard" else "sleep"
        mine = (
            frame[frame["row"] == row].groupby("overlap")["scan" if cell["attack"] == "fgsm" else "boundary"].median()
        )
        ours = {f"ours, overlap {overlap}": number(mine.get(overlap, math.nan)) for overlap in overlaps}
        what = f"{cell['attack']}, {cell['metric']}"
        shown.append({"network": row, "what": what, "theirs": f"{cell.value:g}", **ours, "note": cell.note or NOTHING})
    caption = (
        "Numbers that a survey note says are the paper's (second-hand), whose overlap is not known. Ours: the median "
        "over all images, then over seeds; an image answered wrong counts as 0; ∞: not fooled by any step of it."
    )
    return table(pd.DataFrame(shown), caption)
