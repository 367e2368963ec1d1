"""Tables of the chapter on pixel similarity, and what its figures share with them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.keys import number
from bioinspired.lab.claims import load
from bioinspired.lab.claims.declarations import Cell
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.measurements.declarations import Distance
from bioinspired.lab.papers.pixel_similarity.declarations import PixelSimilarity, RadialSpectrum, TrainingCost
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables import claims
from bioinspired.pages.tables.layout import NOTHING, SPREAD, spread, table

GAUSSIAN, FGSM = "gaussian", "transferred fgsm"  # as the claims file calls them
NOISES = {
    "gaussian_noise_own_range": "Gaussian σ",
    "uniform_noise_own_range": "uniform half-width",
    "salt_and_pepper_own_range": "salt-and-pepper share",
}
SWEEPS: Mapping[str, tuple[str, ...]] = {
    "parts": ("standard", "low", "high", "double", "positive", "negative", "thresholded"),
    "batch": ("standard", "2 pairs", "4 pairs", "8 pairs", "thresholded", "32 pairs"),
    "images": ("standard", "100 images", "1000 images", "thresholded"),
    "pairs": ("standard", "thresholded", "MNIST pairs", "Fashion-MNIST pairs"),
    "colour": ("colour standard", "colour thresholded"),
}
"""Rows of a sweep by its name in the claims file, with the networks it is compared with."""
AS_PAIRS = {"4": "2 pairs", "8": "4 pairs", "16": "8 pairs", "32": "thresholded"}
"""The paper's k read as a number of images: its curve at 32 is that of its default, 16 pairs."""


def cells(chapter: Chapter, source_set: str) -> Styler:
    """The printed numbers of one set of sources beside ours."""
    return claims.cells(chapter, source_set, ours)


def ours(chapter: Chapter, cell: Cell) -> float | None:
    """Our value of a printed number: same network, target, pairs, question and strength.

    None for CIFAR-10-C: its corruptions are made anew here, and sorted by another rule.
    """
    if cell["architecture"] != "resnet18" or cell["pairs"] not in ("", data_of(chapter.study)):
        return None
    label, measure = label_of(cell), cell["measure"]
    if measure == "clean" or (measure in (GAUSSIAN, FGSM) and number(cell["eps"]) == 0):
        return chapter.rate(label, kind="clean")
    if cell.unit == "ratio to standard":
        return None
    if measure == GAUSSIAN:
        return chapter.rate(label, name="gaussian_noise_own_range", strength=number(cell["eps"]))
    if measure == FGSM:
        return chapter.rate(label, name="fgsm", source="standard", strength=number(cell["eps"]))
    if measure == "boundary, 50 steps":
        distance = chapter.rate(label, metric="distance", kind="distance", name="boundary", steps=50)
        return None if distance is None else 1000 * distance**2
    if measure.startswith("half-power"):
        return chapter.rate(label, metric="value", kind="radial_spectrum", name="boundary 10000")
    return None


def label_of(cell: Cell) -> str:
    """What the study calls the network of a printed number."""
    if cell["batch"]:
        return AS_PAIRS[cell["batch"]]
    if cell["images"]:
        return "thresholded" if cell["images"] == "5000" else f"{cell['images']} images"
    if cell["alpha"] and cell["target"] == "thresholded" and (cell["alpha"], cell["threshold"]) != ("10", "0.8"):
        return f"alpha {cell['alpha']}, Th {cell['threshold']}" if cell.data == "cifar10" else "thresholded"
    return cell["target"]


def regularizer(chapter: Chapter) -> str:
    """The parameters of the regularizer in this study, for prose."""
    defense = next(trial.network.defense for trial in chapter.study.trials if trial.label == "thresholded")
    assert isinstance(defense, PixelSimilarity)
    return (
        f"α = {defense.alpha}, Th = {defense.threshold}, {defense.pairs} pairs a step, drawn from pairs of "
        f"{defense.count:,} images"
    )


def robustness(chapter: Chapter) -> Styler:
    """Every network: clean accuracy, and accuracy at the largest strength of each noise and of transferred FGSM."""
    frame = chapter.frame
    columns = {"clean": spread(frame[frame["kind"] == "clean"], "accuracy")}
    for name, title in NOISES.items():
        here = frame[frame["name"] == name]
        if not here.empty:
            largest = here["strength"].max()
            columns[f"{title} {largest:g}"] = spread(here[here["strength"] == largest], "accuracy")
    moved = frame[(frame["name"] == "fgsm") & (frame["source"] == "standard")]
    if not moved.empty:
        largest = moved["strength"].max()
        columns[f"FGSM ε {largest:g}"] = spread(moved[moved["strength"] == largest], "accuracy")
    out = pd.DataFrame(columns).reindex([t for t in dict.fromkeys(frame["label"]) if not t.startswith("source")])
    caption = f"Accuracy, %: clean, under noise, and on FGSM examples made on an undefended network. {SPREAD}"
    return table(out.fillna(NOTHING).rename_axis("network").reset_index(), caption)


def transfer(chapter: Chapter) -> Styler:
    """Accuracy at the largest epsilon by where the examples come from and how they are made."""
    frame = chapter.frame[(chapter.frame["kind"] == "attack") & (chapter.frame["source"] != "")]
    columns = {}
    momentum = frame[frame["name"] == "mi_fgsm"]
    if not momentum.empty:
        frame = frame[frame["strength"] == momentum["strength"].max()]
        for source, name in dict.fromkeys(zip(frame["source"], frame["name"], strict=True)):
            here = frame[(frame["source"] == source) & (frame["name"] == name)]
            place = "all, on resized images too" if "+" in source else source
            columns[f"{'FGSM' if name == 'fgsm' else 'momentum'}, from {place}"] = spread(here, "accuracy")
        columns = {title: column.reindex(list(dict.fromkeys(momentum["label"]))) for title, column in columns.items()}
    out = pd.DataFrame(columns)
    caption = f"Accuracy, %, at the same ε on examples made on other networks, in one step or with momentum. {SPREAD}"
    return table(out.fillna(NOTHING).rename_axis("network").reset_index(), caption)


def boundary(chapter: Chapter) -> Styler:
    """The boundary attack by its number of steps: medians, and how often it found no start."""
    rows = []
    for result in chapter.results:
        question = result.measurement.question
        steps = question.steps if isinstance(question, RadialSpectrum | Distance) else 0
        name = question.name if isinstance(question, RadialSpectrum | Distance) else ""
        distances = result.values("distance")
        if not name.startswith("boundary") or distances is None or result.correct is None:
            continue
        lost = int(np.isinf(distances[result.correct]).sum())
        median = result.distance()
        rows.append(
            {
                "network": result.label,
                "seed": result.seed,
                "steps": f"{steps:,}",
                "median, RMS per pixel": NOTHING if median is None else f"{median:.4f}",
                "median squared, 1e-3": NOTHING if median is None else f"{1000 * median**2:.2f}",
                "right when clean": int(result.correct.sum()),
                "of these without a start": lost,
            }
        )
    columns = [
        "network", "seed", "steps", "median, RMS per pixel", "median squared, 1e-3", "right when clean",
        "of these without a start",
    ]  # fmt: skip
    caption = (
        "The boundary attack: medians over the images that are right when clean; one without a start counts as "
        "infinitely far."
    )
    return table(pd.DataFrame(rows, columns=columns), caption)


def bands(chapter: Chapter) -> Styler:
    """The fifteen common corruptions with their band and the half-power radius of what they do to the images."""
    rows: dict[str, dict[str, str]] = {}
    for result in chapter.results:
        entry = result.record.measurements[result.key]
        question = entry["config"]["question"]
        if question["kind"] == "common_corruptions":
            for name in entry["bits"]:
                (radius,) = entry["values"][f"radius of {name}"]
                place = rows.setdefault(name, {"corruption": name.replace("_", " "), "band": question["band"]})
                place[f"severity {question['severity']}"] = NOTHING if radius is None else f"{radius:.0f}"
    order = sorted(rows.values(), key=lambda row: ("low", "medium", "high").index(row["band"]))
    frame = pd.DataFrame(order, columns=None if order else ["corruption", "band"])
    return table(
        frame,
        "Half-power radius of (corrupted - clean) on this page's images, in percent of the spectrum's corner; bands as "
        "found on CIFAR-10.",
    )


def matched(chapter: Chapter) -> Styler:
    """Accuracy on validation images of the networks trained on noise or on blur, beside the regularized one."""
    rows: dict[str, list[float]] = {}
    noise = {}
    for result in chapter.results:
        kept = result.record.training
        label = result.label
        if label.startswith("source") or "validation_accuracy" not in kept:
            continue
        if label not in ("standard", "thresholded", "noise-trained", "blur") and not label.startswith("noise "):
            continue
        best = int(np.argmin(kept["validation_loss"]))
        seeds = rows.setdefault(label, [])
        if result.measurement == result.trial.measurements[0]:
            seeds.append(100 * kept["validation_accuracy"][best])
        noise[label] = result.trial.factors.get("noise", NOTHING)
    out = [
        {
            "network": label,
            "training noise σ": noise[label],
            "validation accuracy, %": f"{np.mean(seeds):.1f} ({len(seeds)})",
        }
        for label, seeds in rows.items()
        if seeds
    ]
    caption = (
        "Accuracy on held-out training images at the chosen epoch, mean over (seeds): by these a σ that matches the "
        "regularized network could be chosen."
    )
    return table(pd.DataFrame(out, columns=["network", "training noise σ", "validation accuracy, %"]), caption)


def drawn(chapter: Chapter) -> Styler:
    """What the regularizer did in training: share of pairs drawn with target +1 and -1, and its loss at the end."""
    rows = {}
    for result in chapter.results:
        kept = result.record.training
        if "percent_plus" in kept:
            rows[f"{result.label} ({result.seed})"] = {
                "alpha, Th": _knobs(result.trial.network.defense),
                "drawn with +1, %": f"{np.mean(kept['percent_plus']):.2f}",
                "drawn with -1, %": f"{np.mean(kept['percent_minus']):.2f}",
                "similarity loss, first epoch": f"{kept['similarity_loss'][0]:.2f}",
                "last epoch": f"{kept['similarity_loss'][-1]:.2f}",
            }
    frame = pd.DataFrame(rows).T.rename_axis("network (seed)").reset_index()
    return table(frame, "The pairs that were drawn and the regularizer's loss, before the factor alpha.")


def adaptive(chapter: Chapter) -> Styler:
    """What an attacker gets who knows the trick: low and high frequencies only, and features driven away."""
    rows: dict[str, dict[str, str]] = {}
    for result in chapter.results:
        config = result.record.measurements[result.key]["config"]["question"]
        here = rows.setdefault(result.label, {}) if config["kind"] in ("band", "feature_attack") else {}
        if result.rate() is None:
            continue
        if config["kind"] == "band":
            here[f"L2, {config['name']} frequencies, ε {config['eps']}"] = f"{result.rate():.1f}"
        if config["kind"] == "feature_attack":
            bits = result.record.measurements[result.key]["bits"]
            layers = [
                100 * float(result.record.bits(result.key, name).mean()) for name in sorted(bits) if name != "correct"
            ]
            here[f"features, Linf, ε {config['eps']}"] = f"{result.rate():.1f}"
            here["features, worst single layer"] = f"{min(layers):.1f} (layer {1 + int(np.argmin(layers))})"
    frame = pd.DataFrame(rows).T.fillna(NOTHING).rename_axis("network").reset_index()
    return table(frame, "Accuracy, %, under attacks made for this defense, first seed: upper bounds.")


def training_cost(chapter: Chapter) -> Styler:
    """What a training step costs as a multiple of a plain one: processor time and memory, range over seeds."""
    rows: dict[str, dict[str, str]] = {}
    for name, title in (("time", "time of a step"), ("memory", "memory kept for the backward pass")):
        found: dict[str, list[float]] = {}
        for result in chapter.results:
            question = result.measurement.question
            if isinstance(question, TrainingCost) and question.name == name:
                found.setdefault(result.label, []).append(float(result.rate("value") or 0))
        for label, ratios in found.items():
            low, high = f"{min(ratios):.2f}", f"{max(ratios):.2f}"
            rows.setdefault(label, {})[title] = low if low == high else f"{low} to {high}"
    frame = pd.DataFrame(rows).T.fillna(NOTHING).rename_axis("network").reset_index()
    return table(frame, "Cost of training as a multiple of plain training, both measured in turns in one process.")


def ratios(chapter: Chapter, measure: str) -> list[tuple[tuple[str, str], float, float]]:
    """For every alpha and Th: clean accuracy, and that at the largest strength, as ratios to the undefended twin's."""
    found: list[tuple[tuple[str, str], float, float]] = []
    clean, robust = chapter.rate("standard", kind="clean"), _largest(chapter, "standard", measure)
    for trial in chapter.study.trials:
        defense = trial.network.defense
        if not isinstance(defense, PixelSimilarity) or not trial.label.startswith(("thresholded", "alpha ")):
            continue
        if number(defense.alpha) == 0:
            continue
        knobs = (defense.alpha, defense.threshold)
        here, gained = chapter.rate(trial.label, kind="clean"), _largest(chapter, trial.label, measure)
        if clean and robust and here is not None and gained is not None and knobs not in [one for one, _, _ in found]:
            found.append((knobs, here / clean, gained / robust))
    return found


def sweep(chapter: Chapter, group: str) -> dict[str, dict[str, float]]:
    """Ours, for each row of a sweep: clean accuracy, and accuracy at the largest noise and epsilon."""
    out = {}
    for label in SWEEPS[group]:
        values = {"clean": chapter.rate(label, kind="clean")}
        values |= {measure: _largest(chapter, label, measure) for measure in (GAUSSIAN, FGSM)}
        out[label] = {name: value for name, value in values.items() if value is not None}
    return out


def printed(group: str) -> dict[str, dict[str, float]]:
    """The paper's numbers for a sweep by our labels; a panel that repeats another one is left out."""
    out: dict[str, dict[str, float]] = {}
    for cell in load("pixel_similarity").cells:
        if (
            cell.id.startswith(f"{group}/")
            and cell["measure"] in ("clean", GAUSSIAN, FGSM)
            and "repeats" not in cell.note
        ):
            out.setdefault(label_of(cell), {})[cell["measure"]] = cell.value
    return out


def _largest(chapter: Chapter, label: str, measure: str) -> float | None:
    frame = chapter.frame
    name = "gaussian_noise_own_range" if measure == GAUSSIAN else "fgsm"
    rows = frame[(frame["name"] == name) & (frame["source"] == ("standard" if measure == FGSM else ""))]
    return (
        None
        if rows.empty
        else chapter.rate(label, name=name, strength=rows["strength"].max(), source=rows["source"].iloc[0])
    )


def _knobs(defense: object) -> str:
    if not isinstance(defense, PixelSimilarity):
        return NOTHING
    return defense.alpha if defense.target == "pixel" else f"{defense.alpha}, {defense.threshold}"
