"""All defenses under one threat model: from made-up records and from none."""

import numpy as np
import pytest
from filled import fill, is_clean

from bioinspired import chapter, figures, studies
from bioinspired.figures import yardstick as figures_yardstick
from bioinspired.records import Store
from bioinspired.results import strength
from bioinspired.tables import yardstick
from bioinspired.trials import Attack

N = 200


def pages(store):
    return [
        chapter.Chapter(studies.study(name, "laptop"), store).on(studies.shared_dataset("laptop"))
        for name in studies.NAMES
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
    fill(store, studies.study("sleep", "laptop"), stands({"sleep B": by_eps.get}), n=N)
    rows = yardstick.standing(pages(store))
    assert [of(rows, "sleep B", eps)["unconditional"].unique().tolist() for eps in ("0", *by_eps)] == [
        [100],
        [30],
        [30],
        [20],
    ]
    assert set(rows["study"]) == {"sleep"}
    assert set(rows.loc[rows["defense"], "label"]) == {"sleep B"}, "set A is claimed for distortions, not for attackers"
    assert set(rows["label"]) == {"standard", "sleep B", "pgd-trained", "noise-trained"}
    assert all(bits.dtype == bool and len(bits) == N for bits in rows["bits"])


def test_accuracies_stand_by_chapter_and_network(store):
    fill(store, studies.study("sleep", "laptop"), stands({"sleep B": 0.25}), n=N)
    shown = yardstick.accuracies(yardstick.standing(pages(store))).data.set_index("network")
    assert shown.loc["sleep B", "ε = 0.1"] == "25.0 ± 0.0 (3)"
    assert shown.loc["standard", "clean"] == "100.0 ± 0.0 (3)"
    assert shown.loc["sleep B", "images"] == f"{N}"
    assert studies.title("sleep") in shown.loc["sleep B", "chapter"]
    assert "papers/sleep.html" in shown.loc["sleep B", "chapter"]


@pytest.mark.parametrize(
    ("share", "gain", "said"),
    [
        (0.9, "+40.0", "Shown to be more robust: *sleep B* (ε = 0.05, 0.1, 0.2); shown to be less robust: none."),
        (0.5, "+0.0", "Shown to be more robust: none; shown to be less robust: none."),
        (0.2, "-30.0", "Shown to be more robust: none; shown to be less robust: *sleep B* (ε = 0.05, 0.1, 0.2)."),
    ],
)
def test_a_gain_is_said_when_its_interval_shows_it(store, share, gain, said):
    fill(store, studies.study("sleep", "laptop"), stands({"sleep B": share, "pgd-trained": share}), n=N)
    rows = yardstick.standing(pages(store))
    frame = yardstick.gains(rows).data
    twin = frame[frame["minus"] == "standard"].iloc[0]
    assert twin["ε = 0.1"].startswith(gain)
    text = yardstick.answer(rows)
    assert f"Against its undefended twin, 1 defenses compared. {said}" in text
    assert (
        "Against PGD training, 1 defenses compared. Shown to be more robust: none; shown to be less robust: none."
        in text
    )


def test_a_gain_needs_two_seeds_and_counts_the_images_that_both_saw(store):
    fill(store, studies.study("sleep", "laptop", seeds=(0,)), stands({"sleep B": 0.9}), n=N)
    rows = yardstick.standing(pages(store))
    assert set(yardstick.gains(rows).data["ε = 0.1"]) == {"–"}
    assert "Against its undefended twin: not measured yet." in yardstick.answer(rows)


def test_few_images_of_a_strong_attack_do_not_free_the_others(store):
    def share(trial, asked):
        strong = isinstance(asked.question, Attack) and asked.question.name == "autoattack"
        return 0.0 if strong else stands({})(trial, asked)

    fill(store, studies.study("sleep", "laptop"), share, n=N)
    rows = yardstick.standing(pages(store))
    seeds = of(rows, "standard", "0.1").set_index("seed")["unconditional"]
    assert seeds[0] == 0.0
    assert seeds[1] == 50.0, "asked of the first seed only"
    assert of(rows, "standard", "0.2").set_index("seed")["unconditional"][0] == 0.0


def test_at_each_epsilon_the_images_are_those_of_the_attacks_that_all_seeds_met(tmp_path):
    store = Store(tmp_path, "full")
    study = studies.study("defective_conv", "full", dataset="mnist")

    def share(trial, asked):
        if is_clean(asked):
            return 1.0
        restarted = isinstance(asked.question, Attack) and asked.question.restarts == 3
        return {True: 0.1, False: 0.5}[restarted] if not asked.sources and trial.label == "keep 0.1" else None

    fill(store, study, share, n=None)
    rows = yardstick.standing([chapter.Chapter(study, store)])
    attacked = rows[rows["strength"] > 0]
    assert set(attacked["n"]) == {200}, "of 1,000 that only the weaker attack saw"
    assert set(attacked["unconditional"]) == {10.0}


def test_attacks_are_listed_with_where_they_were_tried(store):
    fill(store, studies.study("sleep", "laptop"), stands({}), n=N)
    tried = yardstick.attacks(pages(store)).data.set_index("attack")
    assert tried.loc["PGD, margin, 50 steps", "ε"] == "0.05, 0.1, 0.2"
    assert tried.loc["PGD, margin, 50 steps", "networks"] == 4 * 3
    assert tried.loc["autoattack", "networks"] == 4
    assert set(tried["images"]) == {f"{N}"}


@pytest.mark.parametrize("filled", [False, True])
def test_the_page_renders_from_nothing_and_from_one_chapter(store, filled):
    if filled:
        fill(store, studies.study("sleep", "laptop"), stands({}), n=N)
    shown = pages(store)
    rows = yardstick.standing(shown)
    for styled in (yardstick.accuracies(rows), yardstick.gains(rows), yardstick.attacks(shown)):
        assert "<table" in styled.to_html()
    drawn = figures_yardstick.curves(shown, rows)
    texts = [text.get_text() for axis in drawn.axes for text in axis.texts]
    assert texts.count("not measured yet") == len(shown) - filled
    lines = [line for axis in drawn.axes[: len(shown)] for line in axis.get_lines()]
    assert len(lines) == 4 * filled
    assert pytest.approx(drawn.get_figwidth()) == figures.WIDTH
    assert all(np.isfinite(line.get_ydata()).all() for line in lines)


def test_every_study_runs_on_the_shared_data():
    assert {scale: studies.shared_dataset(scale) for scale in ("smoke", "laptop", "full")} == {
        "smoke": "digits",
        "laptop": "digits",
        "full": "mnist",
    }
