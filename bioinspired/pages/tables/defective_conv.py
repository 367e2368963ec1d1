"""Tables of the chapter on defective convolution."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.keys import strength
from bioinspired.lab.claims.competence import doubts
from bioinspired.lab.claims.declarations import MARGINS, Cell
from bioinspired.lab.claims.twins import spread_of_twins
from bioinspired.lab.engine.costs import TEST_IMAGES, TRAINING_IMAGES
from bioinspired.lab.measurements.declarations import Attack, Clean, Corruption, Distance, Gallery
from bioinspired.lab.papers.defective_conv.declarations import ConfidentTransfer
from bioinspired.lab.records.results import Result
from bioinspired.lab.records.results import strength as strength_of
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables import claims, networks
from bioinspired.pages.tables.layout import NOTHING, SPREAD, counts, spread, table, with_interval

LEAST_WIDTH = 16
"""Of networks that stand for the printed ones, whose width is 64."""


def cells(chapter: Chapter, source_set: str) -> Styler:
    """The printed numbers of one set of sources beside ours."""
    return claims.cells(chapter, source_set, ours)


def footing(chapter: Chapter) -> str:
    """What the comparisons stand on, as Markdown: the undefended seeds first, then the trained baselines."""
    said = (spread_of_twins(chapter.assessments), networks.baselines(chapter), doubts(chapter.results))
    return "\n\n".join(part for part in said if part)


def distances(chapter: Chapter) -> Styler:
    """Smallest perturbations by attacks on decisions: the median over images right when clean, and the failures."""
    found = [result for result in chapter.results if isinstance(result.measurement.question, Distance)]
    rows = []
    for name, label in dict.fromkeys((_search(result), result.label) for result in found):
        mine = [result for result in found if (_search(result), result.label) == (name, label)]
        medians = [median for result in mine if (median := result.distance()) is not None]
        right = sum(int(result.correct.sum()) for result in mine if result.correct is not None)
        rows.append(
            {
                "attack": name,
                "network": label,
                "median distance": f"{np.mean(medians):.4f}" if medians else NOTHING,
                "seeds": len(mine),
                "images right": right,
                "nothing found": sum(_failures(result) for result in mine),
            }
        )
    columns = ["attack", "network", "median distance", "seeds", "images right", "nothing found"]
    caption = "Attacks on decisions: root mean square change per value, the median's mean over seeds."
    return table(pd.DataFrame(rows, columns=columns), caption)


def decisions(chapter: Chapter) -> str:
    """What HopSkipJump finds beside the boundary attack on the images that both were asked of, as Markdown."""
    found = {label: pair for label in NEAREST if (pair := _nearest(chapter, label)) is not None}
    if not found:
        return ""
    listed = "; ".join(f"*{label}*: {shorter:.3f} ({longer:.3f})" for label, (shorter, longer) in found.items())
    return (
        f"Medians by HopSkipJump, which asks more often, and in brackets by the boundary attack on the same images: "
        f"{listed}. {_direction(found)}{_converged(found)}"
    )


NEAREST = ("standard", "keep 0.1", "pgd-trained")
"""The rows whose smallest perturbations are searched."""


def _nearest(chapter: Chapter, label: str) -> tuple[float, float] | None:
    """The medians of HopSkipJump and of the boundary attack over the images both were asked of, mean over seeds."""
    searches: dict[tuple[str, int], Result] = {}
    for result in chapter.results:
        if result.label == label and isinstance(question := result.measurement.question, Distance):
            searches[question.name, result.seed] = result
    pairs = []
    for (name, seed), result in searches.items():
        other = searches.get(("boundary", seed))
        if name == "hopskipjump" and other is not None and result.correct is not None:
            right = np.flatnonzero(result.correct)
            both = [found[right] for one in (result, other) if (found := one.values("distance")) is not None]
            if len(both) == 2 and len(right):
                pairs.append([float(np.median(distances)) for distances in both])
    shorter, longer = np.mean(pairs, axis=0) if pairs else (np.inf, np.inf)
    return (float(shorter), float(longer)) if np.isfinite([shorter, longer]).all() else None


def _direction(found: Mapping[str, tuple[float, float]]) -> str:
    """Which way the claim goes by either attack: the defended network's median over the undefended one's."""
    if not {"standard", "keep 0.1"} <= set(found):
        return ""
    strong, judged = (
        defended / undefended for defended, undefended in zip(found["keep 0.1"], found["standard"], strict=True)
    )
    said = f"By the boundary attack *keep 0.1* needs a change {judged:.2f} times as long as *standard*, by HopSkipJump "
    if (strong > 1) == (judged > 1):
        return said + f"{strong:.2f} times: both point the same way. "
    which = "easier" if strong < 1 else "harder"
    against = ", the opposite of what is claimed" if strong < 1 else ""
    return said + f"{strong:.2f} times: by it *keep 0.1* is {which} to reach{against}. "


def _converged(found: Mapping[str, tuple[float, float]]) -> str:
    factors = [longer / shorter for shorter, longer in found.values() if shorter > 0]
    if not factors or max(factors) < MARGINS["ratio"]:
        return "The two come to nearly the same lengths."
    return (
        f"The boundary attack, by which the claim is judged, had not converged: its medians are {min(factors):.1f} to "
        f"{max(factors):.1f} times as long. They say how far it came, not how near the closest adversarial example is."
    )


def stronger(chapter: Chapter) -> str:
    """Where other attacks leave fewer images right than the PGD of the tables does, as Markdown."""
    compared = _compared(chapter)
    if compared.empty:
        return "No attack that may be stronger than PGD was asked on this page."
    means = compared.groupby(["label", "eps", "attack"], sort=False).agg(
        pgd=("pgd", "mean"),
        left=("left", "mean"),
        n=("n", lambda each: counts(each, " or ")),
        seeds=("seed", "nunique"),
    )
    beaten = means[means["pgd"] - means["left"] >= MARGINS["points"]].reset_index()
    if beaten.empty:
        attacks = ", ".join(dict.fromkeys(compared["attack"]))
        return f"Beside PGD were asked: {attacks}. None leaves fewer right, to within {MARGINS['points']:g} points."
    lines = []
    for label, eps in dict.fromkeys(zip(beaten["label"], beaten["eps"], strict=True)):
        said = [
            f"{row.left:.0f} % instead of {row.pgd:.0f} % by {row.attack} ({row.n} images, seeds: {row.seeds})"
            for row in beaten[(beaten["label"] == label) & (beaten["eps"] == eps)].itertuples()
        ]
        alone = chapter.text(label, name="pgd", source="", eps=eps, loss="ce")
        lines.append(
            f"- *{label}* at ε = {eps}: {', '.join(said)}. The table has {alone} %, on all its images and seeds."
        )
    return (
        "On the same images other attacks leave fewer right than the PGD of the tables, by "
        f"{MARGINS['points']:g} points and more:\n\n"
        + "\n".join(lines)
        + "\n\nThere PGD alone is an upper bound that is too high: by so much on the seeds that a stronger attack saw, "
        "by an unknown amount on the others."
    )


def _stronger(result: Result) -> str:
    """The name of an attack on the network that may find more than the tables' PGD; "" for any other question."""
    question = result.measurement.question
    if not isinstance(question, Attack) or result.source:
        return ""
    if question.name == "pgd" and question.restarts > 1:
        return f"PGD on the {question.loss} with {question.steps} steps and {question.restarts} restarts"
    return {"autoattack": "AutoAttack", "square": "Square"}.get(question.name, "")


def _compared(chapter: Chapter) -> pd.DataFrame:
    """What stronger attacks left of the images that the PGD of the tables saw too: a row for each seed of each."""
    keys = set(chapter.pgd()["key"])
    pgd = {(r.label, r.seed, strength_of(r.measurement)): r for r in chapter.results if r.key in keys and not r.source}
    rows = []
    for result in chapter.results:
        attack, eps = _stronger(result), strength_of(result.measurement)
        weaker = pgd.get((result.label, result.seed, eps))
        if attack and weaker is not None and result.correct is not None and weaker.correct is not None:
            n = min(result.n, weaker.n)
            left, before = (100 * float(bits[:n].mean()) for bits in (result.correct, weaker.correct))
            rows.append((result.label, eps, attack, result.seed, n, before, left))
    frame = pd.DataFrame(rows, columns=["label", "eps", "attack", "seed", "n", "pgd", "left"])
    most = frame.groupby(["label", "eps", "attack", "seed"])["n"].transform("max")
    return frame[frame["n"] == most]


def absent(chapter: Chapter) -> str:
    """What this study, on these data and at this scale, does not ask although others of it do, as a Markdown list."""
    asked = [m.question for trial in chapter.study.trials for m in trial.measurements]
    labels = {trial.label for trial in chapter.study.trials}
    shuffled = any(isinstance(q, Corruption) and q.name == "patch_shuffle" for q in asked)
    searched = any(isinstance(q, Distance) and q.name == "hopskipjump" for q in asked)
    lines = []
    if not shuffled:
        lines.append("Shuffled patches and texture: asked at full scale of CIFAR-10, whose photographs have texture.")
    if "source densenet121" not in labels:
        lines.append(
            "DenseNet-121 as a source: vgg stands for it here. On CIFAR-10 at full scale it is a source itself."
        )
    if not searched:
        lines.append(
            "HopSkipJump, and Square by itself: the boundary attack stands for decisions, and AutoAttack holds Square. "
            "At full scale both are asked."
        )
    return "\n".join(f"- {line}" for line in lines)


def shown(chapter: Chapter) -> str:
    """The attack behind the examples that the page shows, for prose."""
    asked = [m.question for trial in chapter.study.trials for m in trial.measurements]
    attack = next(question.attack for question in asked if isinstance(question, Gallery))
    return f"{attack.name.upper()} with {attack.steps} steps, ε = {attack.eps}"


def clean_images(chapter: Chapter) -> str:
    """On how many images clean accuracy is asked, for prose."""
    asked = [m for trial in chapter.study.trials for m in trial.measurements if isinstance(m.question, Clean)]
    n = asked[0].images.n
    return "all test images" if n is None else f"the first {n:,} test images"


def _search(result: Result) -> str:
    question = result.measurement.question
    assert isinstance(question, Distance)
    return f"{question.name}, {question.steps:,} steps"


def confident(chapter: Chapter) -> Styler:
    """C&W from other networks: who is right on its examples by both metrics, and how far they are from the images."""
    rows = []
    for result in chapter.results:
        question = result.measurement.question
        if isinstance(question, ConfidentTransfer):
            lengths = result.values("length")
            found = lengths[np.isfinite(lengths)] if lengths is not None else np.empty(0)
            conditional = result.rate("conditional")
            rows.append(
                {
                    "network": result.label,
                    "from": f"{result.source}, seed {result.source_seeds[0]}",
                    "confidence": question.confidence,
                    "images": result.n,
                    "accuracy, %": with_interval(result.rate() or 0.0, result.n),
                    "conditional, %": NOTHING if conditional is None else f"{conditional:.0f}",
                    "found on the source": len(found),
                    "median L2": f"{np.median(found):.2f}" if len(found) else NOTHING,
                }
            )
    columns = ["network", "from", "confidence", "images", "accuracy, %", "conditional, %", "found on the source",
               "median L2"]  # fmt: skip
    budgets = {
        (q.searches, q.steps) for r in chapter.results if isinstance(q := r.measurement.question, ConfidentTransfer)
    }
    budget = "".join(f" {searches} searches of {steps} steps." for searches, steps in sorted(budgets))
    caption = f"C&W in L2 on other networks, until they are wrong by the confidence; one seed; 95 % intervals.{budget}"
    return table(pd.DataFrame(rows, columns=columns), caption)


def controls(chapter: Chapter, *, eps: str, source: str) -> Styler:
    """Every row of the study side by side: clean, moved, attacked in white box, noisy; percent right over all."""
    frame = chapter.frame
    eps = strength(eps)
    pgd = (frame["kind"] == "attack") & (frame["name"] == "pgd") & (frame["source"] == "")
    noisy = frame["name"] == "gaussian_noise_clipped"
    shared = frame[pgd].groupby(["strength", "eps"])["label"].nunique() if pgd.any() else None
    attacked = "none" if shared is None else str(shared[shared == shared.max()].index[-1][1])
    loudest = frame[noisy].sort_values("strength")["eps"].iloc[-1] if noisy.any() else "none"
    ensemble = (frame["name"] == "mi_fgsm") & frame["source"].str.contains("resnet18")
    columns = {
        "clean": frame["kind"] == "clean",
        f"PGD from {source}, ε = {eps}": (frame["name"] == "pgd") & (frame["source"] == source) & (frame["eps"] == eps),
        f"momentum from all sources, ε = {eps}": ensemble,
        f"white box, ε = {attacked}": pgd & (frame["eps"] == attacked) & (frame["loss"] == "ce"),
        f"noise, σ = {loudest}": noisy & (frame["eps"] == loudest),
    }
    targets = list(dict.fromkeys(t.label for t in chapter.study.trials if not t.label.startswith("source")))
    made = {name: spread(frame[chosen], "accuracy") for name, chosen in columns.items()}
    shown = pd.DataFrame(made, dtype=str).reindex(targets).fillna(NOTHING).rename_axis("network").reset_index()
    return table(shown, f"All rows, accuracy over all images, %. {SPREAD}")


def epochs(chapter: Chapter) -> Styler:
    """Accuracy of the last epoch beside the best one on the test images, which is what the released code reports."""
    rows = []
    clean = [result for result in chapter.results if result.measurement.question.kind == "clean"]
    for label in dict.fromkeys(result.label for result in clean if not result.label.startswith("source")):
        curves = [result.record.training.get("test_accuracy", []) for result in clean if result.label == label]
        curves = [curve for curve in curves if curve]
        if curves:
            last, best = (100 * float(np.mean([pick(curve) for curve in curves])) for pick in (lambda c: c[-1], max))
            rows.append(
                {"network": label, "last epoch": f"{last:.1f}", "best epoch": f"{best:.1f}", "seeds": len(curves)}
            )
    caption = (
        f"Accuracy on the {_watched(chapter):,} test images watched in training, %. Everything else on this page is of "
        "the last epoch."
    )
    return table(pd.DataFrame(rows, columns=["network", "last epoch", "best epoch", "seeds"]), caption)


def _watched(chapter: Chapter) -> int:
    """How many test images training watches: at most a quarter as many as it trains on."""
    data = chapter.study.trials[0].network.data
    return min(TEST_IMAGES[data.name], -(-(data.train or TRAINING_IMAGES[data.name]) // 4))


def _failures(result: Result) -> int:
    found = result.values("distance")
    return 0 if found is None else int((~np.isfinite(found)).sum())


def ours(chapter: Chapter, cell: Cell) -> float | None:
    """Our value of a printed cell: same architecture, keep probability, place of the masks, source, attack, metric."""
    if chapter.study.trials[0].network.architecture.width < LEAST_WIDTH:
        return None
    label = "standard" if not cell["keep"] else f"keep {cell['keep']}" + (" top" if cell["where"] == "top" else "")
    if cell["target"] != "resnet18" or cell["variant"] or cell["where"] not in ("", "bottom", "top"):
        return None
    where: dict[str, object] = {"source": "" if cell["source"] == "itself" else cell["source"]}
    if cell["attack"] in ("", "none", "clean"):
        where["kind"] = "clean"
    elif cell["attack"] in ("fgsm", "pgd") and cell["eps"]:
        where |= {
            "kind": "attack",
            "name": cell["attack"],
            "eps": strength(cell["eps"]),
            "steps": int(cell["steps"] or 1),
        }
    else:
        return None
    metric = "conditional" if cell["metric"] == "conditional" else "accuracy"
    return chapter.rate(label, metric=metric, **where)
