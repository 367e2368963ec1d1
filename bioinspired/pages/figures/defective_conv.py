"""Figures of the chapter on defective convolution."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from bioinspired.keys import strength
from bioinspired.lab.claims import load
from bioinspired.lab.claims.holding import BASELINES
from bioinspired.lab.papers.defective_conv.declarations import Striking
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.figures import networks
from bioinspired.pages.figures.layout import WIDTH, Colour, finish, image, legend, nothing, palette, targets

MARKERS = "osD^vPX<>hp"  # eleven, and seven hues: marker and hue together tell all labels apart


def colours(chapter: Chapter) -> dict[str, Colour]:
    """One hue a label in every figure of this chapter: the baselines' own, then those that are left, in turn."""
    hues = sns.color_palette("colorblind")[len(BASELINES) :]
    others = [label for label in targets(chapter) if label not in BASELINES]
    return palette([]) | dict(zip(others, cycle(hues), strict=False))


def white_box(chapter: Chapter, labels: Sequence[str]) -> Figure:
    """Accuracy of some networks under PGD against epsilon, an upper bound: mean, band from lowest to highest."""
    return networks.white_box(chapter, labels, colours=colours(chapter))


def noise(chapter: Chapter, labels: Sequence[str]) -> Figure:
    """Accuracy of some networks against the sigma of Gaussian noise: mean, band from lowest to highest."""
    return networks.noise(chapter, labels=labels, colours=colours(chapter))


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
    """Clean error against transfer robustness, the paper's points hollow at the left, ours at the right.

    Both sides use the paper's conditional rate. The data sets and networks may differ, and so do the axes of errors.
    These are logarithmic and reversed, so that networks that are hardly ever wrong can be told apart.
    """
    figure, (theirs, ours) = plt.subplots(1, 2, figsize=(WIDTH, 3.4))
    _paper_tradeoff(chapter, theirs, paper_source)
    frame = chapter.frame
    clean = frame[frame["kind"] == "clean"].set_index(["label", "seed"])["accuracy"]
    moved = frame[(frame["source"] == source) & (frame["name"] == "pgd") & (frame["eps"] == strength(eps))]
    moved = moved.dropna(subset=["conditional"])
    rates = moved.groupby(["label", "seed"], sort=False)["conditional"].mean()
    hues, markers = colours(chapter), dict(zip(targets(chapter), cycle(MARKERS), strict=False))
    for label in dict.fromkeys(rates.index.get_level_values("label")):
        errors = _error(clean[label].reindex(rates[label].index))
        ours.scatter(errors, rates[label], label=label, color=hues[label], marker=markers[label], s=36)
    ours.set(ylabel="right on transferred examples, %", ylim=(-2, 102), title=f"ours, one point a seed, ε = {eps}")
    _errors_along(ours)
    if rates.empty:
        nothing(ours)
    else:
        legend(figure, ours)
    return finish(figure)


def surrogates(chapter: Chapter, label: str = "keep 0.1") -> Figure:
    """Accuracy of the defended network on examples of an attacker who trains k networks of the same recipe."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.4))
    rows = chapter.frame
    rows = rows[(rows["label"] == label) & (rows["name"] == "mi_fgsm")].copy()
    rows["k"] = rows["source_seed"].str.count(r"\+") + 1
    grey = rows[rows["source"] == "same recipe"]
    axis.set(xlabel="surrogates of the same recipe, other masks", ylabel="accuracy, %", ylim=(-2, 102))
    if grey.empty:
        nothing(axis)
        return finish(figure)
    by_k = grey.groupby("k")["accuracy"]
    hues = sns.color_palette("colorblind", 3)
    axis.plot(by_k.mean().index, by_k.mean(), "o-", color=hues[0], label="the same recipe, other masks")
    axis.fill_between(by_k.min().index, by_k.min(), by_k.max(), color=hues[0], alpha=0.15, linewidth=0)
    axis.set_xticks(sorted(grey["k"].unique()))
    for others, name, colour, style in (
        (rows[rows["source"] == "new masks"], "one surrogate under ever new masks", hues[1], "--"),
        (rows[rows["source"].str.contains("resnet18")], "all ordinary sources together", hues[2], ":"),
    ):
        if not others.empty:
            axis.axhline(others["accuracy"].mean(), color=colour, linestyle=style, label=name)
    axis.set_title(f"ε = {grey['eps'].iloc[0]}, {grey['n'].iloc[0]:,} images", fontsize="small")
    legend(figure, axis)
    return finish(figure)


def steps(chapter: Chapter) -> Figure:
    """Accuracy under white-box PGD against its steps, on the seed and images that the page shows one by one."""
    rows = chapter.frame
    rows = rows[(rows["name"] == "pgd") & (rows["source"] == "") & (rows["kind"] == "attack") & (rows["loss"] == "ce")]
    counts = rows.groupby(["label", "eps", "n"])["steps"].transform("nunique")
    rows = rows[counts > 1]
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    axis.set(xlabel="steps of PGD", ylabel="accuracy, % (upper bound)", ylim=(-2, 102))
    if rows.empty:
        nothing(axis)
        return finish(figure)
    axis.set_xscale("log")
    hues = colours(chapter)
    for label, marker in zip(dict.fromkeys(rows["label"]), MARKERS, strict=False):
        mine = rows[rows["label"] == label].sort_values("steps")
        mine = mine[mine["n"] == mine["n"].min()]
        axis.plot(mine["steps"], mine["accuracy"], marker=marker, color=hues[label], label=label)
    first = rows[rows["n"] == rows["n"].min()].iloc[0]
    axis.set_title(f"ε = {first['eps']}, {first['n']:,} images, seed {first['seed']}", fontsize="small")
    legend(figure, axis)
    return finish(figure)


def gradients(chapter: Chapter) -> Figure:
    """How long the gradients are that an attacker sees at clean images: root mean square per value, by network."""
    found = [result for result in chapter.results if result.values("gradient") is not None]
    figure, axis = plt.subplots(figsize=(WIDTH, 3.0))
    axis.set(xlabel="length of the gradient (root mean square per value)", ylabel="share of images")
    if not found:
        nothing(axis)
        return finish(figure)
    hues = colours(chapter)
    axis.set_xscale("log")
    for result, style in zip(found, cycle(("-", "--", ":", "-.")), strict=False):
        lengths = result.values("gradient")
        assert lengths is not None
        shown = np.sort(np.maximum(lengths, 1e-12))
        share = np.arange(1, len(shown) + 1) / len(shown)
        axis.plot(shown, share, linestyle=style, color=hues[result.label], label=result.label)
    axis.set_title(f"{found[0].n:,} images, seed {found[0].seed}", fontsize="small")
    legend(figure, axis)
    return finish(figure)


def learning(chapter: Chapter, labels: Sequence[str] = ("standard", "keep 0.3", "keep 0.1")) -> Figure:
    """Accuracy on training batches and on test images over the epochs: mean over seeds."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    axis.set(xlabel="epoch", ylabel="accuracy, %")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    hues = colours(chapter)
    for label, marker in zip(labels, MARKERS, strict=False):
        clean = [r for r in chapter.results if r.label == label and r.measurement.question.kind == "clean"]
        histories = [history for r in clean if "test_accuracy" in (history := r.record.training)]
        if histories:
            epochs = range(1, 1 + min(len(history["test_accuracy"]) for history in histories))
            for name, style in (("test_accuracy", "-"), ("train_accuracy", ":")):
                mean = np.mean([history[name][: len(epochs)] for history in histories], axis=0)
                said = f"{label}, {name.split('_')[0]}"
                axis.plot(epochs, 100 * mean, style, marker=marker, markersize=4, color=hues[label], label=said)
    if axis.lines:
        legend(figure, axis)
    else:
        nothing(axis)
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
    errors = {keep: _error(clean[keep]) for keep in kept}
    axis.scatter([errors[k] for k in kept], [moved[k] for k in kept], facecolors="none", edgecolors="#444444", s=36)
    for keep in kept:
        name = f"keep {keep}" if keep else "standard"
        axis.annotate(name, (errors[keep], moved[keep]), textcoords="offset points", xytext=(5, 3), fontsize="x-small")
    axis.set(
        ylabel="right on transferred examples, %", ylim=(-2, 102), title="the paper's, CIFAR-10, one run, ε = 16/255"
    )
    _errors_along(axis)


def _error(accuracy: Any) -> Any:
    """Percent wrong; where none is, as if a tenth of a percent were."""
    return np.maximum(100.0 - accuracy, 0.1)


def _errors_along(axis: Axes) -> None:
    axis.set(xlabel="clean error, % (fewer to the right)", xscale="log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.invert_xaxis()


def striking(chapter: Chapter, labels: Sequence[str], *, columns: int = 8) -> Figure:
    """Chosen images, clean and changed, row by row: those whose new answer a second network shares most confidently."""
    shown = {label: arrays for label in labels if (arrays := _striking(chapter, label)) is not None}
    if not shown:
        figure, axis = plt.subplots(figsize=(WIDTH, 1.5))
        nothing(axis)
        return finish(figure)
    figure, axes = plt.subplots(2 * len(shown), columns, figsize=(WIDTH, 2.5 * len(shown)), squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([]), axis.set_yticks([])
    for row, (label, arrays) in enumerate(shown.items()):
        for column in range(min(columns, len(arrays["label"]))):
            image(axes[2 * row, column], arrays["clean"][column], str(arrays["label"][column]))
            image(axes[2 * row + 1, column], arrays["adversarial"][column], str(arrays["adversarial_answer"][column]))
        axes[2 * row, 0].set_ylabel("clean", fontsize="small")
        axes[2 * row + 1, 0].set_ylabel(label, fontsize="small")
    return finish(figure)


def _striking(chapter: Chapter, label: str) -> Mapping[str, NDArray[Any]] | None:
    """The arrays of a row's striking examples; None where there are none."""
    for result in chapter.results:
        if result.label == label and isinstance(result.measurement.question, Striking):
            arrays = result.artifact(chapter.store)
            return arrays if len(arrays["label"]) else None
    return None
