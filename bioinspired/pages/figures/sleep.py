"""Figures of the chapter on sleep."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.figures import networks
from bioinspired.pages.figures.layout import WIDTH, finish, legend, nothing
from bioinspired.pages.tables.sleep import GROUPS, MEASURES, SETS, deciding_frame

COMPARED = (
    "standard",
    "sleep A",
    "sleep B",
    "distilled as coded",
    "fine-tuned on noise",
    "fine-tuned on blur",
    "fine-tuned on FGSM",
    "pgd-trained",
)
MARKERS = "osD^vPX<"
COLOURS = dict(
    zip(
        (*COMPARED, "sleep for attacks", "deletion for attacks", "noise-trained"),
        (*sns.color_palette("colorblind"), (0.2, 0.2, 0.2)),
        strict=True,
    )
)
"""One colour a label, the same in every figure with these networks."""


def deciding(chapter: Chapter) -> Figure:
    """What sleep does and what might do the same, measure by measure: a point a seed, a bar for their mean."""
    frame = deciding_frame(chapter)
    groups = [group for group in GROUPS if (frame["group"] == group).any()] or ["A", "B"]
    sizes = [max(frame[frame["group"] == group]["row"].nunique(), 2) for group in groups]
    figure, axes = plt.subplots(
        len(groups), len(MEASURES), figsize=(WIDTH, 0.9 + 0.24 * sum(sizes)), sharex="col", squeeze=False,
        gridspec_kw={"height_ratios": sizes},
    )  # fmt: skip
    colours = dict(zip(("waking", "sleep", "other"), sns.color_palette("colorblind", 3), strict=True))
    for group, line in zip(groups, axes, strict=True):
        here = frame[frame["group"] == group]
        rows = list(dict.fromkeys(here["row"]))
        for axis, measure in zip(line, MEASURES, strict=True):
            if here.empty:
                nothing(axis)
            for place, row in enumerate(rows):
                values = here[here["row"] == row][measure].dropna()
                colour = colours[row if row in colours else "other"]
                axis.scatter(values, [place] * len(values), s=8, color=colour, alpha=0.5)
                if len(values):
                    axis.scatter(values.mean(), place, s=44, color=colour, marker="|", linewidth=2.5)
            axis.set_ylim(max(len(rows), 1) - 0.5, -0.5)
            axis.set_yticks(range(len(rows)), rows if axis is line[0] else [""] * len(rows), fontsize="x-small")
            axis.tick_params(axis="x", labelsize="x-small")
        line[0].set_ylabel(GROUPS[group], fontsize="x-small")
    for axis, measure in zip(axes[0], MEASURES, strict=True):
        axis.set_title(measure, fontsize="small")
    for axis in axes[-1]:
        axis.set_xlabel("%", fontsize="x-small")
    return finish(figure)


def distortions(chapter: Chapter) -> Figure:
    """Accuracy against the variance of noise and the sigma of blur: mean over seeds, band of one deviation."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), sharey=True)
    frame = chapter.frame[chapter.frame["kind"] == "distortion"]
    labels = [label for label in COMPARED if label in set(frame["label"])]
    for axis, process, xlabel in zip(
        axes, ("noise", "blur"), ("variance of Gaussian noise", "σ of blur, pixels"), strict=True
    ):
        rows = frame[frame["name"].str.startswith(process)]
        rows = rows.assign(level=rows["name"].str.removeprefix(process).astype(float))
        _bands(axis, rows, labels, x="level", y="accuracy")
        axis.set(xlabel=xlabel, ylim=(-2, 102))
    axes[0].set_ylabel("accuracy, %")
    _legend_or_nothing(figure, axes, labels)
    return finish(figure)


def scan(chapter: Chapter) -> Figure:
    """Accuracy at every step of the released FGSM scan: mean over seeds, band of one deviation."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    found = [result for result in chapter.results if result.measurement.question.kind == "fgsm_scan"]
    labels = [label for label in COMPARED if any(result.label == label for result in found)]
    rows = []
    for result in found:
        curve = result.values("curve")
        if curve is not None:
            steps = np.linspace(0, 0.4, len(curve))
            rows += [{"label": result.label, "eta": x, "right": y} for x, y in zip(steps, curve, strict=True)]
    _bands(axis, pd.DataFrame(rows, columns=["label", "eta", "right"]), labels, x="eta", y="right", every=10)
    axis.set(xlabel="η (length of the step, on [0, 1])", ylabel="accuracy, %", ylim=(-2, 102))
    _legend_or_nothing(figure, [axis], labels)
    return finish(figure)


def white_box(chapter: Chapter) -> Figure:
    """Accuracy under PGD against epsilon: an upper bound; mean over seeds, band from lowest to highest."""
    return networks.white_box(chapter, COLOURS, colours=COLOURS)


def course(chapter: Chapter) -> Figure:
    """What happens during sleep, for both parameter sets: accuracy, spikes, units that have spiked, silent units."""
    figure, axes = plt.subplots(3, len(SETS), figsize=(WIDTH, 6), sharex="col", sharey="row")
    for column, name in enumerate(SETS):
        curves = _histories(chapter, f"sleep {name}")
        axes[0, column].set_title(f"set {name}")
        axes[2, column].set(xscale="symlog", xlabel="steps of 1 ms")
        if not curves:
            for axis in axes[:, column]:
                nothing(axis)
            continue
        step = curves[0]["step"]
        _spread(axes[0, column], step, [100 * c["accuracy"] for c in curves], "accuracy", 0)
        for layer in (1, 2, 3):
            _spread(axes[1, column], step, [c[f"spikes_{layer}"] for c in curves], f"layer {layer}", layer - 1)
            _spread(axes[2, column], step, [100 * c[f"changed_{layer}"] for c in curves], f"layer {layer}", layer - 1)
        for layer in (1, 2):
            silent = np.mean([100 * c[f"silent_{layer}"] for c in curves], axis=0)
            axes[2, column].plot(step, silent, linestyle=":", color=sns.color_palette("colorblind")[layer - 1])
        axes[1, column].set_yscale("symlog", linthresh=1e-5)
    for axis, label in zip(axes[:, 0], ("accuracy, %", "spikes per unit and step", "units, %"), strict=True):
        axis.set_ylabel(label)
    if axes[1, 0].get_legend_handles_labels()[0]:
        axes[1, 0].legend(fontsize="x-small")
    return finish(figure)


def fields(chapter: Chapter, label: str = "sleep B") -> Figure:
    """Incoming weights of first-layer units before sleep and after, each pair on the scale of the waking weights."""
    arrays = _layers(chapter, label)
    figure, axes = plt.subplots(2, 8, figsize=(WIDTH, 2.2), squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([]), axis.set_yticks([])
    if arrays is None or not arrays["fields"].shape[1]:
        nothing(axes[0, 3])
        return finish(figure)
    shown = arrays["fields"].astype(np.float64)
    widest = float(np.abs(shown[0]).max())
    for row, name in enumerate(("before", "after")):
        axes[row, 0].set_ylabel(name, fontsize="small")
        for axis, field in zip(axes[row], shown[row], strict=False):
            axis.imshow(field, cmap="RdBu_r", vmin=-widest, vmax=widest)
    return finish(figure)


def weights(chapter: Chapter) -> Figure:
    """Histograms of each layer's weights, awake and after both sleeps; what lies outside is in the outermost bins."""
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.8))
    found = [(name, _layers(chapter, f"sleep {name}")) for name in SETS]
    for layer, axis in enumerate(axes, start=1):
        axis.set_title(f"layer {layer}", fontsize="small")
        axis.set_xlabel("weight")
        axis.tick_params(labelsize="x-small")
        for number, (name, arrays) in enumerate(found):
            if arrays is not None:
                _weights(axis, arrays, layer, name, number)
        if all(arrays is None for _, arrays in found):
            nothing(axis)
    axes[0].set_ylabel("number of weights")
    if axes[0].get_legend_handles_labels()[0]:
        legend(figure, axes[0])
    return finish(figure)


def busy(chapter: Chapter) -> Figure:
    """Are the units that sleep changes the busiest ones? Waking activities, of changed units and of the others."""
    figure, axes = plt.subplots(2, len(SETS), figsize=(WIDTH, 4.2), sharex="row")
    drawn = False
    for column, name in enumerate(SETS):
        arrays = _layers(chapter, f"sleep {name}")
        for row in range(2):
            axis = axes[row, column]
            axis.set_title(f"set {name}, hidden layer {row + 1}", fontsize="small")
            if arrays is None:
                nothing(axis)
                continue
            activity = arrays[f"activity_{row + 1}"][0].astype(np.float64)
            changed = arrays[f"changed_{row + 1}"]
            bins = np.linspace(0, max(float(activity.max()), 1e-6), 31)
            axis.hist([activity[~changed], activity[changed]], bins=bins, stacked=True,
                      label=["not changed", "changed by sleep"], color=sns.color_palette("colorblind", 2))  # fmt: skip
            drawn = True
    for axis in axes[1]:
        axis.set_xlabel("mean activation before sleep")
    axes[0, 0].set_ylabel("units"), axes[1, 0].set_ylabel("units")
    if drawn:
        axes[0, 0].legend(fontsize="x-small")
    return finish(figure)


def correlations(chapter: Chapter) -> Figure:
    """Correlations between the classes' mean activations, per hidden layer: awake, after A, after B."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 4.6))
    found = [_layers(chapter, f"sleep {name}") for name in SETS]
    columns = [("awake", found[0], 0), ("after A", found[0], 1), ("after B", found[1], 1)]
    shown = None
    for column, (title, arrays, which) in enumerate(columns):
        axes[0, column].set_title(title, fontsize="small")
        for row in range(2):
            axis = axes[row, column]
            axis.set_xticks([]), axis.set_yticks([])
            if arrays is None:
                nothing(axis)
                continue
            matrix = arrays[f"correlation_{row + 1}"][which].astype(np.float64)
            shown = axis.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
            axis.set_ylabel(f"hidden layer {row + 1}" if column == 0 else "", fontsize="small")
    result = finish(figure)
    if shown is not None:
        figure.colorbar(shown, ax=axes, shrink=0.7)
    return result


def classes(chapter: Chapter, labels: Sequence[str] = ("standard", "sleep A", "sleep B")) -> Figure:
    """Accuracy class by class: mean over seeds, a line from the lowest seed to the highest."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    found = [result for result in chapter.results if result.measurement.question.kind == "rectified"]
    drawn = False
    for number, (label, colour) in enumerate(zip(labels, sns.color_palette("colorblind"), strict=False)):
        recalls = [values for result in found if result.label == label
                   if (values := result.values("recall")) is not None]  # fmt: skip
        if not recalls:
            continue
        drawn = True
        table = np.where(np.isfinite(recalls), recalls, np.nan)
        known = np.isfinite(table).any(0)  # classes that had an image
        table = table[:, known]
        x = np.flatnonzero(known) + (number - 1) * 0.27
        axis.bar(x, np.nanmean(table, 0), width=0.25, color=colour, label=label)
        axis.vlines(x, np.nanmin(table, 0), np.nanmax(table, 0), color="#333333", linewidth=1)
    axis.set(xlabel="class", ylabel="answered right, %", ylim=(0, 102), xticks=range(10))
    _legend_or_nothing(figure, [axis], [*labels] if drawn else [])
    return finish(figure)


def _weights(axis: Axes, arrays: Mapping[str, NDArray[Any]], layer: int, name: str, number: int) -> None:
    edges = arrays[f"edges_{layer}"]
    middle = (edges[:-1] + edges[1:]) / 2
    palette = sns.color_palette("colorblind")
    if number == 0:
        axis.step(middle, arrays[f"weights_{layer}"][0], where="mid", color=palette[0], label="awake")
    axis.step(middle, arrays[f"weights_{layer}"][1], where="mid", color=palette[number + 1], label=f"after {name}")
    axis.set_yscale("symlog")


def _layers(chapter: Chapter, label: str) -> Mapping[str, NDArray[Any]] | None:
    found = [result for result in chapter.results if result.measurement.question.kind == "sleep_layers"]
    mine = next((result for result in found if result.label == label), None)
    return None if mine is None else mine.artifact(chapter.store)


def _histories(chapter: Chapter, label: str) -> list[dict[str, NDArray[np.float64]]]:
    """The curves of every seed's sleep."""
    seen: dict[int, Result] = {result.seed: result for result in chapter.results if result.label == label}
    return [{name: np.array(curve) for name, curve in result.record.training.items()} for result in seen.values()]


def _spread(axis: Axes, x: NDArray[np.float64], curves: Sequence[NDArray[np.float64]], label: str, number: int) -> None:
    """Mean over seeds and a band from the lowest to the highest."""
    colour = sns.color_palette("colorblind")[number]
    axis.plot(x, np.mean(curves, axis=0), color=colour, label=label)
    axis.fill_between(x, np.min(curves, axis=0), np.max(curves, axis=0), color=colour, alpha=0.2, linewidth=0)


def _bands(axis: Axes, rows: pd.DataFrame, labels: Sequence[str], *, x: str, y: str, every: int = 1) -> None:
    for label in labels:
        seeds = rows[rows["label"] == label].groupby(x)[y]
        mean, deviation = seeds.mean(), seeds.std(ddof=0).fillna(0)
        marker = MARKERS[COMPARED.index(label) % len(MARKERS)]
        axis.plot(mean.index, mean, marker=marker, markevery=every, markersize=4, color=COLOURS[label], label=label)
        axis.fill_between(mean.index, mean - deviation, mean + deviation, color=COLOURS[label], alpha=0.15, linewidth=0)


def _legend_or_nothing(figure: Figure, axes: Sequence[Axes], labels: Sequence[str]) -> None:
    if labels:
        legend(figure, axes[0])
    else:
        for axis in axes:
            nothing(axis)
