"""Which reconstruction of DIM does best, and whether it beats something simpler: in numbers and in words."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from bioinspired.chapter import Chapter
from bioinspired.claims.statistics import Effect, Group, image_deviation
from bioinspired.tables.dim import FIXED, of_direct, rate_of_direct
from bioinspired.trials.dim import Direct

RIVALS = ("pgd-trained", "Binary CNN", "class PCA")
"""What a reconstruction has to beat."""

MARGIN = 2.0  # points below which a difference does not count
TAIL = 0.025  # of the intervals, on each side


def reconstructions(chapter: Chapter) -> pd.DataFrame:
    """One row per reconstruction of DIM: label, percent that stand on held-out images and on test images, networks."""
    rows = []
    for label in dict.fromkeys(t.label for t in chapter.study.trials if t.label == "DIM" or t.factors["knob"]):
        held_out = chapter.rate(label, metric="value", kind="direct")
        standing = _standing(chapter, label)
        rows.append({"label": label, "held out": held_out, "test": rate_of_direct(chapter, label, "all"),
                     "networks": 0 if standing is None else len(standing)})  # fmt: skip
    frame = pd.DataFrame(rows, columns=["label", "held out", "test", "networks"])
    return frame.astype({"held out": float, "test": float})


def chosen(chapter: Chapter) -> str | None:
    """The reconstruction that does best on images that training held out; None before there are any."""
    held_out = _column(chapter, "held out")
    return max(held_out, key=lambda label: held_out[label]) if held_out else None


def answer(chapter: Chapter) -> str:
    """Does any reconstruction beat the simple rivals in the worst case per image? In words and numbers, as Markdown."""
    tested, pick = _column(chapter, "test"), chosen(chapter)
    if pick is None or pick not in tested:
        return "*Not measured yet: does any reconstruction beat the simple rivals in the worst case per image?*"
    best = max(tested, key=lambda label: tested[label])
    lines = [
        f"{len(tested)} reconstructions were measured. In all three norms at once, worst case per image over the "
        f"direct attacks, between {min(tested.values()):.1f} % and {tested[best]:.1f} % of "
        f"{int(of_direct(chapter)['n'].max())} test images stand. "
        f"Chosen by images that training held out: *{pick}*, with {tested[pick]:.1f} %; the best on the test "
        f"images themselves is *{best}*.",
        "",
    ]
    for rival in RIVALS:
        theirs = rate_of_direct(chapter, rival, "all")
        if theirs is None:
            lines.append(f"- Against {rival}: not measured.")
            continue
        said = [f"{name} is {_compared(chapter, label, rival)}"
                for name, label in (("the chosen one", pick), ("the best", best))]  # fmt: skip
        lines.append(f"- Against {rival}, which keeps {theirs:.1f} %: {said[0]}, {said[1]}.")
    said_when = (
        "In brackets the 95 % interval over seeds and images. *Better* and *worse* are said where it lies on one side "
        "of zero and the difference is above two points. A reconstruction that was trained once is given the spread "
        "over seeds of DIM. The best of many is picked and flattered."
    )
    lines += ["", said_when]
    return "\n".join(lines)


def _column(chapter: Chapter, name: str) -> dict[str, float]:
    """A column of `reconstructions` by label, without what was not measured."""
    frame = reconstructions(chapter)
    return {str(k): float(v) for k, v in zip(frame["label"], frame[name], strict=True) if not np.isnan(v)}


def _compared(chapter: Chapter, label: str, rival: str) -> str:
    gap, low, high = interval(chapter, label, rival)
    said = f"({gap:+.1f} points [{low:+.1f}, {high:+.1f}])"
    if low <= 0 <= high or abs(gap) <= MARGIN:
        return f"not told apart from it {said}"
    return f"{'better' if gap > 0 else 'worse'} {said}"


def interval(chapter: Chapter, label: str, rival: str) -> tuple[float, float, float]:
    """The difference of two rows that were measured, in points, with its 95 % interval over seeds and images."""
    one, other = _standing(chapter, label), _standing(chapter, rival)
    assert one is not None
    assert other is not None
    n = min(one.shape[1], other.shape[1])
    one, other = one[:, :n], other[:, :n]
    gap = float(one.mean() - other.mean())
    variance = image_deviation(one, other) ** 2 / n
    groups = [group for name in (label, rival) if name not in FIXED and (group := _spread(chapter, name))]
    if groups:
        low, high = Effect(mean=gap, groups=tuple(groups), image_variance=variance).interval(TAIL)
    else:
        reach = -float(ndtri(TAIL)) * variance**0.5
        low, high = gap - reach, gap + reach
    return gap, low, high


def _spread(chapter: Chapter, label: str) -> Group | None:
    """The variance of a row's mean over seeds; of a row with one network, that of DIM's; None where there is none."""
    for name in (label, "DIM"):
        standing = _standing(chapter, name)
        if standing is not None and len(standing) > 1:
            k = len(standing)
            variance = float(standing.mean(1).var(ddof=1))
            return Group(variance=variance if name == label else k * variance, k=k)
    return None


def _standing(chapter: Chapter, label: str) -> NDArray[np.float64] | None:
    """Which images stand in all three norms, 0 or 100, [networks, images]; None before there are any."""
    name = chapter.endpoint("overall-pgd").name
    found = [
        result.correct
        for result in chapter.results
        if isinstance(asked := result.measurement.question, Direct)
        and (result.label, asked.name) == (label, name)
        and result.correct is not None
    ]
    if not found:
        return None
    n = min(len(bits) for bits in found)
    return np.where([bits[:n] for bits in found], 100.0, 0.0)
