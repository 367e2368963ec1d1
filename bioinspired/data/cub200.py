"""CUB-200-2011 as a frozen network sees it: features that the user supplies in one file, `cub200/features.npz`.

The file lies below the folder that BIOINSPIRED_DATA names, and is written by `numpy.savez` with four arrays:

    train_features  floating-point [n, d], not negative: what the frozen network gives for the training images
    train_labels    integers [n], 0 to 199
    test_features   floating-point [m, d]
    test_labels     integers [m]

d is the file's (2,048 for a ResNet-50). Nothing in it is unpickled. The book's page "Make it again" shows how such a
file is made.
"""

import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bioinspired.errors import UserError

PATH = "cub200/features.npz"  # below the data folder
CLASSES = 200
UNREADABLE = (OSError, ValueError, EOFError, TypeError, AttributeError, RuntimeError, MemoryError, zlib.error,
              zipfile.BadZipFile)  # fmt: skip
ARRAYS = ("train_features", "train_labels", "test_features", "test_labels")


@dataclass(frozen=True, eq=False)
class Features:
    """Both splits in the file's order: features float32 [n, d, 1, 1] in [0, 255], labels int64 [n]."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]

    @property
    def channels(self) -> int:
        """d."""
        return self.train[0].shape[1]


def read(path: Path) -> Features:
    """The features as images of one pixel, scaled to [0, 255] by the largest training feature.

    They stay float32, so that they go wherever images of bytes go, divided by 255. A test feature above the largest
    training one is set to 255.

    Raises:
        UserError: the file is missing or not as described above.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: the features of CUB-200 are yours to supply, see book/rerun.md.")
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1)
def _read(path: Path, modified: int, size: int) -> Features:
    arrays = _arrays(path)
    for split in ("train", "test"):
        _check(path, split, arrays[f"{split}_features"], arrays[f"{split}_labels"])
    widths = [arrays[f"{split}_features"].shape[1] for split in ("train", "test")]
    if widths[0] != widths[1]:
        raise UserError(
            f"{path}: training rows have {widths[0]:,} features, test rows {widths[1]:,}: make both with one network."
        )
    largest = float(arrays["train_features"].max())
    if largest < np.finfo(np.float32).tiny:
        raise UserError(f"{path}: no training feature is above 0 by any amount that counts: make the file again.")

    def scaled(split: str) -> tuple[Tensor, Tensor]:
        features = (arrays[f"{split}_features"].astype(np.float64) / largest).clip(0, 1) * 255
        images = torch.from_numpy(features.astype(np.float32))[:, :, None, None]
        return images, torch.from_numpy(arrays[f"{split}_labels"].astype(np.int64))

    return Features(train=scaled("train"), test=scaled("test"))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
            missing = [name for name in ARRAYS if name not in opened]
            if missing:
                raise UserError(f"{path} lacks {', '.join(missing)}: it needs the arrays {', '.join(ARRAYS)}.")
            return {name: opened[name] for name in ARRAYS}
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read ({reason}): write it with numpy.savez, arrays of numbers.") from error


def _check(path: Path, split: str, features: NDArray[Any], labels: NDArray[Any]) -> None:
    """Raises UserError unless features and labels are of the kinds, shapes and ranges that are described."""
    if features.ndim != 2 or features.dtype.kind != "f" or not features.size:
        raise UserError(
            f"{path}: {split}_features must be floating-point [n, d], not {features.dtype} {list(features.shape)}."
        )
    if labels.shape != features.shape[:1] or labels.dtype.kind not in "iu":
        raise UserError(
            f"{path}: {split}_labels must be {len(features):,} integers, one for each row of features, not "
            f"{labels.dtype} {list(labels.shape)}."
        )
    if not np.isfinite(features).all():
        raise UserError(f"{path}: {split}_features has a value that is infinite or no number: make the file again.")
    if features.min() < 0:
        raise UserError(
            f"{path}: {split}_features has the negative value {features.min():g}: take features behind a ReLU."
        )
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise UserError(
            f"{path}: {split}_labels reach from {labels.min()} to {labels.max()}: classes are 0 to {CLASSES - 1}."
        )
