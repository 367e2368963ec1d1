"""A model is afterwards as it was before: after every attack, and after one that failed."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from bioinspired.attacks import autoattack, fgsm, mi_fgsm, pgd
from bioinspired.attacks.autoattack import ensemble

ATTACKS = {
    "fgsm": lambda model, x, y: fgsm(model, x, y, norm="linf", eps=0.1),
    "pgd": lambda model, x, y: pgd(model, x, y, norm="l2", eps=0.5, steps=3, random_start=True, restarts=2),
    "mi_fgsm": lambda model, x, y: mi_fgsm(model, x, y, eps=0.1, steps=3, diversity=0.5),
    "autoattack": lambda model, x, y: autoattack(model, x, y, norm="linf", eps=0.02),
}


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(ensemble, "STEPS", 3)
    monkeypatch.setattr(ensemble, "PROPOSALS", 5)


class Fails(nn.Module):
    """Works a few times, then raises."""

    def __init__(self, times):
        super().__init__()
        self.left = times

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("no more")
        return x


def network(times=10**9):
    torch.manual_seed(0)
    shared = nn.Linear(20, 20)
    model = nn.Sequential(
        Fails(times),
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(144, 20),
        shared,
        nn.Dropout(0.3),
        nn.BatchNorm1d(20),
        shared,
        nn.Linear(20, 5),
    )
    model[1].weight.requires_grad_(False)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


def state(model):
    return {
        "modes": [module.training for module in model.modules()],
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "grad": [parameter.grad.clone() for parameter in model.parameters()],
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].copy(),
        "python": random.getstate(),
        "grad_enabled": torch.is_grad_enabled(),
    }


def assert_same(before, after):
    for name in before:
        if name in ("grad", "weights"):
            torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
        elif name in ("torch", "numpy"):
            assert (after[name] == before[name]).all()
        else:
            assert after[name] == before[name]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("mode", ["evaluation", "training", "mixed", "dropout left on"])
@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_as_before(attack, mode, fails):
    model = network(times=1 if fails else 10**9)
    model.train(mode in ("training", "mixed"))
    if mode == "mixed":
        model[2].eval()  # a frozen batch normalisation inside a training model
    if mode == "dropout left on":
        model[6].train()
        model[7].train()
    x = torch.rand(16, 1, 8, 8)
    y = torch.arange(16) % 5
    kept_x, kept_y = x.clone(), y.clone()
    before = state(model)
    if fails:
        with pytest.raises(RuntimeError, match="no more"):
            ATTACKS[attack](model, x, y)
    else:
        result = ATTACKS[attack](model, x, y)
        assert not result.x_adv.requires_grad
        assert result.x_adv.grad_fn is None
        assert result.x_adv.data_ptr() != x.data_ptr()
    assert_same(before, state(model))
    assert torch.equal(x, kept_x)
    assert torch.equal(y, kept_y)
    assert not x.requires_grad


def test_a_training_model_is_attacked_in_evaluation_mode():
    model = network().train()
    seen = []
    model[0].register_forward_hook(lambda module, _, __: seen.append(module.training))
    x, y = torch.rand(16, 1, 8, 8), torch.arange(16) % 5
    trained = pgd(model, x, y, norm="linf", eps=0.1, steps=4).x_adv
    assert seen
    assert not any(seen)
    assert torch.equal(trained, pgd(model.eval(), x, y, norm="linf", eps=0.1, steps=4).x_adv)


def test_weights_get_no_gradient_during_an_attack():
    model = network().eval()
    wanted = []
    model[0].register_forward_hook(lambda *_: wanted.extend(p.requires_grad for p in model.parameters()))
    fgsm(model, torch.rand(4, 1, 8, 8), torch.arange(4), norm="linf", eps=0.1)
    assert wanted
    assert not any(wanted)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_attacks_work_where_gradients_are_off(context):
    model = network().eval()
    expected = pgd(model, torch.full((4, 1, 8, 8), 0.5), torch.arange(4), norm="linf", eps=0.1, steps=3)
    with context():
        x, y = torch.full((4, 1, 8, 8), 0.5), torch.arange(4)
        found = pgd(model, x, y, norm="linf", eps=0.1, steps=3)
    assert torch.equal(found.x_adv, expected.x_adv)


def test_the_package_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, bioinspired.attacks; assert 'torch' not in sys.modules; bioinspired.attacks.pgd"
    subprocess.run([sys.executable, "-c", code], check=True)
