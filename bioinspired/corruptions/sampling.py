"""Resampling and filtering that the common corruptions are made of, for whole batches."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def sampled(images: Tensor, rows: Tensor, columns: Tensor, *, border: str = "reflection") -> Tensor:
    """Images [n, C, H, W] read bilinearly at pixel coordinates [n, H, W]; outside, mirrored or ("border") repeated."""
    H, W = images.shape[2:]
    grid = torch.stack([2 * columns / max(W - 1, 1) - 1, 2 * rows / max(H - 1, 1) - 1], 3)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=border, align_corners=True)


def coordinates(images: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of every pixel, float [H, W]."""
    H, W = images.shape[2:]
    rows, columns = torch.meshgrid(
        torch.arange(H, dtype=images.dtype, device=images.device),
        torch.arange(W, dtype=images.dtype, device=images.device),
        indexing="ij",
    )
    return rows, columns


def zoomed(images: Tensor, factor: float) -> Tensor:
    """Enlarged about the centre by a factor of at least 1, bilinearly, at the same size."""
    rows, columns = coordinates(images)
    middle = [(length - 1) / 2 for length in images.shape[2:]]
    rows, columns = (rows - middle[0]) / factor + middle[0], (columns - middle[1]) / factor + middle[1]
    n = len(images)
    return sampled(images, rows.expand(n, -1, -1), columns.expand(n, -1, -1), border="border")


def filtered(images: Tensor, kernel: Tensor, *, border: str = "reflect") -> Tensor:
    """Every channel of [n, C, H, W] filtered with a kernel [k, k], k odd."""
    k = len(kernel) // 2
    channels = images.shape[1]
    weight = kernel.to(images).expand(channels, 1, -1, -1)
    return F.conv2d(F.pad(images, (k,) * 4, mode=border), weight, groups=channels)


def gaussian_kernel(sigma: float, *, truncate: float = 4.0, radius: int | None = None) -> Tensor:
    """A two-dimensional normal kernel [k, k] of sum 1, cut off at `truncate` sigmas or at a radius in pixels."""
    reach = int(truncate * sigma + 0.5) if radius is None else radius
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64)
    line = torch.exp(-steps.square() / (2 * sigma**2)) if sigma > 0 else (steps == 0).double()
    line = line / line.sum()
    return torch.outer(line, line).float()


def smeared(images: Tensor, *, radius: int, sigma: float, degrees: Tensor) -> Tensor:
    """Motion blur as ImageMagick makes it: a weighted trail of pixels to one side, at an angle of its own an image.

    The trail has 2 radius + 1 pixels, the i-th with weight exp(-i^2 / (2 sigma^2)); its border is repeated.
    """
    n, _, H, W = images.shape
    weights = torch.exp(-torch.arange(2 * radius + 1).square() / (2 * sigma**2))
    weights = weights / weights.sum()
    angle = degrees * (math.pi / 180)
    each = torch.arange(n, device=images.device)[:, None, None]
    out = torch.zeros_like(images)
    last = images.permute(0, 2, 3, 1)
    for i, weight in enumerate(weights.tolist()):
        down = torch.ceil(i * angle.sin() - 0.5).long()[:, None]
        right = torch.ceil(i * angle.cos() - 0.5).long()[:, None]
        rows = (torch.arange(H, device=images.device) + down).clamp(0, H - 1)
        columns = (torch.arange(W, device=images.device) + right).clamp(0, W - 1)
        out += weight * last[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return out


def plasma(n: int, size: int, decay: float, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Clouds by the diamond-square algorithm: [n, size, size] in [0, 1], each from 0 to 1.

    Corners, middles and edge points of ever smaller squares get the mean of their four neighbours and a uniform
    displacement that begins at 100^2 and shrinks by decay^2 from one size to the next. The map wraps around.
    """
    side = 1 << (size - 1).bit_length()
    field = torch.zeros(n, side, side, device=device)
    step, wobble = side, 100.0

    def displaced(total: Tensor) -> Tensor:
        noise = torch.rand(total.shape, generator=generator, device=device)
        return total / 4 + wobble**2 * (2 * noise - 1)

    while step >= 2:
        half = step // 2
        corners = field[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        field[:, half::step, half::step] = displaced(pairs + pairs.roll(-1, 2))
        corners, middles = field[:, ::step, ::step], field[:, half::step, half::step]
        across = corners + corners.roll(-1, 2) + middles + middles.roll(1, 1)
        down = corners + corners.roll(-1, 1) + middles + middles.roll(1, 2)
        field[:, ::step, half::step] = displaced(across)
        field[:, half::step, ::step] = displaced(down)
        step, wobble = half, wobble / decay
    low, high = field.amin((1, 2), keepdim=True), field.amax((1, 2), keepdim=True)
    return ((field - low) / (high - low))[:, :size, :size]
