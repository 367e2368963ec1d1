"""The networks as fixtures, each made once per test session."""

import pytest
import torch
from digit_networks import Scaled, convolutional, fit, naive_pgd, seeded
from sklearn.datasets import load_digits
from torch import nn


@pytest.fixture(scope="session")
def digits():
    """(training images, labels, test images, labels); images [n, 1, 8, 8] in [0, 1]."""
    data = load_digits()
    x = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
    y = torch.tensor(data.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


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
    """The undefended network with its logits times a thousand: cross-entropy underflows, and its gradient with it."""
    return nn.Sequential(undefended, Scaled(1000)).eval()
