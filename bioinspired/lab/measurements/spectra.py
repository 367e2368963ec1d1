"""Where in space-frequency the power of images or perturbations lies."""

import torch
from torch import Tensor


def power(differences: Tensor) -> Tensor:
    """|FFT|^2 of each channel, summed over channels: [n, C, H, W] to [n, H, W], zero frequency at [H // 2, W // 2]."""
    squares: Tensor = torch.fft.fft2(differences).abs().square().sum(1)
    shifted: Tensor = torch.fft.fftshift(squares, dim=(1, 2))
    return shifted


def radii(height: int, width: int) -> Tensor:
    """Distance of each frequency from zero frequency, in units of the corner's: [H, W], 1 at the far corner."""
    rows, columns = ((torch.arange(length) - length // 2) / (length // 2) for length in (height, width))
    return (rows[:, None].square() + columns.square()).div(2).sqrt()


def cumulative(power: Tensor) -> tuple[Tensor, Tensor]:
    """The share of power within a radius.

    Args:
        power: [..., H, W], zero frequency in the middle.

    Returns:
        The different radii [k], rising from 0 to 1, and the shares [..., k], rising to 1; undefined without power.
    """
    distance = radii(*power.shape[-2:]).to(power)
    rings, ring = torch.unique(distance.mul(1e6).round(), return_inverse=True)
    flat = power.flatten(-2).double()
    sums = torch.zeros(*flat.shape[:-1], len(rings), dtype=flat.dtype, device=flat.device)
    sums.index_add_(-1, ring.flatten(), flat)
    return rings / 1e6, sums.cumsum(-1) / sums.sum(-1, keepdim=True)


def half_power_radius(power: Tensor) -> Tensor:
    """The radius within which half of the power lies, between two radii by straight line: [..., H, W] to [...].

    Not a number where there is no power.
    """
    rings, shares = cumulative(power)
    rings = rings.to(shares)
    above = (shares >= 0.5).double().argmax(-1)
    below = (above - 1).clamp(min=0)
    low, high = (shares.gather(-1, k[..., None])[..., 0] for k in (below, above))
    part = torch.where(above > 0, (0.5 - low) / (high - low), 1.0)
    found = rings[below] + part * (rings[above] - rings[below])
    return torch.where(shares[..., -1].isfinite(), found, torch.nan)
