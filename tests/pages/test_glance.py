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
    return re.findall(r'(\d+) × <span class="verdict verdict-[a-z]+">([^<]+)</span>', cell)


def half(trial, asked):
    return {"keep 0.1": 0.9}.get(trial.label, 1.0) if is_clean(asked) else 0.5


def test_every_claim_about_robustness_is_counted_once(store):
    fill(store, papers.study("defective_conv", "laptop"), half)
    pages = {name: page(store, name) for name in papers.NAMES}
    shown = tables.glance(list(pages.values())).data
    shown.index = shown["paper"].str.extract(r"papers/(\w+)\.html", expand=False)
    for name, one in pages.items():
        robustness = [found for found in one.assessments if found.headline.sort == "robustness"]
        assert sum(int(n) for n, _ in words(shown.loc[name, "does it reproduce?"])) == len(robustness)
    assert {word for _, word in words(shown.loc["weight_map", "does it reproduce?"])} == {"not tested"}
    assert shown.loc["weight_map"].iloc[1] == "–", "nothing was measured"
    assert "clean: 90.0 %, undefended 100.0 %" in shown.loc["defective_conv"].iloc[1]
    units = len(pages["defective_conv"].units)
    assert f"digits; proxy; {units:,} of {units:,} units made" in shown.loc["defective_conv", "paper"]


def test_bars_show_what_defense_baseline_and_twin_keep(store):
    fill(store, papers.study("defective_conv", "laptop"), half)
    picture = tables.glance([page(store, "defective_conv")]).data.iloc[0, 1]
    assert picture.count('style="--kept: 50.0%"') in (2, 3)


def test_the_list_has_every_claim_and_every_filter_finds_its_own(store):
    fill(store, papers.study("defective_conv", "laptop"), half)
    pages = [page(store, name) for name in ("defective_conv", "sleep")]
    html = tables.all_claims(pages)
    total = sum(len(one.assessments) for one in pages)
    assert html.count("<tr>") == total + 1
    assert (
        html.count('class="sort-robustness"') + html.count('class="sort-cost"') + html.count('"sort-control"') == total
    )
    assert html.count('type="radio"') == html.count(":checked") + 1, "all needs no rule"


def test_a_network_is_asked_once_at_one_strength_whether_it_holds(store):
    assert [one.headline.defended for one in of_attacks(page(store, "sleep").assessments)][:1] == ["sleep B"]
    asked = of_attacks(page(store, "dim").assessments)
    assert [one.headline.id for one in asked] == ["linf", "l2", "l0", "overall-pgd"]
    of_map = of_attacks(page(store, "weight_map").assessments)
    assert [one.headline.id for one in of_map] == ["attack-smoothing", "attack-unsharp"], "the control is none"
