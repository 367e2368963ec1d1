"""Figures of the chapter on Denoised Internal Models."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bioinspired.assessment import data_of
from bioinspired.attacks.members import MEMBERS
from bioinspired.chapter import Chapter
from bioinspired.claims import load
from bioinspired.figures.layout import WIDTH, finish, image, legend, nothing
from bioinspired.tables.dim import (
    ATTACKS,
    NORMS,
    WORDS,
    labels,
    rate_of,
    scale_frame,
    smallest,
    standing,
    thresholds,
)
from bioinspired.tables.dim_reconstructions import RIVALS, reconstructions

SCALES = {"linf": "largest change", "l2": "Euclidean length", "l0": "changed values"}
RANGES = {"linf": 0.5, "l2": 4.0, "l0": 40.0}
REFERENCES = {"ABS": "o", "Binary ABS": "s"}
MARKERS = "osD^vPX<>"


def curves(chapter: Chapter) -> Figure:
    """Percent of images that stand against the size of the change, norm by norm, over all members; ABS hollow."""
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.0), sharey=True)
    colours = dict(zip(labels(chapter), sns.color_palette("colorblind", 10), strict=False))
    limits = thresholds(chapter)
    shown = labels(chapter)
    for index, (norm, axis) in enumerate(zip(NORMS, axes, strict=True)):
        axis.set(xlabel=SCALES[norm], xlim=(0, RANGES[norm]), ylim=(-2, 102), title=WORDS[norm])
        axis.axvline(limits[norm], color="#666666", linestyle=":", linewidth=1)
        if not shown:
            nothing(axis)
        for number, label in enumerate(shown):
            grid = np.linspace(0, RANGES[norm], 81)
            seeds = [[100 * float((d[index] > x).mean()) for x in grid] for d in smallest(chapter, label).values()]
            axis.plot(grid, np.mean(seeds, 0), color=colours[label], label=label, marker=MARKERS[number % 9],
                      markevery=(number * 2, 16), markersize=4)  # fmt: skip
            axis.fill_between(grid, np.min(seeds, 0), np.max(seeds, 0), color=colours[label], alpha=0.15, linewidth=0)
        if data_of(chapter.study) == "mnist":
            for cell in load("dim").cells:
                if cell["target"] in REFERENCES and cell["norm"] == norm:
                    x, y = (float(cell["eps"]), cell.value) if cell["eps"] else (cell.value, 50.0)
                    name = cell["target"] if (norm, cell["metric"]) == ("linf", "accuracy") else None
                    axis.plot(x, y, linestyle="", marker=REFERENCES[cell["target"]], markerfacecolor="none",
                              markeredgecolor="#333333", label=name)  # fmt: skip
    axes[0].set_ylabel("images that stand, %")
    if shown:
        legend(figure, axes[0])
    return finish(figure)


def heat(chapter: Chapter) -> Figure:
    """The 42 by network: percent of images that stand; below, the worst case per image, norm by norm and in all."""
    shown = labels(chapter)
    names = [*(member.name for member in MEMBERS), *(f"worst case, {WORDS[norm]}" for norm in NORMS), "worst case, all"]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.21 * len(names) + 1.2))
    if not shown:
        nothing(axis)
        return finish(figure)
    columns = {}
    for label in shown:
        stands = standing(chapter, label)
        each = [rate_of(chapter, label, member) for member in MEMBERS]
        columns[label] = [np.nan if rate is None else rate for rate in each] + [stands[k] for k in (*NORMS, "all")]
    frame = pd.DataFrame(columns, index=names)
    sns.heatmap(frame, ax=axis, vmin=0, vmax=100, cmap="viridis", annot=True, fmt=".0f", annot_kws={"size": 6},
                cbar_kws={"label": "images that stand, %", "shrink": 0.5}, linewidths=0.3)  # fmt: skip
    axis.axhline(len(MEMBERS), color="white", linewidth=3)
    axis.tick_params(axis="y", labelsize=6, rotation=0)
    axis.tick_params(axis="x", labelsize="x-small", rotation=30)
    return finish(figure)


def guesses(chapter: Chapter) -> Figure:
    """Every reconstruction: images that stand in all three norms, test images and held-out ones; rivals as lines."""
    frame = reconstructions(chapter)
    figure, axis = plt.subplots(figsize=(WIDTH, 0.8 + 0.28 * max(len(frame), 4)))
    axis.set(xlabel="images that stand in all three norms, %", xlim=(-1, 101))
    if frame["test"].isna().all():
        nothing(axis)
        return finish(figure)
    place = np.arange(len(frame))
    axis.barh(place, frame["test"], color=sns.color_palette("colorblind")[0], height=0.6, label="test images")
    axis.plot(frame["held out"], place, linestyle="", marker="D", markersize=5, color="#333333",
              label="images that training held out")  # fmt: skip
    for rival, style in zip(RIVALS, ("-", "--", ":"), strict=True):
        theirs = chapter.rate(rival, kind="direct", name=chapter.endpoint("overall-pgd").name)
        if theirs is not None:
            axis.axvline(theirs, color="#999999", linestyle=style, label=rival)
    axis.set_yticks(place, frame["label"], fontsize="x-small")
    axis.invert_yaxis()
    legend(figure, axis)
    return finish(figure)


def scales(chapter: Chapter) -> Figure:
    """Images that stand against the factor on the logits, for attacks that see the scale and for one that does not."""
    frame = scale_frame(chapter)
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    axis.set(xlabel="factor on the logits (no answer changes)", ylabel="images that stand, %", ylim=(-2, 102))
    if frame.empty:
        nothing(axis)
        return finish(figure)
    colours = sns.color_palette("colorblind")
    for number, ((attack, norm), mine) in enumerate(frame.groupby(["attack", "norm"], sort=False)):
        by = mine.groupby("factor")["stands"].mean()
        axis.plot(by.index, by, marker=MARKERS[number], color=colours[number],
                  label=f"{ATTACKS[str(attack)]}, {WORDS[str(norm)]}")  # fmt: skip
    axis.set_xscale("log")
    legend(figure, axis)
    return finish(figure)


def errors(chapter: Chapter) -> Figure:
    """The mean error of images of class i under the model of class j."""
    figure, axis = plt.subplots(figsize=(WIDTH * 0.7, WIDTH * 0.6))
    arrays = _internal(chapter)
    if arrays is None:
        nothing(axis)
        return finish(figure)
    sns.heatmap(arrays["errors"], ax=axis, cmap="viridis_r", cbar_kws={"label": "mean squared error per value"})
    axis.set(xlabel="internal model of class", ylabel="images of class")
    return finish(figure)


def strip(chapter: Chapter) -> Figure:
    """What the parts make of the first test images: with noise, denoised, and rebuilt by each internal model."""
    arrays = _internal(chapter)
    if arrays is None:
        figure, axis = plt.subplots(figsize=(WIDTH, 1.5))
        nothing(axis)
        return finish(figure)
    rows, classes = arrays["made"].shape[:2]
    figure, axes = plt.subplots(rows, 3 + classes, figsize=(WIDTH, 0.8 * rows + 0.3), squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([]), axis.set_yticks([])
    for row in range(rows):
        for column, name in enumerate(("clean", "noisy", "denoised")):
            image(axes[row, column], arrays[name][row], name if row == 0 else "")
        for c in range(classes):
            error = float(arrays["strip_errors"][row, c])
            image(axes[row, 3 + c], arrays["made"][row, c], f"{c}: {1000 * error:.0f}")
        axes[row, 3 + int(arrays["strip_errors"][row].argmin())].spines[:].set(color="#d55e00", linewidth=2)
    return finish(figure)


def _internal(chapter: Chapter) -> Mapping[str, NDArray[Any]] | None:
    found = (r for r in chapter.results if r.measurement.question.kind == "internal_errors")
    first = next(found, None)
    return None if first is None else first.artifact(chapter.store)
