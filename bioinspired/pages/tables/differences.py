"""Differences between two rows of networks, seed by seed, as numbers and as text."""

import pandas as pd

from bioinspired.evaluation.statistics import LEVEL, of_seeds
from bioinspired.pages.tables.layout import NOTHING


def minus(rows: pd.DataFrame, other: str, measures: list[str]) -> pd.DataFrame:
    """Sleep minus another row, by the seeds that both have.

    Args:
        rows: one row a network, with "row", "seed" and the measures.
        other: the row that is subtracted.
        measures: columns of the result.
    """
    slept, left = (rows[rows["row"] == name].set_index("seed")[measures] for name in ("sleep", other))
    seeds = slept.index.intersection(left.index)
    return slept.loc[seeds] - left.loc[seeds]


def difference(values: "pd.Series[float]", digits: int = 1) -> str:
    """The mean of paired differences, from three seeds on with Student's interval."""
    values = values.dropna()
    if values.empty:
        return NOTHING
    mean = f"{values.mean():+.{digits}f}"
    if len(values) < 3:
        return mean
    low, high = of_seeds(values.tolist()).interval(LEVEL)
    return f"{mean} [{low:+.{digits}f}, {high:+.{digits}f}]"
