"""Does a defense hold: which attacks count, in which ball, against which baseline; on made-up records."""

from dataclasses import replace

import numpy as np
import pytest
from filled import fill, first, is_clean

from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims.assessment import assess
from bioinspired.lab.claims.worst_case import Attacks, held
from bioinspired.lab.measurements.declarations import Attack, Distance
from bioinspired.lab.papers.dim.declarations import Direct, Member
from bioinspired.lab.records.results import read
from bioinspired.lab.records.store import Store, pack

SEEDS = (0, 1, 2, 3, 4)
LINF = ("linf", "0.3")


@pytest.fixture
def study():
    return papers.study("dim", "full", seeds=SEEDS)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "full")


def standing(rates):
    """Direct attacks and clean images, of some labels only."""

    def share(trial, measurement):
        if trial.label not in rates or not (is_clean(measurement) or isinstance(measurement.question, Direct)):
            return None
        return 1.0

    return share


def by_norm(store, study, label, shares, chosen):
    """Gives the chosen measurements of a label's networks bits in every norm."""
    for trial in study.trials:
        asked = [m for m in trial.measurements if trial.label == label and chosen(m)]

        def change(record, asked=asked):
            bits = [first(share, 200) for share in shares]
            named = dict(zip(("linf", "l2", "l0"), map(pack, bits), strict=True))
            named["correct"] = pack(np.logical_and.reduce(bits))
            entries = {key(m): record.measurements[key(m)] | {"bits": named} for m in asked}
            return replace(record, measurements=record.measurements | entries)

        if asked:
            store.update(key(trial.network), change)


def is_direct(measurement):
    return isinstance(measurement.question, Direct) and measurement.question.last is None


def filled(store, study, rates):
    fill(store, study, standing(rates))
    for label, shares in rates.items():
        by_norm(store, study, label, shares, is_direct)
    return {a.headline.id: a for a in assess(study, store)}


def test_each_norm_has_its_own_answer(store, study):
    found = filled(store, study, {"DIM": (0.1, 0.6, 0.6), "standard": (0.5, 0.4, 0.1), "pgd-trained": (0.9, 0.3, 0.1)})
    gaps = {claim: found[claim].white_box.effect for claim in ("linf", "l2", "l0", "overall-pgd")}
    assert gaps == pytest.approx({"linf": -80, "l2": 20, "l0": 50, "overall-pgd": 0})
    words = {claim: found[claim].white_box.word for claim in gaps}
    assert (words["linf"], words["l0"]) == ("does not hold", "holds")


def test_a_verdict_is_of_the_norm_that_the_claim_names(store, study):
    found = filled(store, study, {"DIM": (0.1, 0.6, 0.6), "standard": (0.5, 0.4, 0.1)})
    assert found["l0"].verdict.effect == pytest.approx(50)
    assert found["l2"].verdict.effect == pytest.approx(20)
    assert found["l2"].verdict.text == "supported in our reconstruction"


def test_networks_that_share_nothing_are_no_pairs(store, study):
    """Equal differences on every seed leave no spread of pairs; of independent groups they do."""
    filled(store, study, {"DIM": (0.5, 0.5, 0.5), "standard": (0.1, 0.1, 0.1)})
    for trial in study.trials:
        if trial.label in ("DIM", "standard"):
            asked = next(m for m in trial.measurements if isinstance(m.question, Direct) and m.question.last is None)
            bits = {name: pack(first((0.5 if trial.label == "DIM" else 0.1) + 0.05 * trial.network.seed, 200))
                    for name in ("linf", "l2", "l0", "correct")}  # fmt: skip

            def change(record, asked=asked, bits=bits):
                entry = record.measurements[key(asked)] | {"bits": bits}
                return replace(record, measurements=record.measurements | {key(asked): entry})

            store.update(key(trial.network), change)
    found = next(a for a in assess(study, store) if a.headline.id == "l2").verdict
    assert found.effect == pytest.approx(40)
    assert found.high - found.low > 20


def small_and_large(label, seed, *, source=""):
    """Two results in one ball: an attack on 100 images, and one on the first 20 that fools all of them."""
    trial = type("T", (), {"label": label, "network": type("N", (), {"seed": seed})})
    out = []
    for n, correct in ((100, first(0.5, 100)), (20, np.zeros(20, bool))):
        images = type("I", (), {"split": "test"})
        question = Attack(name="pgd" if n == 100 else "square", eps="0.3")
        asked = type("M", (), {"question": question, "images": images})()
        out.append(type("R", (), {"trial": trial, "label": label, "seed": seed, "source": source, "n": n,
                                  "correct": correct, "measurement": asked, "key": question.name})())  # fmt: skip
    return out


def worst(results, *labels, white=False):
    return Attacks(results, white=white).worst(LINF, *labels)


def test_images_count_only_where_every_attack_of_the_list_saw_them():
    both = small_and_large("DIM", 0)
    assert len(worst(both, "DIM")[0][0]) == 20
    assert worst(both, "DIM")[0][0].sum() == 0, "an attack on 20 images says nothing of the other 80"
    assert worst(both[:1], "DIM")[0][0].sum() == 50


def test_two_networks_are_compared_over_the_attacks_that_both_met():
    results = [*small_and_large("DIM", 0), *small_and_large("standard", 0)[:1]]
    one, other = worst(results, "DIM", "standard")
    assert (len(one[0]), one[0].sum(), other[0].sum()) == (100, 50, 50)
    assert len(Attacks(results, white=False).names(LINF, "DIM", "standard")) == 1


def test_an_attack_that_some_seeds_did_not_meet_is_not_on_the_list():
    results = [*small_and_large("DIM", 0), *small_and_large("DIM", 1)[:1]]
    assert {seed: len(bits) for seed, bits in worst(results, "DIM")[0].items()} == {0: 100, 1: 100}


def test_an_image_has_fallen_where_a_shorter_perturbation_was_found():
    search = small_and_large("DIM", 0)[0]
    found = np.where(np.arange(100) < 30, 0.2, np.inf)
    search.measurement = type("M", (), {"question": Distance(name="fmn", norm="linf", steps=10),
                                        "images": type("I", (), {"split": "test"})})()  # fmt: skip
    search.correct, search.values, search.key = np.ones(100, bool), lambda name: found, "fmn"
    both = [*small_and_large("DIM", 0)[:1], search]
    assert worst(both, "DIM")[0][0].sum() == 20, "50 held out against PGD, 30 of them at 0.2 are found"
    assert worst([search], "DIM")[0][0].sum() == 70
    assert Attacks(both, white=False).worst(("linf", "0.1"), "DIM")[0][0].sum() == 100, "0.2 is outside of 0.1"


def test_a_smaller_ball_counts_where_as_many_images_met_it():
    smaller = small_and_large("DIM", 0)
    for result, n in zip(smaller, (100, 20), strict=True):
        result.measurement.question = Attack(name=f"pgd {n}", eps="0.2")
        result.correct = np.arange(n) >= 10
    results = [*small_and_large("DIM", 0)[:1], *smaller]
    assert worst(results, "DIM")[0][0].sum() == 40, "the first ten fell at 0.2, and 20 images are too few"


def test_white_box_needs_an_attack_that_had_the_network():
    moved = small_and_large("DIM", 0, source="standard")
    assert worst(moved, "DIM", white=True) == [{}]
    assert len(worst(moved, "DIM")[0][0]) == 20
    assert len(worst([*moved, *small_and_large("DIM", 0)[:1]], "DIM", white=True)[0][0]) == 20


def test_a_claim_without_a_strength_is_asked_at_the_studys_own(store, study):
    found = filled(store, study, {"DIM": (0.5, 0.6, 0.6), "standard": (0.9, 0.5, 0.1)})
    assert (found["linf"].white_box.level, found["linf"].white_box.primary) == (LINF, "the claim's ε")
    assert (found["noise"].white_box.level, found["noise"].white_box.primary) == (LINF, "the study's ε")


def test_where_no_claim_has_one_it_is_where_the_twin_keeps_about_half(tmp_path):
    store, study = Store(tmp_path, "full"), papers.study("sleep", "full", dataset="mnist", seeds=(0, 1, 2))
    kept = {"0.05": 0.9, "0.1": 0.4, "0.2": 0.05}

    def share(trial, asked):
        if trial.label not in ("standard", "sleep B"):
            return None
        if is_clean(asked):
            return 1.0
        attack = isinstance(asked.question, Attack) and asked.question.norm == "linf" and not asked.sources
        return kept.get(asked.question.eps) if attack else None

    fill(store, study, share)
    found = next(a for a in assess(study, store) if a.headline.id == "fgsm").white_box
    assert (found.level, found.primary) == (("linf", "0.1"), "the twin's ε50")


def test_held_out_images_are_no_attack_on_test_images(store, study):
    filled(store, study, {"DIM": (0.5, 0.6, 0.6)})
    results = [r for r in read(study, store) if isinstance(r.measurement.question, Direct)]
    assert any(r.measurement.question.last is not None for r in results)
    assert all(not held(r) for r in results if r.measurement.question.last is not None)


def test_a_rival_that_only_this_study_has_is_a_baseline(store, study):
    rates = {"DIM": (0.1, 0.6, 0.4), "standard": (0.1, 0.1, 0.1), "pgd-trained": (0.9, 0.3, 0.1)}
    assert filled(store, study, rates)["l0"].white_box.word == "holds"
    found = filled(store, study, rates | {"class PCA": (0.0, 0.7, 0.5)})
    assert found["l0"].white_box.effect == pytest.approx(-10), "one network in closed form stands for all seeds"
    assert found["l0"].white_box.k == len(SEEDS)
    assert found["linf"].white_box.effect == pytest.approx(-80), "the strongest in this norm is another"
    found = filled(store, study, rates | {"Binary CNN": (0.0, 0.9, 0.0)})
    assert found["l2"].white_box.effect == pytest.approx(-30), "through slopes of its own, and direct all the same"


def test_holdings_of_networks_that_share_nothing_are_no_pairs(store, study):
    rates = {"DIM": (0.5, 0.5, 0.5), "standard": (0.1, 0.1, 0.1)}
    narrow = filled(store, study, rates)["l2"].white_box
    for trial in study.trials:
        if trial.label in rates:
            shares = [rate + 0.05 * trial.network.seed for rate in rates[trial.label]]
            by_norm(store, replace(study, trials=(trial,)), trial.label, shares, is_direct)
    wide = next(a for a in assess(study, store) if a.headline.id == "l2").white_box
    assert wide.effect == pytest.approx(40) == narrow.effect, "the same difference on every seed"
    assert wide.high - wide.low > narrow.high - narrow.low + 3, "pairs would be as narrow as before"


def test_the_42_count_where_they_find_what_direct_attacks_did_not(store, study):
    def is_l0(measurement):
        return isinstance(measurement.question, Member) and measurement.question.name == "SaltAndPepperNoise"

    share = standing({"DIM": 1, "standard": 1})
    fill(
        store,
        study,
        lambda trial, asked: 1.0 if trial.label in ("DIM", "standard") and is_l0(asked) else share(trial, asked),
    )
    by_norm(store, study, "standard", (0.5, 0.5, 0.1), is_direct)
    by_norm(store, study, "DIM", (0.5, 0.5, 0.4), is_direct)
    by_norm(store, study, "DIM", (1.0, 1.0, 0.2), is_l0)
    by_norm(store, study, "standard", (1.0, 1.0, 1.0), is_l0)
    gaps = {a.headline.id: a.white_box.effect for a in assess(study, store) if a.headline.id in ("l0", "l2")}
    assert gaps == pytest.approx({"l0": 10, "l2": 0})


def test_the_papers_access_knows_no_network_with_the_defense(tmp_path):
    store, study = Store(tmp_path, "full"), papers.study("defective_conv", "full", dataset="mnist")

    def share(trial, asked):
        if any(source.defense for source in asked.sources):
            return 0.1
        return 0.9 if is_clean(asked) or asked.is_transfer else None

    fill(store, study, share, n=None)
    found = next(a for a in assess(study, store) if a.headline.id == "transfer")
    assert found.paper_access.effect == pytest.approx(0), "surrogates of the same recipe are no access of the paper"


def test_an_attack_in_one_norm_counts_where_an_image_has_to_stand_in_all(store, study):
    def is_pgd(asked):
        question = asked.question
        return isinstance(question, Attack) and not asked.sources and (question.norm, question.eps) == LINF

    share, met = standing({"DIM": 1, "standard": 1}), {"DIM": 0.05, "standard": 0.5}
    fill(store, study, lambda trial, asked: met.get(trial.label) if is_pgd(asked) else share(trial, asked))
    for label in ("DIM", "standard"):
        by_norm(store, study, label, (0.5, 0.5, 0.5), is_direct)
    gaps = {a.headline.id: a.white_box.effect for a in assess(study, store) if a.headline.defended == "DIM"
            and a.headline.id in ("linf", "l2", "overall-pgd")}  # fmt: skip
    assert gaps == pytest.approx({"linf": -45, "l2": 0, "overall-pgd": -45})
