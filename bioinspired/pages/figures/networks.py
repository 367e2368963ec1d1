"""What networks answered, as curves over a strength and as images."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from bioinspired.lab.measurements.declarations import Gallery
from bioinspired.lab.records.results import Result
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.figures.layout import WIDTH, Colour, finish, image, legend, nothing, palette, targets


def white_box(chapter: Chapter, labels: Collection[str] = (), *, colours: Mapping[str, Colour] | None = None) -> Figure:
    """Accuracy under PGD against epsilon, an upper bound; of some labels or all. `colours` as for `curves`."""
    ylabel = "accuracy under PGD, % (upper bound)"
    rows = _of(chapter.pgd(), labels)
    return curves(chapter, rows, xlabel="ε (Linf, on [0, 1])", ylabel=ylabel, colours=colours)


def noise(
    chapter: Chapter,
    name: str = "gaussian_noise_clipped",
    labels: Collection[str] = (),
    *,
    colours: Mapping[str, Colour] | None = None,
) -> Figure:
    """Accuracy against the sigma of a Gaussian noise; of some labels or all. `colours` as for `curves`."""
    rows = _of(chapter.frame[chapter.frame["name"] == name], labels)
    return curves(chapter, rows, xlabel="σ of Gaussian noise (on [0, 1])", ylabel="accuracy, %", colours=colours)


def _of(rows: pd.DataFrame, labels: Collection[str]) -> pd.DataFrame:
    return rows[rows["label"].isin(labels)] if labels else rows


def gallery(chapter: Chapter, labels: Sequence[str], *, columns: int = 8) -> Figure:
    """The first test images and, below, each network's own adversarial examples, titled with its answers.

    No image is chosen: they are the first of the fixed test order.
    """
    shown = {label: found for label in labels if (found := _gallery(chapter, label)) is not None}
    if not shown:
        figure, axis = plt.subplots(figsize=(WIDTH, 1.5))
        nothing(axis)
        return finish(figure)
    figure, axes = plt.subplots(1 + len(shown), columns, figsize=(WIDTH, 1.25 * (1 + len(shown))), squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([]), axis.set_yticks([])
    first = next(iter(shown))
    arrays = {label: chapter.store.artifact(found.record, found.key) for label, found in shown.items()}
    for column in range(columns):
        image(axes[0, column], arrays[first]["clean"][column], str(arrays[first]["label"][column]))
        for row, label in enumerate(shown, start=1):
            image(
                axes[row, column],
                arrays[label]["adversarial"][column],
                str(arrays[label]["adversarial_answer"][column]),
            )
    for row, name in enumerate(["clean", *shown]):
        axes[row, 0].set_ylabel(name, fontsize="small")
    return finish(figure)


def curves(
    chapter: Chapter, rows: pd.DataFrame, *, xlabel: str, ylabel: str, colours: Mapping[str, Colour] | None = None
) -> Figure:
    """Percent right against the strength, from the clean accuracy at 0: mean over seeds, band from lowest to highest.

    Args:
        chapter: whose clean accuracies and colours are used.
        rows: of `chapter.frame`.
        xlabel, ylabel: of the axes.
        colours: by label; None takes those of the whole chapter, which lie close together where it has many rows.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.8))
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(-2, 102))
    if rows.empty:
        nothing(axis)
        return finish(figure)
    clean = chapter.frame[(chapter.frame["kind"] == "clean") & chapter.frame["label"].isin(rows["label"])]
    rows = pd.concat([clean.assign(strength=0.0), rows])
    colours = colours or palette(targets(chapter))
    for number, label in enumerate(dict.fromkeys(rows["label"])):
        seeds = rows[rows["label"] == label].groupby("strength")["accuracy"]
        mean, low, high = seeds.mean(), seeds.min(), seeds.max()
        marker = "osD^vPX<>"[number % 9]
        axis.plot(mean.index, mean, marker=marker, markersize=5, color=colours[label], label=label)
        axis.fill_between(mean.index, low, high, color=colours[label], alpha=0.15, linewidth=0)
    legend(figure, axis)
    return finish(figure)


def _gallery(chapter: Chapter, label: str) -> Result | None:
    galleries = [found for found in chapter.results if isinstance(found.measurement.question, Gallery)]
    return next((found for found in galleries if found.label == label), None)
