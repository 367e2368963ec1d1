"""Contrast, elastic transformation, pixelation and JPEG: images [n, 3, H, W] in [0, 1], parameters, a generator."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from bioinspired.corruptions.sampling import coordinates, filtered, gaussian_kernel, sampled

LUMINANCE = """
    16 11 10 16 24 40 51 61     12 12 14 19 26 58 60 55     14 13 16 24 40 57 69 56     14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77   24 35 55 64 81 104 113 92   49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""
CHROMINANCE = """
    17 18 24 47 99 99 99 99     18 21 26 66 99 99 99 99     24 26 56 99 99 99 99 99     47 66 99 99 99 99 99 99
    99 99 99 99 99 99 99 99     99 99 99 99 99 99 99 99     99 99 99 99 99 99 99 99     99 99 99 99 99 99 99 99
"""


def contrast(images: Tensor, parameters: float, generator: torch.Generator | None) -> Tensor:
    """Differences from the mean of each channel, shrunk by a factor."""
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * parameters + mean


def elastic(images: Tensor, parameters: tuple[float, float, float], generator: torch.Generator | None) -> Tensor:
    """A random affine map, and smooth random displacements: strength, smoothness, corners' shift, in side lengths.

    CIFAR-10-C interpolates once for each of the two; this does so once for both.
    """
    n, _, H, W = images.shape
    strength, smoothness, shift = (value * H for value in parameters)
    middle, square = H // 2, H // 3
    corners = torch.tensor([[square, square], [square, -square], [-square, -square]], device=images.device) + middle
    corners = corners.to(images.dtype).expand(n, 3, 2)
    moved = corners + shift * (2 * _uniform((n, 3, 2), images, generator) - 1)
    back = torch.linalg.solve(F.pad(moved, (0, 1), value=1.0), corners)  # from where a corner is to where it was
    if strength > 0:
        noise = 2 * _uniform((n, 2, H, W), images, generator) - 1
        displaced = strength * filtered(noise, gaussian_kernel(smoothness, truncate=3.0))
    else:
        displaced = torch.zeros((n, 2, H, W), device=images.device)
    rows, columns = coordinates(images)
    places = torch.stack([columns + displaced[:, 0], rows + displaced[:, 1], torch.ones_like(displaced[:, 0])], 3)
    columns, rows = (places.flatten(1, 2) @ back).view(n, H, W, 2).unbind(3)
    return sampled(images, rows, columns)


def pixelate(images: Tensor, parameters: float, generator: torch.Generator | None) -> Tensor:
    """Shrunk to a share of its size and enlarged again, both with a box filter."""
    H = images.shape[2]
    small = int(H * parameters)
    down, up = _box(H, small).to(images), _box(small, H).to(images)
    return up @ _bytes(down @ images @ down.T) @ up.T


def jpeg(images: Tensor, parameters: int, generator: torch.Generator | None) -> Tensor:
    """What JPEG at a quality leaves: the discrete cosine transform of 8x8 blocks, rounded to multiples of its tables.

    The two colour-difference channels are halved in both directions, as usual. Sides are filled up to multiples of 16.
    """
    H, W = images.shape[2:]
    padded = F.pad(images, (0, -W % 16, 0, -H % 16), mode="replicate") * 255
    red, green, blue = padded.unbind(1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    difference = torch.stack([(blue - y) / 1.772, (red - y) / 1.402], 1)
    y = _quantized(y[:, None] - 128, LUMINANCE, parameters)[:, 0] + 128
    small = _quantized(F.avg_pool2d(difference, 2).round(), CHROMINANCE, parameters)
    cb, cr = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    out = torch.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 1)
    return out[:, :, :H, :W] / 255


def _quantized(planes: Tensor, table: str, quality: int) -> Tensor:
    """Planes [n, c, H, W], sides multiples of 8, after a way through rounded cosine coefficients."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    steps = torch.tensor([int(number) for number in table.split()], device=planes.device).view(8, 8)
    steps = ((steps * scale + 50) / 100).floor().clamp(1, 255)
    n, c, H, W = planes.shape
    blocks = planes.round().reshape(n, c, H // 8, 8, W // 8, 8).transpose(3, 4)
    dct = _cosines().to(planes)
    rounded = (dct @ blocks @ dct.T / steps).round() * steps
    return (dct.T @ rounded @ dct).transpose(3, 4).reshape(n, c, H, W)


def _cosines() -> Tensor:
    """The orthonormal matrix of the discrete cosine transform of length 8."""
    k = torch.arange(8, dtype=torch.float64)
    matrix = torch.cos(math.pi * (2 * k + 1) * k[:, None] / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def _box(size: int, out: int) -> Tensor:
    """The matrix [out, size] of Pillow's box filter: means of the pixels whose centres lie in each new pixel."""
    scale = size / out
    centres = (torch.arange(out, dtype=torch.float64) + 0.5) * scale
    distance = (torch.arange(size, dtype=torch.float64) + 0.5 - centres[:, None]) / max(scale, 1.0)
    inside = ((distance > -0.5) & (distance <= 0.5)).float()
    return inside / inside.sum(1, keepdim=True)


def _bytes(images: Tensor) -> Tensor:
    return (images * 255).round() / 255


def _uniform(shape: tuple[int, ...], images: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(shape, generator=generator, device=images.device)
