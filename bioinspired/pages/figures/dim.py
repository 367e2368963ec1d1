"""Figures of the chapter on Denoised Internal Models."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bioinspired.lab.claims import load
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.papers.dim.declarations import Closest
from bioinspired.lab.papers.dim.members import MEMBERS
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.figures.layout import WIDTH, finish, image, legend, nothing
from bioinspired.pages.tables.dim import ATTACKS, NORMS, WORDS, scale_results, thresholds
from bioinspired.pages.tables.dim_members import ROUNDED, behind, judging, labels, rate_of, smallest, standing, together
from bioinspired.pages.tables.dim_reconstructions import RIVALS, reconstructions

SCALES = {"linf": "largest change", "l2": "Euclidean length", "l0": "changed values"}
RANGES = {"linf": 0.5, "l2": 4.0, "l0": 40.0}
REFERENCES = {"ABS": "o", "Binary ABS": "s"}
MARKERS = "osD^vPX<>"


def curves(chapter: Chapter) -> Figure:
    """Percent of images that stand against the size of the change, norm by norm, over all members; ABS hollow.

    On the images that all members saw; without a curve where no member is judged in the norm.
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.0), sharey=True)
    colours = dict(zip(labels(chapter), sns.color_palette("colorblind", 10), strict=False))
    limits = thresholds(chapter)
    shown = labels(chapter)
    found = {label: smallest(chapter, label) for label in shown}
    norms = {label: judging(together(chapter, label)) for label in shown}
    for index, (norm, axis) in enumerate(zip(NORMS, axes, strict=True)):
        axis.set(xlabel=SCALES[norm], xlim=(0, RANGES[norm]), ylim=(-2, 102), title=WORDS[norm])
        axis.axvline(limits[norm], color="#666666", linestyle=":", linewidth=1)
        here = [label for label in shown if norm in norms[label]]
        if not shown:
            nothing(axis)
        elif not here:
            axis.text(0.5, 0.16, "no attack judged\nin this norm was run", ha="center", va="center",
                      transform=axis.transAxes, color="#666666")  # fmt: skip
        for label in here:
            grid = np.linspace(0, RANGES[norm], 81)
            seeds = [[100 * float((d[index] > x * ROUNDED).mean()) for x in grid] for d in found[label].values()]
            number = shown.index(label)
            axis.plot(grid, np.mean(seeds, 0), color=colours[label], label=label, marker=MARKERS[number % 9],
                      markevery=(number * 2, 16), markersize=4)  # fmt: skip
            axis.fill_between(grid, np.min(seeds, 0), np.max(seeds, 0), color=colours[label], alpha=0.15, linewidth=0)
        if data_of(chapter.study) == "mnist":
            _references(axis, norm)
    axes[0].set_ylabel("images that stand, %")
    figure.suptitle(behind(chapter), fontsize="small")
    if shown:
        legend(figure, *axes)
    return finish(figure)


def _references(axis: Axes, norm: str) -> None:
    """The published points of ABS and Binary ABS."""
    cells = [cell for cell in load("dim").cells if cell["target"] in REFERENCES and cell["norm"] == norm]
    for number, cell in enumerate(cells):
        x, y = (float(cell["eps"]), cell.value) if cell["eps"] else (cell.value, 50.0)
        first = cell["target"] not in [other["target"] for other in cells[:number]]
        axis.plot(x, y, linestyle="", marker=REFERENCES[cell["target"]], markerfacecolor="none",
                  markeredgecolor="#333333", label=cell["target"] if first else None)  # fmt: skip


def heat(chapter: Chapter) -> Figure:
    """The 42 by network: percent of images that stand; below, the worst case per image, norm by norm and in all."""
    shown = labels(chapter)
    names = [
        *(member.name for member in MEMBERS),
        *(f"worst case, {WORDS[norm]}" for norm in NORMS),
        "worst case, all three",
    ]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.21 * len(names) + 1.2))
    if not shown:
        nothing(axis)
        return finish(figure)
    columns = {}
    for label in shown:
        stands = standing(chapter, label)
        assert stands is not None
        each = [rate_of(chapter, label, member) for member in MEMBERS]
        each += [stands.rates.get(norm) for norm in (*NORMS, "all")]
        columns[label] = [np.nan if rate is None else rate for rate in each]
    frame = pd.DataFrame(columns, index=names)
    sns.heatmap(frame, ax=axis, vmin=0, vmax=100, cmap="viridis", annot=True, fmt=".0f", annot_kws={"size": 6},
                cbar_kws={"label": "images that stand, %", "shrink": 0.5}, linewidths=0.3)  # fmt: skip
    axis.axhline(len(MEMBERS), color="white", linewidth=3)
    axis.tick_params(axis="y", labelsize=6, rotation=0)
    plt.setp(axis.get_xticklabels(), fontsize="x-small", rotation=30, ha="right", rotation_mode="anchor")
    axis.set_title(f"worst cases: {behind(chapter)}", fontsize="small")
    return finish(figure)


def guesses(chapter: Chapter) -> Figure:
    """Every reconstruction, and the rivals: images that stand by norm, in all three, and held-out ones.

    What was not measured yet has its line.
    """
    frame = reconstructions(chapter)
    figure, axis = plt.subplots(figsize=(WIDTH, 0.8 + 0.28 * max(len(frame), 4)))
    axis.set(xlabel="images that stand, %", xlim=(-2, 102))
    if frame["all"].isna().all():
        nothing(axis)
        return finish(figure)
    place = np.arange(len(frame))
    colours = sns.color_palette("colorblind")
    axis.barh(place, frame["mean"], color="#dddddd", height=0.6, label="mean over the norms")
    for norm, marker, colour in zip(NORMS, "osD", colours, strict=False):
        axis.plot(frame[norm], place, linestyle="", marker=marker, markersize=5, color=colour, label=WORDS[norm])
    axis.plot(frame["all"], place, linestyle="", marker="|", markersize=11, markeredgewidth=2.5, color="#333333",
              label="all three at once")  # fmt: skip
    axis.plot(frame["held out"], place, linestyle="", marker="x", markersize=5, color="#666666",
              label="held-out images, mean over the norms")  # fmt: skip
    axis.axhline(len(frame) - len(RIVALS) - 0.5, color="#666666", linewidth=1)
    axis.set_yticks(place, frame["label"], fontsize="x-small")
    for row in place[frame["all"].isna()]:
        axis.text(0, row, "not measured yet", va="center", fontsize="x-small", color="#666666", backgroundcolor="white")
    axis.invert_yaxis()
    legend(figure, axis)
    return finish(figure)


def scales(chapter: Chapter) -> Figure:
    """Images that stand against the factor on the logits, for attacks that see the scale and for one that does not."""
    found = scale_results(chapter)
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    axis.set(xlabel="factor on the logits (no answer changes)", ylabel="images that stand, %", ylim=(-2, 102))
    if not found:
        nothing(axis)
        return finish(figure)
    colours = sns.color_palette("colorblind")
    for number, ((attack, norm), mine) in enumerate(found.items()):
        axis.plot(list(mine), [100 * bits.mean() for bits in mine.values()], marker=MARKERS[number],
                  color=colours[number], label=f"{ATTACKS[attack]}, {WORDS[norm]}")  # fmt: skip
    axis.set_xscale("log")
    legend(figure, axis)
    return finish(figure)


def closest(chapter: Chapter) -> Figure:
    """The first test images and, by network and norm, the closest image that one search found, titled with its size."""
    shown: dict[str, Result] = {}
    for result in chapter.results:
        if isinstance(result.measurement.question, Closest):
            shown.setdefault(result.label, result)
    if not shown:
        figure, axis = plt.subplots(figsize=(WIDTH, 1.5))
        nothing(axis)
        return finish(figure)
    arrays = {label: result.artifact(chapter.store) for label, result in shown.items()}
    first = next(iter(arrays.values()))
    columns, rows = len(first["clean"]), 1 + len(NORMS) * len(arrays)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 1.12 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([]), axis.set_yticks([])
    for column in range(columns):
        image(axes[0, column], first["clean"][column], str(first["label"][column]))
    axes[0, 0].set_ylabel("clean", fontsize="x-small")
    places = [(label, index) for label in arrays for index in range(len(NORMS))]
    for row, (label, index) in enumerate(places, start=1):
        axes[row, 0].set_ylabel(f"{label}\n{WORDS[NORMS[index]]}", fontsize="x-small")
        for column in range(columns):
            size, answer = arrays[label]["size"][index, column], arrays[label]["answer"][index, column]
            said = "tie" if answer < 0 else str(answer)
            title = f"{said} at {size:.3g}" if np.isfinite(size) else "search failed"
            image(axes[row, column], arrays[label]["adversarial"][index, column], title)
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
