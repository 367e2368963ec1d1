"""Small networks on scikit-learn's digits, honest ones and ones that are built to hide their gradients."""

from functools import cache

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

EPS = 0.15


@cache
def digits():
    """(training images, labels, test images, labels); images [n, 1, 8, 8] in [0, 1]."""
    data = load_digits()
    x = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
    y = torch.tensor(data.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def images(n):
    """The first n test images and their labels."""
    _, _, x, y = digits()
    return x[:n], y[:n]


class Scaled(nn.Module):
    """Logits a thousand times too large: cross-entropy saturates."""

    def forward(self, logits):
        return 1000 * logits


class Quantized(nn.Module):
    """Images rounded to five grey levels: the gradient is zero."""

    def forward(self, x):
        return torch.round(4 * x) / 4


class Winners(nn.Module):
    """The largest tenth of the activations, the others zero: the gradient holds in a tiny region only."""

    def forward(self, x):
        least = x.topk(x.shape[1] // 10, dim=1).values[:, -1:]
        return torch.where(x >= least, x, 0.0)


class Noise(nn.Module):
    """Gaussian noise, also when the network answers."""

    def forward(self, x):
        return x + 0.05 * torch.randn_like(x)


class Steep(nn.Module):
    """A step at one half whose derivative vanishes elsewhere."""

    def forward(self, x):
        return torch.sigmoid(400 * (x - 0.5))


def _layers(activation, width):
    first = [nn.Flatten(), nn.Linear(64, width), activation()]
    return [*first, nn.Linear(width, width), activation(), nn.Linear(width, 10)]


def _fit(seed, build, *, adversarial=False):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build()
        x, y, _, _ = digits()
        steps = 15 * 23
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
        for _ in range(15):
            for index in torch.randperm(len(x)).split(64):
                shown = _perturbed(model, x[index], y[index]) if adversarial else x[index]
                optimizer.zero_grad()
                F.cross_entropy(model(shown), y[index]).backward()
                optimizer.step()
                schedule.step()
    return model.eval()


def _perturbed(model, x, y):
    """PGD written out by hand, so that the networks do not depend on what is tested."""
    point = (x + (2 * torch.rand_like(x) - 1) * EPS).clamp(0, 1)
    for _ in range(5):
        point.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(point), y), point)
        point = (x + (point.detach() + EPS / 2 * gradient.sign() - x).clamp(-EPS, EPS)).clamp(0, 1)
    return point


@cache
def undefended(seed):
    return _fit(seed, lambda: nn.Sequential(*_layers(nn.ReLU, 128)))


@cache
def adversarially_trained(seed):
    return _fit(seed, lambda: nn.Sequential(*_layers(nn.ReLU, 128)), adversarial=True)


@cache
def masked(kind, seed):
    """A network that only looks robust."""
    honest = undefended(seed)
    return {
        "scaled": lambda: nn.Sequential(honest, Scaled()).eval(),
        "quantized": lambda: nn.Sequential(Quantized(), honest).eval(),
        "noisy": lambda: nn.Sequential(Noise(), honest).eval(),
        "winners": lambda: _fit(seed, lambda: nn.Sequential(*_layers(Winners, 256))),
        "vanishing": lambda: _fit(seed, lambda: nn.Sequential(Steep(), *_layers(nn.ReLU, 128))),
    }[kind]()
