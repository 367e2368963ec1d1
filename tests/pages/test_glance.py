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
    return re.findall(r'verdict-[a-z]+">([^<]+)</span> × (\d+)', cell)


def test_every_claim_is_counted_once(store):
    fill(store, papers.study("defective_conv", "laptop"), lambda trial, asked: 1.0 if is_clean(asked) else 0.5)
    pages = {name: page(store, name) for name in papers.NAMES}
    shown = tables.glance(list(pages.values())).data
    shown.index = shown["chapter"].str.extract(r"papers/(\w+)\.html", expand=False)
    assert shown["chapter"].str.contains(papers.title("sleep")).sum() == 1
    for name, one in pages.items():
        assert sum(int(n) for _, n in words(shown.loc[name, "claims"])) == len(one.assessments)
        assert shown.loc[name, "holds? white box"] != "–" or not of_attacks(one.assessments)
    assert {word for word, _ in words(shown.loc["weight_map", "claims"])} == {"not tested"}
    assert {word for word, _ in words(shown.loc["defective_conv", "claims"])} != {"not tested"}
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
    one = page(store, "sleep")
    assert text.startswith(f"**In short.** Of {len(one.assessments)} headline claims, robustness: not tested (")
    assert "; cost: not tested (1)." in text
    assert "- With the paper's access: sleep B: not tested" in text


def test_the_answer_gives_the_price_the_worst_case_and_the_difference(store):
    def share(trial, asked):
        if is_clean(asked):
            return 0.9 if trial.label == "keep 0.1" else 1.0
        return {"keep 0.1": 0.6, "standard": 0.3}.get(trial.label, 0.5)

    fill(store, papers.study("defective_conv", "laptop"), share)
    text = tables.in_short(page(store, "defective_conv"))
    assert "Clean accuracy: keep 0.1 90.0 %, the undefended twin 100.0 %." in text
    assert "keeps 60.0 % of 200 images" in text
    assert "the undefended twin 30.0 %" in text
    assert "+10.0 points [" in text


def test_a_network_is_asked_once_at_one_strength_whether_it_holds(store):
    assert [one.headline.defended for one in of_attacks(page(store, "sleep").assessments)][:1] == ["sleep B"]
    asked = of_attacks(page(store, "dim").assessments)
    assert [one.headline.id for one in asked] == ["linf", "l2", "l0", "overall-pgd"]
    of_map = of_attacks(page(store, "weight_map").assessments)
    assert [one.headline.id for one in of_map] == ["attack-smoothing", "attack-unsharp"], "the control is none"
