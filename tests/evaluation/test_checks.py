"""Honest networks raise nothing; every network that hides its gradients is caught, by the check that should."""

import random

import numpy as np
import pytest
import torch
from small_networks import EPS, adversarially_trained, images, masked, undefended
from torch import nn

from bioinspired import check
from bioinspired.attacks.eot import Expectation
from bioinspired.errors import UserError
from bioinspired.evaluation.checks import Check

NAMES = (
    "randomness",
    "logits",
    "ce_gradients",
    "margin_gradients",
    "unbounded",
    "one_step",
    "more_steps",
    "monotone",
    "restarts",
    "noise",
    "square",
    "hard_label",
    "transfer",
    "binarization",
)
TRAPS = {  # what must be seen at least
    "scaled": {"logits", "ce_gradients"},
    "quantized": {"ce_gradients", "margin_gradients", "unbounded", "noise", "square", "hard_label", "transfer"},
    "noisy": {"randomness"},
    "winners": {"square", "hard_label", "binarization"},
    "vanishing": {"unbounded", "square", "binarization"},
}


def checked(model, n=200, **options):
    x, y = images(n)
    return check(model, x, y, **{"norm": "linf", "eps": EPS, **options})


@pytest.mark.parametrize("seed", range(5))
def test_honest_undefended_networks_raise_nothing(seed):
    assert checked(undefended(seed), twin=undefended(seed + 5)).failed == ()


@pytest.mark.parametrize("seed", range(5))
def test_honest_adversarially_trained_networks_raise_nothing(seed):
    assert checked(adversarially_trained(seed), twin=undefended(seed)).failed == ()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", TRAPS)
def test_masked_networks_are_caught(kind, seed):
    results = checked(masked(kind, seed), twin=undefended(seed))
    assert TRAPS[kind] <= set(results.failed)
    assert not results.passed


@pytest.mark.release
@pytest.mark.parametrize("seed", range(2, 10))
@pytest.mark.parametrize("kind", TRAPS)
def test_masked_networks_are_caught_with_more_seeds(kind, seed):
    assert not checked(masked(kind, seed), twin=undefended(seed)).passed


@pytest.mark.parametrize(("norm", "eps"), [("l2", 0.5), ("l1", 3.0)])
def test_honest_networks_raise_nothing_in_other_norms(norm, eps):
    assert checked(adversarially_trained(0), norm=norm, eps=eps).failed == ()


def test_every_check_reports_name_outcome_value_and_advice():
    results = checked(undefended(0), n=60, twin=undefended(1))
    assert tuple(result.name for result in results) == NAMES
    for result in results:
        assert isinstance(result.passed, bool)
        assert isinstance(result.value, float)
        assert len(result.advice) > 20
    assert len(results) == len(str(results).splitlines()) - 1
    assert isinstance(results["square"], Check)


def test_transfer_is_checked_only_with_a_twin():
    assert "transfer" not in [result.name for result in checked(undefended(0), n=60)]


def test_a_gradient_that_points_backwards_is_caught():
    honest = undefended(0)
    results = checked(lambda x: honest(2 * x.detach() - x))
    assert {"unbounded", "noise", "square", "hard_label", "binarization"} <= set(results.failed)
    assert results["margin_gradients"].passed


def test_a_cut_graph_counts_as_a_zero_gradient():
    honest = undefended(0)
    results = checked(lambda x: honest(x).detach(), n=60)
    assert results["margin_gradients"].value == 1
    assert {"margin_gradients", "unbounded", "binarization"} <= set(results.failed)


def test_the_expectation_of_a_random_network_is_checked_instead_of_one_draw(monkeypatch):
    monkeypatch.setattr("bioinspired.evaluation.checks.QUERIES", 100)
    monkeypatch.setattr("bioinspired.evaluation.checks.STEPS", 20)
    noisy = masked("noisy", 0)
    assert checked(noisy, n=60).failed == ("randomness",)
    assert checked(Expectation(noisy, 20), n=25).failed == ()
    assert checked(Expectation(noisy, 2), n=25)["randomness"].value == 2
    assert "randomness" in checked(Expectation(noisy, 2), n=25).failed


def test_outputs_that_are_not_logits():
    honest = undefended(0)
    assert checked(lambda x: honest(x).log_softmax(1), n=60).failed == ()
    assert "logits" in checked(lambda x: honest(x).softmax(1), n=60).failed


def test_infinite_logits_are_reported():
    honest = undefended(0)

    def broken(x):
        logits = honest(x)
        return torch.cat([logits, torch.full_like(logits[:, :1], -torch.inf)], 1)

    assert "logits" in checked(broken, n=60).failed


def test_too_few_correct_images():
    x, y = images(60)
    with pytest.raises(UserError, match="20"):
        check(undefended(0), x, (y + 1) % 10, norm="linf", eps=EPS)


def test_same_outcome_twice_and_nothing_left_changed():
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10)
    )
    x, _ = images(100)
    y = model.eval()(x).argmax(1)
    model.train()
    model[2].eval()
    model[1].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = [module.training for module in model.modules()], torch.get_rng_state(), np.random.get_state()[1].copy()
    python = random.getstate()
    first, second = (check(model, x, y, norm="linf", eps=0.05) for _ in range(2))
    assert [(r.name, r.passed, r.value) for r in first] == [(r.name, r.passed, r.value) for r in second]
    assert [module.training for module in model.modules()] == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert np.array_equal(np.random.get_state()[1], before[2])
    assert random.getstate() == python
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, True, True, True, True, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
