"""The page of all claims: none is left out, and leaving out an attack does what its name says."""

import numpy as np
import pytest
from filled import fill, is_clean

from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims.summary import ball, of_attacks
from bioinspired.lab.claims.worst_case import name_of
from bioinspired.lab.records.store import Store, pack
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables import every_claim
from bioinspired.pages.tables.left_out import left_out


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "laptop")


def opened(store, *names):
    return [Chapter(papers.study(name, "laptop"), store).on() for name in names or papers.NAMES]


def test_every_claim_has_its_row_on_an_empty_store(store):
    pages = opened(store)
    claims = [found for page in pages for found in page.assessments]
    assert len(every_claim.index(pages).data) == len(every_claim.changes(pages).data) == len(claims)
    assert every_claim.changes(pages).data["another verdict"].str.startswith("Any measurement of it: bioinspired").all()
    assert len(left_out(pages).data) == 0


def test_measured_claims_say_what_would_change_them(store):
    fill(store, papers.study("defective_conv", "laptop"), lambda trial, asked: 0.9 if is_clean(asked) else 0.5)
    pages = opened(store, "defective_conv")
    said = every_claim.changes(pages).data["another verdict"]
    assert said.str.startswith(("A mean effect", "More of the same", "Any measurement", "Another effect")).all()
    assert not said.str.startswith("Any measurement").all()
    answers = every_claim.answers(pages).data
    assert len(answers) <= len(of_attacks(pages[0].assessments))
    assert not answers.duplicated().any()


def test_images_that_one_attack_alone_breaks_stand_without_it(store):
    study = papers.study("defective_conv", "laptop")
    fill(store, study, lambda trial, asked: 1.0)
    page = opened(store, "defective_conv")[0]
    found = next(one for one in of_attacks(page.assessments) if one.white_box.level is not None)
    label, level = found.headline.defended, found.white_box.level
    names = page.attacks.names(level, label)
    breaker = next(r for r in page.results if r.label == label and name_of(r) in names and not r.source)
    for trial in study.trials:
        if trial.label != label:
            continue

        def broken(record):
            entry = record.measurements.get(key(breaker.measurement))
            if entry is not None:
                entry["bits"]["correct"] = pack(np.arange(entry["images"]["n"]) >= entry["images"]["n"] // 4)
            return record

        store.update(key(trial.network), broken)
    rows = left_out(opened(store, "defective_conv")).data
    rows = rows[rows["network"].str.contains(f"<small>{label}, {ball(level)}</small>", regex=False)]
    assert len(rows) > 1
    (row,) = rows[rows["under it alone"] != "0.0"].to_dict("records")
    assert (row["wrong under it"], row["under it alone"]) == ("25.0", "25.0")
    assert (row["stands without it"], row["stands with it"]) == ("100.0", "75.0")
