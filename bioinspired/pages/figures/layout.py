"""How figures look: seaborn's colour-blind palette, one colour a label throughout a chapter, legends below."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bioinspired.lab.claims.holding import BASELINES
from bioinspired.pages.chapter import Chapter

WIDTH = 7.2  # inches; the text column of the rendered book

Colour = tuple[float, float, float]

THEME: dict[str, Any] = {
    "style": "whitegrid",
    "palette": "colorblind",
    "font_scale": 0.85,
    "rc": {"figure.dpi": 144, "figure.figsize": (WIDTH, 3.4)},
}
"""The look of every figure: `sns.set_theme(**THEME)`."""

sns.set_theme(**THEME)


def palette(labels: Sequence[str]) -> dict[str, Colour]:
    """One colour per label, the same in every figure of a chapter: hues for the baselines, shades for the rest."""
    others = [label for label in labels if label not in BASELINES]
    return dict(zip(BASELINES, sns.color_palette("colorblind", len(BASELINES)), strict=True)) | dict(
        zip(others, sns.color_palette("flare", len(others)), strict=True)
    )


def targets(chapter: Chapter) -> list[str]:
    """Labels of the networks that are compared: all but the sources, in the study's order."""
    labels = dict.fromkeys(trial.label for trial in chapter.study.trials)
    return [label for label in labels if not label.startswith("source")]


def image(axis: Axes, image: NDArray[np.uint8], title: str) -> None:
    """Shows one image, uint8 [C, H, W], with a title."""
    grey = image.shape[0] == 1
    axis.imshow(image[0] if grey else image.transpose(1, 2, 0), cmap="gray" if grey else None, vmin=0, vmax=255)
    axis.set_title(title, fontsize="small", pad=2)


def legend(figure: Figure, *axes: Axes) -> None:
    """One legend for the figure, below it: that of the panel with the most entries."""
    handles, labels = max((axis.get_legend_handles_labels() for axis in axes), key=lambda found: len(found[1]))
    figure.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, fontsize="small", frameon=False
    )


def legend_above(axes: Axes) -> None:
    """Moves an axes' legend, where it has one, above the plot and out of the way."""
    if axes.get_legend() is not None:
        sns.move_legend(axes, "lower center", bbox_to_anchor=(0.5, 1), ncols=4, title=None, frameon=False)


def nothing(axis: Axes) -> None:
    """Says on an axis that there are no measurements yet."""
    axis.text(0.5, 0.5, "not measured yet", ha="center", va="center", transform=axis.transAxes, color="#666666")


def finish(figure: Figure) -> Figure:
    """Lays the figure out and closes it, so that it is shown once."""
    figure.tight_layout()
    plt.close(figure)
    return figure
