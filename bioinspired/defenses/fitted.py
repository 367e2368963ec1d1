"""The training images and labels that a defense is fitted to, checked."""

import torch
from torch import Tensor

from bioinspired.errors import UserError


def as_bytes(images: Tensor, labels: Tensor, *, classes: int) -> tuple[Tensor, Tensor]:
    """Images as uint8 from 0 to 255, given so or as floats in [0, 1]; labels as int64.

    Raises:
        UserError: they are something else, or a label is not below the number of classes.
    """
    if images.is_floating_point():
        if not bool(((images >= 0) & (images <= 1)).all()):
            raise UserError("Training images must be uint8, or floats in [0, 1]: divide those from 0 to 255 by 255.")
        images = (images * 255).round().to(torch.uint8)
    if images.dtype != torch.uint8:
        raise UserError(f"Training images must be uint8, or floats in [0, 1], and are {images.dtype}: convert them.")
    if labels.is_floating_point() or labels.shape != images.shape[:1]:
        raise UserError(f"There are {len(images)} training images: give one integer label for each.")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(
            f"Labels run from {int(labels.min())} to {int(labels.max())} and the model has {classes} classes: "
            f"they must run from 0 to {classes - 1}."
        )
    return images, labels.long()
