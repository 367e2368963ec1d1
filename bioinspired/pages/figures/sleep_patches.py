"""Figures of the toy task of patches in the chapter on sleep. A chapter here is one on the patches' trials alone."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bioinspired.pages.chapter import Chapter
from bioinspired.pages.figures.layout import WIDTH, finish, legend, nothing
from bioinspired.pages.tables.sleep_patches import MEASURES, networks

GROUPS = ("own", "other images'", "shared", "always off")
MARKERS = "osD^vP"


def overlaps(chapter: Chapter) -> Figure:
    """Accuracy and distances over the overlap, a curve a row: mean over seeds, bands from the lowest to the highest."""
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(WIDTH, 3.0))
    frame = networks(chapter)
    rows = list(dict.fromkeys(frame["row"]))
    colours = sns.color_palette("colorblind", max(len(rows), 1))
    for axis, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        axis.set_title(title, fontsize="small")
        axis.set_xlabel("shared pixels of 25", fontsize="x-small")
        axis.tick_params(labelsize="x-small")
        if frame[measure].dropna().empty:
            nothing(axis)
            continue
        for row, colour, marker in zip(rows, colours, MARKERS, strict=False):
            seeds = frame[frame["row"] == row].groupby("overlap")[measure]
            axis.plot(seeds.mean(), marker=marker, markersize=4, color=colour, label=row)
            axis.fill_between(seeds.min().index, seeds.min(), seeds.max(), color=colour, alpha=0.12, linewidth=0)
        axis.set_ylim(bottom=0)
    if axes[0].get_legend_handles_labels()[0]:
        legend(figure, axes[0])
    return finish(figure)


def weights(chapter: Chapter) -> Figure:
    """Every weight before sleep and after, by what its pixel is to the class: two overlaps, the first seed."""
    found = sorted({int(trial.factors["overlap"]) for trial in chapter.study.trials})
    shown = [found[len(found) // 4], found[-1]] if len(found) > 1 else (found or [0])
    figure, axes = plt.subplots(1, len(shown), figsize=(WIDTH, 3.0), squeeze=False)
    for axis, overlap in zip(axes[0], shown, strict=True):
        axis.set_title(f"{overlap} of 25 pixels shared", fontsize="small")
        arrays = _weights(chapter, overlap)
        if arrays is None:
            nothing(axis)
            continue
        _groups(axis, arrays)
    axes[0, 0].set_ylabel("weight")
    if axes[0, 0].get_legend_handles_labels()[0]:
        legend(figure, axes[0, 0])
    return finish(figure)


def _groups(axis: Axes, arrays: Mapping[str, NDArray[Any]]) -> None:
    pairs = arrays["weights"].astype(np.float64).reshape(2, len(arrays["images"]), -1)
    on = arrays["images"].reshape(len(arrays["images"]), -1) > 0
    shared, anywhere = on.all(0), on.any(0)
    masks = [on & ~shared, ~on & anywhere & ~shared, np.broadcast_to(shared, on.shape),
             np.broadcast_to(~anywhere, on.shape)]  # fmt: skip
    for which, (name, colour) in enumerate(
        zip(("awake", "after sleep"), sns.color_palette("colorblind"), strict=False)
    ):
        for place, mask in enumerate(masks):
            values = np.sort(pairs[which][mask])
            x = place + (which - 0.5) * 0.4 + np.linspace(-0.15, 0.15, len(values))
            axis.plot(x, values, ".", markersize=3, color=colour, alpha=0.7, label=name if place == 0 else None)
    axis.set_xticks(range(len(GROUPS)), GROUPS, fontsize="x-small")
    axis.tick_params(axis="y", labelsize="x-small")


def _weights(chapter: Chapter, overlap: int) -> Mapping[str, NDArray[Any]] | None:
    for result in chapter.results:
        wanted = result.trial.factors == {"row": "sleep", "overlap": str(overlap)}
        if wanted and result.measurement.question.kind == "one_layer_weights":
            return result.artifact(chapter.store)
    return None
