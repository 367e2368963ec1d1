"""The tables of the book, made from records. What only one chapter shows stands in the file named after its study."""

from bioinspired.pages.tables.claims import cells, holdings, verdicts
from bioinspired.pages.tables.glance import all_claims, glance
from bioinspired.pages.tables.layout import NOTHING, SPREAD, badge, cross, interval, small, spread, table, with_interval
from bioinspired.pages.tables.networks import (
    accuracies,
    autoattack,
    baselines,
    checks,
    noise,
    transfer,
    white_box,
    worst_case,
)
from bioinspired.pages.tables.records import cost, provenance, status

__all__ = [
    "NOTHING",
    "SPREAD",
    "accuracies",
    "all_claims",
    "autoattack",
    "badge",
    "baselines",
    "cells",
    "checks",
    "cost",
    "cross",
    "glance",
    "holdings",
    "interval",
    "noise",
    "provenance",
    "small",
    "spread",
    "status",
    "table",
    "transfer",
    "verdicts",
    "white_box",
    "with_interval",
    "worst_case",
]
