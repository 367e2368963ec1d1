"""Attacks on linear models, whose optimum is known in every norm, with the box and without."""

import numpy as np
import pytest
import torch

from bioinspired.attacks import fgsm, pgd
from bioinspired.attacks.norms import BALLS, l1_box_projection

SHAPES = [(48,), (6, 8), (3, 4, 4)]
BATCHES = [1, 3, 64]
EPS = {"linf": 0.1, "l2": 0.7, "l1": 4.0}


class Linear:
    """Two classes, z_1 - z_0 = w . (x - 1/2) + bias."""

    def __init__(self, shape, bias, seed=0):
        self.w = 0.25 * torch.randn(int(np.prod(shape)), generator=torch.Generator().manual_seed(seed))
        self.bias = bias

    def __call__(self, x):
        gap = (x - 0.5).flatten(1) @ self.w.to(x.dtype) + self.bias
        return torch.stack([torch.zeros_like(gap), gap], 1)

    def gain(self, x, x_adv):
        """How much of class 1's lead was taken away, per image."""
        return -((x_adv - x).flatten(1).double() @ self.w.double()).numpy()


def largest_gain(w, x, norm, eps):
    """The most a perturbation of this size can take from w . x for one image within [0, 1]; by plain arithmetic."""
    w, x = w.double().numpy(), x.double().numpy().ravel()
    room = np.where(w > 0, x, 1 - x)
    if norm == "linf":
        return float(np.abs(w) @ np.minimum(room, eps))
    if norm == "l1":
        budget, gain = eps, 0.0
        for i in np.argsort(-np.abs(w)):
            used = min(budget, room[i])
            gain, budget = gain + used * abs(w[i]), budget - used
        return float(gain)
    if np.linalg.norm(room) <= eps:
        return float(np.abs(w) @ room)
    low, high = 0.0, 1e6  # the optimum is min(room, c |w|) for the c at which its length is eps
    for _ in range(200):
        c = (low + high) / 2
        low, high = (c, high) if np.linalg.norm(np.minimum(room, c * np.abs(w))) < eps else (low, c)
    return float(np.abs(w) @ np.minimum(room, low * np.abs(w)))


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("loss", ["ce", "margin"])
@pytest.mark.parametrize("place", ["middle", "anywhere"])
def test_pgd_reaches_the_optimum(norm, shape, batch, loss, place):
    x = torch.rand(batch, *shape, generator=torch.Generator().manual_seed(1))
    if place == "middle":
        x = 0.4 + 0.2 * x
    model = Linear(shape, bias=4.0)  # out of reach, so that the whole path is walked
    y = torch.ones(batch, dtype=torch.int64)
    eps = EPS[norm] if place == "anywhere" else EPS[norm] / 10 if norm == "l1" else EPS[norm] / 2
    result = pgd(model, x, y, norm=norm, eps=eps, steps=100, loss=loss)
    best = [largest_gain(model.w, image, norm, eps) for image in x]
    gain = model.gain(x, result.x_adv)
    assert not result.success.any()
    assert (gain >= 0.95 * np.array(best)).all()
    assert (gain <= np.array(best) * (1 + 1e-4)).all()


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("random_start", [False, True])
def test_the_smallest_budget_that_fools_is_found(norm, shape, random_start):
    x = 0.3 + 0.4 * torch.rand(64, *shape, generator=torch.Generator().manual_seed(2))
    y = torch.ones(64, dtype=torch.int64)
    model = Linear(shape, bias=0.0, seed=3)
    eps = EPS[norm] / 4
    best = np.array([largest_gain(model.w, image, norm, eps) for image in x])
    lead = (x.flatten(1).double() @ model.w.double()).numpy()
    for share, fooled in ((0.95, True), (1.01, False)):
        # Every image's bias puts its lead at this share of what the budget can take away.
        bias = torch.tensor(share * best - lead)

        def shifted(images, bias=bias):
            gap = images.flatten(1).double() @ model.w.double() + bias[: len(images)]
            return torch.stack([torch.zeros_like(gap), gap], 1)

        result = pgd(
            shifted, x, y, norm=norm, eps=eps, steps=100, random_start=random_start, loss="margin", early_exit=False
        )
        assert (result.success == fooled).all()


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_step_is_optimal_far_from_the_box(norm, shape):
    x = torch.full((3, *shape), 0.5)
    model = Linear(shape, bias=10.0)
    result = fgsm(model, x, torch.ones(3, dtype=torch.int64), norm=norm, eps=0.3)
    best = largest_gain(model.w, x[0], norm, 0.3)
    np.testing.assert_allclose(model.gain(x, result.x_adv), best, rtol=1e-4)


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e10])
def test_the_scale_of_the_gradient_does_not_matter(norm, scale):
    x = torch.full((3, 48), 0.5)
    model = Linear((48,), bias=4.0)
    y = torch.ones(3, dtype=torch.int64)
    options = {"norm": norm, "eps": 0.3, "steps": 10, "early_exit": False, "keep": "last"}
    scaled = pgd(lambda z: scale * model(z), x, y, **options, loss="margin")
    torch.testing.assert_close(scaled.x_adv, pgd(model, x, y, **options, loss="margin").x_adv)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_starts_lie_in_the_ball_and_in_the_box(norm, shape):
    x = torch.rand(500, *shape, generator=torch.Generator().manual_seed(4))
    ball = BALLS[norm]
    start = ball.start(x, 0.4, torch.Generator().manual_seed(5))
    assert (ball.size(start - x) <= 0.4 * (1 + 1e-5)).all()
    assert start.min() >= 0
    assert start.max() <= 1


@pytest.mark.parametrize(("norm", "power"), [("linf", 48), ("l2", 48), ("l1", 48)])
def test_random_starts_are_uniform(norm, power):
    """In d dimensions the share of a ball's volume within the radius r eps is r^d, so size^d is uniform."""
    x = torch.full((4000, 48), 0.5)
    ball = BALLS[norm]
    radius = ball.size(ball.start(x, 0.4, torch.Generator().manual_seed(6)) - x) / 0.4
    share = (radius.double() ** power).sort().values.numpy()
    distance = np.abs(share - (np.arange(4000) + 0.5) / 4000).max()
    assert distance < 1.63 / np.sqrt(4000)  # Kolmogorov and Smirnov at 1 %


@pytest.mark.parametrize("eps", [0.0, 0.5, 3.0, 1000.0])
def test_l1_projection_is_the_nearest_point(eps):
    """Against bisection on the shift, in double precision, image by image."""
    generator = torch.Generator().manual_seed(7)
    x = torch.rand(40, 30, generator=generator)
    x[:5] = x[:5].round()  # corners of the box
    delta = torch.randn(40, 30, generator=generator)
    delta[5:8] = delta[5:8].round()  # equal lengths
    delta[8] = 0
    found = l1_box_projection(delta, x, eps).double().numpy()
    for d, image, ours in zip(delta.double().numpy(), x.double().numpy(), found, strict=True):
        cap = np.where(d > 0, 1 - image, image)
        low, high = 0.0, np.abs(d).max() + 1
        for _ in range(100):
            middle = (low + high) / 2
            size = np.clip(np.abs(d) - middle, 0, cap).sum()
            low, high = (middle, high) if size > eps else (low, middle)
        np.testing.assert_allclose(ours, np.sign(d) * np.clip(np.abs(d) - high, 0, cap), atol=1e-6)
