"""The page that has all verdicts: from made-up records and from none."""

import re

import pytest
from filled import fill, is_clean

from bioinspired.lab import papers
from bioinspired.lab.records.store import Store
from bioinspired.pages import chapter, tables
from bioinspired.pages.tables.claims import of_attacks


def page(store, name):
    return chapter.Chapter(papers.study(name, "laptop"), store).on()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "laptop")


def words(cell):
    return dict(re.findall(r'verdict-[a-z]+">([^<]+)</span> × (\d+)', cell))


def test_every_claim_is_counted_once(store):
    fill(store, papers.study("defective_conv", "laptop"), lambda trial, asked: 1.0 if is_clean(asked) else 0.5)
    pages = {name: page(store, name) for name in papers.NAMES}
    shown = tables.glance(list(pages.values())).data
    shown.index = shown["chapter"].str.extract(r"papers/(\w+)\.html", expand=False)
    assert shown["chapter"].str.contains(papers.title("sleep")).sum() == 1
    for name, one in pages.items():
        counts = words(shown.loc[name, "headline claims"])
        assert sum(map(int, counts.values())) == len(one.assessments)
        holding = words(shown.loc[name, "holds? white box"])
        assert sum(map(int, holding.values())) == len(of_attacks(one.assessments))
    assert set(words(shown.loc["weight_map", "headline claims"])) == {"not tested"}
    assert set(words(shown.loc["defective_conv", "headline claims"])) != {"not tested"}
    units = len(pages["defective_conv"].units)
    assert f"digits; {units:,} of {units:,} units made" in shown.loc["defective_conv", "chapter"]


def test_below_a_title_stands_how_near_to_the_paper_it_is_and_what_the_defense_costs(store):
    def share(trial, asked):
        return {"keep 0.1": 0.9, "keep 0.3": 0.95}.get(trial.label, 1.0) if is_clean(asked) else 0.5

    fill(store, papers.study("defective_conv", "laptop"), share)
    about = tables.glance([page(store, "defective_conv"), page(store, "sleep")]).data["chapter"]
    assert "<small>proxy: networks of width 8 trained for a few epochs" in about[0]
    assert "<small>clean accuracy: 100.0 % undefended, 90.0 % keep 0.1, 95.0 % keep 0.3</small>" in about[0]
    assert "clean accuracy" not in about[1], "nothing was measured"


def test_a_chapter_is_told_in_short(store):
    text = tables.in_short(page(store, "sleep"))
    assert text.startswith("**In short.** Of 7 headline claims: not tested (7).")
    assert "with the paper's access: not tested (2); in white box: not tested (2)." in text


def test_a_network_is_asked_once_whether_it_holds_in_a_ball(store):
    of_sleep = [one.headline.id for one in of_attacks(page(store, "sleep").assessments)]
    assert of_sleep == ["fgsm", "deepfool"]
    assert [one.headline.id for one in of_attacks(page(store, "dim").assessments)] == [
        "linf",
        "l2",
        "l0",
        "overall-pgd",
    ]
    of_map = [one.headline.id for one in of_attacks(page(store, "weight_map").assessments)]
    assert of_map == ["attack-smoothing", "attack-unsharp"], "the control is none"
