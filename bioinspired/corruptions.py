"""Corruptions of images that know nothing of the network, by name.

Random numbers come from the generator that is passed, so that networks can be compared on the same draws.
"""

from collections.abc import Callable

import torch
from torch import Tensor

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


def _normal(images: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(images.shape, dtype=images.dtype, device=images.device, generator=generator)


def _uniform(images: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(images.shape, dtype=images.dtype, device=images.device, generator=generator)


CORRUPTIONS: dict[str, Callable[[Tensor, float, torch.Generator | None], Tensor]] = {
    function.__name__: function for function in (gaussian_noise, gaussian_noise_clipped, uniform_noise, salt_and_pepper)
}
