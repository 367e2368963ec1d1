"""A claim about each measurement of a kind: the one that speaks least for it decides, by what decides that one."""

from dataclasses import replace

import pytest
from filled import fill, first

from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims.assessment import assess
from bioinspired.lab.papers.dim.declarations import Member
from bioinspired.lab.papers.dim.members import MEMBERS
from bioinspired.lab.records.store import Store, pack

STANDS = {"DDN": (0.6, 0.2), "LinfProjectedGradientDescent": (0.1, 0.1), "Inversion": (0.8, 0.9)}
"""Shares of images that stand, of DIM and of the undefended network, in the norm that judges the attack."""


def judged(tmp_path, stands):
    whole, store = papers.study("dim", "full", seeds=(0, 1, 2)), Store(tmp_path, "full")
    trials = [
        replace(t, measurements=tuple(m for m in t.measurements if getattr(m.question, "name", "") in stands))
        for t in whole.trials
        if t.label in ("DIM", "standard")
    ]
    study = replace(whole, trials=tuple(trials))
    fill(store, study, lambda trial, measurement: 1.0)
    for trial in trials:
        record = store.read(key(trial.network))
        entries = dict(record.measurements)
        for asked in trial.measurements:
            question = asked.question
            share = stands[question.name][trial.label == "standard"]
            entries[key(asked)] = entries[key(asked)] | {"bits": {question.decided_by: pack(first(share, 200))}}
        store.update(record.key, lambda _, record=record, entries=entries: replace(record, measurements=entries))
    return next(a.verdict for a in assess(study, store) if a.headline.id == "each-attack")


def test_one_attack_that_leaves_it_below_refutes_all(tmp_path):
    found = judged(tmp_path, STANDS)
    assert found.effect == pytest.approx(-10)
    assert found.text == "not supported in our reconstruction (1 of 3 show it; least Inversion) (provisional)"


def test_all_attacks_have_to_leave_it_above(tmp_path):
    found = judged(tmp_path, {"DDN": (0.6, 0.2), "Inversion": (0.9, 0.6)})
    assert found.effect == pytest.approx(30)
    assert found.text == "supported in our reconstruction (2 of 2 show it; least Inversion) (provisional)"


def test_every_member_is_decided_by_its_norm():
    decided = {one.name: Member(name=one.name).decided_by for one in MEMBERS}
    assert decided["Spatial"] == "unconditional"
    assert decided["SaltAndPepperNoise"] == "l0"
    assert decided["L1BrendelBethge"] == decided["Inversion"] == "l2"
    assert decided["LinfinityBrendelBethge"] == "linf"
