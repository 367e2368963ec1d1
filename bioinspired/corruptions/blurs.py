"""Defocus, glass, motion and zoom blur: images [n, 3, H, W] in [0, 1], the parameters of a severity, a generator."""

import torch
from torch import Tensor

from bioinspired.corruptions.sampling import filtered, gaussian_kernel, smeared, zoomed


def defocus(images: Tensor, parameters: tuple[float, float], generator: torch.Generator | None) -> Tensor:
    """A disk of a radius in pixels, its edge softened by a 3x3 normal kernel of a sigma."""
    radius, sigma = parameters
    steps = torch.arange(-8, 9)
    disk = (steps[:, None].square() + steps.square() <= radius**2).float()
    disk = filtered((disk / disk.sum())[None, None], gaussian_kernel(sigma, radius=1))[0, 0]
    reach = int(radius) + 1
    return filtered(images, disk[8 - reach : 9 + reach, 8 - reach : 9 + reach])


def glass(images: Tensor, parameters: tuple[float, int], generator: torch.Generator | None) -> Tensor:
    """Blurred, every pixel replaced by itself or a neighbour above and left, so many times over, and blurred again.

    The makers' code means to swap the two pixels; as written it copies one, and so were the published images made.
    """
    sigma, rounds = parameters
    kernel = gaussian_kernel(sigma)
    x = filtered(images, kernel, border="replicate").permute(0, 2, 3, 1)
    n, H, W, _ = x.shape
    each = torch.arange(n, device=x.device)[:, None, None]
    for _ in range(rounds):
        rows, columns = torch.randint(-1, 1, (2, n, H, W), generator=generator, device=x.device)
        rows[:, :2], rows[:, :, :2], columns[:, :2], columns[:, :, :2] = 0, 0, 0, 0  # the first two stay
        rows = rows + torch.arange(H, device=x.device)[:, None]
        columns = columns + torch.arange(W, device=x.device)
        x = x[each, rows, columns]
    return filtered(x.permute(0, 3, 1, 2), kernel, border="replicate")


def motion(images: Tensor, parameters: tuple[int, float], generator: torch.Generator | None) -> Tensor:
    """A trail in a direction between -45 and 45 degrees."""
    radius, sigma = parameters
    degrees = 90 * torch.rand(len(images), generator=generator, device=images.device) - 45
    return smeared(images, radius=radius, sigma=sigma, degrees=degrees)


def zoom(images: Tensor, parameters: int, generator: torch.Generator | None) -> Tensor:
    """The mean of the image and of so many enlargements, by 1.00, 1.01, 1.02, ..."""
    total = images + sum(zoomed(images, 1 + step / 100) for step in range(parameters))
    return total / (parameters + 1)
