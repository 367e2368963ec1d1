"""Patches: the toy task of the sleep papers, four binary images that share some of their pixels.

The construction is that of the authors' later repository (`Patches/create_permutations.m`, 2022), so for the paper of
2020 a reconstruction: of the 100 pixels of a 10x10 grid, `overlap` are on in all images, and every image has pixels of
its own that are on in no other. The released number of these, width^2 / 6 - overlap, is no integer for this width; with
four images it must have been 100 / 4 - overlap, which is what is here, so that 25 pixels are on in every image.

Which pixels these are is drawn once (RandomState(0)). One pattern serves: a fully connected network does not know which
pixels are neighbours, so another pattern only renames its inputs. Blur does know; it means nothing on these images.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from bioinspired.errors import UserError

SIDE = 10  # pixels
IMAGES = 4  # as many classes
ON = SIDE**2 // IMAGES  # pixels that are on in an image


@cache
def read(overlap: int | None) -> tuple[Tensor, Tensor]:
    """The four images, uint8 [4, 1, 10, 10] of 0 and 255, and their labels 0 to 3.

    Args:
        overlap: how many pixels are on in all four, from 0 to 24.

    Raises:
        UserError: no overlap is given, or one that leaves an image no pixel of its own.
    """
    if overlap is None or not 0 <= overlap < ON:
        raise UserError(f"Patches need an overlap from 0 to {ON - 1}, the pixels on in all four images, not {overlap}.")
    order = np.random.RandomState(0).permutation(SIDE**2)
    images = np.zeros((IMAGES, SIDE**2), np.uint8)
    images[:, order[:overlap]] = 255
    own = order[overlap : overlap + IMAGES * (ON - overlap)].reshape(IMAGES, -1)
    np.put_along_axis(images, own, 255, axis=1)
    return torch.from_numpy(images.reshape(IMAGES, 1, SIDE, SIDE)), torch.arange(IMAGES)
