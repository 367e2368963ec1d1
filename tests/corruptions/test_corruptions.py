"""Corruptions have the moments that their formulas give."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from bioinspired.corruptions import CORRUPTIONS, corrupt
from bioinspired.errors import UserError

N = 200_000


def grey(level: float = 0.5) -> Tensor:
    return torch.full((50, 2, 40, 50), level)


def change(name: str, strength: float, level: float = 0.5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (corrupt(grey(level), name, strength, generator).double() - level).flatten()


def test_gaussian_noise_is_normal() -> None:
    noise = change("gaussian_noise", 0.1)
    assert stats.kstest(noise.numpy(), stats.norm(scale=0.1).cdf).pvalue > 1e-3


def test_clipped_gaussian_noise_has_the_variance_of_the_clipped_law() -> None:
    """With z clipped to +-2: E z^2 = P(|z| < 2) - 4 phi(2) + 4 P(|z| > 2)."""
    noise = change("gaussian_noise_clipped", 0.1)
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    inside = math.erf(math.sqrt(2))
    variance = inside - 4 * density + 4 * (1 - inside)
    assert noise.abs().max().item() == pytest.approx(0.2, rel=1e-6)
    assert noise.std().item() == pytest.approx(0.1 * math.sqrt(variance), rel=0.01)
    assert round(math.sqrt(variance), 3) == 0.959
    at_the_ends = int((noise.abs() > 0.2 * (1 - 1e-6)).sum())
    assert stats.binomtest(at_the_ends, N, 1 - inside).pvalue > 1e-3
    free = change("gaussian_noise", 0.1)
    assert torch.allclose(noise, free.clamp(-0.2, 0.2), atol=1e-6)  # the same draws


def test_uniform_noise_is_uniform() -> None:
    noise = change("uniform_noise", 0.3)
    assert stats.kstest(noise.numpy(), stats.uniform(-0.3, 0.6).cdf).pvalue > 1e-3


def test_salt_and_pepper_take_their_share_in_equal_parts() -> None:
    noise = change("salt_and_pepper", 0.2, level=0.25)
    salt, pepper, left = int((noise == 0.75).sum()), int((noise == -0.25).sum()), int((noise == 0).sum())
    assert salt + pepper + left == N
    assert stats.chisquare([salt, pepper, left], [0.1 * N, 0.1 * N, 0.8 * N]).pvalue > 1e-3
    image = corrupt(grey(), "salt_and_pepper", 0.5, torch.Generator().manual_seed(0))
    assert (image[:, 0] != image[:, 1]).any()  # channels have their own draws


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_range_input_and_reproducibility(name: str) -> None:
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    before, state = x.clone(), torch.get_rng_state()
    strong = 4.0 if name == "patch_shuffle" else 1.0
    loud = [corrupt(x, name, strong, torch.Generator().manual_seed(seed)) for seed in (2, 2, 3)]
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert loud[0].shape == x.shape
    assert (loud[0].min() >= 0) & (loud[0].max() <= 1)
    assert torch.equal(loud[0], loud[1])
    assert not torch.equal(loud[0], loud[2])
    assert torch.equal(corrupt(x, name, 0.0, torch.Generator()), x)


def test_mistakes_give_a_sentence() -> None:
    with pytest.raises(UserError, match='no corruption "rain": choose one of gaussian_noise'):
        corrupt(grey(), "rain", 0.1)
    for strength in (-0.1, math.nan):
        with pytest.raises(UserError, match="strength of uniform_noise must be at least 0"):
            corrupt(grey(), "uniform_noise", strength)
    with pytest.raises(UserError, match="is a share of values, at most 1, not"):
        corrupt(grey(), "salt_and_pepper", 1.5)


def test_patches_change_places_and_keep_their_values():
    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.float32).reshape(2, 3, 8, 8) / 384
    out = corrupt(images, "patch_shuffle", 4, torch.Generator().manual_seed(0))
    assert not torch.equal(out, images)

    def patches(batch, n):
        corners = [(i, j) for i in range(0, 8, 2) for j in range(0, 8, 2)]
        return sorted(batch[n, :, i : i + 2, j : j + 2].flatten().tolist() for i, j in corners)

    for n in range(2):
        assert patches(out, n) == patches(images, n)
    moved = [(out[n] != images[n]).any(0) for n in range(2)]
    assert not torch.equal(moved[0], moved[1]), "each image has its own permutation"
    assert torch.equal(corrupt(images, "patch_shuffle", 1), images)


def test_what_does_not_divide_stays_where_it_is():
    images = torch.rand((1, 1, 10, 10), generator=torch.Generator().manual_seed(1))
    out = corrupt(images, "patch_shuffle", 4, torch.Generator().manual_seed(0))
    assert torch.equal(out[..., 8:, :], images[..., 8:, :])
    assert torch.equal(out[..., :, 8:], images[..., :, 8:])


@pytest.mark.parametrize("pieces", [0.5, 2.5, 9])
def test_patches_that_cannot_be_cut_are_refused(pieces):
    with pytest.raises(UserError, match="patch_shuffle cuts images into 1 to 8"):
        corrupt(torch.zeros(1, 1, 8, 8), "patch_shuffle", pieces)
