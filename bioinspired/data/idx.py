"""The files of MNIST and of the sets that are made like it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read(paths: list[Path]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images uint8 [n, 1, H, W] after a header of 16 bytes, and, in the second file, labels after one of 8."""
    images, labels = (np.fromfile(path, np.uint8) for path in paths)
    rows, columns = images[8:16].view(">u4")
    return images[16:].reshape(-1, 1, int(rows), int(columns)), labels[8:]
