"""Gaussian noise and blur as MATLAB's image toolbox makes them; its defaults differ from other libraries'."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def noisy(images: Tensor, variance: float, generator: torch.Generator) -> Tensor:
    """`imnoise(x, "gaussian", 0, variance)`: noise of that variance, not deviation, clipped to [0, 1].

    Args:
        images: float [n, C, H, W] in [0, 1].
        variance: on [0, 1], squared.
        generator: on the images' device.
    """
    noise = torch.randn(images.shape, dtype=images.dtype, device=images.device, generator=generator)
    return (images + math.sqrt(variance) * noise).clamp(0, 1)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """`imgaussfilt(x, sigma)`: a kernel of 2 ceil(2 sigma) + 1 pixels a side, edges continued by their last pixel.

    Args:
        images: float [n, C, H, W] in [0, 1].
        sigma: in pixels, above 0.
    """
    reach = math.ceil(2 * sigma)
    steps = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-steps.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    n, C, H, W = images.shape
    flat = functional.pad(images.reshape(n * C, 1, H, W), (reach,) * 4, mode="replicate")
    flat = functional.conv2d(functional.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return flat.reshape(n, C, H, W).clamp(0, 1)
