"""The sleep chapter's study, tables and figures: from made-up records whose numbers the test chooses."""

import dataclasses

import numpy as np
import pytest
from filled import fill, first

from bioinspired.keys import key, number
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.claims.endpoints import feeding
from bioinspired.lab.declarations import Measurement, Study, Trial
from bioinspired.lab.measurements.declarations import Attack, Clean
from bioinspired.lab.papers.sleep import sleep_search
from bioinspired.lab.papers.sleep.declarations import (
    Coded,
    Distortion,
    FGSMScan,
    LabelScore,
    Rectified,
    Sleep,
    SleepLayers,
    SleepSearch,
)
from bioinspired.lab.papers.sleep.study import FOR_ATTACKS, FOR_DISTORTIONS, A, B, scaled
from bioinspired.lab.records.results import read
from bioinspired.lab.records.store import Store, checkout, pack
from bioinspired.pages import chapter
from bioinspired.pages.figures import sleep as figures
from bioinspired.pages.tables import differences
from bioinspired.pages.tables import sleep as tables

PICTURES = (
    "deciding",
    "distortions",
    "scan",
    "white_box",
    "course",
    "fields",
    "weights",
    "busy",
    "correlations",
    "classes",
)
N = 200

BLUR = {"standard": 0.6, "sleep A": 0.8, "delete slept (A)": 0.8, "delete active (A)": 0.7, "sleep B": 0.5}


def share(trial: Trial, measurement: Measurement) -> float:
    """Blur tells rows apart; everything else is the same for all; seeds differ by a little."""
    wiggle = 0.005 * (trial.network.seed % 2)
    question = measurement.question
    if isinstance(question, Distortion) and question.process == "blur":
        return BLUR.get(trial.label, 0.4) + wiggle
    return 0.9 - wiggle if isinstance(question, Clean) else 0.5


def complete(store: Store, study: Study) -> None:
    """Adds to made-up records what only this chapter's questions and defenses leave."""
    for trial in study.trials:
        more = {key(m): _more(store, trial, m) for m in trial.measurements}

        def change(record, trial=trial, more=more):
            measurements = {}
            for asked, entry in record.measurements.items():
                bits = entry.get("bits", {}) | more[asked].pop("bits", {})
                measurements[asked] = entry | {"bits": bits} | more[asked]
            curves = _curves() if isinstance(trial.network.defense, Sleep) else {}
            return dataclasses.replace(record, measurements=measurements, training=curves)

        store.update(key(trial.network), change)


def _more(store: Store, trial: Trial, measurement: Measurement) -> dict:
    question = measurement.question
    if isinstance(question, FGSMScan):
        scan = 40.0 if trial.label == "sleep B" else 30.0
        distances = [None if i < 10 else 0.1 if i < N / 2 else 0.0 for i in range(N)]
        return {"values": {"value": [scan] * N, "distance": distances, "curve": [90.0, 50.0, 10.0]}}
    if isinstance(question, LabelScore):
        return {"values": {"score": [1.5 if i < 5 else 0.5 for i in range(N)]}}
    if isinstance(question, Rectified):
        return {"values": {"recall": [90.0] * 9 + [None]}}
    if isinstance(question, SleepSearch):
        return {"values": {"best": [0.1, 0.2], "score": [50.0], "start": [40.0], "candidates": [96.0]}}
    if isinstance(question, Coded):
        half = pack(first(0.5, N))
        return {"bits": {"clean": half, "stayed": half}, "values": {"distance": [0.01] * N}}
    if isinstance(question, SleepLayers):
        return {"artifact": store.save_artifact(key(trial.network), key(measurement), _arrays())}
    return {}


def _curves() -> dict[str, list[float]]:
    names = ["accuracy", "silent_1", "silent_2"]
    names += [f"{what}_{k}" for what in ("spikes", "changed") for k in (1, 2, 3)]
    return {"step": [0.0, 1.0, 100.0]} | {name: [0.0, 0.1, 0.2] for name in names}


def _arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"fields": random.normal(size=(2, 3, 8, 8)).astype(np.float16)}
    for layer in (1, 2, 3):
        arrays[f"changed_{layer}"] = np.arange(30) < 5
        arrays[f"edges_{layer}"] = np.linspace(-1, 1, 11).astype(np.float32)
        arrays[f"weights_{layer}"] = random.integers(0, 99, (2, 10)).astype(np.int32)
        arrays[f"activity_{layer}"] = random.random((2, 30)).astype(np.float16)
        arrays[f"correlation_{layer}"] = random.random((2, 10, 10)).astype(np.float16)
    return arrays


def _needed(trial: Trial) -> bool:
    return trial.label in (*BLUR, "source search", "distilled as coded", "fine-tuned on FGSM")


def _shortened(trial: Trial) -> Trial:
    levels = ("noise 0.3", "blur 2.5", "blur 4")
    asked = [m for m in trial.measurements if not isinstance(m.question, Distortion) or m.question.name in levels]
    return dataclasses.replace(
        trial, measurements=tuple(m for m in asked if not _is_attack(m) or m.question.eps == "0.1")
    )


def _is_attack(measurement: Measurement) -> bool:
    return isinstance(measurement.question, Attack)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> chapter.Chapter:
    """The study at full scale, every measurement made up."""
    store = Store(tmp_path_factory.mktemp("full"), "full")
    study = papers.study("sleep", "full")
    core = dataclasses.replace(study, trials=tuple(map(_shortened, filter(_needed, study.trials))))
    fill(store, core, share, n=N)
    complete(store, core)
    return chapter.Chapter(core, store)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> chapter.Chapter:
    return chapter.Chapter(papers.study("sleep", "full"), Store(tmp_path_factory.mktemp("empty"), "full"))


@pytest.mark.parametrize("name", PICTURES)
def test_figures_are_drawn_from_nothing_and_from_everything(
    name: str, full: chapter.Chapter, empty: chapter.Chapter
) -> None:
    for page in (empty, full):
        figure = getattr(figures, name)(page)
        assert figure.axes
        said = {text.get_text() for axis in figure.axes for text in axis.texts}
        assert ("not measured yet" in said) == (page is empty)


def test_tables_are_made_from_nothing(empty: chapter.Chapter) -> None:
    for name in ("deciding", "paired", "rows", "distances", "overshoot", "searches", "cells"):
        assert getattr(tables, name)(empty).to_html()
    assert tables.white_box(empty, eps="0.1").to_html()
    assert tables.knowing(empty, eps="0.1") == "Not measured yet."
    assert tables.benchmark().to_html()
    assert "not decided" in tables.reading(empty)


def test_the_deciding_differences_are_those_of_the_records(full: chapter.Chapter) -> None:
    found = tables.paired(full).data.set_index(["sleep", "minus"])["blur"]
    assert found["set A", "waking"].startswith("+20.0")
    assert found["set A", "delete slept"] == "+0.0 [+0.0, +0.0]"
    assert found["set A", "delete active"].startswith("+10.0")
    assert found["set B", "waking"].startswith("-10.0")
    text = tables.reading(full)
    assert "Set A, sleep against deleting the units it changed: clean the same (+0.0); noise the same" in text
    assert "blur higher (+10.0)" in text


def test_differences_have_students_interval() -> None:
    """Differences 1, 2, 3, 4, 5: mean 3, s = 1.5811, t(.975, 4) = 2.7764, so 3 -+ 1.9633."""
    import pandas as pd

    assert differences.difference(pd.Series([1.0, 2, 3, 4, 5])) == "+3.0 [+1.0, +5.0]"
    assert tables._word(pd.Series([1.0, 2, 3, 4, 5])) == "higher (+3.0)"
    assert tables._word(pd.Series([-9.0, 9, 9])).startswith("undecided")


def test_medians_count_wrong_images_at_zero_or_leave_them_out(full: chapter.Chapter) -> None:
    """100 of 200 images are first right, 10 of them never fooled, 90 at 0.1; the others are wrong from the start."""
    shown = tables.distances(full).data.set_index(["attack", "network"])
    row = shown.loc[("fgsm as coded", "standard")]
    assert row["median, all images"] == "0.05"
    assert row["median, first right"] == "0.1"
    assert row["success, %"] == "95"


def test_images_that_the_scan_never_fools_are_set_against_scores_above_one(full: chapter.Chapter) -> None:
    """10 of 200 images are never fooled; the scores of 5 images are above one, all of them among the 10."""
    row = tables.overshoot(full).data.set_index("network").loc["standard"]
    assert row.tolist() == ["2.5 ± 0.0 (12)", "5.0 ± 0.0 (12)", "2.5 ± 0.0 (12)"]


def test_the_knowing_attacker_is_told_with_images_seeds_and_autoattack(full: chapter.Chapter) -> None:
    said = tables.knowing(full, eps="0.1")
    assert (
        "PGD at ε = 0.1, 200 images, 12 seeds: the waking network 50.0 %; sleep A 50.0 % (difference to waking" in said
    )
    assert "AutoAttack, the first 200 of these images, 1 of these seeds: the waking network 50.0 %, where PGD" in said
    columns = list(tables.white_box(full, eps="0.1").data.columns)
    assert "PGD on the margin, 200 images" in columns
    assert "AutoAttack, 200 images" in columns


def test_searches_name_their_parameters_and_their_score(full: chapter.Chapter) -> None:
    assert {name: len(given) for name, given in tables.PARAMETERS.items()} == {
        name: len(given) for name, given in sleep_search.BOUNDS.items()
    }
    assert tables.LENGTHS == sleep_search.ETAS
    assert (f"noise {sleep_search.VARIANCE}", f"blur {sleep_search.SIGMA}") == tables.DISTORTIONS
    shown = tables.searches(full)
    row = shown.data.set_index(["what", "for"]).loc[("deletion", "distortions")]
    assert row["parameters"] == "layer 1 = 0.1, layer 2 = 0.2"
    assert row["waking there, %"] == "55.1", "the mean of noise, 50, and blur, 60 and now and then 60.5"
    # The made-up scan falls from 90 over 50 at 0.2 to 10: 80, 70, 60, 50, 40.
    assert shown.data.set_index(["what", "for"]).loc[("sleep", "attacks"), "waking there, %"] == "60.0"
    assert "of 2 networks, 200 images each" in shown.caption
    assert "from 0.05 to 0.25" in shown.caption


def test_verdicts_use_the_scan_of_set_b_and_the_blur_of_set_a(full: chapter.Chapter) -> None:
    found = {assessment.headline.id: assessment.verdict for assessment in full.assessments}
    assert found["fgsm"].effect == pytest.approx(10)
    assert found["blur"].effect == pytest.approx(20)
    assert found["noise"].effect == pytest.approx(0)
    assert found["cost"].effect == pytest.approx(0)


def test_the_papers_own_access_to_these_claims_is_white_box(full: chapter.Chapter) -> None:
    found = next(assessment for assessment in full.assessments if assessment.headline.id == "fgsm")
    assert found.paper_access.word == found.white_box.word != "not tested"
    assert not found.paper_access.beyond


# The study


TUNED = ("fine-tuned on noise", "fine-tuned on blur")


def test_every_claim_is_measured_at_full_scale_on_both_sides() -> None:
    study = papers.study("sleep", "full")
    for headline in load("sleep").headlines:
        fed = sorted(trial.label for trial, _ in feeding(study, headline))
        seeds = 6 if headline.baseline in TUNED else 12
        assert fed == sorted([headline.defended] * 12 + [headline.baseline] * seeds), "once each"


def test_parameter_sets_are_the_released_ones() -> None:
    names = ("rate", "inc", "dec", "beta1", "beta2", "beta3", "alpha")
    assert [number(getattr(A, name)) for name in names] == [
        39.037119, 0.063997, 0.069220, 36.186585, 23.362736, 36.384713, 2.193698
    ]  # fmt: skip
    assert [number(getattr(B, name)) for name in names] == [
        455.364521, 0.066056, 0.054991, 22.687400, 48.092672, 18.983305, 34.657870
    ]  # fmt: skip
    assert (A.steps, B.steps) == (27_105, 3_365)


def test_narrow_networks_get_larger_changes_and_the_same_thresholds() -> None:
    small = scaled(B, 300)
    assert number(small.inc) == pytest.approx(2 * 0.066056, abs=1e-6)
    assert number(small.dec) == pytest.approx(2 * 0.054991, abs=1e-6)
    assert dataclasses.replace(small, inc=B.inc, dec=B.dec) == B
    assert key(scaled(B, 1_200)) == key(B)


def test_searches_never_share_a_seed_with_what_is_reported() -> None:
    study = papers.study("sleep", "full")
    searched = {trial.network.seed for trial in study.trials if trial.label == "source search"}
    assert searched == {0, 1}
    assert not searched & {trial.network.seed for trial in study.trials if trial.label != "source search"}
    budgets = {
        (m.question.candidates, m.question.generations, m.question.scored)
        for trial in study.trials
        for m in trial.measurements
        if isinstance(m.question, SleepSearch)
    }
    assert len(budgets) == 1, "sleep and its controls have the same budget"


def test_searched_constants_are_those_of_the_published_search() -> None:
    """What the study names as searched stands in a committed record, number by number."""
    found = [result for result in read(papers.study("sleep", "full"), Store(checkout() / "results", "full"))
             if isinstance(result.measurement.question, SleepSearch)]  # fmt: skip
    for objective, constants in (("fgsm", FOR_ATTACKS), ("distortion", FOR_DISTORTIONS)):
        for name, defense in constants.items():
            best = next(result.values("best") for result in found
                        if (result.measurement.question.name, result.measurement.question.objective)
                        == (name, objective))  # fmt: skip
            plain = [getattr(defense, field.name) for field in dataclasses.fields(defense)]
            numbers = [number(value) for value in plain if isinstance(value, str) and value[0].isdigit()]
            assert numbers[: len(best)] == pytest.approx(best.tolist(), rel=1e-9)
