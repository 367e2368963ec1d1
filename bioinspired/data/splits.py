"""Training and test images as tensors."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bioinspired.data import cifar, cub200, digits, folders, idx, patches
from bioinspired.data.descriptions import DESCRIPTIONS, Description, SplitName, describe
from bioinspired.declarations import Data, Images
from bioinspired.errors import UserError


@dataclass(frozen=True)
class Split:
    """Images and labels.

    Attributes:
        images: uint8 [n, C, H, W]; features float32 [n, d, 1, 1] in [0, 255]. So `images.float() / 255` is in [0, 1].
        labels: int64 [n], on the same device.
        id: which images these are, such as "digits16-test-360".
    """

    images: Tensor
    labels: Tensor
    id: str

    @functools.cached_property
    def sha256(self) -> str:
        """Of the images' bytes in the order [n, C, H, W], followed by the labels as little-endian int64."""
        content = hashlib.sha256(self.images.cpu().contiguous().numpy().tobytes())
        content.update(self.labels.cpu().numpy().astype("<i8").tobytes())
        return content.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a network is built for: channels, their means and deviations on [0, 1], and classes."""

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int


def inputs(data: Data) -> Inputs:
    """What networks for these images take in. Features are not normalised: their means are 0, their deviations 1.

    Raises:
        UserError: no set has this name, it cannot be had as asked, or the user's file that decides is not right.
    """
    description = describe(data.name)
    _check(data, description)
    channels, mean, std = description.channels, description.mean, description.std
    if channels is None:
        channels = cub200.read(folders.supplied(cub200.PATH)).channels
        mean, std = (0.0,) * channels, (1.0,) * channels
    if data.gray and description.gray is not None:
        channels, mean, std = 1, description.gray[:1], description.gray[1:]
    return Inputs(channels=channels, mean=mean, std=std, classes=len(description.classes))


def load(data: Data, split: SplitName, device: str | torch.device = "cpu") -> Split:
    """A split, in its fixed shuffled order, at `data.size` pixels. Both splits of patches are their four images.

    Other sizes than the original are made by bilinear interpolation (smoothed where it shrinks), rounded to uint8.
    `data.train` keeps the first so many training images; the test split is always whole.

    Raises:
        UserError: a file is missing, truncated or altered, a download fails, the set has fewer images than asked, or
            the set cannot be had as asked.
    """
    description = describe(data.name)
    _check(data, description)
    images, labels = _original(data, split, description)
    if split == "train" and data.train is not None:
        _at_most(data.train, len(labels), f"{data.name} has", "training images")
        images, labels = images[: data.train], labels[: data.train]
    if data.gray:
        images = _luma(images)
    if data.size != description.size:
        images = _resized(images, data.size)
    name = f"{data.name}{'-gray' if data.gray else ''}{data.size}"
    name += "" if data.overlap is None else f"-overlap{data.overlap}"
    return Split(images.to(device), labels.to(device), f"{name}-{split}-{len(labels)}")


def select(split: Split, images: Images) -> Split:
    """The first `images.n` of a split that `load` gave; all of it for None.

    Raises:
        UserError: the split has fewer images.
    """
    n = len(split.labels) if images.n is None else images.n
    _at_most(n, len(split.labels), f"{split.id} has", "images")
    return Split(split.images[:n], split.labels[:n], f"{split.id.rpartition('-')[0]}-{n}")


def _check(data: Data, description: Description) -> None:
    """Raises UserError unless the set can be had in this way."""
    if data.gray and description.gray is None:
        raise UserError(f"The images of {data.name} have one channel already: leave `gray` out.")
    if data.overlap is not None and data.name != "patches":
        raise UserError(f"The images of {data.name} have no overlap to choose: leave `overlap` out.")
    if data.name in ("patches", "cub200") and data.size != description.size:
        raise UserError(f"{data.name} has the size {description.size} only, not {data.size}: it cannot be resized.")


def _original(data: Data, split: SplitName, description: Description) -> tuple[Tensor, Tensor]:
    """A split at its original size, in its fixed order."""
    if data.name == "patches":
        return patches.read(data.overlap)
    if data.name == "cub200":
        features = cub200.read(folders.supplied(cub200.PATH))
        images, labels = features.train if split == "train" else features.test
        order = torch.from_numpy(np.random.RandomState(0).permutation(len(labels)))
        return images[order], labels[order]
    root = folders.found_or_downloaded(description) if description.files else None
    return published(data.name, split, root)


@functools.lru_cache(maxsize=2)  # the two splits of the set in use
def published(name: str, split: SplitName, root: Path | None) -> tuple[Tensor, Tensor]:
    """A verified split of a published set at its original size, shuffled.

    Args:
        root: the data folder that holds the set; None for the embedded digits.

    Raises:
        UserError: a file is missing, truncated or altered, or the images are not the expected ones.
    """
    description = DESCRIPTIONS[name]
    if root is None:
        images, labels = digits.read()
    else:
        paths = folders.verify_all(root, description, split)
        images, labels = (cifar.read if description.channels == 3 else idx.read)(paths)
    order = np.random.RandomState(0).permutation(len(labels))
    if root is None:  # one shuffle splits and orders the digits
        order = order[: description.train] if split == "train" else order[description.train :]
    result = Split(torch.from_numpy(images[order]), torch.from_numpy(labels[order].astype(np.int64)), name)
    if result.sha256 != description.sha256[split]:
        source = "scikit-learn" if root is None else str(root)
        raise UserError(
            f"The {split} images of {name} from {source} are not the expected ones (sha256 "
            f"{result.sha256[:12]} instead of {description.sha256[split][:12]}): install the versions in uv.lock."
        )
    return result.images, result.labels


def _luma(images: Tensor) -> Tensor:
    """ITU-R BT.601 in the integer arithmetic of Pillow's mode "L", so that it equals torchvision's `Grayscale`."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32).view(3, 1, 1)
    pieces = [
        ((piece.int() * weights).sum(1, keepdim=True) + 0x8000 >> 16).to(torch.uint8)
        for piece in torch.split(images, 1000)
    ]
    return torch.cat(pieces)


def _resized(images: Tensor, size: int) -> Tensor:
    """In double precision, so that hardly any value falls on another side of one half elsewhere."""
    pieces = [
        torch.nn.functional.interpolate(
            piece.double(), size=(size, size), mode="bilinear", align_corners=False, antialias=size < images.shape[-1]
        )
        .round()
        .clamp(0, 255)
        .to(torch.uint8)
        for piece in torch.split(images, 1000)
    ]
    return torch.cat(pieces)


def _at_most(wanted: int, there: int, whose: str, what: str) -> None:
    if not 0 < wanted <= there:
        raise UserError(f"{whose} {there:,} {what}, not {wanted:,}: ask for between 1 and {there:,}.")
