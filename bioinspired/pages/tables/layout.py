"""How tables look: HTML through pandas, so that a reader gets a real table."""

import math
from collections.abc import Iterable
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.evaluation.statistics import wilson
from bioinspired.lab import papers

NOTHING = "–"
SPREAD = "Mean over seeds ± standard deviation (seeds)."
SHADES = {
    "passed": "good",
    "reached": "good",
    "not reached": "bad",
    "failed": "bad",
    "reproduced": "good",
    "seen at small scale": "good",
    "supported in our reconstruction": "good",
    "holds": "good",
    "supported": "good",
    "agrees in direction with a second-hand report": "good",
    "smaller": "fair",
    "larger": "fair",
    "direction only": "fair",
    "small gain only": "fair",
    "contradicted": "bad",
    "not reproduced": "bad",
    "not seen at small scale": "bad",
    "not supported in our reconstruction": "bad",
    "does not hold": "bad",
}


def table(frame: pd.DataFrame, caption: str) -> Styler:
    """A frame as the book shows it: without row numbers, with a caption, numbers to the right.

    The keyboard reaches it, so that the arrow keys scroll what is wider than the page.
    """
    attributes = 'class="dataframe records" tabindex="0"'
    styled = frame.style.hide(axis="index").set_caption(caption).set_table_attributes(attributes)
    return styled.set_td_classes(frame.map(lambda value: "number" if _is_number(value) else ""))


def badge(word: str, text: str) -> str:
    """A verdict as a coloured word, the qualifications behind it in plain text."""
    rest = escape(text.removeprefix(word).strip())
    return f'<span class="verdict verdict-{SHADES.get(word, "open")}">{escape(word)}</span> {rest}'.strip()


def cross(rows: pd.DataFrame, column: str, metric: str, *, prefix: str, caption: str) -> Styler:
    """Rows: labels; columns: the values of a column of `chapter.frame`, sorted where it is "eps"; cells: `spread`."""
    out = {}
    for value in dict.fromkeys(rows.sort_values("strength")[column] if column == "eps" else rows[column]):
        out[prefix + str(value)] = spread(rows[rows[column] == value], metric)
    frame = pd.DataFrame(out).reindex(list(dict.fromkeys(rows["label"])))
    images = counts(rows["n"])
    said = f"{caption} Images: {images}." if images else caption
    return table(frame.fillna(NOTHING).rename_axis("network").reset_index(), said)


def spread(rows: pd.DataFrame, metric: str) -> "pd.Series[str]":
    """Per label the mean over target seeds (each the mean over its sources), the deviation over them, and how many."""
    found = {}
    for label in dict.fromkeys(rows["label"]):
        seeds = rows[rows["label"] == label].dropna(subset=[metric]).groupby("seed")[metric].mean()
        if seeds.empty:
            continue
        deviation = f" ± {seeds.std(ddof=1):.1f}" if len(seeds) > 1 else ""
        found[label] = f"{seeds.mean():.1f}{deviation} ({len(seeds)})"
    return pd.Series(found, dtype=str)


def link(study: str) -> str:
    """A study's title, as a link from a page at the top of the book to its chapter."""
    return f'<a href="papers/{study}.html">{papers.title(study)}</a>'


def counts(numbers: Iterable[int], between: str = ", ") -> str:
    """Different numbers, smallest first; "" for none."""
    return between.join(f"{n:,}" for n in sorted(set(numbers)))


def small(text: str) -> str:
    """A line in small print below what stands in a cell; "" for none."""
    return f"<br><small>{text}</small>" if text else ""


def interval(mean: float, low: float | None, high: float | None, unit: str) -> str:
    """An effect with its interval: points, which end at 100, or a factor for the unit "ratio"."""
    form = "× {:.2f}" if unit == "ratio" else "{:+.1f}"
    if unit == "points" and low is not None and high is not None:
        low, high = max(low, -100.0), min(high, 100.0)
    ends = "" if low is None or high is None else f" [{form.format(low)}, {form.format(high)}]"
    return form.format(mean) + ends


def with_interval(percent: float, n: int) -> str:
    """A percentage of n images with Wilson's 95 % interval."""
    low, high = wilson(round(percent * n / 100), n)
    return f"{percent:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def number(value: float) -> str:
    """Three digits, or a sign for what no step reached."""
    return "∞" if math.isinf(value) else NOTHING if math.isnan(value) else f"{value:.3g}"


def _is_number(value: object) -> bool:
    text = str(value)
    return "<br>" not in text and (text[:1].isdigit() or text[:1] in "+-–×")
