"""Figures of the chapter on defective convolution."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from bioinspired.chapter import Chapter
from bioinspired.claims import load
from bioinspired.figures.layout import WIDTH, finish, legend, nothing, palette, targets
from bioinspired.keys import strength


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
    return finish(figure)


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
    colours = palette(targets(chapter))
    for label in dict.fromkeys(rates.index.get_level_values("label")):
        seeds = rates[label].index
        ours.scatter(clean[label].reindex(seeds), rates[label], label=label, color=colours[label], s=36)
    ours.set(xlabel="clean accuracy, %", ylabel="right on transferred examples, %", title="ours, one point a seed")
    if rates.empty:
        nothing(ours)
    else:
        legend(figure, ours)
    return finish(figure)


def _paper_tradeoff(chapter: Chapter, axis: Axes, source: str) -> None:
    cells = [cell for cell in load(chapter.study.name).cells if cell["target"] == "resnet18" and cell.data == "cifar10"]
    rows = [cell for cell in cells if cell["where"] in ("", "bottom") and not cell["variant"] and not cell.same_as]
    clean = {cell["keep"]: cell.value for cell in rows if cell["attack"] in ("", "none", "clean")}
    moved = {
        cell["keep"]: cell.value
        for cell in rows
        if cell["source"] == source and cell["attack"] == "pgd" and cell["eps"] == "16/255" and cell["steps"] == "20"
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
