"""All defenses under one threat model: from made-up records and from none."""

import numpy as np
import pytest
from filled import fill, is_clean

from bioinspired.lab import papers
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.records.results import strength
from bioinspired.lab.records.store import Store
from bioinspired.pages import chapter
from bioinspired.pages.figures import yardstick as figures_yardstick
from bioinspired.pages.tables import yardstick

N = 200


def pages(store):
    return [
        chapter.Chapter(papers.study(name, "laptop"), store).on(papers.shared_dataset("laptop"))
        for name in papers.NAMES
    ]


def stands(shares):
    """A share for every attack in Linf, by label; `shares` may be a function of ε."""

    def share(trial, asked):
        if is_clean(asked):
            return 1.0
        if not isinstance(asked.question, Attack) or asked.question.norm != "linf":
            return None
        found = shares.get(trial.label, 0.5)
        return found(strength(asked)) if callable(found) else found

    return share


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "laptop")


def of(rows, label, eps):
    return rows[(rows["study"] == "sleep") & (rows["label"] == label) & (rows["eps"] == eps)]


def test_what_has_fallen_within_a_smaller_ball_has_fallen_within_a_larger_one(store):
    by_eps = {"0.05": 0.3, "0.1": 0.6, "0.2": 0.2}
    fill(store, papers.study("sleep", "laptop"), stands({"sleep B": by_eps.get}), n=N)
    rows = yardstick.Yardstick(pages(store)).rows
    shares = [of(rows, "sleep B", eps)["accuracy"].unique().tolist() for eps in ("0", *by_eps)]
    assert shares == [[100], [30], [30], [20]]
    assert set(rows["study"]) == {"sleep"}
    assert set(rows.loc[rows["defense"], "label"]) == {"sleep B"}, "set A is claimed for distortions, not for attackers"
    assert set(rows["label"]) == {"standard", "sleep B", "pgd-trained", "noise-trained"}


def test_accuracies_stand_by_chapter_and_network(store):
    fill(store, papers.study("sleep", "laptop"), stands({"sleep B": 0.25}), n=N)
    shown = yardstick.accuracies(yardstick.Yardstick(pages(store))).data.set_index("network")
    assert shown.loc["sleep B", "ε = 0.1"] == "25.0 ± 0.0 (3)"
    assert shown.loc["standard", "clean"] == "100.0 ± 0.0 (3)"
    assert shown.loc["sleep B", "images"] == f"{N}"
    assert papers.title("sleep") in shown.loc["sleep B", "chapter"]
    assert "papers/sleep.html" in shown.loc["sleep B", "chapter"]


@pytest.mark.parametrize(
    ("share", "gain", "said"),
    [
        (0.9, "+40.0", "shown to be more robust: *sleep B* (ε = 0.05, 0.1, 0.2); shown to be less robust: none."),
        (0.52, "+2.0", "shown to be more robust: none; shown to be less robust: none."),
        (0.2, "-30.0", "shown to be more robust: none; shown to be less robust: *sleep B* (ε = 0.05, 0.1, 0.2)."),
    ],
)
def test_a_gain_is_said_when_its_whole_interval_shows_it(store, share, gain, said):
    fill(store, papers.study("sleep", "laptop"), stands({"sleep B": share, "pgd-trained": share}), n=5_000)
    found = yardstick.Yardstick(pages(store))
    frame = yardstick.gains(found).data
    assert frame[frame["minus"] == "standard"].iloc[0]["ε = 0.1"].startswith(gain)
    text = yardstick.answer(found)
    assert f"Against the undefended twin (1 defended network compared): {said}" in text
    assert "Against PGD training (1 defended network compared): shown to be more robust: none;" in text
    missing = [papers.title(name) for name in papers.NAMES if name != "sleep"]
    assert f"Not compared, for want of records of three seeds: {', '.join(missing)}." in text


def test_a_gain_needs_three_seeds(store):
    fill(store, papers.study("sleep", "laptop", seeds=(0, 1)), stands({"sleep B": 0.9}), n=N)
    found = yardstick.Yardstick(pages(store))
    assert found.contrasts.empty
    assert len(found.rows)
    assert papers.title("sleep") in yardstick.answer(found)


def test_networks_are_compared_over_the_attacks_that_both_met(store):
    def share(trial, asked):
        if isinstance(asked.question, Attack) and asked.question.name == "square":
            return 0.0 if trial.label == "sleep B" else None
        return stands({})(trial, asked)

    fill(store, papers.study("sleep", "laptop"), share, n=N)
    found = yardstick.Yardstick(pages(store))
    seeds = of(found.rows, "sleep B", "0.1").set_index("seed")["accuracy"]
    assert seeds[0] == 50.0, "Square was asked of the first seed only: it is on no list of three seeds"
    mine = found.contrasts[(found.contrasts["rival"] == "standard") & (found.contrasts["eps"] == "0.1")]
    assert mine["mean"].tolist() == [0.0]


def test_an_attack_on_one_seed_is_on_no_list_of_several(store):
    def share(trial, asked):
        strong = isinstance(asked.question, Attack) and asked.question.name == "autoattack"
        return 0.0 if strong else stands({})(trial, asked)

    fill(store, papers.study("sleep", "laptop"), share, n=N)
    rows = yardstick.Yardstick(pages(store)).rows
    seeds = of(rows, "standard", "0.1").set_index("seed")["accuracy"]
    assert set(seeds) == {50.0}, "asked of the first seed only: it is on no list of three seeds"


def test_at_each_epsilon_the_images_are_those_of_the_attacks_that_all_seeds_met(tmp_path):
    store = Store(tmp_path, "full")
    study = papers.study("defective_conv", "full", dataset="mnist")

    def share(trial, asked):
        if is_clean(asked):
            return 1.0
        if asked.sources or trial.label != "keep 0.1" or getattr(asked.question, "name", "") == "autoattack":
            return None
        return 0.1 if isinstance(asked.question, Attack) and asked.question.restarts == 3 else 0.5

    fill(store, study, share, n=None)
    rows = yardstick.Yardstick([chapter.Chapter(study, store)]).rows
    mine = rows[rows["label"] == "keep 0.1"]
    assert set(mine.loc[mine["strength"] == 0.1, "n"]) == {200}, "of 1,000 that only the weaker attack saw"
    assert set(mine.loc[mine["n"] == 200, "accuracy"]) == {10.0, 100.0}, "and clean ones"
    assert set(mine.loc[mine["strength"] == 0, "n"]) == {200}, "the same images, clean"


def test_attacks_are_listed_with_where_they_were_tried(store):
    fill(store, papers.study("sleep", "laptop"), stands({}), n=N)
    tried = yardstick.attacks(yardstick.Yardstick(pages(store))).data.set_index("attack")
    assert tried.loc["PGD, margin, 50 steps", "ε"] == "0.05, 0.1, 0.2"
    assert tried.loc["PGD, margin, 50 steps", "networks"] == 4 * 3
    assert tried.loc["autoattack", "networks"] == 4
    assert set(tried["images"]) == {f"{N}"}


@pytest.mark.parametrize("filled", [False, True])
def test_the_page_renders_from_nothing_and_from_one_chapter(store, filled):
    if filled:
        fill(store, papers.study("sleep", "laptop"), stands({}), n=N)
    found = yardstick.Yardstick(pages(store))
    for styled in (yardstick.accuracies(found), yardstick.gains(found), yardstick.attacks(found)):
        assert "<table" in styled.to_html()
    assert yardstick.baselines(found).count("pgd-trained") == len(found.chapters)
    drawn = figures_yardstick.curves(found)
    texts = [text.get_text() for axis in drawn.axes for text in axis.texts]
    assert texts.count("not measured yet") == len(found.chapters) - filled
    lines = [line for axis in drawn.axes[: len(found.chapters)] for line in axis.get_lines()]
    assert len(lines) == 4 * filled
    assert all(np.isfinite(line.get_ydata()).all() for line in lines)


def test_every_study_runs_on_the_shared_data():
    found = {scale: papers.shared_dataset(scale) for scale in ("smoke", "laptop", "full")}
    assert found == {"smoke": "digits", "laptop": "digits", "full": "mnist"}
