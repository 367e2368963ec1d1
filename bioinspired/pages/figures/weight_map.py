"""Figures of the chapter on the Weight Map layer."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from bioinspired.lab.papers.weight_map.declarations import GradientSpectrum, Maps, Variance
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.figures.layout import WIDTH, finish, legend, nothing
from bioinspired.pages.figures.networks import curves
from bioinspired.pages.tables.contrasts import asked, contrast
from bioinspired.pages.tables.weight_map import QUESTIONS, gains

LABELS = (
    "standard",
    "pgd-trained",
    "noise-trained",
    "smoothing",
    "unsharp",
    "smoothing: gain alone",
    "unsharp: gain alone",
    "map alone",
)
COLOURS = dict(zip(LABELS, sns.color_palette("colorblind", len(LABELS)), strict=True))
DRAWN = ("standard", "smoothing", "unsharp", "pgd-trained", "noise-trained")
LOOKED_AT = ("standard", "smoothing", "unsharp", "smoothing: gain alone", "unsharp: gain alone", "map alone")


def layer() -> Figure:
    """The layer in one picture: a map, its weights, their product, and the product filtered by two kernels."""
    draws = np.random.default_rng(0)
    rows, columns = np.mgrid[0:14, 0:14]
    x = np.exp(-((((rows - 6.5) ** 2 + (columns - 6.5) ** 2) ** 0.5 - 4) ** 2) / 2)  # a ring
    weights = 1 + 0.3 * draws.standard_normal((14, 14))
    product = weights * x
    panels = [
        ("x", x),
        ("W", weights),
        ("z = W · x", product),
        ("box sum of z", _filtered(product, 1.0, 1.0)),
        ("2z − mean of z", _filtered(product, 2 - 1 / 9, -1 / 9)),
    ]
    figure, axes = plt.subplots(1, 5, figsize=(WIDTH, 1.9))
    for axis, (title, values) in zip(axes, panels, strict=True):
        axis.imshow(values, cmap="gray")
        axis.set_title(title, fontsize="small")
        axis.set_xticks([]), axis.set_yticks([])
    return finish(figure)


def noise(chapter: Chapter, name: str) -> Figure:
    """Accuracy against the strength of a noise: mean over seeds, band from lowest to highest."""
    frame = chapter.frame
    rows = frame[(frame["name"] == name) & frame["label"].isin(DRAWN)]
    xlabel = {
        "uniform_noise": "e, noise uniform between −e and e (on [0, 1])",
        "gaussian_noise": "σ of Gaussian noise (on [0, 1])",
    }
    return curves(chapter, rows, xlabel=xlabel[name], ylabel="accuracy, %", colours=COLOURS)


def white_box(chapter: Chapter) -> Figure:
    """Accuracy under PGD-20 on the cross-entropy against epsilon: an upper bound."""
    frame = chapter.frame
    rows = frame[(frame["kind"] == "attack") & (frame["name"] == "pgd") & (frame["loss"] == "ce")]
    rows = rows[(rows["source"] == "") & rows["label"].isin(DRAWN)]
    ylabel = "accuracy under PGD, % (upper bound)"
    return curves(chapter, rows, xlabel="ε (Linf, on [0, 1])", ylabel=ylabel, colours=COLOURS)


def attribution(chapter: Chapter) -> Figure:
    """Variants and controls against the undefended network: one point a seed, the mean, its 95 % interval."""
    groups = ("variant", "control")
    labels = list(dict.fromkeys(t.label for t in chapter.study.trials if t.factors["group"] in groups))[::-1]
    names = [name for name in QUESTIONS if name != "clean"]
    figure, axes = plt.subplots(1, len(names), figsize=(WIDTH, 0.34 * len(labels) + 1.2), sharey=True)
    for axis, name in zip(axes, names, strict=True):
        results = asked(chapter, QUESTIONS[name])
        found = {label: contrast(results, label) for label in labels}
        axis.axvline(0, color="#444444", linewidth=1)
        for row, label in enumerate(labels):
            here = found[label]
            if here is None:
                continue
            points = list(here.differences.values())
            axis.scatter(points, [row] * len(points), s=12, color="#999999", zorder=2)
            low, high = here.interval
            if low is not None and high is not None:
                axis.plot([low, high], [row, row], color="#0173b2", linewidth=2, zorder=3)
            axis.scatter([here.mean], [row], s=34, color="#0173b2", zorder=4)
        axis.set(xlabel=f"{name}: difference, points", yticks=range(len(labels)), yticklabels=labels)
        if not any(found.values()):
            nothing(axis)
    return finish(figure)


def training(chapter: Chapter) -> Figure:
    """The gain of every layer at the end of each epoch: mean over seeds, band from lowest to highest.

    Dashed: the same layer, after training, of the row whose map stays 1.
    """
    labels = ("smoothing", "unsharp")
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.0))
    for axis, label in zip(axes, labels, strict=True):
        records = {r.record.key: r.record for r in chapter.results if r.label == label}
        histories = [{k: v for k, v in record.training.items() if k.startswith("gain")} for record in records.values()]
        epochs = np.arange(1, 1 + max((len(one) for history in histories for one in history.values()), default=0))
        for name in dict.fromkeys(name for history in histories for name in history):
            values = np.array([history[name] for history in histories])
            (line,) = axis.plot(epochs, values.mean(0), marker="o", markersize=4, label=name.replace("gain", "layer"))
            axis.fill_between(epochs, values.min(0), values.max(0), alpha=0.15, color=line.get_color(), linewidth=0)
        for line, gain in zip(list(axis.lines), gains(chapter, f"{label}: kernel alone"), strict=False):
            axis.axhline(gain, color=line.get_color(), linestyle="--", linewidth=1)
        axis.set(title=label, xlabel="epoch", ylabel="Var(out) / Var(in)", yscale="log")
        axis.set_xticks(epochs[:: max(1, len(epochs) // 5)])
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(ScalarFormatter())
        if axis.lines:
            axis.legend(fontsize="x-small")
        else:
            nothing(axis)
    return finish(figure)


def change(chapter: Chapter) -> Figure:
    """How far noise and attack move activations, in units of their clean variance, layer by layer."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), sharex=True)
    for axis, name in zip(axes, ("noise", "adversarial"), strict=True):
        drawn = False
        for label in LOOKED_AT:
            seeds = [r.artifact(chapter.store) for r in _variances(chapter, label, name)]
            if seeds:
                ratios = np.array([one["change"] / one["variance"] for one in seeds])
                places = [*(f"ReLU {k}" for k in range(1, ratios.shape[1])), "logits"]
                axis.plot(places, np.exp(np.log(ratios).mean(0)), marker="o", label=label, color=COLOURS[label])
                drawn = True
        axis.set(title=name, ylabel="mean square change / clean variance", yscale="log")
        if not drawn:
            nothing(axis)
    if axes[0].get_legend_handles_labels()[0]:
        legend(figure, axes[0])
    return finish(figure)


def spectra(chapter: Chapter) -> Figure:
    """Where the power of input gradients lies: shares by spatial frequency, mean over seeds."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.4))
    for label in LOOKED_AT:
        seeds = [
            r.artifact(chapter.store)["power"]
            for r in chapter.results
            if r.label == label and isinstance(r.measurement.question, GradientSpectrum) and _has_arrays(r)
        ]
        if seeds:
            power = np.array(seeds)
            edges = (np.arange(power.shape[1]) + 0.5) * 0.5 / power.shape[1]
            axis.plot(edges, 100 * power.mean(0), marker="o", label=label, color=COLOURS[label])
            axis.fill_between(
                edges, 100 * power.min(0), 100 * power.max(0), alpha=0.12, color=COLOURS[label], linewidth=0
            )
    axis.set(xlabel="spatial frequency, cycles per pixel", ylabel="share of the gradient's power, %")
    if axis.lines:
        legend(figure, axis)
    else:
        nothing(axis)
    return finish(figure)


def maps(chapter: Chapter, label: str) -> Figure:
    """Learned maps of the first channels of each layer, and the histogram of all its weights."""
    found = [r for r in chapter.results if r.label == label and isinstance(r.measurement.question, Maps)]
    arrays = found[0].artifact(chapter.store) if found and _has_arrays(found[0]) else {}
    layers = sorted(int(name.split()[1]) for name in arrays if name.startswith("map"))
    if not layers:
        figure, axis = plt.subplots(figsize=(WIDTH, 1.5))
        nothing(axis)
        return finish(figure)
    columns = len(arrays["map 1"])
    figure, axes = plt.subplots(len(layers), columns + 1, figsize=(WIDTH, 1.5 * len(layers)), squeeze=False)
    for row, k in zip(axes, layers, strict=True):
        for axis, weights in zip(row, arrays[f"map {k}"], strict=False):
            _map(axis, weights)
        row[0].set_ylabel(f"layer {k}", fontsize="small")
        _histogram(row[-1], arrays[f"weights {k}"])
    return finish(figure)


def _filtered(values: NDArray[np.float64], centre: float, around: float) -> NDArray[np.float64]:
    padded = np.pad(values, 1)
    H, W = values.shape
    neighbours = sum(padded[i : i + H, j : j + W] for i in range(3) for j in range(3)) - values
    return np.asarray(centre * values + around * neighbours)


def _map(axis: Axes, weights: NDArray[np.float16]) -> None:
    axis.imshow(weights.astype(np.float32), cmap="PuOr", vmin=0, vmax=2)
    axis.set_xticks([]), axis.set_yticks([])


def _histogram(axis: Axes, counts: NDArray[np.int32]) -> None:
    edges = np.linspace(-1, 3, len(counts) + 1)
    axis.stairs(counts / counts.sum(), edges, fill=True, color="#0173b2")
    axis.set(yticks=[], xlim=(-1, 3))
    axis.tick_params(labelsize="x-small")


def _variances(chapter: Chapter, label: str, name: str) -> Sequence[Result]:
    return [
        r
        for r in chapter.results
        if r.label == label and isinstance(q := r.measurement.question, Variance) and q.name == name and _has_arrays(r)
    ]


def _has_arrays(result: Result) -> bool:
    return "artifact" in result.record.measurements[result.key]
