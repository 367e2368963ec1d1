"""Networks to attack: small ones on scikit-learn's 8x8 digits, made once per test session."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

EPS = 0.15


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    """(training images, labels, test images, labels); images [n, 1, 8, 8] in [0, 1]."""
    data = load_digits()
    x = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
    y = torch.tensor(data.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def convolutional(classes=10):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, classes),
    )


def fit(model, x, y, *, epochs, adversary=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=generator).split(64):
            images = x[index] if adversary is None else adversary(model, x[index], y[index])
            loss = F.cross_entropy(model(images), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def naive_pgd(model, x, y, steps=5):
    """Adversarial training's adversary, written out by hand so that the networks do not depend on what is tested."""
    point = x.clone()
    for _ in range(steps):
        point.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(point), y), point)
        point = (x + (point.detach() + EPS / 2 * gradient.sign() - x).clamp(-EPS, EPS)).clamp(0, 1)
    return point


def seeded(seed, make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


@pytest.fixture(scope="session")
def undefended(digits):
    x, y, _, _ = digits
    return fit(seeded(0, convolutional), x, y, epochs=6)


@pytest.fixture(scope="session")
def trained(digits):
    """Adversarially trained in Linf at EPS."""
    x, y, _, _ = digits
    return fit(seeded(1, convolutional), x, y, epochs=10, adversary=naive_pgd)


@pytest.fixture(scope="session")
def masked(undefended):
    """The undefended network behind a step function with next to no slope: its gradients point nowhere useful."""
    return nn.Sequential(Staircase(), undefended).eval()


class Staircase(nn.Module):
    """Rounds to sixteenths but lets a little of the identity through, so that gradients exist."""

    def forward(self, x):
        return (x * 16).round() / 16 + 1e-3 * x
