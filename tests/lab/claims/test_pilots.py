"""Networks that were trained before a claim was fixed are its pilot: they count only where too few came after it."""

import dataclasses

import pytest
from filled import fill

from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims.assessment import assess
from bioinspired.lab.records.store import Store

SEEDS = (0, 1, 2, 3, 4, 5)
RATES = {"standard": 0.3, "keep 0.1": 0.6}


@pytest.mark.parametrize(
    ("pilots", "effect", "k", "exploratory"), [(0, 30, 6, False), (3, 30, 3, False), (4, 20, 6, True)]
)
def test_a_claim_is_judged_by_the_networks_that_came_after_it(tmp_path, pilots, effect, k, exploratory):
    """Pilots show 15 points where the others show 30: of 6 seeds the first few are pilots."""
    study, store = papers.study("defective_conv", "laptop", seeds=SEEDS), Store(tmp_path, "laptop")

    def share(trial, measurement):
        less = 0.15 if trial.label == "keep 0.1" and trial.network.seed < pilots else 0.0
        return RATES.get(trial.label, 0.5) - less

    fill(store, study, share)
    for network in {trial.network for trial in study.trials if trial.network.seed < pilots}:
        record = store.read(key(network))
        units = {name: {part: value for part, value in unit.items() if part != "registered"}
                 for name, unit in record.provenance["units"].items()}  # fmt: skip
        old = dataclasses.replace(record, provenance=record.provenance | {"units": units})
        store.update(key(network), lambda _, old=old: old)
    verdict = next(a for a in assess(study, store) if a.headline.id == "transfer").verdict
    assert verdict.effect == pytest.approx(effect)
    assert verdict.k == k
    assert ("exploratory" in verdict.text) == exploratory
