"""Tables of the chapter on Denoised Internal Models: attacks on the score, attacks that know, the scale of logits."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.keys import Strength, number
from bioinspired.lab.claims.worst_case import Attacks, held
from bioinspired.lab.declarations import Measurement, Trial
from bioinspired.lab.measurements.declarations import Attack, Question
from bioinspired.lab.papers.dim.declarations import Direct, Flips, LogitScale, NearestNeighbour
from bioinspired.lab.records.results import Result
from bioinspired.lab.records.store import Bits
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.layout import NOTHING, SPREAD, spread, table, with_interval

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


def balls(chapter: Chapter) -> dict[str, Strength]:
    """How large a change, in each norm, an image has to stand to be called robust, as strengths."""
    questions = [m.question for trial in chapter.study.trials for m in trial.measurements]
    return dict(next(question.balls for question in questions if isinstance(question, Direct)))


def thresholds(chapter: Chapter) -> dict[str, float]:
    """The same as numbers."""
    return {norm: number(size) for norm, size in balls(chapter).items()}


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
    made = {"clean": spread(chapter.frame[chapter.frame["kind"] == "clean"], "accuracy")}
    made["noise"] = spread(chapter.frame[chapter.frame["name"] == "gaussian_noise_clipped"], "accuracy")
    for norm in (*NORMS, "all"):
        made[WORDS.get(norm, "all three")] = spread(rates_of_direct(chapter), norm)
    rows = list(dict.fromkeys(trial.label for trial in chapter.study.trials))
    shown = pd.DataFrame(made, dtype=str).reindex(rows).fillna(NOTHING).rename_axis("network").reset_index()
    n = max((result.n for result in chapter.results if asked(result)), default=0)
    caption = (
        f"Percent of images that are right: clean, under noise (σ = 0.5), under direct attacks on {n} images. {SPREAD} "
        f"One network each, because nothing about it is random: {', '.join(FIXED)}."
    )
    return table(shown, caption)


def slopes(chapter: Chapter) -> Styler:
    """Networks behind a threshold: what stands when attacks take it for the identity, and against those that do not."""
    flipped = {(r.label, r.seed): r for r in chapter.results if isinstance(r.measurement.question, Flips)}
    rows = []
    for result in chapter.results:
        question = asked(result)
        if question and question.widths:
            flips = flipped.get((result.label, result.seed))
            rows += [{"network": result.label, "norm": WORDS[norm], "seed": result.seed,
                      "identity": result.rate(f"{norm} identity"), "direct": result.rate(norm),
                      "flips": None if flips is None else flips.rate(norm), "worst": _worst_of([result, flips], norm)}
                     for norm in NORMS]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["network", "norm", "seed", "identity", "direct", "flips", "worst"])
    shown = [{"network": label, "norm": norm, "networks": len(mine), "identity": _mean(mine["identity"]),
              "direct": _mean(mine["direct"]), "flips": _mean(mine["flips"]), "worst case": _mean(mine["worst"])}
             for (label, norm), mine in frame.groupby(["network", "norm"], sort=False)]  # fmt: skip
    caption = (
        "Percent of images that stand against direct attacks: with the identity alone as the threshold's derivative "
        "(for a steep step, its own), and in the worst case over it, sigmoids of several widths and, in Linf and L2, "
        "Square; then against greedy flips of single values, and in the worst case per image over all of them. Means "
        "over networks."
    )
    columns = ["network", "norm", "networks", "identity", "direct", "flips", "worst case"]
    return table(pd.DataFrame(shown, columns=columns), caption)


def _worst_of(results: Sequence[Result | None], norm: str) -> float:
    bits = [found for result in results if result is not None and (found := result.bits(norm)) is not None]
    return 100 * float(np.logical_and.reduce(bits).mean())


def _mean(values: "pd.Series[float]") -> str:
    known = values.dropna().astype(float)
    return f"{known.mean():.1f}" if len(known) else NOTHING


def takes_for_identity(chapter: Chapter) -> str:
    """That PGD takes a threshold for the identity, and what the worst case is beside it; as Markdown."""
    behind = dict.fromkeys(trial.label for trial in chapter.study.trials if _is_climbed_behind_a_threshold(trial))
    if not behind:
        return ""
    size = balls(chapter)["linf"]
    numbers = [
        f"*{label}* keeps {pgd:.1f} % at ε = {size} here, "
        f"{100 * np.mean([bits.mean() for bits in worst.values()]):.1f} % in the worst case over all attacks."
        for label in behind
        if (pgd := chapter.rate(label, kind="attack", name="pgd", source="", norm="linf", eps=size)) is not None
        and (worst := chapter.attacks.worst(("linf", size), label)[0])
    ]
    rule = (
        "A row behind a threshold looks better here than it is, for this PGD takes the threshold for the identity: "
        f"{' and '.join(f'*{label}*' for label in behind)}. The table of slopes has the worst case."
    )
    return " ".join([rule, *numbers])


def _is_climbed_behind_a_threshold(trial: Trial) -> bool:
    questions = [measurement.question for measurement in trial.measurements]
    behind = any(isinstance(question, Direct) and question.widths for question in questions)
    return behind and any(isinstance(question, Attack) and question.name == "pgd" for question in questions)


NOISE_RIVALS = ("standard", "noise-trained", "denoiser + CNN", "nearest neighbour")
"""What DIM is compared with under noise."""


def in_noise(chapter: Chapter) -> str:
    """What DIM and others answer right under the noise of the claim, and on clean images; as Markdown."""
    right = {}
    for label in ("DIM", *NOISE_RIVALS):
        noisy = chapter.rate(label, name="gaussian_noise_clipped")
        clean = chapter.rate(label, kind="clean")
        if noisy is not None and clean is not None:
            right[label] = (noisy, clean)
    if "DIM" not in right:
        return "*Not measured yet: what DIM and simpler networks answer right under noise.*"
    each = [f"*{label}* {noisy:.1f} % and {clean:.1f} %" for label, (noisy, clean) in right.items()]
    as_good = [label for label in right if label != "DIM" and right[label][0] >= right["DIM"][0]]
    last = (
        f" In the mean at least as right as *DIM* under noise: {', '.join(f'*{one}*' for one in as_good)}."
        if as_good
        else ""
    )
    return f"Answered right under that noise, and on clean images: {', '.join(each)}.{last}"


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
    """Attacks that know DIM, and those that see answers only, on the first seed: which images stand.

    Every one that the study asks for has its row, measured or not.
    """
    firsts = {trial.label: trial.network.seed for trial in reversed(chapter.study.trials)}
    labels = {trial.network: trial.label for trial in chapter.study.trials}
    asked_for = [(t.label, m) for t in chapter.study.trials if t.label in ("DIM", RANDOM)
                 and t.network.seed == firsts[t.label] for m in t.measurements]  # fmt: skip
    found = [r for r in chapter.results if firsts[r.label] == r.seed and r.correct is not None]
    made = {(result.label, result.measurement): result for result in found}
    rows: list[dict[str, object]] = []
    for which, said in KNOWING.items():
        for label, measurement in asked_for:
            if _knowing(label, measurement) == which:
                attack = said + _detail(label, measurement, [labels[source] for source in measurement.sources])
                rows += _rows(label, attack, measurement.question, made.get((label, measurement)))
    rows += _everything([result for result in found if result.label == "DIM"], chapter)
    caption = (
        "Attacks that know the model, then those that see scores or answers only, on the first network of its row: "
        "percent of images that stand, with 95 % intervals over images. The last rows are the worst case per image "
        "over every attack within the threshold that this page has of that network, also those of the 42 and those on "
        "scaled logits, on the images that all of these saw."
    )
    return table(pd.DataFrame(rows, columns=["network", "attack", "norm", "images", "stand, %"]), caption)


def _knowing(label: str, measurement: Measurement) -> str:
    """Which of `KNOWING` is asked of a network; "" for none."""
    question = measurement.question
    name = str(getattr(question, "name", ""))
    if isinstance(question, Direct):
        return "" if question.last is not None else {"DIM": "direct", RANDOM: "draws"}.get(label, "")
    if question.kind == "attack" and measurement.sources:
        return "moved"
    return name if question.kind in ("adaptive", "attack") and name in KNOWING else ""


def _detail(label: str, measurement: Measurement, sources: list[str]) -> str:
    """What else is to be said of an attack: the networks that its images were made on, or a longer budget."""
    if sources:
        return f" {' + '.join(sources)}" + (", another seed" if label in sources else "")
    question = measurement.question
    if isinstance(question, Direct) and question.longer:
        aim = "" if question.targeted else ", untargeted"
        return f"; {question.steps:,} steps, {question.restarts} restarts, {question.starts} starts in L0{aim}"
    return ""


def _rows(label: str, attack: str, question: Question, result: Result | None) -> list[dict[str, object]]:
    """One row a norm; without a result they say that there is none yet."""
    norms = NORMS if isinstance(question, Direct) else (str(getattr(question, "norm", "linf")),)
    in_norm = {} if result is None else {norm: bits for (norm, _), bits in held(result).items()}
    return [_row(label, attack, norm, in_norm.get(norm)) for norm in norms]


def _row(label: str, attack: str, norm: str, bits: Bits | None) -> dict[str, object]:
    stand = "not measured yet" if bits is None else with_interval(100.0 * float(bits.mean()), len(bits))
    images = NOTHING if bits is None else len(bits)
    return {"network": label, "attack": attack, "norm": WORDS[norm], "images": images, "stand, %": stand}


def _everything(results: list[Result], chapter: Chapter) -> list[dict[str, object]]:
    """One row a norm: the worst case per image at the threshold over everything that was asked of one DIM."""
    attacks = Attacks(results, white=False)
    rows = []
    for level in balls(chapter).items():
        attack = f"worst case over all, {len(attacks.names(level, 'DIM'))} attacks"
        rows += [_row("DIM", attack, level[0], bits) for bits in attacks.worst(level, "DIM")[0].values()]
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
