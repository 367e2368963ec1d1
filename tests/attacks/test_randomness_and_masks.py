"""Expectation over draws, and stand-ins for what has no gradient."""

import pytest
import torch

from bioinspired.attacks import pgd
from bioinspired.attacks.bpda import bpda, identity, sigmoid_step, sweep
from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.gradient import iterates
from bioinspired.attacks.queries import Queries
from bioinspired.errors import UserError

W = torch.randn(12, generator=torch.Generator().manual_seed(0))


def two_classes(gap):
    return torch.stack([torch.zeros_like(gap), gap], 1)


def noisy(x):
    """A linear model whose weights are drawn anew for every pass, around W."""
    return two_classes((x - 0.5) @ (W + 8 * torch.randn(12)) + 1.0)


def test_the_gradient_is_the_mean_over_draws():
    """Of the loss, draw by draw: against the same draws, one by one."""
    x, y = torch.rand(5, 12, generator=torch.Generator().manual_seed(1)), torch.ones(5, dtype=torch.int64)
    rows = torch.arange(5)

    def objective(logits):
        return torch.nn.functional.cross_entropy(logits, y, reduction="none")

    torch.manual_seed(3)
    single = [Queries(noisy, y).gradient(x, rows, objective) for _ in range(7)]
    torch.manual_seed(3)
    queries = Queries(Expectation(noisy, draws=7), y)
    logits, losses, gradient = queries.gradient(x, rows, objective)
    torch.testing.assert_close(gradient, sum(g for _, _, g in single) / 7)
    torch.testing.assert_close(losses, sum(loss for _, loss, _ in single) / 7)
    torch.testing.assert_close(logits.exp(), sum(z.softmax(1) for z, _, _ in single) / 7)
    queries.settle()
    assert (queries.forwards == 7).all()
    assert (queries.backwards == 7).all()


def test_more_draws_point_more_truly():
    """The mean gradient of the noisy linear model lies along W; one draw points almost anywhere."""
    x, y = torch.full((1, 12), 0.5), torch.ones(1, dtype=torch.int64)

    def agreement(draws, seed):
        torch.manual_seed(seed)
        *_, point = iterates(Expectation(noisy, draws), x, y, norm="l2", eps=0.1, steps=1, step_size=0.1, loss="margin")
        return float(torch.nn.functional.cosine_similarity(point - x, -W.unsqueeze(0)))

    assert sum(agreement(1, seed) for seed in range(1, 31)) / 30 < 0.4
    assert sum(agreement(300, seed) for seed in range(1, 31)) / 30 > 0.75


def test_the_verdict_is_that_of_the_mean():
    def errs(x):
        return two_classes(x.sum(1) * (5.0 if torch.rand(()) < 0.9 else -5.0))

    x, y = torch.full((6, 4), 0.5), torch.ones(6, dtype=torch.int64)
    torch.manual_seed(0)
    assert pgd(errs, x, y, norm="linf", eps=0.0, steps=60).success.all()
    assert not pgd(Expectation(errs, 60), x, y, norm="linf", eps=0.0, steps=60).success.any()


def test_an_expectation_is_frozen_like_its_model():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(12, 3)).train()
    with torch.no_grad():
        expected = Expectation(model.eval(), 2)(torch.full((2, 12), 0.5))
    model.train()
    pgd(Expectation(model, 2), torch.full((2, 12), 0.5), torch.tensor([0, 1]), norm="linf", eps=0.1, steps=2)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert expected.shape == (2, 3)


def test_draws_must_be_a_number():
    with pytest.raises(UserError, match="draws must be an integer"):
        Expectation(noisy, 0)


def binarize(x):
    return (x > 0.5).to(x.dtype)


def behind(surrogate):
    step = bpda(binarize, surrogate)
    return lambda x: two_classes(step(x) @ W.abs() - 0.25 * W.abs().sum())


def test_value_of_the_one_gradient_of_the_other():
    x = torch.rand(50, 12, generator=torch.Generator().manual_seed(2)).requires_grad_()
    for surrogate in (identity, sigmoid_step(threshold=0.5, width=0.07)):
        out = bpda(binarize, surrogate)(x)
        assert torch.equal(out, binarize(x))
        (found,) = torch.autograd.grad(out.sum(), x)
        (expected,) = torch.autograd.grad(surrogate(x).sum(), x)
        assert torch.equal(found, expected)


def test_a_sweep_takes_the_worst_per_image():
    x = 0.55 + 0.4 * torch.rand(40, 12, generator=torch.Generator().manual_seed(3))
    y = torch.ones(40, dtype=torch.int64)
    models = {
        "plain": lambda z: two_classes(binarize(z) @ W.abs() - 0.25 * W.abs().sum() + 0 * z.sum(1)),
        "narrow": behind(sigmoid_step(threshold=0.5, width=0.002)),
        "wide": behind(sigmoid_step(threshold=0.5, width=0.3)),
        "identity": behind(identity),
    }
    for model in models.values():
        assert torch.equal(model(x), models["plain"](x))
    swept = sweep(lambda model: pgd(model, x, y, norm="l2", eps=0.7, steps=50, loss="margin"), models)
    success = {name: result.success for name, result in swept.results.items()}
    assert not success["plain"].any()
    assert success["wide"].sum() > success["narrow"].sum()
    assert torch.equal(swept.worst.success, torch.stack(list(success.values())).any(0))
    assert torch.equal(models["plain"](swept.worst.x_adv).argmax(1) != y, swept.worst.success)
    assert torch.equal(swept.worst.forwards, sum(result.forwards for result in swept.results.values()))
    with pytest.raises(UserError, match="one surrogate or more"):
        sweep(lambda model: pgd(model, x, y, norm="l2", eps=0.7, steps=5), {})
