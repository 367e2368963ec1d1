"""Noise of a strength, by name.

Random numbers come from the generator that is passed, so that networks can be compared on the same draws.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bioinspired.corruptions.patches import patch_shuffle
from bioinspired.errors import UserError


def corrupt(images: Tensor, name: str, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Corrupted copies of images.

    Args:
        images: float [n, C, H, W] in [0, 1].
        name: one of `CORRUPTIONS`.
        strength: at least 0; what it measures is said at the corruption.
        generator: on the images' device; None for PyTorch's global one.

    Returns:
        The same shape, in [0, 1].

    Raises:
        UserError: no corruption has this name, or the strength is out of range.
    """
    if name not in CORRUPTIONS:
        raise UserError(f'There is no corruption "{name}": choose one of {", ".join(CORRUPTIONS)}.')
    if not strength >= 0:
        raise UserError(f"The strength of {name} must be at least 0, not {strength}.")
    return CORRUPTIONS[name](images, strength, generator).clamp(0, 1)


def gaussian_noise(images: Tensor, sigma: float, generator: torch.Generator | None) -> Tensor:
    """Adds independent normal noise of standard deviation sigma, on [0, 1], to every value."""
    return images + sigma * _normal(images, generator)


def gaussian_noise_clipped(images: Tensor, sigma: float, generator: torch.Generator | None) -> Tensor:
    """Gaussian noise clipped to +-2 sigma, as arXiv 2007.14249 (section 3.1.2) does; its deviation is 0.959 sigma."""
    return images + sigma * _normal(images, generator).clamp(-2, 2)


def uniform_noise(images: Tensor, width: float, generator: torch.Generator | None) -> Tensor:
    """Adds independent noise, uniform between -width and width, on [0, 1], to every value."""
    return images + width * (2 * _uniform(images, generator) - 1)


def salt_and_pepper(images: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Sets this share of the values, drawn independently in every channel, to 0 or 1 with equal chances."""
    if share > 1:
        raise UserError(f"The strength of salt_and_pepper is a share of values, at most 1, not {share}.")
    u = _uniform(images, generator)
    return torch.where(u < share, (u < share / 2).to(images.dtype), images)


def gaussian_noise_own_range(images: Tensor, sigma: float, generator: torch.Generator | None) -> Tensor:
    """Gaussian noise as arXiv 2410.03952 uses it: clamped to the range of each image's own values, not to [0, 1]."""
    return _in_own_range(images, images + sigma * _normal(images, generator))


def uniform_noise_own_range(images: Tensor, width: float, generator: torch.Generator | None) -> Tensor:
    """Uniform noise between -width and width, clamped to the range of each image's own values (arXiv 2410.03952)."""
    return _in_own_range(images, images + width * (2 * _uniform(images, generator) - 1))


def salt_and_pepper_own_range(images: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Adds +1 or -1, with equal chances, to this share of the values, and clamps to each image's own range.

    So a value that is hit becomes the largest or the smallest of its image (arXiv 2410.03952, released code; that the
    two signs share the probability is our reading).
    """
    if share > 1:
        raise UserError(f"The strength of salt_and_pepper_own_range is a share of values, at most 1, not {share}.")
    u = _uniform(images, generator)
    sign = torch.where(u < share / 2, 1.0, -1.0).to(images.dtype)
    return _in_own_range(images, torch.where(u < share, images + sign, images))


def _in_own_range(images: Tensor, noisy: Tensor) -> Tensor:
    return torch.maximum(
        torch.minimum(noisy, images.amax((1, 2, 3), keepdim=True)), images.amin((1, 2, 3), keepdim=True)
    )


def _normal(images: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(images.shape, dtype=images.dtype, device=images.device, generator=generator)


def _uniform(images: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(images.shape, dtype=images.dtype, device=images.device, generator=generator)


CORRUPTIONS: dict[str, Callable[[Tensor, float, torch.Generator | None], Tensor]] = {
    function.__name__: function
    for function in (
        gaussian_noise,
        gaussian_noise_clipped,
        uniform_noise,
        salt_and_pepper,
        gaussian_noise_own_range,
        uniform_noise_own_range,
        salt_and_pepper_own_range,
        patch_shuffle,
    )
}
