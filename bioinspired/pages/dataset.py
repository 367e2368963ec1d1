"""The measurements behind the book as files for other programs, written beside its pages into `data/`.

frame.csv          one row per measurement, with the columns that book/frame_columns.csv describes
claims.json        one object per headline claim: what the paper says, what was measured, the verdict
datapackage.json   the columns with their types and meanings, as a Frictionless data package
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims.assessment import assess
from bioinspired.lab.claims.summary import as_data
from bioinspired.lab.declarations import Study
from bioinspired.lab.engine.plan import recorded, shown
from bioinspired.lab.records.store import PUBLISHED, Store, write
from bioinspired.pages.chapter import COLUMNS, Chapter

FOLDER = "data"
FILES = ("frame.csv", "claims.json", "datapackage.json")


def save(folder: Path, store: Store, described: Path, *, dataset: str = "") -> None:
    """Writes the three files; the same records give the same bytes.

    Args:
        folder: where they go.
        store: the records of one scale, or the published ones.
        described: the table of columns, book/frame_columns.csv.
        dataset: another data set than the studies' own, for the claims.
    """
    claims = [one for name in papers.NAMES for one in _claims(recorded(name, store, dataset=dataset), store)]
    contents = (
        frame(store).to_csv(index=False, lineterminator="\n", float_format="%.6g"),
        json.dumps(claims, indent=1, ensure_ascii=False) + "\n",
        json.dumps(_package(store, columns(described)), indent=1, ensure_ascii=False) + "\n",
    )
    for name, content in zip(FILES, contents, strict=True):
        write(folder / name, content.encode())


def frame(store: Store) -> pd.DataFrame:
    """All measurements of a store, of every study on every data set, one row each; no rows of an empty store."""
    rows = [row for study in _studies(store) for row in _rows(study, store)]
    named = [*COLUMNS, "data", "network", "weights", "factors"]
    return pd.DataFrame(rows, columns=named).drop_duplicates(["study", "network", "label", "key"])


def columns(described: Path) -> list[dict[str, str]]:
    """Name, type and description of each column of `frame`, in order."""
    with described.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _studies(store: Store) -> Iterator[Study]:
    scales = tuple(reversed(PUBLISHED)) if store.scale in PUBLISHED else (store.scale,)
    for name in papers.NAMES:
        for scale in scales:
            yield from shown(name, Store(store.root, scale))


def _rows(study: Study, store: Store) -> Iterator[dict[str, Any]]:
    chapter = Chapter(study, store)
    for result, row in zip(chapter.results, chapter.frame[COLUMNS].to_dict("records"), strict=True):
        yield {str(name): value for name, value in row.items()} | {
            "data": result.trial.network.data.name,
            "network": key(result.trial.network),
            "weights": result.unit["weights"],
            "factors": json.dumps(dict(result.trial.factors), sort_keys=True),
        }


def _claims(study: Study, store: Store) -> list[dict[str, Any]]:
    return [as_data(study, found) for found in assess(study, store)]


def _package(store: Store, described: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "profile": "tabular-data-package",
        "name": "bioinspired",
        "title": f"Measurements of the bioinspired book, scale {store.scale}",
        "licenses": [{"name": "CC-BY-4.0", "path": "https://creativecommons.org/licenses/by/4.0/"}],
        "resources": [
            {
                "name": "frame",
                "path": FILES[0],
                "profile": "tabular-data-resource",
                "format": "csv",
                "encoding": "utf-8",
                "schema": {
                    "fields": described,
                    "missingValues": [""],
                    "primaryKey": ["study", "network", "label", "key"],
                },
            },
            {"name": "claims", "path": FILES[1], "format": "json", "encoding": "utf-8"},
        ],
    }
