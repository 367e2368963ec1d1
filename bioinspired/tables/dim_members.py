"""The 42 attacks on the page about Denoised Internal Models: one by one, and the worst case per image over them."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from bioinspired.assessment import data_of
from bioinspired.attacks.members import MEMBERS, Member
from bioinspired.chapter import Chapter
from bioinspired.claims import load
from bioinspired.claims.declarations import Cell
from bioinspired.records import Bits
from bioinspired.results import Result
from bioinspired.tables.dim import NORMS, WORDS, rate_of_direct
from bioinspired.tables.layout import NOTHING, table
from bioinspired.trials.dim import Member as Question

Array = NDArray[np.float64]

ROUNDED = 1.001  # distances are kept with three digits, so that one at a threshold may seem above it

SAME = {
    "CNN": "standard",
    "Binary CNN": "Binary CNN",
    "nearest neighbour": "nearest neighbour",
    "PGD-trained (Madry et al.)": "pgd-trained",
}
"""Networks of the ABS paper's curves, and ours of the same kind."""


def judged(member: Member) -> str:
    """The norm at whose threshold a member is judged: its own; L2 for L1 and for a free choice; "" for no norm."""
    if member.name == "SaltAndPepperNoise":
        return "l0"
    return {"linf": "linf", "l0": "l0", "none": ""}.get(member.norm, "l2")


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
    wanted = max((len(mine) for mine in seeds.values()), default=0)
    return {seed: mine for seed, mine in seeds.items() if len(mine) == wanted}


def smallest(chapter: Chapter, label: str) -> dict[int, Array]:
    """Per seed the smallest change that any member found, in each norm [3, n], on the images that all of them saw."""
    out = {}
    for seed, results in together(chapter, label).items():
        found = [result.artifact(chapter.store)["distances"].astype(np.float64) for result in results]
        n = min(distances.shape[1] for distances in found)
        out[seed] = np.min([distances[:, :n] for distances in found], axis=0)
    return out


def standing(chapter: Chapter, label: str, *, most_images: bool = False) -> dict[str, float]:
    """Percent of images that stand against all members of `together`, on the images that all of them saw.

    Norm by norm, in all three ("all"), and how many there were: "images", "members", "networks". Means over seeds;
    empty where nothing was measured.
    """
    rates = []
    results = together(chapter, label, most_images=most_images)
    n = min((result.n for mine in results.values() for result in mine), default=0)
    for mine in results.values():
        bits = np.array([np.logical_and.reduce([_bits(result, norm)[:n] for result in mine]) for norm in NORMS])
        rates.append(100.0 * np.array([*bits.mean(1), bits.all(0).mean()]))
    if not rates:
        return {}
    counts = {"images": n, "members": len(next(iter(results.values()))), "networks": len(rates)}
    return dict(zip((*NORMS, "all"), np.mean(rates, axis=0).tolist(), strict=True)) | counts


def _bits(result: Result, norm: str) -> Bits:
    found = result.bits(norm)
    assert found is not None
    return found


def run(chapter: Chapter) -> int:
    """How many of the 42 were run on some network."""
    return len({name_of(result) for label in labels(chapter) for result in of_members(chapter, label)})


def rate_of(chapter: Chapter, label: str, member: Member) -> float | None:
    """Percent of images that stand against one member at its threshold; mean over seeds."""
    norm = judged(member) or "correct"
    rates = [100.0 * _bits(r, norm).mean() for r in of_members(chapter, label) if name_of(r) == member.name]
    return float(np.mean(rates)) if rates else None


def median_of(chapter: Chapter, label: str, member: Member) -> float | None:
    """The median of the smallest changes that a member found, in the norm that judges it, over all images; mean over
    seeds. An image that was wrong already counts as 0. None without a norm, and where it found too few."""
    norm = judged(member)
    if not norm:
        return None
    found = [r.artifact(chapter.store)["distances"] for r in of_members(chapter, label) if name_of(r) == member.name]
    medians = [float(np.median(distances[NORMS.index(norm)].astype(np.float64))) for distances in found]
    return float(np.mean(medians)) if medians and np.isfinite(medians).all() else None


def member_table(chapter: Chapter) -> Styler:
    """The 42 one by one: what each is, how many images stand, and the median change that it needed."""
    shown = labels(chapter)
    rows = []
    for member in MEMBERS:
        results = [r for label in shown for r in of_members(chapter, label) if name_of(r) == member.name]
        rows.append(
            {
                "attack": member.name,
                "norm": {"any": "free", "none": "none"}.get(member.norm, member.norm.capitalize()),
                "uses": member.type,
                "judged in": WORDS.get(judged(member), "any size"),
                "budget": _budget(results),
                "passes": f"{member.forwards:,} + {member.backwards:,}",
                "passes here": _passes(results),
                "images": _counts({result.n for result in results}),
                **{label: _stands(chapter, label, member) for label in shown},
            }
        )
    caption = (
        "The 42: percent of images that stand at the threshold and, in brackets, the median over all images of the "
        "change that was needed (none where less than half of them fell). Passes are forward + backward per image: at "
        "Foolbox' defaults on images that stand to the end, and as they were taken here. Budget: steps, and searches, "
        "where they are not Foolbox' own. A dash says that the member was not run at this scale."
    )
    return table(pd.DataFrame(rows), caption)


def _stands(chapter: Chapter, label: str, member: Member) -> str:
    rate, median = rate_of(chapter, label, member), median_of(chapter, label, member)
    return NOTHING if rate is None else f"{rate:.0f}" + ("" if median is None else f" ({median:.2g})")


def _budget(results: Collection[Result]) -> str:
    chosen = {(q.steps, q.searches) for r in results if isinstance(q := r.measurement.question, Question)}
    said = [" x ".join(str(part) for part in budget if part) for budget in sorted(chosen, key=str)]
    return ", ".join(text or "own" for text in said) or NOTHING


def _counts(numbers: Collection[int]) -> str:
    return ", ".join(f"{n:,}" for n in sorted(numbers)) or NOTHING


def _passes(results: Collection[Result]) -> str:
    """Mean passes per image over the networks that a member was run on."""
    if not results:
        return NOTHING
    return " + ".join(
        f"{np.mean([result.cost[which] for result in results]):,.0f}" for which in ("forwards", "backwards")
    )


def worst(chapter: Chapter) -> Styler:
    """From the flattering number to the one that counts: the mean over attacks, and the worst case per image."""
    shown = labels(chapter)
    wide = {label: standing(chapter, label, most_images=True) for label in shown}
    deep = {label: standing(chapter, label) for label in shown}
    differ = any(wide[label]["images"] != deep[label]["images"] for label in shown)
    rows = []
    for label in shown:
        each = [rate for member in MEMBERS if (rate := rate_of(chapter, label, member)) is not None]
        direct = {norm: rate_of_direct(chapter, label, norm) for norm in (*NORMS, "all")}
        per_norm = [value for norm in NORMS if (value := direct[norm]) is not None]
        cheap = {f"{WORDS[norm]}, {_said(wide[label])}": f"{wide[label][norm]:.0f}" for norm in ("linf", "l2")}
        rows.append(
            {
                "network": label,
                "attacks run": len(each),
                "mean over them": f"{np.mean(each):.0f}",
                **(cheap if differ else {}),
                **{f"42: {WORDS.get(norm, norm)}": f"{deep[label][norm]:.0f}" for norm in (*NORMS, "all")},
                "images": deep[label]["images"],
                **{f"direct: {WORDS.get(norm, norm)}": _number(direct[norm]) for norm in (*NORMS, "all")},
                "least norm": _number(min(per_norm, default=None)),
                "mean norm": _number(float(np.mean(per_norm)) if per_norm else None),
            }
        )
    columns = ["network", "attacks run", "mean over them"]
    caption = (
        "Percent of images that stand. “42” is the worst case per image over the members that were run, on the images "
        "that all of them saw; where members saw different numbers of images, the columns before it have those that "
        "saw the most. “Direct” is the worst case over scale-free attacks on the score; “all”: in all three norms at "
        "once. The mean counts every attack, whatever its norm. Upper bounds; means over seeds."
    )
    return table(pd.DataFrame(rows, columns=None if rows else columns), caption)


def _said(counts: dict[str, float]) -> str:
    return f"{counts['members']:.0f} on {counts['images']:,.0f}"


def beside(chapter: Chapter) -> Styler:
    """Ours beside the ABS paper's curves, network by network and norm by norm."""
    cells = {(c["target"], c["norm"], c["metric"]): c for c in load("dim").cells if c.source_set == "abs"}
    rows = []
    for target in dict.fromkeys(name for name, _, _ in cells):
        for norm in NORMS:
            accuracy, median = (cells.get((target, norm, metric)) for metric in ("accuracy", "median distance"))
            if accuracy is None or median is None:
                continue
            ours = [_ours(chapter, cell) for cell in (accuracy, median)]
            rows.append(
                {
                    "network": target,
                    "norm": f"{WORDS[norm]} {accuracy['eps']}",
                    "stand, %: ours": _number(ours[0]),
                    "theirs": f"{accuracy.value:g}",
                    "median change: ours": NOTHING if ours[1] is None else f"{ours[1]:.2g}",
                    "theirs ": f"{median.value:g}",
                }
            )
    caption = (
        "Worst case per image over attacks: ours over the 42, on the images that all of them saw, and the ABS paper's "
        "over its own list, another one. Its accuracies are quoted from the raw data, its medians read off them."
    )
    return table(pd.DataFrame(rows), caption)


def _ours(chapter: Chapter, cell: Cell) -> float | None:
    """Our number for a cell of the ABS curves: the rate at its threshold, or the median of the smallest changes."""
    found = smallest(chapter, SAME.get(cell["target"], "")) if data_of(chapter.study) == cell.data else {}
    if not found:
        return None
    seeds = [distances[NORMS.index(cell["norm"])] for distances in found.values()]
    if cell["metric"] == "accuracy":
        return float(np.mean([100 * float((seed > float(cell["eps"]) * ROUNDED).mean()) for seed in seeds]))
    medians = [float(np.median(seed)) for seed in seeds]
    return float(np.mean(medians)) if np.isfinite(medians).all() else None


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}"
