"""Tables of the chapter on the Weight Map layer."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.claims.competence import doubts
from bioinspired.lab.claims.holding import UNDEFENDED
from bioinspired.lab.measurements.declarations import Attack, Band, Distance
from bioinspired.lab.papers.weight_map.declarations import Rescaled, Shift, Variance
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.contrasts import Contrast, asked, contrast
from bioinspired.pages.tables.layout import NOTHING, SPREAD, badge, interval, spread, table

STATEMENTS = {
    "more robust to noise": ("noise-smoothing", "noise-unsharp"),
    "more robust to adversarial attacks": ("attack-smoothing", "attack-unsharp"),
    "there are two variants, and both do it": (
        "noise-smoothing",
        "noise-unsharp",
        "attack-smoothing",
        "attack-unsharp",
    ),
    "robustness comes from adaptive amplification of variance": ("amplification", "cause"),
    "accuracy is comparable, in scaled-up models too": ("accuracy-smoothing", "accuracy-unsharp"),
}
"""The abstract's five statements, and the headline claims that test each."""

WORST_FIRST: tuple[str, ...] = (
    "contradicted",
    "not reproduced",
    "not supported in our reconstruction",
    "not seen at small scale",
    "not tested",
    "inconclusive",
)

PARTLY_TESTED = "partly tested"

KERNELS = {
    "map alone": ("δ", 1.0, 1.0),
    "smoothing": ("box sum", 9.0, 81.0),
    "box mean": ("box mean", 1 / 9, 1.0),
    "neighbours": ("eight neighbours", 8.0, 64.0),
    "unsharp": ("2δ − mean", 11 / 3, 1.0),
    "edge": ("δ − mean", 8 / 9, 0.0),
    "laplacian": ("Laplacian", 72.0, 0.0),
}
"""By row: the kernel, and its gains at W = 1 in closed form, sum K^2 and (sum K)^2."""


NORMALIZED = ", batch normalisation"
"""How the label of a network with batch normalisation ends; its twin is the undefended network that has it too."""

EXPLORED = ("sweep", "kernel")
"""Groups of exploratory rows."""

QUESTIONS = {"clean": "accuracy-unsharp", "uniform noise": "noise-unsharp", "PGD": "attack-unsharp"}
"""What rows are compared by: the questions of the headline claims."""


def statements(chapter: Chapter) -> Styler:
    """The abstract's five statements, each as good as the worst of the claims that test it."""
    found = {assessment.headline.id: assessment for assessment in chapter.assessments}
    scaled = any(trial.network.architecture.name != "small_cnn" for trial in chapter.study.trials)
    rows = []
    for statement, claims in STATEMENTS.items():
        word = together([found[claim].verdict.word for claim in claims])
        shown = badge(word, word) if scaled or "scaled" not in statement else _in_part(word)
        tests = ", ".join(f"{claim}: {found[claim].verdict.text}" for claim in claims)
        rows.append({"statement of the abstract": statement, "verdict": shown, "tests": tests})
    caption = (
        "The abstract's statements. Each stands only if all its tests do; one that fails is enough against it, and one "
        "that was not tested in full is not supported as a whole."
    )
    return table(pd.DataFrame(rows), caption)


def together(words: Sequence[str]) -> str:
    """The verdict on a statement from those on its tests: the worst of them."""
    return next((word for word in WORST_FIRST if word in words), words[0])


def _in_part(word: str) -> str:
    """The verdict on a statement of which only the small network was tested: at best that it is tested in part."""
    if word in WORST_FIRST:
        return badge(word, f"{word} (of the small network; no scaled-up model here)")
    return badge(PARTLY_TESTED, f"{PARTLY_TESTED} ({word}, of the small network; no scaled-up model here)")


def attribution(chapter: Chapter, groups: Iterable[str] = ("variant", "control")) -> Styler:
    """Rows against the undefended network, seed by seed, on the questions of the headline claims."""
    results = {name: asked(chapter, claim) for name, claim in QUESTIONS.items()}
    labels = dict.fromkeys(trial.label for trial in chapter.study.trials if trial.factors["group"] in tuple(groups))
    measured = {result.label for found in results.values() for result in found}
    labels = {label: None for label in labels if label in measured} or labels
    rows = []
    for label in labels:
        row = {"network": label, "gain": _gain(chapter, label)}
        row |= {name: _difference(contrast(found, label, _twin(label))) for name, found in results.items()}
        row["seeds"] = str(len({r.seed for r in results["clean"] if r.label == label}) or NOTHING)
        rows.append(row)
    caption = (
        "Difference to the undefended network of the same seed, in points, with its 95 % interval over seeds and "
        "images (none for a single seed); with batch normalisation to the undefended network that has it too. Gain: "
        "geometric mean over layers of Var(out) / Var(in) after training."
    )
    return table(pd.DataFrame(rows, columns=["network", "gain", *QUESTIONS, "seeds"]), caption)


def _twin(label: str) -> str:
    """The undefended network that a row is compared with."""
    normalized = label.endswith(NORMALIZED) and label != UNDEFENDED + NORMALIZED
    return UNDEFENDED + NORMALIZED if normalized else UNDEFENDED


def difference(chapter: Chapter, question: str, label: str) -> str:
    """For prose: a row's mean difference to the undefended network, in points, or that it was not measured."""
    found = contrast(asked(chapter, QUESTIONS[question]), label)
    return "not measured" if found is None else f"{found.mean:+.1f}"


def sweeps(chapter: Chapter) -> Styler:
    """The exploratory rows, each against the undefended network of the same seed."""
    return attribution(chapter, EXPLORED)


def lacking(chapter: Chapter) -> str:
    """The exploratory rows of the study that have not been made, as a sentence; "" where all have been."""
    wanted = dict.fromkeys(trial.label for trial in chapter.study.trials if trial.factors["group"] in EXPLORED)
    names = [label for label in wanted if label not in {result.label for result in chapter.results}]
    return f"Not made yet: {'; '.join(names)}." if names else ""


def power(chapter: Chapter) -> Styler:
    """How many seeds it would take: the spread of paired differences, and what it lets one see."""
    rows = []
    for name, claim in QUESTIONS.items():
        for label in ("smoothing", "unsharp"):
            found = contrast(asked(chapter, claim), label)
            if found is not None and found.deviation is not None:
                rows.append(
                    {
                        "question": name,
                        "network": label,
                        "mean difference": f"{found.mean:+.1f}",
                        "deviation over seeds": f"{found.deviation:.1f}",
                        "seeds here": str(len(found.differences)),
                        "detectable here": f"{found.detectable():.1f}",
                        "seeds for 2 points": _count(found.seeds_for(2)),
                        "seeds for 5 points": _count(found.seeds_for(5)),
                    }
                )
    columns = [
        "question", "network", "mean difference", "deviation over seeds", "seeds here", "detectable here",
        "seeds for 2 points", "seeds for 5 points",
    ]  # fmt: skip
    caption = (
        "Power at 80 %, two-sided at 5 %: what these seeds could have found, in points, and how many seeds would find "
        "a difference of 2 and of 5 points on as many images, if the spread stayed. – : more images are needed first."
    )
    return table(pd.DataFrame(rows, columns=columns), caption)


def kernels(chapter: Chapter) -> Styler:
    """Every kernel with its gain in closed form, the gain of the trained layers, and what the network can do."""
    rates = {name: asked(chapter, claim) for name, claim in QUESTIONS.items()}
    rows = []
    tried = {trial.label for trial in chapter.study.trials}
    for label, (name, white, flat) in KERNELS.items():
        if label not in tried:
            continue
        row = {"kernel": name, "row": label, "Σ K²": f"{white:.3g}", "(Σ K)²": f"{flat:.3g}"}
        row["gain, layer by layer"] = _layers(chapter, label)
        row |= {question: _mean([r for r in found if r.label == label]) for question, found in rates.items()}
        rows.append(row)
    row = {"kernel": "no layer", "row": UNDEFENDED, "Σ K²": NOTHING, "(Σ K)²": NOTHING, "gain, layer by layer": NOTHING}
    rows.append(row | {name: _mean([r for r in found if r.label == UNDEFENDED]) for name, found in rates.items()})
    caption = (
        "Kernels: gain of the variance at W = 1 for independent and for constant inputs, gain measured after training "
        f"(mean over seeds), and accuracy in percent. {SPREAD}"
    )
    return table(pd.DataFrame(rows), caption)


def attacks(chapter: Chapter) -> Styler:
    """Attacks at one epsilon side by side: one step, many, other losses, rescaled logits, and their worst case."""
    eps = chapter.endpoint("attack-unsharp").eps
    columns: dict[str, Callable[[Result], bool]] = {
        "FGSM": lambda r: _is_attack(r, "fgsm", eps),
        "PGD-20, cross-entropy": lambda r: _is_attack(r, "pgd", eps, "ce"),
        "PGD-30, margin": lambda r: _is_attack(r, "pgd", eps, "margin"),
        "PGD-20, rescaled": lambda r: isinstance(r.measurement.question, Rescaled),
    }
    out = {}
    for name, fits in columns.items():
        out[name] = _spread([r for r in chapter.results if fits(r)])
    everything = [r for r in chapter.results if any(fits(r) for fits in columns.values())]
    out["worst case"] = _worst(everything)
    auto = [r for r in chapter.results if _is_attack(r, "autoattack", eps)]
    beside = [r for r in everything if (r.label, r.seed) in {(one.label, one.seed) for one in auto}]
    n = min((r.n for r in (*auto, *beside)), default=0)
    if auto:
        out[f"worst case, {n} images"] = _worst(beside, n)
        out["with AutoAttack"] = _worst([*beside, *auto], n)
    rescaled = [r for r in chapter.results if isinstance(r.measurement.question, Rescaled)]
    out["median margin"] = _numbers(rescaled, "margin", "{:.1f}")
    out["zero gradients, %"] = _numbers(rescaled, "zero_gradients", "{:.1f}", 100)
    frame = pd.DataFrame(out).reindex(
        list(dict.fromkeys(r.label for r in everything if r.label in out["PGD-30, margin"]))
    )
    caption = (
        f"White-box attacks at ε = {eps} (Linf), accuracy in percent: upper bounds. Worst case per image: over the "
        "columns before it on all images and seeds, then on the images and seeds that AutoAttack saw, without it and "
        f"with it. {SPREAD} {doubts(chapter.results)}"
    )
    return table(frame.fillna(NOTHING).rename_axis("network").reset_index(), caption)


def transfer(chapter: Chapter) -> Styler:
    """Examples made on another network: of another seed, by kind, and on the undefended network of the same seed."""
    moved = [r for r in chapter.results if r.source and isinstance(r.measurement.question, Attack)]
    own = [r for r in moved if r.source == UNDEFENDED]
    columns = {
        f"from {name}": _spread([r for r in moved if r.source == f"source {name}"])
        for name in ("standard", "smoothing", "unsharp")
    }
    columns["from its own twin"] = _spread(own)
    labels = list(dict.fromkeys(r.label for r in moved))
    eps = chapter.endpoint("attack-unsharp").eps
    caption = (
        f"Percent right on PGD examples with ε = {eps} made on other networks: three of a seed that no target has, and "
        f"the undefended network that shares its initial weights with the target. {SPREAD}"
    )
    frame = pd.DataFrame(columns).reindex(labels).fillna(NOTHING).rename_axis("network").reset_index()
    return table(frame, caption)


def searches(chapter: Chapter) -> Styler:
    """Smallest perturbations (FMN): medians over the images that are right when clean, and factors to the twin."""
    rows = []
    measured = [r.label for r in chapter.results if isinstance(r.measurement.question, Distance)]
    for label in dict.fromkeys(("standard", "smoothing", "unsharp", *measured)):
        row = {"network": label}
        for norm in ("linf", "l2"):
            mine, twins = ({r.seed: d for r in _distances(chapter, name, norm) if (d := r.distance()) is not None}
                           for name in (label, UNDEFENDED))  # fmt: skip
            factors = [mine[seed] / twins[seed] for seed in mine if seed in twins]
            row[f"median, {norm}"] = f"{np.mean(list(mine.values())):.4f} ({len(mine)})" if mine else NOTHING
            row[f"factor, {norm}"] = f"× {np.exp(np.mean(np.log(factors))):.2f}" if factors else NOTHING
        rows.append(row)
    caption = (
        "Fast minimum norm, 100 steps: largest change of a value (linf) and root mean square change (l2), the median's "
        "mean over (seeds); the factor to the undefended network of the same seed, geometric mean."
    )
    return table(pd.DataFrame(rows), caption)


def bands(chapter: Chapter) -> Styler:
    """Euclidean attacks with all, low and high frequencies: percent right."""
    columns = {
        f"{name} frequencies": _spread(
            [r for r in chapter.results if isinstance(q := r.measurement.question, Band) and q.name == name]
        )
        for name in ("all", "low", "high")
    }
    radius = next((q.eps for r in chapter.results if isinstance(q := r.measurement.question, Band)), NOTHING)
    frame = pd.DataFrame(columns).fillna(NOTHING).rename_axis("network").reset_index()
    caption = (
        f"PGD in L2 with a root mean square of {radius} per value, by spatial frequencies, percent right. {SPREAD}"
    )
    return table(frame, caption)


def shifts(chapter: Chapter) -> Styler:
    """Images moved by 1 to 4 pixels: percent right in all four directions."""
    columns = {
        f"{pixels} px": _spread(
            [r for r in chapter.results if isinstance(q := r.measurement.question, Shift) and q.pixels == pixels]
        )
        for pixels in (1, 2, 3, 4)
    }
    frame = pd.DataFrame(columns).fillna(NOTHING).rename_axis("network").reset_index()
    return table(frame, f"Images moved up, down, left and right: percent right in all four. {SPREAD}")


def gains(chapter: Chapter, label: str) -> list[float]:
    """The gain of each layer after training, geometric mean over seeds; empty where it was not measured."""
    found = [
        r.artifact(chapter.store)["gain"]
        for r in chapter.results
        if r.label == label and _is_gain(r) and "artifact" in r.record.measurements[r.key]
    ]
    return np.exp(np.mean(np.log(found), axis=0)).tolist() if found else []


def _is_gain(result: Result) -> bool:
    question = result.measurement.question
    return isinstance(question, Variance) and question.name == "gain"


def _is_attack(result: Result, name: str, eps: str | None, loss: str = "ce") -> bool:
    question = result.measurement.question
    if not isinstance(question, Attack) or result.source:
        return False
    return (question.name, question.eps, question.loss) == (name, eps, loss)


def _distances(chapter: Chapter, label: str, norm: str) -> list[Result]:
    return [
        r
        for r in chapter.results
        if r.label == label and isinstance(q := r.measurement.question, Distance) and q.norm == norm
    ]


def _gain(chapter: Chapter, label: str) -> str:
    found = gains(chapter, label)
    return f"× {np.exp(np.mean(np.log(found))):.2f}" if found else NOTHING


def _layers(chapter: Chapter, label: str) -> str:
    return ", ".join(f"{gain:.2g}" for gain in gains(chapter, label)) or NOTHING


def _difference(found: Contrast | None) -> str:
    return NOTHING if found is None else interval(found.mean, *found.interval, "points")


def _count(seeds: int | None) -> str:
    return NOTHING if seeds is None else str(seeds)


def _spread(results: Sequence[Result]) -> "pd.Series[str]":
    rows = [{"label": r.label, "seed": r.seed, "rate": r.rate()} for r in results]
    return spread(pd.DataFrame(rows, columns=["label", "seed", "rate"]), "rate")


def _mean(results: Sequence[Result]) -> str:
    return next(iter(_spread(results)), NOTHING)


def _worst(results: Sequence[Result], most: int | None = None) -> "pd.Series[str]":
    """Per label, of the images that every attack of a seed saw, at most `most`, those that held out against all."""
    rows = []
    for label, seed in dict.fromkeys((r.label, r.seed) for r in results):
        bits = [r.correct for r in results if (r.label, r.seed) == (label, seed) and r.correct is not None]
        n = min((len(one) for one in bits), default=0)
        n = n if most is None else min(n, most)
        if n:
            held = np.logical_and.reduce([one[:n] for one in bits])
            rows.append({"label": label, "seed": seed, "rate": 100.0 * float(held.mean())})
    return spread(pd.DataFrame(rows, columns=["label", "seed", "rate"]), "rate")


def _numbers(results: Sequence[Result], name: str, form: str, times: float = 1) -> "pd.Series[str]":
    found: dict[str, list[float]] = {}
    for result in results:
        values = result.values(name)
        if values is not None:
            found.setdefault(result.label, []).append(times * float(values[0]))
    return pd.Series({label: form.format(np.mean(values)) for label, values in found.items()}, dtype=str)
