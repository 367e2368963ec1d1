"""Figures of the chapter on pixel similarity. The paper's points are hollow, wherever data and axes are the same."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bioinspired.keys import number
from bioinspired.lab.claims import load
from bioinspired.lab.claims.declarations import Cell
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.measurements.declarations import Distance
from bioinspired.lab.papers.pixel_similarity.declarations import PixelSimilarity, RadialSpectrum, Similarities
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.figures.layout import WIDTH, finish, legend, nothing, palette
from bioinspired.pages.figures.networks import curves
from bioinspired.pages.tables.pixel_similarity import FGSM, GAUSSIAN, NOISES, SWEEPS, label_of, printed, ratios, sweep

COMPARED = ("standard", "pixel", "thresholded", "noise-trained")
CURVES = ("gaussian/", "fgsm/", "fgsm-poster/", "mnist/")
"""Beginnings of the claims file's names for the paper's curves."""
PAPER = "#444444"
PAIRS = {"": "o", "imagenet": "s", "cifar10": "D", "cifar100": "^", "mnist": "D"}


def similarity(chapter: Chapter, label: str = "thresholded") -> Figure:
    """S^pixel of 100 images, what a network finds of them, one against the other, and the histogram over all pairs."""
    found = {
        result.label: result for result in chapter.results if isinstance(result.measurement.question, Similarities)
    }
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.2))
    if label not in found or "standard" not in found:
        for axis in axes.flat:
            nothing(axis)
        return finish(figure)
    arrays = {name: found[name].artifact(chapter.store) for name in ("standard", label)}
    pixel = arrays[label]["pixel"].astype(float)
    mixed = {
        name: np.tensordot(np.array(_weights(found[label])), array["layers"].astype(float), 1)
        for name, array in arrays.items()
    }
    for axis, matrix, title in (
        (axes[0, 0], pixel, "pixels"),
        (axes[0, 1], mixed[label], f"features, {label}"),
    ):
        axis.imshow(matrix, vmin=-1, vmax=1, cmap="vlag")
        axis.set(title=title, xlabel="image", ylabel="image")
        axis.grid(False)
    upper = np.triu_indices(len(pixel), 1)
    colours = palette(COMPARED)
    for name, matrix in mixed.items():
        axes[1, 0].scatter(
            pixel[upper], matrix[upper], s=2, color=colours[name], alpha=0.25, label=name, rasterized=True
        )
    axes[1, 0].set(
        xlabel="similarity of pixels", ylabel="similarity of features", xlim=(-1.02, 1.02), ylim=(-1.02, 1.02)
    )
    axes[1, 0].legend(markerscale=5, fontsize="x-small")
    _histogram(axes[1, 1], arrays[label]["histogram"], _threshold(found[label]))
    return finish(figure)


def printed_curves() -> Figure:
    """The paper's curves, read off its figures: noise and transferred FGSM on CIFAR-10, noise on MNIST."""
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.0), sharey=True)
    panels = (
        ("gaussian/", "Gaussian σ, CIFAR-10"),
        ("fgsm/", "transferred FGSM ε, CIFAR-10"),
        ("mnist/", "Gaussian σ, MNIST"),
    )
    for axis, (prefix, title) in zip(axes, panels, strict=True):
        cells = [cell for cell in load("pixel_similarity").cells if cell.id.startswith(prefix)]
        for target, colour in zip(("standard", "pixel", "thresholded"), sns.color_palette("colorblind"), strict=False):
            for pairs, marker in PAIRS.items():
                here = [cell for cell in cells if (cell["target"], cell["pairs"]) == (target, pairs)]
                if here:
                    name = f"{target}, {pairs}" if pairs else target
                    x, y = [number(cell["eps"]) for cell in here], [cell.value for cell in here]
                    axis.plot(
                        x, y, marker=marker, color=colour, fillstyle="none", markersize=4, label=name, linewidth=0.8
                    )
        axis.set(xlabel=title, ylim=(0, 102))
        axis.legend(fontsize="xx-small")
    axes[0].set_ylabel("accuracy, %")
    return finish(figure)


def robustness(chapter: Chapter, labels: Sequence[str] = COMPARED) -> Figure:
    """Accuracy against the strength of three noises and of FGSM moved from the undefended source."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 5.6), sharey=True)
    frame = chapter.frame
    rows = {title: frame[frame["name"] == name] for name, title in NOISES.items()}
    rows["transferred FGSM ε"] = _fgsm(frame)
    for axis, (title, here) in zip(axes.flat, rows.items(), strict=True):
        axis.set(xlabel=title, ylim=(-2, 102))
        _lines(chapter, axis, here[here["label"].isin(labels)])
        measure = {"Gaussian σ": GAUSSIAN, "transferred FGSM ε": FGSM}.get(title)
        if measure:
            _hollow(chapter, axis, measure)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy, %")
    legend(figure, *axes.flat)
    return finish(figure)


def boundary(chapter: Chapter) -> Figure:
    """Median smallest perturbation found against the steps of the boundary attack, with the authors' bars as lines."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    rows = _boundary_rows(chapter)
    axis.set(xlabel="steps of the boundary attack", ylabel="median distance (L2, RMS per pixel)", xscale="log")
    if rows.empty:
        nothing(axis)
        return finish(figure)
    colours = palette(COMPARED)
    for label in dict.fromkeys(rows["label"]):
        steps = rows[rows["label"] == label].groupby("steps")["distance"]
        mean, low, high = steps.mean(), steps.min(), steps.max()
        reach = np.clip([mean - low, high - mean], 0, None)
        axis.errorbar(mean.index, mean, yerr=reach, marker="o", capsize=3, color=colours[label], label=label)
    for cell in _own(chapter, "boundary/"):
        name = label_of(cell)
        if name in colours and cell["pairs"] in ("", data_of(chapter.study)):
            axis.axhline(
                np.sqrt(cell.value / 1000), color=colours[name], linestyle=":", label=f"{name}, the paper's bar"
            )
    ticks = sorted(set(rows["steps"]))
    axis.set_xticks(ticks, [f"{step:,}" for step in ticks])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    legend(figure, axis)
    return finish(figure)


def plane(chapter: Chapter) -> Figure:
    """What clean accuracy is kept against what robustness is gained, a point a network; the paper's points are hollow.

    Both are ratios to the undefended twin: clean accuracy, and accuracy at the largest noise or epsilon. The authors
    accept a network at the right of the vertical line and above the horizontal one.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.8))
    for axis, measure, title in ((axes[0], GAUSSIAN, "Gaussian noise"), (axes[1], FGSM, "transferred FGSM")):
        found = ratios(chapter, measure)
        axis.axvline(0.9, color="#999999", linewidth=1)
        axis.axhline(1.0, color="#999999", linewidth=1)
        axis.set(xlabel="clean accuracy, ratio to standard", ylabel=f"under {title}, ratio to standard", title=title)
        for (alpha, threshold), x, y in found:
            axis.scatter(x, y, color="C2", s=30)
            axis.annotate(
                f"{alpha}, {threshold}", (x, y), textcoords="offset points", xytext=(4, 3), fontsize="x-small"
            )
        if not found:
            nothing(axis)
    for point, values in _printed_plane().items():
        axes[0].scatter(*values, facecolors="none", edgecolors=PAPER, s=26)
        axes[0].annotate(point, values, textcoords="offset points", xytext=(4, -8), fontsize="xx-small", color=PAPER)
    return finish(figure)


def sweeps(chapter: Chapter, group: str) -> Figure:
    """One group of `SWEEPS`: clean accuracy, and accuracy at the largest noise and epsilon; the paper's hollow."""
    found, theirs = sweep(chapter, group), printed(group)
    labels = list(SWEEPS[group])
    figure, axis = plt.subplots(figsize=(WIDTH, 0.8 + 0.34 * len(labels)))
    for k, (measure, title) in enumerate(
        (("clean", "clean"), (GAUSSIAN, "largest Gaussian noise"), (FGSM, "largest transferred FGSM"))
    ):
        ours = [(i, found[label][measure]) for i, label in enumerate(labels) if measure in found.get(label, {})]
        axis.scatter([y for _, y in ours], [i for i, _ in ours], color=f"C{k}", s=30, label=title)
        paper = [(i, theirs[label][measure]) for i, label in enumerate(labels) if measure in theirs.get(label, {})]
        axis.scatter([y for _, y in paper], [i + 0.18 for i, _ in paper], facecolors="none", edgecolors=f"C{k}", s=26)
    if not any(found.values()) and not any(theirs.values()):
        nothing(axis)
    axis.set(
        yticks=range(len(labels)), yticklabels=labels, xlim=(-2, 102), xlabel="accuracy, %", ylim=(len(labels), -1)
    )
    legend(figure, axis)
    return finish(figure)


def corruptions(chapter: Chapter, labels: Sequence[str] = COMPARED) -> Figure:
    """Accuracy under the fifteen common corruptions: by severity, by band, one by one; the paper's bands hollow."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.4), gridspec_kw={"height_ratios": [1, 1.3]})
    long = _corruptions(chapter)
    long = long[long["label"].isin(labels)]
    lower = figure.add_subplot(axes[1, 0].get_gridspec()[1, :])
    for axis in axes[1]:
        axis.remove()
    if long.empty:
        for axis in (*axes[0], lower):
            nothing(axis)
        return finish(figure)
    colours = palette(COMPARED)
    shown = 4 if 4 in set(long["severity"]) else int(long["severity"].max())
    bars = {"hue": "label", "y": "accuracy", "palette": colours, "errorbar": ("pi", 100), "err_kws": {"linewidth": 1}}
    means = long.groupby(["label", "seed", "severity"], sort=False, as_index=False)["accuracy"].mean()
    sns.lineplot(means, x="severity", marker="o", ax=axes[0, 0], legend=False, **bars)
    axes[0, 0].set(ylabel="accuracy, %", xticks=sorted(set(long["severity"])), title="mean of all fifteen")
    here = long[long["severity"] == shown]
    seeds = here.groupby(["label", "seed", "band"], sort=False, as_index=False)["accuracy"].mean()
    sns.barplot(seeds, x="band", order=["low", "medium", "high"], ax=axes[0, 1], legend=False, **bars)
    axes[0, 1].set(ylabel="", xlabel="spatial frequency", title=f"severity {shown}")
    if shown == 4:
        for cell in _own(chapter, "corruptions/"):
            if cell["pairs"] in ("", data_of(chapter.study)):
                place = ["low", "medium", "high"].index(cell["measure"].split(", ")[-1])
                axes[0, 1].scatter(place, cell.value, facecolors="none", edgecolors=colours[label_of(cell)], zorder=5)
    sns.barplot(here, x="corruption", ax=lower, **bars)
    lower.set(ylabel="accuracy, %", xlabel="", title=f"one by one, severity {shown}")
    lower.tick_params(axis="x", rotation=60)
    lower.legend(fontsize="x-small", ncols=4, loc="lower center")
    return finish(figure)


def spectra(chapter: Chapter, search: str, labels: Sequence[str] = COMPARED) -> Figure:
    """Power of small perturbations that fool each network: maps, and the share of it within a radius.

    Args:
        chapter: the page.
        search: "boundary" or "fmn".
        labels: the networks.
    """
    found: dict[str, list[Result]] = {label: [] for label in labels}
    for result in chapter.results:
        question = result.measurement.question
        if isinstance(question, RadialSpectrum) and question.search == search and result.label in found:
            found[result.label].append(result)
    found = {label: results for label, results in found.items() if results}
    figure = plt.figure(figsize=(WIDTH, 5.2))
    grid = figure.add_gridspec(2, max(len(found), 1), height_ratios=[1, 1.6])
    axis = figure.add_subplot(grid[1, :])
    axis.set(xlabel="radius in the spectrum, 1 is the corner", ylabel="share of power within", ylim=(0, 1.02))
    if not found:
        nothing(axis)
        return finish(figure)
    colours = palette(COMPARED)
    for column, (label, results) in enumerate(found.items()):
        arrays = [result.artifact(chapter.store) for result in results]
        upper = figure.add_subplot(grid[0, column])
        upper.imshow(np.mean([array["power"] for array in arrays], 0), cmap="viridis", vmin=0)
        upper.set(xticks=[], yticks=[])
        upper.set_title(label, fontsize="small")
        shares = np.array([array["shares"] for array in arrays])
        error = shares.std(0, ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else np.zeros(shares.shape[1])
        radii, mean = arrays[0]["radii"], shares.mean(0)
        axis.plot(radii, mean, color=colours[label], label=label)
        axis.fill_between(radii, mean - error, mean + error, color=colours[label], alpha=0.2, linewidth=0)
    axis.axhline(0.5, color="#999999", linewidth=0.8)
    if search == "boundary":
        for cell in _own(chapter, "spectrum/"):
            if label_of(cell) in colours and cell["pairs"] in ("", data_of(chapter.study)):
                axis.scatter(cell.value / 100, 0.5, facecolors="none", edgecolors=colours[label_of(cell)], zorder=5)
    legend(figure, axis)
    return finish(figure)


def layer_weights(chapter: Chapter) -> Figure:
    """The weight of each layer in the mixture at the end of training, a bar a network."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    seen: dict[str, Sequence[float]] = {}
    for result in chapter.results:
        weights = _weights(result)
        if weights:
            seen.setdefault(f"{result.label} ({result.seed})", weights)
    axis.set(ylabel="weight γ", ylim=(0, 1))
    if not seen:
        nothing(axis)
        return finish(figure)
    bottom = np.zeros(len(seen))
    layers = np.array(list(seen.values())).T
    for layer, (height, colour) in enumerate(zip(layers, sns.color_palette("viridis", len(layers)), strict=True)):
        name = "stem" if layer == 0 else f"stage {layer}"
        axis.bar(list(seen), height, bottom=bottom, color=colour, label=name, width=0.8)
        bottom += height
    axis.tick_params(axis="x", rotation=90, labelsize="x-small")
    legend(figure, axis)
    return finish(figure)


def white_box(chapter: Chapter) -> Figure:
    """Accuracy under white-box PGD against epsilon, an upper bound: mean over seeds, band from lowest to highest."""
    rows = chapter.frame
    rows = rows[(rows["kind"] == "attack") & (rows["source"] == "") & (rows["name"] == "pgd")]
    ylabel = "accuracy under PGD, % (upper bound)"
    return curves(chapter, rows, xlabel="ε (Linf, on [0, 1])", ylabel=ylabel, colours=palette(COMPARED))


def minimum_norm(chapter: Chapter, labels: Sequence[str] = COMPARED) -> Figure:
    """The share of images still right against the size of perturbation: the smallest one that FMN finds for each."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), sharey=True)
    colours = palette(COMPARED)
    for axis, norm in zip(axes, ("linf", "l2"), strict=True):
        chosen = [result for result in chapter.results if _fmn_norm(result) == norm and result.label in labels]
        first = min((result.seed for result in chosen), default=0)
        for result in chosen:
            distances = result.values("distance")
            if result.seed == first and distances is not None:
                x = np.sort(distances)
                axis.step(np.r_[0, x], np.r_[100, 100 * (1 - np.arange(1, len(x) + 1) / len(x))], where="post",
                          color=colours[result.label], label=result.label)  # fmt: skip
        unit = "largest change" if norm == "linf" else "L2, RMS per pixel"
        axis.set(xlabel=f"size of the perturbation ({unit})", ylim=(0, 102))
        axis.set_xlim(left=0)
        if not chosen:
            nothing(axis)
    axes[0].set_ylabel("images still right, %")
    if axes[1].lines:
        legend(figure, axes[1])
    return finish(figure)


def _lines(chapter: Chapter, axis: Axes, rows: pd.DataFrame) -> None:
    if rows.empty:
        nothing(axis)
        return
    clean = chapter.frame[(chapter.frame["kind"] == "clean") & chapter.frame["label"].isin(rows["label"])]
    rows = pd.concat([clean.assign(strength=0.0), rows])
    colours = palette(COMPARED)
    for k, label in enumerate(dict.fromkeys(rows["label"])):
        seeds = rows[rows["label"] == label].groupby("strength")["accuracy"]
        mean = seeds.mean()
        axis.plot(mean.index, mean, marker="osD^"[k % 4], markersize=4, color=colours[label], label=label)
        axis.fill_between(mean.index, seeds.min(), seeds.max(), color=colours[label], alpha=0.15, linewidth=0)


def _hollow(chapter: Chapter, axis: Axes, measure: str) -> None:
    """The paper's curves on this chapter's data, with pairs of the same data: no point of a sweep."""
    colours, named = palette(COMPARED), set[str]()
    for cell in (cell for prefix in CURVES for cell in _own(chapter, prefix)):
        name = label_of(cell)
        known = name in colours and cell["target"] in COMPARED and cell["pairs"] in ("", data_of(chapter.study))
        if known and cell["measure"] == measure and not cell.same_as:
            said = "_nolegend_" if name in named else f"{name}, the paper's"
            named.add(name)
            axis.scatter(
                number(cell["eps"]), cell.value, facecolors="none", edgecolors=colours[name], s=24, zorder=5, label=said
            )


def _own(chapter: Chapter, prefix: str) -> list[Cell]:
    """The paper's numbers for this chapter's data, where the data are the paper's."""
    data = data_of(chapter.study)
    return [
        c
        for c in load(chapter.study.name).cells
        if c.data == data and c.source_set == "paper" and c.id.startswith(prefix)
    ]


def _printed_plane() -> dict[str, tuple[float, float]]:
    cells = {cell.id: cell.value for cell in load("pixel_similarity").cells if cell.id.startswith("plane/")}
    points = dict.fromkeys("/".join(name.split("/")[1:3]) for name in cells)
    return {
        point.replace("/", ", "): (cells[f"plane/{point}/clean"], cells[f"plane/{point}/gaussian"])
        for point in points
        if f"plane/{point}/gaussian" in cells
    }


def _fgsm(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["name"] == "fgsm") & (frame["source"] == "standard")]


def _boundary_rows(chapter: Chapter) -> pd.DataFrame:
    frame = chapter.frame
    kinds = frame["kind"].isin(["distance", "radial_spectrum"]) & frame["name"].str.startswith("boundary")
    return frame[kinds & frame["label"].isin(COMPARED)].dropna(subset=["distance"])


def _corruptions(chapter: Chapter) -> pd.DataFrame:
    """One row per corruption, severity and network."""
    rows = []
    for result in chapter.results:
        config = result.record.measurements[result.key]["config"]["question"]
        if config["kind"] != "common_corruptions":
            continue
        for name in result.record.measurements[result.key].get("bits", {}):
            right = result.record.bits(result.key, name)
            rows.append(
                {
                    "label": result.label,
                    "seed": result.seed,
                    "band": config["band"],
                    "severity": config["severity"],
                    "corruption": name.replace("_", " "),
                    "accuracy": 100 * float(right.mean()),
                }
            )
    return pd.DataFrame(rows, columns=["label", "seed", "band", "severity", "corruption", "accuracy"])


def _histogram(axis: Axes, shares: NDArray[np.float32], threshold: float) -> None:
    edges = np.linspace(-1, 1, len(shares) + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    beyond = 100 * shares[np.abs(middles) > threshold].sum()
    axis.stairs(100 * shares, edges, fill=True, color="#88aacc")
    for at in (-threshold, threshold):
        axis.axvline(at, color="#aa3333", linewidth=1)
    axis.set(xlabel="similarity of pixels", ylabel="pairs, % a bin", yscale="log")
    axis.set_title(f"all pairs: {beyond:.2g} % beyond ±{threshold:g}")


def _threshold(result: Result) -> float:
    defense = result.trial.network.defense
    return number(defense.threshold) if isinstance(defense, PixelSimilarity) else 0.0


def _weights(result: Result) -> list[float]:
    """The mixture's weights after the last epoch; none for a network without."""
    curves = result.record.training
    return [curves[name][-1] for name in sorted(curves) if name.startswith("layer_weight_")]


def _fmn_norm(result: Result) -> str:
    question = result.measurement.question
    if isinstance(question, RadialSpectrum) and question.search == "fmn":
        return "l2"
    return question.norm if isinstance(question, Distance) and question.name == "fmn" else ""
