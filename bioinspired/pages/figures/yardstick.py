"""The figure of the page that has all defenses under one threat model."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bioinspired.lab import papers
from bioinspired.lab.claims.holding import BASELINES
from bioinspired.pages.figures.layout import WIDTH, Colour, finish, nothing, palette
from bioinspired.pages.tables.yardstick import Yardstick

STYLES = ("solid", "dashed", "dotted")


def curves(found: Yardstick) -> Figure:
    """Worst case against ε, a panel a chapter: mean over seeds, band of one deviation."""
    chapters, rows = found.chapters, found.rows
    figure, axes = plt.subplots(2, (len(chapters) + 2) // 2, figsize=(WIDTH, 4.6), sharex=True, sharey=True)
    for axis, chapter in zip(axes.flat, chapters, strict=False):
        _panel(axis, rows[rows["study"] == chapter.study.name])
        axis.set_title(papers.title(chapter.study.name), fontsize="small")
    last = axes.flat[len(chapters)]
    _legend(last)
    for axis in axes.flat[len(chapters) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy, %")
    for axis in axes.flat[: len(chapters)]:
        axis.set(xlabel="ε (Linf)", ylim=(-3, 103))
        axis.tick_params(labelbottom=True)
    return finish(figure)


def _panel(axis: Axes, rows: pd.DataFrame) -> None:
    if rows.empty:
        nothing(axis)
        return
    colours, defended = palette([]), 0
    for label in dict.fromkeys(rows["label"]):
        mine = rows[rows["label"] == label].groupby("strength")["accuracy"]
        ours = label not in BASELINES
        colour = _defense_colour() if ours else colours[label]
        style = STYLES[defended % len(STYLES)] if ours else "solid"
        mean, deviation = mine.mean(), mine.std(ddof=1).fillna(0.0)
        axis.plot(mean.index, mean, marker="o", markersize=3, color=colour, linestyle=style, linewidth=1.6,
                  label=label if ours else "_nolegend_", zorder=3 if ours else 2)  # fmt: skip
        axis.fill_between(mean.index, mean - deviation, mean + deviation, color=colour, alpha=0.15, linewidth=0)
        defended += ours
    axis.legend(fontsize="xx-small", frameon=False, loc="upper right", handlelength=1.8)


def _legend(axis: Axes) -> None:
    for label, colour in palette([]).items():
        axis.plot([], [], marker="o", markersize=3, color=colour, label="undefended" if label == "standard" else label)
    axis.plot([], [], marker="o", markersize=3, color=_defense_colour(), label="defended")
    axis.legend(loc="center", fontsize="small", frameon=False)


def _defense_colour() -> Colour:
    colours: list[Colour] = sns.color_palette("colorblind")
    return colours[3]
