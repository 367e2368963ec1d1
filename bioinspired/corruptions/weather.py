"""Snow, frost, fog and brightness: images [n, 3, H, W] in [0, 1], the parameters of a severity, a generator."""

import torch
from torch import Tensor

from bioinspired.corruptions.sampling import plasma, smeared, zoomed

LUMA = (0.299, 0.587, 0.114)

Snow = tuple[float, float, float, float, int, float, float]


def snow(images: Tensor, parameters: Snow, generator: torch.Generator | None) -> Tensor:
    """Streaks, made of bright specks of enlarged noise, over a whitened image."""
    mean, deviation, factor, threshold, radius, sigma, kept = parameters
    n, _, H, W = images.shape
    noise = torch.randn((n, 1, H, W), generator=generator, device=images.device)
    layer = zoomed(mean + deviation * noise, factor)
    layer = torch.where(layer < threshold, 0.0, layer).clamp(0, 1)
    degrees = 90 * torch.rand(n, generator=generator, device=images.device) - 135
    layer = smeared(layer, radius=radius, sigma=sigma, degrees=degrees)
    white = luma(images) * 1.5 + 0.5
    return kept * images + (1 - kept) * torch.maximum(images, white) + layer + layer.rot90(2, (2, 3))


def frost(images: Tensor, parameters: tuple[float, float], generator: torch.Generator | None) -> Tensor:
    """A share of the image and a share of ice: the ridges of a cloud, bright lines on a bluish middle grey.

    CIFAR-10-C takes crops of photographs of frost instead. The shares are its own.
    """
    kept, ice = parameters
    clouds = plasma(len(images), images.shape[2], 2.0, generator, images.device)[:, None]
    ridges = (1 - (2 * clouds - 1).abs()).square()
    tint = torch.tensor([0.9, 1.0, 1.0], device=images.device).view(1, 3, 1, 1)
    return kept * images + ice * (0.3 + 0.7 * ridges) * tint


def fog(images: Tensor, parameters: tuple[float, float], generator: torch.Generator | None) -> Tensor:
    """Clouds added to the image, the sum scaled so that its brightest value could be the image's own."""
    strength, decay = parameters
    clouds = plasma(len(images), images.shape[2], decay, generator, images.device)[:, None]
    brightest = images.amax((1, 2, 3), keepdim=True)
    return (images + strength * clouds) * brightest / (brightest + strength)


def brightness(images: Tensor, parameters: float, generator: torch.Generator | None) -> Tensor:
    """The value of hue, saturation and value raised; black becomes grey."""
    value = images.amax(1, keepdim=True)
    raised = (value + parameters).clamp(0, 1)
    return torch.where(value > 0, images * raised / value.clamp(min=1e-6), raised)


def luma(images: Tensor) -> Tensor:
    """Grey images [n, 1, H, W] of colour images, by the weights of ITU-R BT.601."""
    return (images * torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
