"""Networks to attack: small ones on scikit-learn's 8x8 digits, and how they are made."""

import torch
import torch.nn.functional as F
from torch import nn

EPS = 0.15
"""What the adversarially trained network is trained for, in Linf."""


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


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


class Counting(nn.Module):
    """Counts the images shown, and those that were differentiated."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.forwards = self.backwards = 0

    def forward(self, x):
        self.forwards += len(x)
        if x.requires_grad:
            x = x.clone()  # its own, so that every pass is counted once
            x.register_hook(self.count)
        return self.model(x)

    def count(self, gradient):
        self.backwards += len(gradient)
