"""Tables of the chapter on defective convolution."""

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.chapter import Chapter
from bioinspired.claims.declarations import Cell
from bioinspired.keys import strength
from bioinspired.results import Result
from bioinspired.tables import claims
from bioinspired.tables.layout import NOTHING, SPREAD, spread, table, with_interval
from bioinspired.trials import ConfidentTransfer, Distance

PAPERS_WIDTH = 64
"""Of the networks whose numbers are printed."""


def cells(chapter: Chapter, source_set: str) -> Styler:
    """The printed numbers of one set of sources beside ours."""
    return claims.cells(chapter, source_set, ours)


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
    """What HopSkipJump finds beside the boundary attack, on the images that both were asked of, as a sentence."""
    found = [result for result in chapter.results if isinstance(result.measurement.question, Distance)]
    lines = []
    medians: dict[str, tuple[float, float]] = {}
    for label in dict.fromkeys(result.label for result in found):
        shorter, longer = [], []
        for result in (r for r in found if r.label == label and _search(r).startswith("hopskipjump")):
            partner = next((r for r in found if (r.label, r.seed) == (label, result.seed) and r is not result), None)
            here, there = result.values("distance"), partner.values("distance") if partner else None
            if here is not None and there is not None and result.correct is not None:
                right = np.flatnonzero(result.correct)
                shorter.append(float(np.median(here[right])))
                longer.append(float(np.median(there[: len(here)][right])))
        if shorter:
            medians[label] = float(np.mean(shorter)), float(np.mean(longer))
            lines.append(f"{label} {medians[label][0]:.3f} instead of {medians[label][1]:.3f}")
    if not lines:
        return ""
    turned = sorted(medians, key=lambda label: medians[label][0]) != sorted(
        medians, key=lambda label: medians[label][1]
    )
    order = " The order of the networks is another one by it." if turned else ""
    return (
        "On the same images HopSkipJump, which asks more often, comes to a median of "
        f"{', '.join(lines)}.{order} What the boundary attack says at this budget is how far it came, not how near the "
        "closest adversarial example is."
    )


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
    made = {name: spread(frame[chosen], "unconditional") for name, chosen in columns.items()}
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
    caption = "Accuracy on the test images watched in training, %. Everything else on this page is the last epoch's."
    return table(pd.DataFrame(rows, columns=["network", "last epoch", "best epoch", "seeds"]), caption)


def _failures(result: Result) -> int:
    found = result.values("distance")
    return 0 if found is None else int((~np.isfinite(found)).sum())


def ours(chapter: Chapter, cell: Cell) -> float | None:
    """Our value of a printed cell: same architecture and width, keep probability, place of the masks, source, attack,
    metric."""
    if chapter.study.trials[0].network.architecture.width != PAPERS_WIDTH:
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
    metric = "conditional" if cell["metric"] == "conditional" else "unconditional"
    return chapter.rate(label, metric=metric, **where)
