"""The 42 attacks on the page about Denoised Internal Models: one by one, and the worst case per image over them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from bioinspired.lab.claims import load
from bioinspired.lab.claims.declarations import Cell
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.papers.dim.declarations import Direct
from bioinspired.lab.papers.dim.declarations import Member as Question
from bioinspired.lab.papers.dim.members import MEMBERS, Member
from bioinspired.lab.records.results import Result
from bioinspired.lab.records.store import Bits
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.dim import NORMS, WORDS, asked, rate_of_direct, thresholds
from bioinspired.pages.tables.layout import NOTHING, counts, number, table

Array = NDArray[np.float64]

ROUNDED = 1.001  # distances are kept with three digits, so that one at a threshold may seem above it

SAME = {
    "CNN": "standard",
    "Binary CNN": "Binary CNN",
    "nearest neighbour": "nearest neighbour",
    "PGD-trained (Madry et al.)": "pgd-trained",
}
"""Networks of the ABS paper's curves, and ours of the same kind."""

THEIRS = Direct().thresholds
"""The ABS paper's thresholds, which are the default here."""

NOT_YET = "not yet"


def of_members(chapter: Chapter, label: str) -> list[Result]:
    """What the members found on networks of a label."""
    return [r for r in chapter.results if r.measurement.question.kind == "member" and r.label == label]


def labels(chapter: Chapter) -> list[str]:
    """Labels of which members were asked, in the study's order."""
    found = (r.label for r in chapter.results if r.measurement.question.kind == "member")
    return list(dict.fromkeys(found))


def name_of(result: Result) -> str:
    """The member's name."""
    return str(getattr(result.measurement.question, "name", ""))


def together(chapter: Chapter, label: str, *, most_images: bool = False) -> dict[int, list[Result]]:
    """Per seed the results to take a worst case over: the same members on every seed.

    They are all members of the seed that has the most, on the seeds that have them all; with `most_images` only those
    that saw the most images.
    """
    found = of_members(chapter, label)
    if most_images:
        most = max((result.n for result in found), default=0)
        found = [result for result in found if result.n == most]
    seeds: dict[int, list[Result]] = {}
    for result in found:
        seeds.setdefault(result.seed, []).append(result)
    wanted = {name_of(result) for result in max(seeds.values(), key=len, default=[])}
    return {seed: mine for seed, mine in seeds.items() if {name_of(result) for result in mine} == wanted}


def judging(results: Mapping[int, Sequence[Result]]) -> list[str]:
    """Norms that some member of `together` is judged in: in the others nothing was tried."""
    names = {name_of(result) for mine in results.values() for result in mine}
    norms = {member.judged for member in MEMBERS if member.name in names}
    return [norm for norm in NORMS if norm in norms]


def smallest(chapter: Chapter, label: str) -> dict[int, Array]:
    """Per seed the smallest change that any member found, in each norm [3, n], on the images that all of them saw.

    Infinite in a norm that no member was judged in.
    """
    results = together(chapter, label)
    n = _shared(results)
    out = {}
    for seed, mine in results.items():
        found = [result.artifact(chapter.store)["distances"].astype(np.float64)[:, :n] for result in mine]
        out[seed] = np.min(found, axis=0)
        out[seed][[norm not in judging(results) for norm in NORMS]] = np.inf
    return out


def _shared(results: Mapping[int, Sequence[Result]]) -> int:
    return min((result.n for mine in results.values() for result in mine), default=0)


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """Percent of images that stand against several attacks, mean over networks, and what is behind it.

    Attributes:
        rates: by norm, of those that some attack is judged in; "all" at once where these are all three.
        networks, images: how many there were.
        attacks: how many members; mean: over them, each in the norm that judges it.
    """

    rates: Mapping[str, float]
    networks: int
    images: int
    attacks: int = 0
    mean: float | None = None


def standing(chapter: Chapter, label: str, *, most_images: bool = False) -> WorstCase | None:
    """The worst case per image over the members of `together`, on the images that all of them saw; None without any."""
    results = together(chapter, label, most_images=most_images)
    if not results:
        return None
    n, norms = _shared(results), judging(results)
    rates: dict[str, list[float]] = {norm: [] for norm in (*norms, *(["all"] if len(norms) == len(NORMS) else []))}
    for mine in results.values():
        worst = {norm: np.logical_and.reduce([_bits(result, norm)[:n] for result in mine]) for norm in norms}
        worst["all"] = np.logical_and.reduce(list(worst.values()))
        for norm, found in rates.items():
            found.append(100.0 * float(worst[norm].mean()))
    each = [_bits(result, _deciding(result))[:n].mean() for mine in results.values() for result in mine]
    return WorstCase(
        rates={norm: float(np.mean(found)) for norm, found in rates.items()},
        mean=100.0 * float(np.mean(each)),
        attacks=len(next(iter(results.values()))),
        networks=len(results),
        images=n,
    )


def _deciding(result: Result) -> str:
    """The name of the bits that judge a member: its norm's; for one without a norm whether anything was found."""
    return next(member.judged or "correct" for member in MEMBERS if member.name == name_of(result))


def _bits(result: Result, norm: str) -> Bits:
    found = result.bits(norm)
    assert found is not None
    return found


def run(chapter: Chapter) -> int:
    """How many of the 42 were run on some network."""
    return len({name_of(result) for label in labels(chapter) for result in of_members(chapter, label)})


def behind(chapter: Chapter) -> str:
    """What is behind the worst cases of `standing`, in words: how many attacks, images and networks; "" without any."""
    found = [worst for label in labels(chapter) if (worst := standing(chapter, label))]
    if not found:
        return ""
    attacks = _span([worst.attacks for worst in found])
    images, networks = _span([worst.images for worst in found]), [worst.networks for worst in found]
    plural = "s" if max(networks) > 1 else ""
    return f"{attacks} of the {len(MEMBERS)} attacks, {images} images, {_span(networks)} network{plural} of each kind"


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def rate_of(chapter: Chapter, label: str, member: Member) -> float | None:
    """Percent of images that stand against one member at its threshold; mean over seeds."""
    norm = member.judged or "correct"
    rates = [100.0 * _bits(r, norm).mean() for r in of_members(chapter, label) if name_of(r) == member.name]
    return float(np.mean(rates)) if rates else None


def median_of(chapter: Chapter, label: str, member: Member) -> float | None:
    """The median of the smallest changes that a member found, in the norm that judges it, over images of all seeds.

    An image that was wrong already counts as 0. None without a norm, and where it found too few.
    """
    norm = member.judged
    found = [r.artifact(chapter.store)["distances"] for r in of_members(chapter, label) if name_of(r) == member.name]
    return _median([distances[NORMS.index(norm)] for distances in found]) if norm and found else None


def _median(each: Sequence[NDArray[np.floating]]) -> float | None:
    """The lower median of all numbers, which is one of them; None where it is infinite."""
    numbers = np.sort(np.concatenate(each).astype(np.float64))
    median = float(numbers[(len(numbers) - 1) // 2])
    return median if np.isfinite(median) else None


def member_table(chapter: Chapter) -> Styler:
    """The 42 one by one: what each is, how many images stand, and the median change that it needed."""
    shown = labels(chapter)
    questions = _questions(chapter)
    rows = []
    for member in MEMBERS:
        results = [r for label in shown for r in of_members(chapter, label) if name_of(r) == member.name]
        rows.append(
            {
                "attack": member.name,
                "norm": {"any": "free", "none": "none"}.get(member.norm, member.norm.capitalize()),
                "uses": member.type,
                "judged in": WORDS.get(member.judged, "any size"),
                "budget": _budget([one for (_, name), one in questions.items() if name == member.name]),
                "passes": f"{member.forwards:,} + {member.backwards:,}",
                "passes here": _passes(results),
                "images": counts(result.n for result in results) or NOTHING,
                **{label: _stands(chapter, label, member, (label, member.name) in questions) for label in shown},
            }
        )
    caption = (
        "The 42: percent of images that stand at the threshold and, in brackets, the median over all images of the "
        "change that was needed (none where less than half of them fell). A member of fixed size tries few sizes, so "
        "that its median in its own norm is one of these. Passes are forward + backward per image: at Foolbox' "
        "defaults for one size, on images that stand to the end; and as they were taken here, over all sizes and with "
        "those that judge what was found. DeepFool's listed passes are no maximum: they are from images that fell "
        "after a few steps, and each step takes one pass for every other class. Budget: steps, and searches, where "
        f"they are not Foolbox' own. “{NOT_YET}”: asked for at this scale, and not measured yet. A dash: not asked for "
        "at this scale."
    )
    return table(pd.DataFrame(rows), caption)


def _questions(chapter: Chapter) -> dict[tuple[str, str], Question]:
    """What the study asks of members, by label and name."""
    return {
        (trial.label, question.name): question
        for trial in chapter.study.trials
        for measurement in trial.measurements
        if isinstance(question := measurement.question, Question)
    }


def _stands(chapter: Chapter, label: str, member: Member, is_asked: bool) -> str:
    rate, median = rate_of(chapter, label, member), median_of(chapter, label, member)
    if rate is None:
        return NOT_YET if is_asked else NOTHING
    return f"{rate:.0f}" + ("" if median is None else f" ({number(median)})")


def _budget(questions: Collection[Question]) -> str:
    chosen = {(question.steps, question.searches) for question in questions}
    said = [" x ".join(str(part) for part in budget if part) for budget in sorted(chosen, key=str)]
    return ", ".join(text or "own" for text in said) or NOTHING


def _passes(results: Collection[Result]) -> str:
    """Mean passes per image over the networks that a member was run on."""
    if not results:
        return NOTHING
    return " + ".join(
        f"{np.mean([result.cost[which] for result in results]):,.0f}" for which in ("forwards", "backwards")
    )


def worst(chapter: Chapter) -> Styler:
    """From the flattering number to the one that counts: the mean over attacks, and worst cases per image."""
    rows = []
    for label in dict.fromkeys(label for label, _ in _questions(chapter)):
        most_images, most_attacks = standing(chapter, label, most_images=True), standing(chapter, label)
        for found in [most_images] + [most_attacks] * (most_attacks != most_images):
            if found:
                rows.append(_line(label, f"{found.attacks} of the {len(MEMBERS)}", found))
        if found := _direct(chapter, label):
            rows.append(_line(label, "direct", found))
    caption = (
        "Percent of images that stand, mean over networks: against some of the 42 that saw the same images, first "
        "those that saw the most images, then, where they differ, all that were run; and against the direct attacks. "
        "The mean counts every attack in the norm that judges it; the columns after it are worst cases per image. A "
        "dash stands where no attack that is judged in the norm was run. All are upper bounds."
    )
    columns = ["network", "attacks", "networks", "images"]
    return table(pd.DataFrame(rows, columns=None if rows else columns), caption)


def _line(label: str, attacks: str, found: WorstCase) -> dict[str, object]:
    rates = [found.rates[norm] for norm in NORMS if norm in found.rates]
    complete = len(rates) == len(NORMS)
    return {
        "network": label,
        "attacks": attacks,
        "networks": found.networks,
        "images": f"{found.images:,}",
        "mean over attacks": _number(found.mean),
        **{WORDS.get(norm, "all three at once"): _number(found.rates.get(norm)) for norm in (*NORMS, "all")},
        "least of the norms": _number(min(rates) if complete else None),
        "mean of the norms": _number(float(np.mean(rates)) if complete else None),
    }


def _direct(chapter: Chapter, label: str) -> WorstCase | None:
    """The worst case over direct attacks; None before there are any."""
    found = [result for result in chapter.results if result.label == label and asked(result)]
    rates = {norm: rate for norm in (*NORMS, "all") if (rate := rate_of_direct(chapter, label, norm)) is not None}
    return WorstCase(rates=rates, networks=len(found), images=min(result.n for result in found)) if found else None


GAP = 10.0  # points between members and direct attacks that are worth a word


def missed(chapter: Chapter) -> str:
    """Where direct attacks find most that the members do not, as Markdown; "" where they do not."""
    gaps = []
    for label in labels(chapter):
        members, direct = standing(chapter, label), _direct(chapter, label)
        both = [norm for norm in NORMS if members and direct and norm in members.rates and norm in direct.rates]
        if members and direct and both:
            norm = max(both, key=lambda norm: members.rates[norm] - direct.rates[norm])
            stand = members.rates[norm], direct.rates[norm]
            gaps.append((stand[0] - stand[1], f"*{label}* in {WORDS[norm]}, {stand[0]:.0f} and {stand[1]:.0f} %"))
    said = [words for gap, words in sorted(gaps, reverse=True) if gap > GAP][:3]
    if not said:
        return ""
    return f"The widest gaps, by what stands against the members and against the direct attacks: {'; '.join(said)}."


def beside(chapter: Chapter) -> Styler:
    """Ours beside the ABS paper's curves, network by network and norm by norm, at the ABS paper's thresholds."""
    rows = []
    for (target, norm), (accuracy, median) in published().items():
        ours = standing(chapter, SAME.get(target, "")) if data_of(chapter.study) == accuracy.data else None
        same_size = ours and thresholds(chapter)[norm] == THEIRS[norm]
        rows.append(
            {
                "network": target,
                "norm": f"{WORDS[norm]} {THEIRS[norm]:g}",
                "stand, %: theirs": f"{accuracy.value:g}",
                "ours": _number(_ours(chapter, accuracy)),
                "ours, direct": _number(rate_of_direct(chapter, SAME[target], norm) if same_size else None),
                "median change: theirs": f"{median.value:g}",
                "ours ": _change(_ours(chapter, median)),
                "attacks, ours": f"{ours.attacks} of the {len(MEMBERS)}" if ours else NOTHING,
                "networks": ours.networks if ours else NOTHING,
                "images": f"{ours.images:,}" if ours else NOTHING,
            }
        )
    caption = (
        "Worst case per image over attacks: the ABS paper's over its own list, and ours over another one, those of the "
        "42 that were run, on the images that all of them saw; beside it what stands against our direct attacks. A "
        "dash: not measured here, or no attack that is judged in the norm was run. Their accuracies are quoted from "
        "the raw data, their medians read off them."
    )
    return table(pd.DataFrame(rows), caption)


def published() -> dict[tuple[str, str], tuple[Cell, Cell]]:
    """The ABS paper's accuracy at its threshold and its median change, by network and norm."""
    cells = [cell for cell in load("dim").cells if cell.source_set == "abs"]
    medians = {(c["target"], c["norm"]): c for c in cells if c["metric"] == "median distance"}
    rates = [cell for cell in cells if cell["metric"] == "accuracy"]
    accuracies = {(c["target"], c["norm"]): c for c in rates if float(c["eps"]) == THEIRS[c["norm"]]}
    order = [(target, norm) for target in dict.fromkeys(target for target, _ in medians) for norm in NORMS]
    return {at: (accuracies[at], medians[at]) for at in order}


def _ours(chapter: Chapter, cell: Cell) -> float | None:
    """Our number for a cell of the ABS curves: the rate at its threshold, or the median of the smallest changes.

    None where no member was run that is judged in the norm.
    """
    label = SAME.get(cell["target"], "")
    if data_of(chapter.study) != cell.data or cell["norm"] not in judging(together(chapter, label)):
        return None
    seeds = [distances[NORMS.index(cell["norm"])] for distances in smallest(chapter, label).values()]
    if cell["metric"] == "accuracy":
        return float(np.mean([100 * float((seed > float(cell["eps"]) * ROUNDED).mean()) for seed in seeds]))
    return _median(seeds)


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}"


def _change(value: float | None) -> str:
    return NOTHING if value is None else number(value)
