"""Tables of CUB-200 in the chapter on sleep: what the paper is said to have found, and ours where features were given.

A chapter here is the study on CUB-200, or None at a scale that has none.
"""

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.layout import NOTHING, SPREAD, number, spread, table

NOT_TESTED = "not tested: no features"


def chapter_of(chapter: Chapter) -> Chapter | None:
    """The study on CUB-200 in the same store; None at smoke and laptop scale, where there is none."""
    if chapter.store.scale != "full":
        return None
    return Chapter(papers.study("sleep", "full", dataset="cub200"), chapter.store)


def state(features: Chapter | None) -> str:
    """Whether there are results, as Markdown."""
    if features is None or not features.results:
        return "**Not tested:** there are no records of CUB-200 here, because no features are at hand."
    return features.banner()


def cells(features: Chapter | None) -> Styler:
    """The second-hand numbers, ours beside them or that they were not tested."""
    shown = []
    for cell in (cell for cell in load("sleep").cells if cell.data == "cub200"):
        ours = _ours(features, cell["target"], cell["attack"])
        shown.append(
            {
                "network": cell["target"],
                "what": f"{cell['attack']}, {cell['metric']}",
                "theirs": f"{cell.value:g}",
                "ours, all images": NOT_TESTED if ours is None else number(ours[0]),
                "ours, first right": NOT_TESTED if ours is None else number(ours[1]),
                "note": cell.note or NOTHING,
            }
        )
    caption = (
        "Numbers that a survey note says are the paper's (second-hand). Distances are in the space of features, whose "
        "scale in the paper is not known; ours are medians, their mean over seeds."
    )
    return table(pd.DataFrame(shown), caption)


def rows(features: Chapter | None) -> Styler:
    """Every network by clean accuracy, behind the released output, noise, the FGSM scan, the nearest change in Linf."""
    columns: dict[str, pd.Series[str]] = {}
    if features is not None and features.results:
        frame = features.frame
        columns["clean"] = spread(frame[frame["kind"] == "clean"], "accuracy")
        for name in dict.fromkeys(frame.loc[frame["kind"] == "distortion", "name"]):
            columns[name] = spread(frame[frame["name"] == name], "accuracy")
        columns["FGSM scan"] = spread(frame[frame["kind"] == "fgsm_scan"], "value")
        columns["with the output's ReLU"] = spread(frame[frame["kind"] == "rectified"], "accuracy")
        linf = frame[(frame["kind"] == "distance") & (frame["name"] == "fmn")]
        columns["smallest Linf change, %"] = spread(linf.assign(percent=100 * linf["distance"]), "percent")
    shown = pd.DataFrame(columns, dtype=str).fillna(NOTHING).rename_axis("network").reset_index()
    return table(shown, f"Accuracy over all images, %; the median change of features in [0, 1], in %. {SPREAD}")


def _ours(features: Chapter | None, target: str, attack: str) -> tuple[float, float] | None:
    """Medians over all images, a wrong one at 0, and over those first right; the mean over seeds of each."""
    label = "standard" if target == "standard" else "sleep"
    kind = "fgsm_scan" if attack == "fgsm" else "distance"
    found = [] if features is None else [r for r in features.results if r.label == label and _answers(r, kind, attack)]
    pairs = []
    for result in found:
        distances = result.values("distance")
        if distances is None or result.correct is None or not result.correct.any():
            continue
        size = distances**2 if kind == "distance" else distances
        pairs.append((float(np.median(size)), float(np.median(size[result.correct]))))
    if not pairs:
        return None
    whole, right = np.mean(pairs, axis=0)
    return float(whole), float(right)


def _answers(result: Result, kind: str, attack: str) -> bool:
    question = result.measurement.question
    return question.kind == kind and getattr(question, "name", "") == attack
