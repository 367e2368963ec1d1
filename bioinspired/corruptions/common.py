"""The fifteen common corruptions of CIFAR-10-C at five severities (Hendrycks and Dietterich 2019), made anew in torch.

The parameters are those that the makers of CIFAR-10-C published; the images are not theirs. What differs: the random
draws; frost, which is painted instead of cut out of photographs; elastic transformation and zooming, which interpolate
once. So accuracies can be compared in direction, not number by number.

Lengths are in pixels of a 32x32 image, except for the elastic transformation's, which scale with the side. Grey images
are corrupted as colour images of three equal channels and then turned to grey, as CIFAR-10-C is where grey images are
wanted: so independent noise in three channels partly cancels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bioinspired.corruptions import blurs, digital, weather
from bioinspired.errors import UserError

PIECE = 1000  # images at a time


class Common(NamedTuple):
    """A corruption: its function, and its parameters at severities 1 to 5."""

    function: Callable[[Tensor, Any, torch.Generator | None], Tensor]
    severities: tuple[Any, Any, Any, Any, Any]


def gaussian(images: Tensor, sigma: float, generator: torch.Generator | None) -> Tensor:
    """Normal noise of a standard deviation."""
    return images + sigma * torch.randn(images.shape, generator=generator, device=images.device)


def shot(images: Tensor, photons: float, generator: torch.Generator | None) -> Tensor:
    """Poisson noise: so many photons on average where the image is white."""
    return torch.poisson(images * photons, generator=generator) / photons


def impulse(images: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """A share of the values set to 0 or 1."""
    u = torch.rand(images.shape, generator=generator, device=images.device)
    return torch.where(u < share, (u < share / 2).to(images.dtype), images)


COMMON: dict[str, Common] = {
    "gaussian_noise": Common(gaussian, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": Common(shot, (500, 250, 100, 75, 50)),
    "impulse_noise": Common(impulse, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": Common(blurs.defocus, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass_blur": Common(blurs.glass, ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))),
    "motion_blur": Common(blurs.motion, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": Common(blurs.zoom, (6, 11, 16, 21, 26)),
    "snow": Common(
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": Common(weather.frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": Common(weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": Common(weather.brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": Common(digital.contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": Common(
        digital.elastic,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": Common(digital.pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": Common(digital.jpeg, (80, 65, 58, 50, 40)),
}
"""By the names of CIFAR-10-C's files, in its order."""

BANDS: dict[str, tuple[str, ...]] = {
    "low": ("snow", "frost", "fog", "brightness", "contrast"),
    "medium": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform"),
    "high": ("gaussian_noise", "shot_noise", "impulse_noise", "pixelate", "jpeg_compression"),
}
"""Groups by spatial frequency, by a rule on what the corruptions do to images, without any network.

The half-power radius of (corrupted - clean), power averaged over the first 1,000 grey test images of CIFAR-10 at
severity 4, 1 being the corner of the spectrum: below 0.15 low, 0.5 and above high. Found were 0.00 to 0.07, 0.21 to
0.46 and 0.53 to 0.56. The paper's own groups come from a table that was not available.
"""


def common(images: Tensor, name: str, severity: int, generator: torch.Generator | None = None) -> Tensor:
    """Images with a common corruption, rounded down to bytes as in CIFAR-10-C.

    Args:
        images: float [n, C, H, W] in [0, 1], square, of one or three channels.
        name: one of `COMMON`.
        severity: 1 to 5.
        generator: on the images' device; None for PyTorch's global one.

    Returns:
        The same shape, in [0, 1].

    Raises:
        UserError: no corruption has this name, the severity is out of range, or the images are of another shape.
    """
    if name not in COMMON:
        raise UserError(f'There is no common corruption "{name}": choose one of {", ".join(COMMON)}.')
    if severity not in (1, 2, 3, 4, 5):
        raise UserError(f"The severity of {name} must be 1, 2, 3, 4 or 5, not {severity}.")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[2] != images.shape[3]:
        raise UserError(f"Common corruptions take square images of one or three channels, not {tuple(images.shape)}.")
    function, severities = COMMON[name]
    pieces = []
    for piece in torch.split(images, PIECE):
        colour = function(piece.expand(-1, 3, -1, -1), severities[severity - 1], generator).clamp(0, 1)
        colour = (colour * 255 + 1e-3).floor() / 255  # so that what should be a whole byte is one
        pieces.append(colour if images.shape[1] == 3 else weather.luma(colour))
    return torch.cat(pieces)
