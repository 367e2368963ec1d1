"""Which reconstruction of DIM does best, and whether it beats something simpler: in numbers and in words."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bioinspired.evaluation.statistics import LEVEL, Effect, Group
from bioinspired.lab.claims.worst_case import Attacks, Level
from bioinspired.lab.papers.dim.declarations import Direct, HeldOut
from bioinspired.lab.records.results import Result
from bioinspired.lab.records.store import Bits
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.dim import FIXED, NORMS, RANDOM, asked, balls

RIVALS = ("pgd-trained", "Binary CNN", "class PCA")
"""What a reconstruction has to beat."""

NOT_CHOSEN = "models only"
"""A reconstruction too, whose internal models read the raw image (K1); a control, of which no held-out image is asked.
"""

LEFT_OUT = RANDOM
"""Not compared: the attacks in L0 are weaker where a network draws random numbers."""

MARGIN = 2.0  # points below which a difference does not count

HELD_OUT = "held out"
ACCURATE = "clean, held out"
NEAR = 1.0  # points of clean accuracy below the best that a reconstruction may be
MEASURES = {"all": "all three norms at once", "mean": "the mean over the norms"}


def reconstructions(chapter: Chapter) -> pd.DataFrame:
    """One row per reconstruction of DIM, then one per rival, in percent that stand against all attacks of the page.

    Columns: label, each norm, "all" three at once, "mean" over them, and on images that training held out that mean,
    "held out", and "clean, held out", the percentage that are right without any attack (both empty for rivals and for
    `NOT_CHOSEN`).
    """
    trials = chapter.study.trials
    labels = [t.label for t in trials if t.label in ("DIM", NOT_CHOSEN) or t.factors["knob"]]
    rows = [
        {"label": label, ACCURATE: _accurate(chapter, label)}
        | {which: _mean(_standing(chapter, label, which)) for which in (*NORMS, *MEASURES, HELD_OUT)}
        for label in dict.fromkeys((*labels, *RIVALS))
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys((*NORMS, *MEASURES, HELD_OUT, ACCURATE), float))


def chosen(chapter: Chapter) -> list[str]:
    """The reconstruction that is chosen on images that training held out; several if tied.

    First by clean accuracy: what loses more than a point against the best is no candidate. Of the others, or of all
    where that was not measured, the best by the mean over norms.
    """
    frame = reconstructions(chapter)
    accurate, standing = _column(frame, ACCURATE, ours=True), _column(frame, HELD_OUT, ours=True)
    near = [label for label, rate in accurate.items() if rate >= max(accurate.values()) - NEAR]
    return _best({label: rate for label, rate in standing.items() if not near or label in near})


def _accurate(chapter: Chapter, label: str) -> float | None:
    found = [values for r in chapter.results if r.label == label and isinstance(r.measurement.question, HeldOut)
             and (values := r.values("value")) is not None]  # fmt: skip
    return float(np.mean(found)) if found else None


def answer(chapter: Chapter) -> str:
    """Does any reconstruction beat the simple rivals in the worst case per image? In words and numbers, as Markdown."""
    picks, frame = chosen(chapter), reconstructions(chapter)
    tested = {which: _column(frame, which, ours=True) for which in MEASURES}
    if not picks or picks[0] not in tested["mean"]:
        return "*Not measured yet: does any reconstruction beat the simple rivals in the worst case per image?*"
    n = min(result.n for result in chapter.results if asked(result))
    lines = [
        _in_short(chapter, picks[0], frame),
        "",
        f"{len(tested['all'])} reconstructions were measured, worst case per image over all attacks of this page that "
        f"were tried on them, the direct ones on each of {n} test images. {_range(tested['all'], MEASURES['all'])} "
        f"{_range(tested['mean'], MEASURES['mean'])} "
        + _choice(chapter, picks, _column(frame, HELD_OUT, ours=True))
        + _left_out(frame),
        "",
        _clean(chapter, [*picks[:1], *_best(tested["mean"])[:1], "DIM"]),
        "",
    ]
    for rival in RIVALS:
        lines += _against(chapter, picks[0], rival, frame)
    return "\n".join([*lines, "", _brackets(chapter)])


def _in_short(chapter: Chapter, pick: str, frame: pd.DataFrame) -> str:
    """Yes, no or not shown, in all three norms at once; and what the mean over the norms says."""
    word, why = _verdict(chapter, pick, frame, "all")
    _, also = _verdict(chapter, pick, frame, "mean")
    if why == also:
        return f"**{word}.** In {MEASURES['all']}, and in {MEASURES['mean']} too, {why}."
    return f"**{word}.** In {MEASURES['all']} {why}. In {MEASURES['mean']} {also}."


def _verdict(chapter: Chapter, pick: str, frame: pd.DataFrame, which: str) -> tuple[str, str]:
    """Whether a reconstruction beats every rival: the chosen one does, or even the best on the test images does not."""
    rivals = _column(frame, which)
    best = _best(_column(frame, which, ours=True))[0]
    ahead = [rival for rival in RIVALS if rival in rivals and _word(chapter, best, rival, which) == "worse"]
    beaten = [rival for rival in RIVALS if rival in rivals and _word(chapter, pick, rival, which) == "better"]
    chosen_one = f"*{pick}*, chosen on held-out images, is"
    if ahead:
        better = f"better than {_all(beaten)}" if beaten else "not shown to be better than any"
        return "No", (
            f"no reconstruction beats every rival: even the best on the test images is worse than {_all(ahead)}, and "
            f"{chosen_one} {better}"
        )
    if len(beaten) == len(RIVALS):
        return "Yes", f"{chosen_one} better than every rival"
    rest = _all([rival for rival in RIVALS if rival not in beaten])
    return "Not shown", f"{chosen_one} not shown to be better than {rest}"


def _all(labels: list[str]) -> str:
    return " and ".join(f"*{label}*" for label in labels)


def _range(values: Mapping[str, float], words: str) -> str:
    low, high = min(values.values()), max(values.values())
    if low == high:
        return f"In {words} {low:.1f} % stand for each of them."
    return f"In {words} between {low:.1f} % and {high:.1f} % stand, most for {_names(_best(values))}."


def _choice(chapter: Chapter, picks: list[str], held_out: Mapping[str, float]) -> str:
    """What the choice was made on, and what it is worth."""
    standing = {label: _standing(chapter, label, HELD_OUT) for label in held_out}
    n = min(images.shape[1] for images in standing.values() if images is not None)
    pick = picks[0]
    said = (
        f"Chosen on images that training held out, first by clean accuracy, where {NEAR:g} point below the best is "
        f"allowed, then by that mean on {n} of them: {_names(picks)}, with {held_out[pick]:.1f} % there."
    )
    if "DIM" in held_out and "DIM" not in picks:
        gap, low, high = interval(chapter, pick, "DIM", HELD_OUT)
        said += f" *DIM* has {held_out['DIM']:.1f} %, a difference of {gap:+.1f} points [{low:+.1f}, {high:+.1f}]."
    others = [label for label in held_out if label != pick]
    alike = [label for label in others if _word(chapter, pick, label, HELD_OUT) == ALIKE]
    if alike:
        said += (
            f" {len(alike)} of the other {len(others)} {'is' if len(alike) == 1 else 'are'} not told apart from "
            f"*{pick}* on so few images: among these the choice is mostly noise."
        )
    return said


def _left_out(frame: pd.DataFrame) -> str:
    if LEFT_OUT not in _column(frame, "l0"):
        return ""
    return (
        f" *{LEFT_OUT}* is left out of all this: it answers differently each time, so that Pointwise cannot shorten "
        "what was found, and its number in L0 is that of weaker attacks."
    )


def _clean(chapter: Chapter, labels: list[str]) -> str:
    rates = [f"*{label}* {chapter.text(label, kind='clean')} %" for label in dict.fromkeys(labels)]
    return f"Clean images answered right: {', '.join(rates)}."


def _against(chapter: Chapter, pick: str, rival: str, frame: pd.DataFrame) -> list[str]:
    """A bullet for a rival, with one for each measure below it."""
    if rival not in _column(frame, "all"):
        return [f"- *{rival}*: not measured."]
    lines = [f"- *{rival}*"]
    for which, words in MEASURES.items():
        ours = _column(frame, which, ours=True)
        best = _best(ours)
        said = f"{_column(frame, which)[rival]:.1f} % in {words}: *{pick}* is {_compared(chapter, pick, rival, which)}"
        if pick in best:
            alike = "all are alike" if len(best) == len(ours) else "none does better"
            said += f"; on the test images {alike}"
        else:
            said += f"; the best on the test images, {_names(best)}, is {_compared(chapter, best[0], rival, which)}"
        lines.append(f"  - {said}.")
    return lines


def _brackets(chapter: Chapter) -> str:
    over = (
        "over seeds and images; a reconstruction that was trained once is given the spread over seeds of DIM"
        if _spread(chapter, "DIM", "all")
        else "over images alone, because DIM was measured on one training: what another seed would do is left open"
    )
    return (
        f"In brackets the 95 % interval {over}. *Better* and *worse* are said where it lies on one side of zero and "
        f"the difference is above {MARGIN:g} points. The best of many on the same images is flattered."
    )


def _best(values: Mapping[str, float]) -> list[str]:
    """The labels with the largest value."""
    return [label for label, value in values.items() if value == max(values.values())]


def _names(labels: list[str]) -> str:
    named = ", ".join(f"*{label}*" for label in labels[:3])
    return named + (f" and {len(labels) - 3} others" if len(labels) > 3 else "")


def _mean(standing: NDArray[np.float64] | None) -> float | None:
    return None if standing is None else float(standing.mean())


def _column(frame: pd.DataFrame, name: str, *, ours: bool = False) -> dict[str, float]:
    """A column of `reconstructions` by label, without what was not measured; `ours`: those that are compared."""
    pairs = zip(frame["label"], frame[name], strict=True)
    return {str(k): float(v) for k, v in pairs if not np.isnan(v) and not (ours and k in (*RIVALS, LEFT_OUT))}


ALIKE = "not told apart from it"


def _word(chapter: Chapter, label: str, rival: str, which: str) -> str:
    gap, low, high = interval(chapter, label, rival, which)
    if low <= 0 <= high or abs(gap) <= MARGIN:
        return ALIKE
    return "better" if gap > 0 else "worse"


def _compared(chapter: Chapter, label: str, rival: str, which: str) -> str:
    gap, low, high = interval(chapter, label, rival, which)
    return f"{_word(chapter, label, rival, which)}, {gap:+.1f} points [{low:+.1f}, {high:+.1f}]"


def interval(chapter: Chapter, label: str, rival: str, which: str) -> tuple[float, float, float]:
    """The difference of two rows that were measured, in points, with its 95 % interval over seeds and images.

    Args:
        chapter: the page's.
        label, rival: the rows.
        which: of `MEASURES`, or `HELD_OUT`.
    """
    one, other = _standing(chapter, label, which), _standing(chapter, rival, which)
    assert one is not None
    assert other is not None
    n = min(one.shape[1], other.shape[1])
    one, other = one[:, :n], other[:, :n]
    groups = [group for name in (label, rival) if name not in FIXED and (group := _spread(chapter, name, which))]
    effect = Effect(
        mean=float(one.mean() - other.mean()),
        groups=tuple(groups),
        image_variance=float(np.var(one.mean(axis=0) - other.mean(axis=0), ddof=1)),
        n=n,
    )
    low, high = effect.interval(LEVEL)
    return effect.mean, low, high


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
    """Percent of the norms, in one of them, or of all at once, in which each image stands, [networks, images].

    In the worst case over all attacks, where direct ones were made; None before. Held-out images met those alone.
    """
    if which == HELD_OUT:
        found = [values for r in chapter.results if r.label == label and (values := _held_out(r)) is not None]
    else:
        worst = [_worst(chapter.attacks, label, level) for level in balls(chapter).items()]
        seeds = set.intersection(*(set(in_norm) for in_norm in worst))
        each = [np.stack([in_norm[seed] for in_norm in worst]) for seed in sorted(seeds)]
        found = [100.0 * _of_norms(bits, which) for bits in each]
    if not found:
        return None
    n = min(len(images) for images in found)
    return np.stack([images[:n] for images in found])


@lru_cache(maxsize=256)
def _worst(attacks: Attacks, label: str, level: Level) -> dict[int, Bits]:
    return attacks.worst(level, label)[0] if attacks.direct(level, label) else {}


def _of_norms(bits: Bits, which: str) -> NDArray[np.float64]:
    """Of bits [norms, images] those of one norm, all at once, or their mean."""
    chosen = (
        bits[NORMS.index(which) :][:1] if which in NORMS else bits.all(0, keepdims=True) if which == "all" else bits
    )
    found: NDArray[np.float64] = chosen.astype(np.float64).mean(axis=0)
    return found


def _held_out(result: Result) -> NDArray[np.float64] | None:
    question = result.measurement.question
    return result.values("value") if isinstance(question, Direct) and question.last is not None else None
