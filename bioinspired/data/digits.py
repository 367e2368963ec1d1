"""Digits: the 1,797 images of 8x8 pixels that come with scikit-learn, 16 levels of grey."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def read() -> tuple[NDArray[Any], NDArray[Any]]:
    """Images uint8 [n, 1, 8, 8] and labels, in scikit-learn's order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None], digits.target
