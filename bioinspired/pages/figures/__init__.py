"""The figures of the book, made from records. What only one chapter shows stands in the file named after its study.

Every function returns a matplotlib figure and draws what is there: from an empty store, axes and a line that says so.
"""

from bioinspired.pages.figures.layout import (
    THEME,
    WIDTH,
    finish,
    image,
    legend,
    legend_above,
    nothing,
    palette,
    targets,
)
from bioinspired.pages.figures.networks import curves, gallery, noise, white_box

__all__ = [
    "THEME",
    "WIDTH",
    "curves",
    "finish",
    "gallery",
    "image",
    "legend",
    "legend_above",
    "noise",
    "nothing",
    "palette",
    "targets",
    "white_box",
]
