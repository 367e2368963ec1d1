"""Tables of the chapter on Denoised Internal Models, and what its figures share with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from bioinspired.attacks.members import MEMBERS, Member
from bioinspired.chapter import Chapter
from bioinspired.claims.declarations import Cell
from bioinspired.results import Result
from bioinspired.tables.layout import NOTHING, SPREAD, spread, table, with_interval
from bioinspired.trials.dim import Direct

NORMS = ("linf", "l2", "l0")
WORDS = {"linf": "Linf", "l2": "L2", "l0": "L0"}
FIXED = ("class PCA", "nearest neighbour")
"""Networks without randomness: one of each, whatever the seeds."""

RANDOM = "K9 noise"
"""The row that draws random numbers when it answers."""

ROUNDED = 1.001  # distances are kept with three digits, so that one at a threshold may seem above it


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


def thresholds(chapter: Chapter) -> dict[str, float]:
    """At which size of a change, in each norm, an image is called robust."""
    name = chapter.endpoint("overall-pgd").name.split()[1:]
    return dict(zip(NORMS, (float(value) for value in name), strict=True))


def smallest(chapter: Chapter, label: str) -> dict[int, NDArray[np.float64]]:
    """Per seed the smallest change that any member found, in each norm [3, n]: over the members that saw the image."""
    out: dict[int, NDArray[np.float64]] = {}
    for result in of_members(chapter, label):
        found = result.artifact(chapter.store)["distances"].astype(np.float64)
        before = out.get(result.seed, np.full((len(NORMS), 0), np.inf))
        n = max(before.shape[1], found.shape[1])
        padded = [np.pad(a, ((0, 0), (0, n - a.shape[1])), constant_values=np.inf) for a in (before, found)]
        out[result.seed] = np.minimum(*padded)
    return out


def standing(chapter: Chapter, label: str) -> dict[str, float]:
    """Percent of images that stand against all members: norm by norm, and in all three ("all"); mean over seeds."""
    seeds: dict[int, NDArray[np.bool_]] = {}
    for result in of_members(chapter, label):
        found = np.stack([result.record.bits(result.key, norm) for norm in NORMS])
        before = seeds.get(result.seed, np.ones((len(NORMS), 0), np.bool_))
        n = max(before.shape[1], found.shape[1])
        padded = [np.pad(a, ((0, 0), (0, n - a.shape[1])), constant_values=True) for a in (before, found)]
        seeds[result.seed] = padded[0] & padded[1]
    if not seeds:
        return {}
    rates = {norm: 100 * float(np.mean([s[i].mean() for s in seeds.values()])) for i, norm in enumerate(NORMS)}
    return rates | {"all": 100 * float(np.mean([s.all(0).mean() for s in seeds.values()]))}


def run(chapter: Chapter) -> int:
    """How many of the 42 were run on some network."""
    names = {
        getattr(r.measurement.question, "name", "") for label in labels(chapter) for r in of_members(chapter, label)
    }
    return len(names)


def rate_of(chapter: Chapter, label: str, member: Member) -> float | None:
    """Percent of images that stand against one member at its threshold; mean over seeds."""
    norm = judged(member)
    rates = []
    for result in of_members(chapter, label):
        if getattr(result.measurement.question, "name", "") == member.name:
            bits = result.record.bits(result.key, norm or "correct")
            rates.append(100 * float(bits.mean()))
    return float(np.mean(rates)) if rates else None


def member_table(chapter: Chapter) -> Styler:
    """The 42 one by one: what each is, and how many images stand."""
    shown = labels(chapter)
    rows = []
    for member in MEMBERS:
        found = {label: rate_of(chapter, label, member) for label in shown}
        rows.append(
            {
                "attack": member.name,
                "norm": {"any": "free", "none": "none"}.get(member.norm, member.norm.capitalize()),
                "uses": member.type,
                "judged in": WORDS.get(judged(member), "any size"),
                "passes": f"{member.forwards:,} + {member.backwards:,}",
                "passes here": _passes(chapter, member),
                **{label: NOTHING if rate is None else f"{rate:.0f}" for label, rate in found.items()},
            }
        )
    caption = (
        "The 42: percent of images that stand at the threshold. Passes are forward + backward per image: at Foolbox' "
        "defaults on images that stand to the end, and as they were taken here; a dash says that the member was "
        "not run at this scale."
    )
    return table(pd.DataFrame(rows), caption)


def _passes(chapter: Chapter, member: Member) -> str:
    """Mean passes per image over the networks that a member was run on."""
    costs = [
        result.cost
        for label in labels(chapter)
        for result in of_members(chapter, label)
        if getattr(result.measurement.question, "name", "") == member.name
    ]
    if not costs:
        return NOTHING
    return " + ".join(f"{np.mean([cost[which] for cost in costs]):,.0f}" for which in ("forwards", "backwards"))


def worst(chapter: Chapter) -> Styler:
    """From the flattering number to the one that counts: the mean over attacks, and the worst case per image."""
    rows = []
    for label in labels(chapter):
        each = [rate for member in MEMBERS if (rate := rate_of(chapter, label, member)) is not None]
        stands = standing(chapter, label)
        direct = {norm: rate_of_direct(chapter, label, norm) for norm in (*NORMS, "all")}
        per_norm = [value for norm in NORMS if (value := direct[norm]) is not None]
        rows.append(
            {
                "network": label,
                "attacks run": len(each),
                "mean over them": f"{np.mean(each):.0f}",
                **{f"42: {WORDS[norm]}": f"{stands[norm]:.0f}" for norm in NORMS},
                "42: all": f"{stands['all']:.0f}",
                **{f"direct: {WORDS[norm]}": _number(direct[norm]) for norm in NORMS},
                "direct: all": _number(direct["all"]),
                "least norm": _number(min(per_norm, default=None)),
                "mean norm": _number(float(np.mean(per_norm)) if per_norm else None),
            }
        )
    columns = ["network", "attacks run", "mean over them", *(f"42: {WORDS[norm]}" for norm in NORMS), "42: all",
               *(f"direct: {WORDS[norm]}" for norm in NORMS), "direct: all", "least norm", "mean norm"]  # fmt: skip
    caption = (
        "Percent of images that stand. “42” is the worst case per image over the members that were run, “direct” that "
        "over scale-free attacks on the score; “all”: in all three norms at once. Upper bounds; means over seeds."
    )
    return table(pd.DataFrame(rows, columns=columns), caption)


def direct(chapter: Chapter) -> Styler:
    """Every row of the study against direct attacks."""
    frame = of_direct(chapter)
    made = {"clean": spread(chapter.frame[chapter.frame["kind"] == "clean"], "unconditional")}
    made["noise"] = spread(chapter.frame[chapter.frame["name"] == "gaussian_noise_clipped"], "unconditional")
    for norm in (*NORMS, "all"):
        made[WORDS.get(norm, "all three")] = spread(frame[frame["name"].str.startswith(norm)], "unconditional")
    rows = list(dict.fromkeys(trial.label for trial in chapter.study.trials))
    shown = pd.DataFrame(made, dtype=str).reindex(rows).fillna(NOTHING).rename_axis("network").reset_index()
    caption = (
        f"Percent of images that are right: clean, under noise (σ = 0.5), under direct attacks. {SPREAD} "
        f"{' and '.join(FIXED).capitalize()} have no randomness: one network each."
    )
    return table(shown, caption)


def slopes(chapter: Chapter) -> Styler:
    """Networks behind a threshold: what stands when attacks take it for the identity, and in the worst case."""
    rows = []
    for result in chapter.results:
        question = result.measurement.question
        if isinstance(question, Direct) and question.widths and question.norm != "all" and question.last is None:
            before = 100 * float(result.record.bits(result.key, "identity").mean())
            rows.append({"network": result.label, "norm": WORDS[question.norm], "seed": result.seed,
                         "identity": before, "worst": result.rate()})  # fmt: skip
    frame = pd.DataFrame(rows, columns=["network", "norm", "seed", "identity", "worst"])
    shown = [{"network": label, "norm": norm, "networks": len(mine), "identity": f"{mine['identity'].mean():.1f}",
              "with the slopes": f"{mine['worst'].mean():.1f}"}
             for (label, norm), mine in frame.groupby(["network", "norm"], sort=False)]  # fmt: skip
    caption = (
        "Percent of images that stand against direct attacks: with the identity alone as the threshold's derivative, "
        "and in the worst case over it and sigmoids of several widths. Means over networks."
    )
    columns = ["network", "norm", "networks", "identity", "with the slopes"]
    return table(pd.DataFrame(shown, columns=columns), caption)


KNOWING = {
    "direct": "direct: margin and smallest perturbation",
    "double precision": "PGD in double precision",
    "autoattack": "AutoAttack",
    "latent descent": "latent descent",
    "collision": "collision",
    "identity backward": "identity backward",
    "nearest start": "HopSkipJump from the nearest image of another class",
    "square": "Square, which sees scores only",
    "torchattacks.SPSA": "SPSA, which estimates gradients from scores",
    "moved": "moved from",
    "draws": "direct, means over draws",
}
"""The attacks of `knowing` in its order, and what they are called there."""


def knowing(chapter: Chapter) -> Styler:
    """Attacks that know what they attack, and those that see answers only, on the first seed: which images stand."""
    firsts = {trial.label: trial.network.seed for trial in reversed(chapter.study.trials)}
    rows = []
    for _, row in chapter.frame.iterrows():
        which = _knowing(row) if firsts.get(row["label"]) == row["seed"] else ""
        if which:
            norm = str(row["norm"]) or str(row["name"]).split()[0]
            rows.append({"network": row["label"], "attack": KNOWING[which] + _detail(row), "which": which,
                         "norm": WORDS.get(norm, "all three"), "images": row["n"],
                         "stand, %": with_interval(row["unconditional"], row["n"])})  # fmt: skip
    rows.sort(key=lambda row: list(KNOWING).index(str(row["which"])))
    caption = "Attacks that know the model, on one network each: percent of images that stand, with 95 % intervals."
    return table(pd.DataFrame(rows, columns=["network", "attack", "norm", "images", "stand, %"]), caption)


def _knowing(row: "pd.Series[Any]") -> str:
    """Which of `KNOWING` a row is; "" for none."""
    kind, name = str(row["kind"]), str(row["name"])
    if kind == "direct" and not name.endswith("held out"):
        of_dim = row["label"] == "DIM" and not name.startswith("all")
        return "direct" if of_dim else "draws" if row["label"] == RANDOM else ""
    if kind == "attack" and row["source"]:
        return "moved"
    return name if kind in ("adaptive", "attack") and name in KNOWING else ""


def _detail(row: "pd.Series[Any]") -> str:
    """What else is to be said of an attack: the network that its images were made on, or a longer budget."""
    if row["source"]:
        return f" {row['source']}" + (", another seed" if row["source"] == row["label"] else "")
    budget = str(row["name"]).partition(", ")[2] if row["kind"] == "direct" else ""
    return budget and f"; {budget.replace(' x ', ', restarts: ')}"


def scale_frame(chapter: Chapter) -> pd.DataFrame:
    """One row per attack on rescaled logits: attack, norm, factor, percent that stand."""
    rows = []
    for result in chapter.results:
        question = result.measurement.question
        if question.kind == "logit_scale":
            rows.append({"attack": getattr(question, "name", ""), "norm": getattr(question, "norm", ""),
                         "factor": float(getattr(question, "factor", "1")), "stands": result.rate()})  # fmt: skip
    return pd.DataFrame(rows, columns=["attack", "norm", "factor", "stands"])


ATTACKS = {"pgd": "PGD on the cross-entropy", "carlini_wagner": "C&W", "fmn": "FMN, which knows no scale"}


def scales(chapter: Chapter) -> Styler:
    """Percent that stand by the factor on the logits; the last column is the number that counts."""
    frame = scale_frame(chapter)
    rows = []
    for (attack, norm), mine in frame.groupby(["attack", "norm"], sort=False):
        by = mine.groupby("factor")["stands"].mean()
        rows.append({"attack": ATTACKS[str(attack)], "norm": WORDS[str(norm)],
                     **{f"× {factor:g}": f"{rate:.0f}" for factor, rate in by.items()},
                     "least": f"{by.min():.0f}"})  # fmt: skip
    columns = ["attack", "norm", "least"] if not rows else list(rows[0])
    caption = (
        "One DIM whose logits are multiplied by a factor, so that no answer changes: percent of images that stand."
    )
    return table(pd.DataFrame(rows, columns=columns), caption)


def ours(chapter: Chapter, cell: Cell) -> float | None:
    """Our number for a cell of the ABS curves: the rate at its threshold, or the median of the smallest changes."""
    label = {"CNN": "standard", "Binary CNN": "Binary CNN", "nearest neighbour": "nearest neighbour",
             "PGD-trained (Madry et al.)": "pgd-trained"}.get(cell["target"])  # fmt: skip
    found = {} if label is None else smallest(chapter, label)
    if not found:
        return None
    seeds = [distances[NORMS.index(cell["norm"])] for distances in found.values()]
    if cell["metric"] == "accuracy":
        return float(np.mean([100 * float((seed > float(cell["eps"]) * ROUNDED).mean()) for seed in seeds]))
    medians = [float(np.median(seed)) for seed in seeds]
    return float(np.mean(medians)) if np.isfinite(medians).all() else None


def of_direct(chapter: Chapter) -> pd.DataFrame:
    """Rows of direct attacks on test images, without those of a longer budget on a few images."""
    rows = chapter.frame[chapter.frame["kind"] == "direct"]
    return rows[~rows["name"].str.endswith("held out") & ~rows["name"].str.contains(",")]


def rate_of_direct(chapter: Chapter, label: str, norm: str) -> float | None:
    """Percent of images that stand against direct attacks; mean over the seeds of a label."""
    rows = of_direct(chapter)
    rows = rows[(rows["label"] == label) & rows["name"].str.startswith(norm)]
    values: Sequence[float] = list(rows["unconditional"].dropna())
    return float(np.mean(values)) if values else None


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}"
