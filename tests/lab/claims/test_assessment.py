"""From records to verdicts: which measurements feed a claim, and the numbers that come out, on made-up records."""

import math
from dataclasses import replace

import numpy as np
import pytest
from filled import fill, first, is_clean
from scipy import stats

from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.claims.assessment import answers, assess, criteria
from bioinspired.lab.measurements.declarations import Attack, Checked, Distance
from bioinspired.lab.records.results import read
from bioinspired.lab.records.store import Store

SEEDS = (0, 1, 2, 3, 4)


@pytest.fixture
def study():
    return papers.study("defective_conv", "laptop", seeds=SEEDS)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "laptop")


def by_label(rates, *, clean=1.0):
    """Transfer rates by label; clean images right on `clean` of them; everything else on half."""

    def share(trial, measurement):
        if is_clean(measurement):
            return clean
        if measurement.is_transfer:
            return rates.get(trial.label, 0.5)
        return 0.5

    return share


def found(study, store, claim):
    return next(a for a in assess(study, store) if a.headline.id == claim)


def test_every_claim_that_this_study_can_test_is_planned(study):
    tested = {claim for stamps in criteria(study).values() for claim in stamps}
    points = {"transfer", "adversarial-training", "rm-transfer", "rm-cost", "rm-top", "rm-noise"}
    assert tested == points | {"boundary"}


def test_an_empty_store_tests_nothing(study, store):
    assert {a.verdict.word for a in assess(study, store)} == {"not tested"}
    assert {a.paper_access.word for a in assess(study, store)} == {"not tested"}


def test_the_effect_is_the_mean_over_seeds_of_defended_minus_baseline(study, store):
    fill(store, study, by_label({"standard": 0.30, "keep 0.1": 0.60}))
    verdict = found(study, store, "transfer").verdict
    assert verdict.effect == pytest.approx(30.0)
    assert (verdict.k, verdict.n) == (5, 200)
    # Paired seeds with equal differences: only the images leave an uncertainty, and these differ on 30 % of them.
    difference = 100.0 * (first(0.6, 200).astype(float) - first(0.3, 200))
    error = np.std(difference, ddof=1) / math.sqrt(200)
    reach = stats.t.ppf(1 - 0.025 / len(load("defective_conv").headlines), 4) * error
    assert verdict.low == pytest.approx(30 - reach, rel=0.02)
    assert verdict.high == pytest.approx(30 + reach, rel=0.02)
    assert verdict.text == "seen at small scale"


def test_a_loss_in_the_claimed_direction_is_not_seen(study, store):
    fill(store, study, by_label({"standard": 0.60, "keep 0.1": 0.30}))
    assert found(study, store, "transfer").verdict.text == "not seen at small scale"


def test_the_conditional_metric_leaves_out_clean_errors_and_images_that_fool_no_source(study, store):
    # 200 images; clean: the first 160 right. Sources right on the last 20. Transfer: the first 40 % = 80 right.
    fill(store, study, by_label({"keep 0.3": 0.4, "standard": 0.2}, clean=0.8))
    verdict = found(study, store, "rm-transfer").verdict
    assert verdict.effect == pytest.approx(100 * (80 / 160 - 40 / 160))
    result = next(r for r in read(study, store) if r.label == "keep 0.3" and r.measurement.is_transfer)
    assert result.counted("conditional") == 160
    assert result.rate("unconditional") == pytest.approx(40.0)


def test_seeds_without_a_partner_are_left_out_of_a_paired_contrast(study, store):
    rates = by_label({"standard": 0.3, "keep 0.1": 0.6})

    def some(trial, measurement):
        if trial.label == "keep 0.1" and trial.network.seed > 3:
            return None
        return rates(trial, measurement)

    fill(store, study, some)
    assert found(study, store, "transfer").verdict.k == 4


def test_measurements_without_the_claims_hash_are_exploratory(study, store):
    fill(store, study, by_label({"standard": 0.3, "keep 0.1": 0.6}), stamp=False)
    assert found(study, store, "transfer").verdict.text == "exploratory"


def test_fewer_than_three_seeds_are_inconclusive(store):
    few = papers.study("defective_conv", "laptop", seeds=(0, 1))
    fill(store, few, by_label({"standard": 0.3, "keep 0.1": 0.6}))
    assert found(few, store, "transfer").verdict.text == "inconclusive (needs 5 seeds)"


def test_the_defense_is_held_against_the_best_baseline_of_equal_clean_accuracy(study, store):
    fill(store, study, by_label({"standard": 0.3, "pgd-trained": 0.8, "keep 0.1": 0.6}))
    holding = found(study, store, "transfer").paper_access
    assert holding.word == "does not hold"
    assert holding.at_eps[0] == pytest.approx(-20.0)


def test_a_more_accurate_defense_is_not_held_against_a_worse_baseline(study, store):
    rates = by_label({"standard": 0.3, "pgd-trained": 0.8, "keep 0.1": 0.6})

    def share(trial, measurement):
        if is_clean(measurement):
            return 0.9 if trial.label == "pgd-trained" else 1.0
        return rates(trial, measurement)

    fill(store, study, share)
    holding = found(study, store, "transfer").paper_access
    assert holding.word == "unclear" or holding.at_eps[0] > 0


def test_the_worst_case_is_per_image_over_the_attacks(store):
    study = papers.study("defective_conv", "laptop", seeds=SEEDS)
    other = {"vgg": 0.6, "resnet18": 0.4}

    def share(trial, measurement):
        if not measurement.is_transfer:
            return 1.0 if is_clean(measurement) else 0.5
        return other[measurement.sources[0].architecture.name] if trial.label == "keep 0.1" else 0.3

    fill(store, study, share)
    holding = found(study, store, "transfer").paper_access
    assert holding.at_eps[0] == pytest.approx(10.0)  # the first 40 % held out against both, less 30 %
    white = found(study, store, "transfer").white_box
    assert white.beyond
    assert white.at_eps[0] == pytest.approx(10.0)


def test_seeds_without_a_median_distance_are_not_left_out_silently(study, store):
    """On the most robust network nothing was found for most images: no median, so no ratio of the others."""

    def share(trial, measurement):
        return 1.0

    fill(store, study, share)
    search = next(m for t in study.trials if t.label == "keep 0.1" for m in t.measurements
                  if isinstance(m.question, Distance) and m.question.name == "boundary")  # fmt: skip
    victim = next(t for t in study.trials if (t.label, t.network.seed) == ("keep 0.1", 2))

    def nothing(record):
        entry = record.measurements[key(search)] | {"values": {"distance": [None] * 200}}
        return replace(record, measurements=record.measurements | {key(search): entry})

    assert found(study, store, "boundary").verdict.k == 5
    store.update(key(victim.network), nothing)
    assert "no median distance" in found(study, store, "boundary").verdict.text


def test_a_network_whose_source_fools_nothing_is_left_out_of_the_conditional_rate(study, store):
    fill(store, study, by_label({"standard": 0.3, "keep 0.3": 0.6}), source_share=1.0)
    assert found(study, store, "rm-transfer").verdict.word == "not tested"


def test_a_failed_check_makes_a_gain_unreliable(study, store):
    rates = by_label({"standard": 0.3, "keep 0.1": 0.9, "pgd-trained": 0.3, "noise-trained": 0.3})
    fill(store, study, rates)
    assert found(study, store, "transfer").paper_access.word == "holds"

    def failing(trial, measurement):
        return 0.2 if isinstance(measurement.question, Checked) else rates(trial, measurement)

    fill(store, study, failing)
    assert found(study, store, "transfer").paper_access.text.startswith("unreliable (failed: noise)")


def test_an_endpoint_describes_one_attack_exactly(study):
    endpoint = next(h.on("digits").endpoint for h in load("defective_conv").headlines if h.id == "transfer")
    trial = next(t for t in study.trials if t.label == "keep 0.1")
    match = [
        m for m in trial.measurements if answers(endpoint, m, [f"source {s.architecture.name}" for s in m.sources])
    ]
    assert len(match) == 3  # three trainings of one source
    attack = match[0].question
    assert isinstance(attack, Attack)
    for change in ({"eps": "0.21"}, {"steps": 21}, {"norm": "l2"}, {"step_size": "0.07"}, {"name": "mi_fgsm"}):
        other = replace(match[0], question=replace(attack, **change))
        assert not answers(endpoint, other, ["source vgg"])
    assert not answers(endpoint, match[0], ["source resnet18"])
    assert not answers(endpoint, match[0], [])


def test_a_bridge_that_differs_makes_the_short_schedules_verdict_inconclusive(store):
    study = replace(papers.study("defective_conv", "full", dataset="mnist", seeds=SEEDS), scale="laptop")
    rates = {"standard": 0.3, "keep 0.1": 0.6, "standard, paper's schedule": 0.3, "keep 0.1, paper's schedule": 0.6}
    fill(store, study, by_label(rates))
    assert found(study, store, "transfer").verdict.word == "seen at small scale"
    fill(store, study, by_label(rates | {"keep 0.1, paper's schedule": 0.3}))
    assert found(study, store, "transfer").verdict.word == "inconclusive"


def test_the_effect_of_distances_is_a_factor_of_medians(study, store):
    def share(trial, measurement):
        if isinstance(measurement.question, Distance):
            return {"keep 0.1": 0.3, "standard": 0.1}.get(trial.label, 0.1)
        return 0.5

    fill(store, study, share)
    found_ = found(study, store, "boundary")
    assert found_.verdict.unit == "ratio"
    # `fill` writes right * (1 + i / n) over n images, the first `right` of which are right when clean.
    medians = {label: np.median(right * (1 + np.arange(round(200 * right)) / 200)) for label, right in
               (("defended", 0.3), ("baseline", 0.1))}  # fmt: skip
    assert found_.verdict.effect == pytest.approx(medians["defended"] / medians["baseline"])
    assert found_.verdict.low < found_.verdict.effect < found_.verdict.high


def test_a_median_that_was_not_found_is_no_distance(study, store):
    fill(store, study, lambda trial, measurement: 0.5)
    record = store.read(key(next(t.network for t in study.trials if t.label == "keep 0.1")))
    name = next(n for n, m in record.measurements.items() if m["config"]["question"]["kind"] == "distance")
    values = record.measurements[name]["values"]["distance"]

    def lose(old):
        entry = old.measurements[name] | {"values": {"distance": [None] * len(values)}}
        return replace(old, measurements=old.measurements | {name: entry})

    store.update(record.key, lose)
    result = next(r for r in read(study, store) if r.record.key == record.key and r.key == name)
    assert result.distance() is None
    assert np.isinf(result.values("distance")).all()
