"""Tables of the chapter on Denoised Internal Models: attacks on the score, attacks that know, the scale of logits."""

from collections import defaultdict

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.chapter import Chapter
from bioinspired.holding import held
from bioinspired.records import Bits
from bioinspired.results import Result
from bioinspired.tables.layout import NOTHING, SPREAD, spread, table, with_interval
from bioinspired.trials.dim import Direct, LogitScale, NearestNeighbour

NORMS = ("linf", "l2", "l0")
WORDS = {"linf": "Linf", "l2": "L2", "l0": "L0"}
FIXED = ("class PCA", "nearest neighbour")
"""Networks without randomness: one of each, whatever the seeds."""

RANDOM = "K9 noise"
"""The row that draws random numbers when it answers."""


def asked(result: Result) -> Direct | None:
    """The question of direct attacks on test images, at the budget that every row has; None for another one."""
    question = result.measurement.question
    return question if isinstance(question, Direct) and question.last is None and not question.longer else None


def thresholds(chapter: Chapter) -> dict[str, float]:
    """At which size of a change, in each norm, an image is called robust."""
    questions = [m.question for trial in chapter.study.trials for m in trial.measurements]
    return next(question.thresholds for question in questions if isinstance(question, Direct))


def kept(chapter: Chapter) -> int:
    """How many training images the nearest neighbour keeps."""
    defenses = [trial.network.defense for trial in chapter.study.trials]
    return next(defense.images for defense in defenses if isinstance(defense, NearestNeighbour))


def rates_of_direct(chapter: Chapter) -> pd.DataFrame:
    """One row per network that direct attacks were asked of: label, seed, and percent that stand by norm and in all."""
    rows = [
        {"label": r.label, "seed": r.seed, "all": r.rate(), **{norm: r.rate(norm) for norm in NORMS}}
        for r in chapter.results
        if asked(r)
    ]
    return pd.DataFrame(rows, columns=["label", "seed", "all", *NORMS])


def rate_of_direct(chapter: Chapter, label: str, norm: str) -> float | None:
    """Percent of images that stand against direct attacks in a norm, or in "all"; mean over the seeds of a label."""
    rows = rates_of_direct(chapter)
    values = rows[rows["label"] == label][norm]
    return float(values.mean()) if len(values) else None


def direct(chapter: Chapter) -> Styler:
    """Every row of the study against direct attacks."""
    made = {"clean": spread(chapter.frame[chapter.frame["kind"] == "clean"], "unconditional")}
    made["noise"] = spread(chapter.frame[chapter.frame["name"] == "gaussian_noise_clipped"], "unconditional")
    for norm in (*NORMS, "all"):
        made[WORDS.get(norm, "all three")] = spread(rates_of_direct(chapter), norm)
    rows = list(dict.fromkeys(trial.label for trial in chapter.study.trials))
    shown = pd.DataFrame(made, dtype=str).reindex(rows).fillna(NOTHING).rename_axis("network").reset_index()
    n = max((result.n for result in chapter.results if asked(result)), default=0)
    caption = (
        f"Percent of images that are right: clean, under noise (σ = 0.5), under direct attacks on {n} images. {SPREAD} "
        f"{' and '.join(FIXED).capitalize()} have no randomness: one network each."
    )
    return table(shown, caption)


def slopes(chapter: Chapter) -> Styler:
    """Networks behind a threshold: what stands when attacks take it for the identity, and in the worst case."""
    rows = []
    for result in chapter.results:
        question = asked(result)
        if question and question.widths:
            rows += [{"network": result.label, "norm": WORDS[norm], "seed": result.seed,
                      "identity": result.rate(f"{norm} identity"), "worst": result.rate(norm)}
                     for norm in NORMS]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["network", "norm", "seed", "identity", "worst"])
    shown = [{"network": label, "norm": norm, "networks": len(mine), "identity": f"{mine['identity'].mean():.1f}",
              "worst case": f"{mine['worst'].mean():.1f}"}
             for (label, norm), mine in frame.groupby(["network", "norm"], sort=False)]  # fmt: skip
    caption = (
        "Percent of images that stand against direct attacks: with the identity alone as the threshold's derivative "
        "(for a steep step, its own), and in the worst case over it, sigmoids of several widths, and Square. Means "
        "over networks."
    )
    columns = ["network", "norm", "networks", "identity", "worst case"]
    return table(pd.DataFrame(shown, columns=columns), caption)


KNOWING = {
    "direct": "direct: margin and smallest perturbation",
    "double precision": "PGD in double precision",
    "autoattack": "AutoAttack",
    "latent descent": "latent descent",
    "collision": "collision",
    "identity backward": "identity backward",
    "nearest start": "HopSkipJump from the nearest image of another class",
    "torchattacks.SPSA": "SPSA, which estimates gradients from scores",
    "moved": "moved from",
    "draws": "direct, means over draws",
}
"""The attacks of `knowing` in its order, and what they are called there."""


def knowing(chapter: Chapter) -> Styler:
    """Attacks that know what they attack, and those that see answers only, on the first seed: which images stand."""
    firsts = {trial.label: trial.network.seed for trial in reversed(chapter.study.trials)}
    found = [r for r in chapter.results if firsts[r.label] == r.seed and r.correct is not None]
    rows: list[dict[str, object]] = []
    for which, said in KNOWING.items():
        for result in found:
            if _knowing(result) == which:
                rows += [_row(result.label, said + _detail(result), norm, bits) for norm, bits in _by_norm(result)]
    rows += _all_of_these([result for result in found if result.label == "DIM"], chapter)
    caption = (
        "Attacks that know the model, then those that see scores or answers only, on one network each: percent of "
        "images that stand, with 95 % intervals. “All of these” is the worst case per image over every attack on the "
        "page in that norm, on the images that all of them saw."
    )
    return table(pd.DataFrame(rows, columns=["network", "attack", "norm", "images", "stand, %"]), caption)


def _knowing(result: Result) -> str:
    """Which of `KNOWING` a result is; "" for none."""
    question = result.measurement.question
    name = str(getattr(question, "name", ""))
    if isinstance(question, Direct):
        if question.last is not None:
            return ""
        return {"DIM": "direct", RANDOM: "draws"}.get(result.label, "")
    if question.kind == "attack" and result.source:
        return "moved"
    return name if question.kind in ("adaptive", "attack") and name in KNOWING else ""


def _detail(result: Result) -> str:
    """What else is to be said of an attack: the network that its images were made on, or a longer budget."""
    if result.source:
        return f" {result.source}" + (", another seed" if result.source == result.label else "")
    question = result.measurement.question
    if isinstance(question, Direct) and question.longer:
        return f"; {question.steps:,} steps, {question.restarts} restarts"
    return ""


def _by_norm(result: Result) -> list[tuple[str, Bits]]:
    return [(norm, bits) for (norm, _), bits in held(result).items() if norm in NORMS]


def _row(label: str, attack: str, norm: str, bits: Bits) -> dict[str, object]:
    stand = with_interval(100.0 * float(bits.mean()), len(bits))
    return {"network": label, "attack": attack, "norm": WORDS[norm], "images": len(bits), "stand, %": stand}


def _all_of_these(results: list[Result], chapter: Chapter) -> list[dict[str, object]]:
    """One row a norm: the worst case per image at the threshold over everything that was asked of these networks."""
    found: dict[str, list[Bits]] = defaultdict(list)
    limits = thresholds(chapter)
    for result in results:
        for (norm, size), bits in held(result).items():
            if norm in limits and float(size) == limits[norm]:
                found[norm].append(bits)
    rows = []
    for norm, each in found.items():
        n = min(len(bits) for bits in each)
        rows.append(_row("DIM", f"all of these, {len(each)}", norm, np.logical_and.reduce([bits[:n] for bits in each])))
    return rows


def scale_results(chapter: Chapter) -> dict[tuple[str, str], dict[float, Bits]]:
    """Which images stand, by attack and norm, then by the factor on the logits."""
    found: dict[tuple[str, str], dict[float, Bits]] = defaultdict(dict)
    for result in chapter.results:
        question = result.measurement.question
        if isinstance(question, LogitScale) and result.correct is not None:
            found[question.name, question.norm][float(question.factor)] = result.correct
    return {name: dict(sorted(mine.items())) for name, mine in found.items()}


ATTACKS = {"pgd": "PGD on the cross-entropy", "carlini_wagner": "C&W", "fmn": "FMN, which knows no scale"}


def scales(chapter: Chapter) -> Styler:
    """Percent that stand by the factor on the logits; the last column is the number that counts."""
    found = scale_results(chapter)
    rows = []
    for (attack, norm), mine in found.items():
        rows.append({"attack": ATTACKS[attack], "norm": WORDS[norm],
                     **{f"× {factor:g}": f"{100 * bits.mean():.0f}" for factor, bits in mine.items()},
                     "worst": _worst(list(mine.values()))})  # fmt: skip
    for norm in dict.fromkeys(norm for _, norm in found):
        every = [bits for (_, other), mine in found.items() if other == norm for bits in mine.values()]
        rows.append({"attack": "all of these", "norm": WORDS[norm], "worst": _worst(every)})
    columns = ["attack", "norm", "worst"] if not rows else list(rows[0])
    caption = (
        "One DIM whose logits are multiplied by a factor, so that no answer changes: percent of images that stand, and "
        "in the worst case per image over the factors."
    )
    return table(pd.DataFrame(rows, columns=columns).fillna(NOTHING), caption)


def _worst(each: list[Bits]) -> str:
    return f"{100 * np.logical_and.reduce(each).mean():.0f}"
