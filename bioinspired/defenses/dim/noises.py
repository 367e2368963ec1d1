"""The noise that the denoiser learns to remove. All of it ours: the sources say only that noise is added."""

from collections.abc import Callable

import torch
from torch import Tensor

LARGEST = {"gaussian": 0.5, "uniform": 0.5, "salt_and_pepper": 0.3}
"""Highest level of each family: standard deviation, half-width, share of values set to 0 or 1."""

CLEAN = 0.1  # share of the mixture's images that stay as they are


def noisy(x: Tensor, noise: str, level: float | None, generator: torch.Generator) -> Tensor:
    """Images with noise, clipped to [0, 1].

    Args:
        x: [n, ...] in [0, 1].
        noise: "gaussian", "uniform", "salt_and_pepper", or "mixture": for each image one of the three at random, or
            none.
        level: of every image; None draws it for each, uniform from 0 to the family's highest.
        generator: where the randomness comes from.
    """
    if noise != "mixture":
        return _FAMILIES[noise](x, _levels(x, noise, level, generator), generator).clamp(0, 1)
    made = [family(x, _levels(x, name, level, generator), generator) for name, family in _FAMILIES.items()]
    kind = torch.randint(len(made), (len(x),), generator=generator, device=x.device)
    chosen = torch.stack(made)[kind, torch.arange(len(x), device=x.device)].clamp(0, 1)
    clean = torch.rand(len(x), generator=generator, device=x.device) < CLEAN
    return torch.where(clean.view(-1, *(1,) * (x.ndim - 1)), x, chosen)


def _levels(x: Tensor, noise: str, level: float | None, generator: torch.Generator) -> Tensor:
    shape = (len(x), *(1,) * (x.ndim - 1))
    if level is not None:
        return torch.full(shape, level, device=x.device)
    return LARGEST[noise] * torch.rand(shape, generator=generator, device=x.device)


def _gaussian(x: Tensor, levels: Tensor, generator: torch.Generator) -> Tensor:
    return x + levels * torch.randn(x.shape, generator=generator, device=x.device)


def _uniform(x: Tensor, levels: Tensor, generator: torch.Generator) -> Tensor:
    return x + levels * (2 * torch.rand(x.shape, generator=generator, device=x.device) - 1)


def _salt_and_pepper(x: Tensor, levels: Tensor, generator: torch.Generator) -> Tensor:
    hit = torch.rand(x.shape, generator=generator, device=x.device) < levels
    value = (torch.rand(x.shape, generator=generator, device=x.device) < 0.5).to(x)
    return torch.where(hit, value, x)


_FAMILIES: dict[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {
    "gaussian": _gaussian,
    "uniform": _uniform,
    "salt_and_pepper": _salt_and_pepper,
}
