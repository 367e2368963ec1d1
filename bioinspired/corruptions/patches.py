"""Images cut into patches that change places: local texture stays, shape goes."""

import torch
from torch import Tensor

from bioinspired.errors import UserError


def patch_shuffle(images: Tensor, pieces: float, generator: torch.Generator | None) -> Tensor:
    """Cuts each image into pieces x pieces patches and permutes them, each image in its own way (arXiv 1911.08432).

    0 and 1 leave the image whole. Rows and columns that do not divide evenly stay at the right and at the bottom as
    they are.
    """
    k = max(round(pieces), 1)
    n, c, height, width = images.shape
    if pieces not in (0, k) or k > min(height, width):
        raise UserError(f"patch_shuffle cuts images into 1 to {min(height, width)} patches a side, not {pieces:g}.")
    h, w = height // k, width // k
    inner = images[..., : k * h, : k * w].reshape(n, c, k, h, k, w).permute(0, 2, 4, 1, 3, 5).reshape(n, k * k, -1)
    order = torch.rand((n, k * k), generator=generator, device=images.device).argsort(1)
    mixed = inner.gather(1, order[..., None].expand_as(inner))
    out = images.clone()
    out[..., : k * h, : k * w] = mixed.reshape(n, k, k, c, h, w).permute(0, 3, 1, 4, 2, 5).reshape(n, c, k * h, k * w)
    return out
