"""Every fallen defense is caught, and no honest network is accused."""

import pytest
import torch

from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.neighborhood import neighborhood
from bioinspired.evaluation.checks import check
from bioinspired.pages import fallen

SPEAKS = {
    "undefended": set(),
    "k-WTA": {"binarization"},
    "thermometer": {"margin_gradients", "square"},
    "saturated": {"logits"},
    "randomized": {"randomness"},
    "resolutions": {"binarization", "square"},
}
_, _, X, Y = fallen.digits()


@pytest.mark.parametrize("one", fallen.KNOWN, ids=lambda one: one.name)
def test_the_naive_evaluation_believes_what_ours_does_not(one):
    model, x, y = fallen.trained(one), X[:60], Y[:60]
    believed, left = fallen.naive(model, x, y), fallen.ours(one, model, x, y)
    assert left < 0.3
    assert (believed - left < 0.1) == one.honest
    found = check(model, x, y, norm="linf", eps=fallen.EPS, twin=fallen.trained(fallen.KNOWN[0], seed=1))
    assert SPEAKS[one.name] <= set(found.failed)
    assert found.passed == one.honest


def test_a_neighborhood_leaves_the_answers_and_helps_where_they_jump():
    model, x, y = fallen.trained(fallen.KNOWN[1]), X[:60], Y[:60]
    around = neighborhood(model, radius=fallen.EPS / 2)
    with torch.no_grad():
        assert torch.equal(around(x), model(x))
    options = {"norm": "linf", "eps": fallen.EPS, "steps": 20}
    assert int(pgd(around, x, y, **options).success.sum()) > int(pgd(model, x, y, **options).success.sum())
