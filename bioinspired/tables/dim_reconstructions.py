"""Which reconstruction of DIM does best, and whether it beats something simpler: in numbers and in words."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from bioinspired.chapter import Chapter
from bioinspired.claims.statistics import Effect, Group, image_deviation
from bioinspired.results import Result
from bioinspired.tables.dim import FIXED, NORMS, asked, rates_of_direct
from bioinspired.trials.dim import Direct

RIVALS = ("pgd-trained", "Binary CNN", "class PCA")
"""What a reconstruction has to beat."""

MARGIN = 2.0  # points below which a difference does not count
TAIL = 0.025  # of the intervals, on each side

MEASURES = {"all": "in all three norms at once", "mean": "in the mean over the norms"}


def reconstructions(chapter: Chapter) -> pd.DataFrame:
    """One row per reconstruction of DIM, then one per rival, in percent that stand against direct attacks.

    Columns: label, each norm, "all" three at once, "mean" over them, "held out" (that mean on images that training held
    out, empty for rivals).
    """
    labels = [t.label for t in chapter.study.trials if t.label == "DIM" or t.factors["knob"]]
    rates = rates_of_direct(chapter).drop(columns="seed").astype(dict.fromkeys((*NORMS, "all"), float))
    frame = rates.groupby("label").mean().reindex(list(dict.fromkeys((*labels, *RIVALS))))
    frame["mean"] = frame[list(NORMS)].mean(axis=1)
    frame["held out"] = pd.Series({label: _held_out(chapter, label) for label in frame.index}, dtype=float)
    return frame.rename_axis("label").reset_index()


def chosen(chapter: Chapter) -> list[str]:
    """The reconstructions that do best on images that training held out, by the mean over norms; several if tied."""
    held_out = _column(reconstructions(chapter), "held out")
    best = max(held_out.values(), default=0.0)
    return [label for label, value in held_out.items() if value == best]


def answer(chapter: Chapter) -> str:
    """Does any reconstruction beat the simple rivals in the worst case per image? In words and numbers, as Markdown."""
    picks, frame = chosen(chapter), reconstructions(chapter)
    tested = {which: _column(frame, which, ours=True) for which in MEASURES}
    if not picks or picks[0] not in tested["mean"]:
        return "*Not measured yet: does any reconstruction beat the simple rivals in the worst case per image?*"
    n = min(result.n for result in chapter.results if asked(result))
    lines = [
        f"{len(tested['all'])} reconstructions were measured, worst case per image over the direct attacks on {n} test "
        f"images. {_range(tested['all'], 'In all three norms at once')} "
        f"{_range(tested['mean'], 'In the mean over the norms')} "
        f"Chosen by that mean on images that training held out: {_names(picks)}.",
        "",
    ]
    for rival in RIVALS:
        if rival not in _column(frame, "all"):
            lines.append(f"- Against {rival}: not measured.")
            continue
        said = []
        for which, words in MEASURES.items():
            theirs = _column(frame, which)[rival]
            best = max(tested[which], key=lambda label: tested[which][label])
            said.append(
                f"{words} it keeps {theirs:.1f} %; *{picks[0]}* is {_compared(chapter, picks[0], rival, which)}, "
                f"the best on the test images, *{best}*, {_compared(chapter, best, rival, which)}"
            )
        lines.append(f"- Against {rival}: {'; '.join(said)}.")
    over = (
        "over seeds and images; a reconstruction that was trained once is given the spread over seeds of DIM"
        if _spread(chapter, "DIM", "all")
        else "over images alone, because DIM was measured on one training: what another seed would do is left open"
    )
    said_when = (
        f"In brackets the 95 % interval {over}. *Better* and *worse* are said where it lies on one side of zero and "
        "the difference is above two points. The best of many is picked and flattered."
    )
    lines += ["", said_when]
    return "\n".join(lines)


def _range(values: dict[str, float], words: str) -> str:
    low, high = min(values.values()), max(values.values())
    if low == high:
        return f"{words} {low:.1f} % stand for each of them."
    best = [label for label, value in values.items() if value == high]
    return f"{words} between {low:.1f} % and {high:.1f} % stand, most for {_names(best)}."


def _names(labels: list[str]) -> str:
    named = ", ".join(f"*{label}*" for label in labels[:3])
    return named + (f" and {len(labels) - 3} others" if len(labels) > 3 else "")


def _held_out(chapter: Chapter, label: str) -> float | None:
    rates = [r.rate("value") for r in chapter.results if r.label == label and _is_held_out(r)]
    values = [rate for rate in rates if rate is not None]
    return float(np.mean(values)) if values else None


def _is_held_out(result: Result) -> bool:
    question = result.measurement.question
    return isinstance(question, Direct) and question.last is not None


def _column(frame: pd.DataFrame, name: str, *, ours: bool = False) -> dict[str, float]:
    """A column of `reconstructions` by label, without what was not measured; `ours`: without the rivals."""
    pairs = zip(frame["label"], frame[name], strict=True)
    return {str(k): float(v) for k, v in pairs if not np.isnan(v) and not (ours and k in RIVALS)}


def _compared(chapter: Chapter, label: str, rival: str, which: str) -> str:
    gap, low, high = interval(chapter, label, rival, which)
    said = f"({gap:+.1f} points [{low:+.1f}, {high:+.1f}])"
    if low <= 0 <= high or abs(gap) <= MARGIN:
        return f"not told apart from it {said}"
    return f"{'better' if gap > 0 else 'worse'} {said}"


def interval(chapter: Chapter, label: str, rival: str, which: str) -> tuple[float, float, float]:
    """The difference of two rows that were measured, in points, with its 95 % interval over seeds and images.

    Args:
        chapter: the page's.
        label, rival: the rows.
        which: of `MEASURES`.
    """
    one, other = _standing(chapter, label, which), _standing(chapter, rival, which)
    assert one is not None
    assert other is not None
    n = min(one.shape[1], other.shape[1])
    one, other = one[:, :n], other[:, :n]
    gap = float(one.mean() - other.mean())
    variance = image_deviation(one, other) ** 2 / n
    groups = [group for name in (label, rival) if name not in FIXED and (group := _spread(chapter, name, which))]
    if groups:
        low, high = Effect(mean=gap, groups=tuple(groups), image_variance=variance).interval(TAIL)
    else:
        reach = -float(ndtri(TAIL)) * variance**0.5
        low, high = gap - reach, gap + reach
    return gap, low, high


def _spread(chapter: Chapter, label: str, which: str) -> Group | None:
    """The variance of a row's mean over seeds; of a row with one network, that of DIM's; None where there is none."""
    for name in (label, "DIM"):
        standing = _standing(chapter, name, which)
        if standing is not None and len(standing) > 1:
            k = len(standing)
            variance = float(standing.mean(1).var(ddof=1))
            return Group(variance=variance if name == label else k * variance, k=k)
    return None


def _standing(chapter: Chapter, label: str, which: str) -> NDArray[np.float64] | None:
    """Percent of the norms, or of all at once, in which each image stands, [networks, images]; None before any are."""
    found = []
    for result in chapter.results:
        if result.label == label and asked(result):
            bits = [result.bits(name) for name in (NORMS if which == "mean" else ("correct",))]
            found.append(100.0 * np.mean([one for one in bits if one is not None], axis=0))
    if not found:
        return None
    n = min(len(images) for images in found)
    return np.stack([images[:n] for images in found])
