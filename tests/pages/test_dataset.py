"""The measurements as files: every column is described, every measurement is there once, and the bytes are the same."""

import csv
import json

import pytest
from filled import fill, is_clean

from bioinspired.lab import papers
from bioinspired.lab.records.results import read
from bioinspired.lab.records.store import Store, checkout
from bioinspired.pages import dataset

DESCRIBED = checkout() / "book" / "frame_columns.csv"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results", "laptop")
    fill(store, papers.study("defective_conv", "laptop"), lambda trial, asked: 0.9 if is_clean(asked) else 0.5)
    return store


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_a_measurement_and_a_word_on_each_column(store, tmp_path):
    dataset.save(tmp_path / "data", store, DESCRIBED)
    found, described = rows(tmp_path / "data" / "frame.csv"), dataset.columns(DESCRIBED)
    assert list(found[0]) == [column["name"] for column in described]
    assert all(len(column["description"].split()) > 2 for column in described)
    study = papers.study("defective_conv", "laptop")
    results = read(study, store)
    assert {(row["network"], row["key"], row["label"]) for row in found} == {
        (result.record.key, result.key, result.label) for result in results
    }
    one = next(result for result in results if not is_clean(result.measurement))
    row = next(row for row in found if (row["network"], row["key"]) == (one.record.key, one.key))
    assert row["weights"] == one.record.provenance["units"]["training"]["weights"]
    if one.rate() is not None:
        assert float(row["accuracy"]) == pytest.approx(one.rate())
    assert json.loads(row["factors"]) == dict(one.trial.factors)


def test_types_are_kept(store, tmp_path):
    dataset.save(tmp_path / "data", store, DESCRIBED)
    package = json.loads((tmp_path / "data" / "datapackage.json").read_text())
    (frame,) = [one for one in package["resources"] if one["name"] == "frame"]
    convert = {"string": str, "integer": int, "number": float}
    for row in rows(tmp_path / "data" / frame["path"]):
        for field in frame["schema"]["fields"]:
            if row[field["name"]]:
                convert[field["type"]](row[field["name"]])
    keys = [tuple(row[name] for name in frame["schema"]["primaryKey"]) for row in rows(tmp_path / "data/frame.csv")]
    assert len(keys) == len(set(keys))


def test_claims_carry_their_verdicts(store, tmp_path):
    dataset.save(tmp_path / "data", store, DESCRIBED)
    claims = json.loads((tmp_path / "data" / "claims.json").read_text())
    assert {one["study"] for one in claims} == set(papers.NAMES)
    tested = [one for one in claims if one["seeds"]]
    assert tested
    assert all(one["study"] == "defective_conv" and one["verdict"] != "not tested" for one in tested)


def test_the_same_records_give_the_same_bytes(store, tmp_path):
    for name in ("one", "two"):
        dataset.save(tmp_path / name, store, DESCRIBED)
    for name in dataset.FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_empty_store_gives_the_head_of_the_table(tmp_path):
    dataset.save(tmp_path / "data", Store(tmp_path / "results", "full"), DESCRIBED)
    assert rows(tmp_path / "data" / "frame.csv") == []
    assert (tmp_path / "data" / "frame.csv").read_text().startswith("study,label,")
