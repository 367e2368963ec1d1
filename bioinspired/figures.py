"""The figures of the book, made from records: seaborn's colour-blind palette, bands for the spread over seeds.

Every function returns a matplotlib figure and draws what is there: from an empty store, axes and a line that says so.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bioinspired.assessment import BASELINES
from bioinspired.chapter import Chapter
from bioinspired.claims import load
from bioinspired.keys import strength
from bioinspired.results import Result
from bioinspired.trials import Gallery

WIDTH = 7.2  # inches; the text column of the rendered book

sns.set_theme(style="whitegrid", palette="colorblind", context="notebook", font_scale=0.85)
plt.rcParams["figure.dpi"] = 144


def palette(labels: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """One colour per label, the same in every figure of a chapter: hues for the baselines, shades for the rest."""
    others = [label for label in labels if label not in BASELINES]
    return dict(zip(BASELINES, sns.color_palette("colorblind", len(BASELINES)), strict=True)) | dict(
        zip(others, sns.color_palette("flare", len(others)), strict=True)
    )


def masks(keep: float = 0.3, *, channels: int = 3, size: int = 16) -> Figure:
    """The method in one picture: independent masks of three channels, kept positions light, defective ones dark."""
    random = np.random.default_rng(0)
    zeros = random.permutation(channels * size * size) < int((1 - keep) * channels * size * size)
    planes = ~zeros.reshape(channels, size, size)
    figure, axes = plt.subplots(1, channels, figsize=(WIDTH, WIDTH / channels + 0.3))
    for channel, (axis, plane) in enumerate(zip(axes, planes, strict=True), start=1):
        axis.imshow(plane, cmap=ListedColormap(["#333333", "#dde9f5"]))
        axis.set_title(f"channel {channel}: {100 * plane.mean():.0f} % kept", fontsize="small")
        axis.set_xticks([]), axis.set_yticks([])
    return _finish(figure)


def tradeoff(chapter: Chapter, *, eps: str, source: str = "vgg", paper_source: str = "densenet121") -> Figure:
    """Clean accuracy against transfer robustness, the paper's points hollow at the left, ours at the right.

    Both sides use the paper's conditional rate. The data sets and networks may differ: axes are not shared.
    """
    figure, (theirs, ours) = plt.subplots(1, 2, figsize=(WIDTH, 3.4))
    _paper_tradeoff(chapter, theirs, paper_source)
    frame = chapter.frame
    clean = frame[frame["kind"] == "clean"].set_index(["label", "seed"])["unconditional"]
    moved = frame[(frame["source"] == source) & (frame["eps"] == strength(eps))].dropna(subset=["conditional"])
    rates = moved.groupby(["label", "seed"], sort=False)["conditional"].mean()
    colours = palette(_targets(chapter))
    for label in dict.fromkeys(rates.index.get_level_values("label")):
        seeds = rates[label].index
        ours.scatter(clean[label].reindex(seeds), rates[label], label=label, color=colours[label], s=36)
    ours.set(xlabel="clean accuracy, %", ylabel="right on transferred examples, %", title="ours, one point a seed")
    if rates.empty:
        _nothing(ours)
    else:
        _legend(figure, ours)
    return _finish(figure)


def white_box(chapter: Chapter) -> Figure:
    """Accuracy under white-box PGD against epsilon: an upper bound, mean over seeds, band from lowest to highest."""
    rows = chapter.frame
    rows = rows[(rows["kind"] == "attack") & (rows["source"] == "") & (rows["name"] == "pgd")]
    return _curves(chapter, rows, xlabel="ε (Linf, on [0, 1])", ylabel="accuracy under PGD, % (upper bound)")


def noise(chapter: Chapter) -> Figure:
    """Accuracy against the sigma of Gaussian noise: mean over seeds, band from lowest to highest."""
    rows = chapter.frame[chapter.frame["name"] == "gaussian_noise_clipped"]
    return _curves(chapter, rows, xlabel="σ of Gaussian noise (on [0, 1])", ylabel="accuracy, %")


def gallery(chapter: Chapter, labels: Sequence[str], *, columns: int = 8) -> Figure:
    """The first test images and, below, each network's own adversarial examples, titled with its answers.

    No image is chosen: they are the first of the fixed test order.
    """
    shown = {label: found for label in labels if (found := _gallery(chapter, label)) is not None}
    if not shown:
        figure, axis = plt.subplots(figsize=(WIDTH, 1.5))
        _nothing(axis)
        return _finish(figure)
    figure, axes = plt.subplots(1 + len(shown), columns, figsize=(WIDTH, 1.25 * (1 + len(shown))), squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([]), axis.set_yticks([])
    first = next(iter(shown))
    arrays = {label: chapter.store.artifact(found.record, found.key) for label, found in shown.items()}
    for column in range(columns):
        _image(axes[0, column], arrays[first]["clean"][column], str(arrays[first]["label"][column]))
        for row, label in enumerate(shown, start=1):
            _image(
                axes[row, column],
                arrays[label]["adversarial"][column],
                str(arrays[label]["adversarial_answer"][column]),
            )
    for row, name in enumerate(["clean", *shown]):
        axes[row, 0].set_ylabel(name, fontsize="small")
    return _finish(figure)


def _paper_tradeoff(chapter: Chapter, axis: Axes, source: str) -> None:
    cells = [cell for cell in load(chapter.study.name).cells if cell.target == "resnet18" and cell.data == "cifar10"]
    rows = [cell for cell in cells if cell.where in ("", "bottom") and not cell.variant and not cell.same_as]
    clean = {cell.keep: cell.value for cell in rows if cell.attack in ("", "none", "clean")}
    moved = {
        cell.keep: cell.value
        for cell in rows
        if cell.source == source and cell.attack == "pgd" and cell.eps == "16/255" and cell.steps == "20"
    }
    kept = [keep for keep in moved if keep in clean]
    axis.scatter([clean[k] for k in kept], [moved[k] for k in kept], facecolors="none", edgecolors="#444444", s=36)
    for keep in kept:
        name = f"keep {keep}" if keep else "standard"
        axis.annotate(name, (clean[keep], moved[keep]), textcoords="offset points", xytext=(5, 3), fontsize="x-small")
    axis.set(
        xlabel="clean accuracy, %",
        ylabel="right on transferred examples, %",
        title="the paper's, CIFAR-10, one run each",
    )


def _curves(chapter: Chapter, rows: pd.DataFrame, *, xlabel: str, ylabel: str) -> Figure:
    figure, axis = plt.subplots(figsize=(WIDTH, 3.8))
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(-2, 102))
    if rows.empty:
        _nothing(axis)
        return _finish(figure)
    clean = chapter.frame[(chapter.frame["kind"] == "clean") & chapter.frame["label"].isin(rows["label"])]
    rows = pd.concat([clean.assign(strength=0.0), rows])
    colours = palette(_targets(chapter))
    for number, label in enumerate(dict.fromkeys(rows["label"])):
        seeds = rows[rows["label"] == label].groupby("strength")["unconditional"]
        mean, low, high = seeds.mean(), seeds.min(), seeds.max()
        marker = "osD^vPX<>"[number % 9]
        axis.plot(mean.index, mean, marker=marker, markersize=5, color=colours[label], label=label)
        axis.fill_between(mean.index, low, high, color=colours[label], alpha=0.15, linewidth=0)
    _legend(figure, axis)
    return _finish(figure)


def _targets(chapter: Chapter) -> list[str]:
    labels = dict.fromkeys(trial.label for trial in chapter.study.trials)
    return [label for label in labels if not label.startswith("source")]


def _gallery(chapter: Chapter, label: str) -> Result | None:
    galleries = [found for found in chapter.results if isinstance(found.measurement.question, Gallery)]
    return next((found for found in galleries if found.label == label), None)


def _image(axis: Axes, image: NDArray[np.uint8], title: str) -> None:
    grey = image.shape[0] == 1
    axis.imshow(image[0] if grey else image.transpose(1, 2, 0), cmap="gray" if grey else None, vmin=0, vmax=255)
    axis.set_title(title, fontsize="small", pad=2)


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, fontsize="small", frameon=False
    )


def _nothing(axis: Axes) -> None:
    axis.text(0.5, 0.5, "not measured yet", ha="center", va="center", transform=axis.transAxes, color="#666666")


def _finish(figure: Figure) -> Figure:
    figure.tight_layout()
    plt.close(figure)
    return figure
