"""The arguments that every attack takes, checked: each mistake gets one sentence."""

import math
import warnings
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bioinspired.errors import UserError

ROUNDING = 1e-6
"""How far outside [0, 1] images may lie: what resizing leaves."""


def images(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Images and labels as the attacks use them: detached, the labels int64 on the images' device.

    Args:
        x: float32 or float64 [n, ...] in [0, 1], with one dimension or more per image.
        y: integers [n], from 0 on.

    Raises:
        UserError: what is wrong with them, and what to do.
    """
    if not isinstance(x, Tensor) or x.dtype not in (torch.float32, torch.float64):
        got = str(x.dtype) if isinstance(x, Tensor) else type(x).__name__
        raise UserError(
            f"Images must be a float32 or float64 tensor in [0, 1] and are {got}: convert them, "
            "and divide by 255 if they count from 0 to 255."
        )
    if x.ndim < 2:
        raise UserError(
            f"Images must be a batch [n, ...] and have shape {tuple(x.shape)}: add a dimension for the batch."
        )
    if not isinstance(y, Tensor) or y.dtype not in (torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8):
        got = str(y.dtype) if isinstance(y, Tensor) else type(y).__name__
        raise UserError(f"Labels must be a tensor of integers and are {got}: convert them with .long().")
    if y.shape != x.shape[:1]:
        raise UserError(f"There are {len(x)} images and labels of shape {tuple(y.shape)}: give one label per image.")
    with torch.inference_mode(False):  # what was made in inference mode can take no part in a gradient: copy it
        x = x.detach().clone() if x.is_inference() else x.detach()
        y = y.detach().to(x.device, torch.int64, copy=y.is_inference())
    if len(x):
        low, high = (float(end) for end in x.aminmax())
        if math.isnan(low) or math.isnan(high):
            raise UserError("Some images contain NaN: remove or repair them before an attack.")
        if low < 0 or high > 1:
            if low < -ROUNDING or high > 1 + ROUNDING:
                raise UserError(
                    f"Images must lie in [0, 1] and run from {low:.9g} to {high:.9g}: put the normalisation inside the "
                    "model, and clip what preprocessing pushed outside with .clamp(0, 1)."
                )
            warnings.warn(f"Images run from {low:.9g} to {high:.9g} and were clipped to [0, 1].", stacklevel=3)
            x = x.clamp(0, 1)
        if int(y.min()) < 0:
            raise UserError(f"A label is {int(y.min())}: labels run from 0 on.")
    return x, y


def length(value: Any, name: str) -> float:
    """A length in the units of the images, such as eps: a finite number, not negative.

    Raises:
        UserError: it is something else.
    """
    number = _number(value)
    if not (math.isfinite(number) and number >= 0):
        raise UserError(f"{name} must be a number from 0 on, in the units of images in [0, 1], and is {value!r}.")
    return number


def radius(value: Any, norm: str) -> float:
    """The radius of a ball, as `length`; in "linf" one of more than 1, the whole range of values, is a slip.

    Raises:
        UserError: it is none.
    """
    eps = length(value, "eps")
    if norm == "linf" and eps > 1:
        raise UserError(
            f"eps is {eps:g} and images lie in [0, 1], so that every image is in this ball: did you mean {eps:g}/255?"
        )
    return eps


def _number(value: Any) -> float:
    """Python's numbers, numpy's scalars, tensors of one number, and text such as "8/255"; NaN for anything else.

    Single precision is read as its shortest decimal, so that 0.1 means the same in every type.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    if isinstance(value, np.floating):
        value = float(str(value))
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | Real):
        return math.nan
    try:
        return float(Fraction(value)) if isinstance(value, str) else float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        return math.nan


def count(value: Any, name: str) -> int:
    """A number of steps, restarts or images: an integer from 1 on.

    Raises:
        UserError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise UserError(f"{name} must be an integer from 1 on and is {value!r}.")
    return int(value)


def dice(generator: torch.Generator | None) -> torch.Generator:
    """The generator given, or one seeded with 0: attacks draw from no other source."""
    return torch.Generator("cpu").manual_seed(0) if generator is None else generator
