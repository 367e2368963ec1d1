"""What a question is asked of, and what it finds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Asked:
    """What a question is asked of.

    Attributes:
        model: the network, from images in [0, 1] to logits, in eval mode.
        images: float [n, C, H, W] in [0, 1], on the network's device.
        labels: int64 [n].
        sources: the measurement's other networks, in its order.
        generator: where all randomness comes from, on the images' device.
    """

    model: Model
    images: Tensor
    labels: Tensor
    sources: Sequence[Model]
    generator: torch.Generator


@dataclass(frozen=True)
class Outcome:
    """What a measurement found.

    Attributes:
        bits: one per image and name; "correct" says where the network answered right.
        values: numbers by name, mostly one per image; None where there is none.
        arrays: small arrays by name, kept beside the record.
        checks: outcomes of checks of the evaluation.
        forwards, backwards: passes per image through whichever network was used.
    """

    bits: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    values: Mapping[str, list[float | None]] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    checks: Sequence[Mapping[str, Any]] = ()
    forwards: float = 0.0
    backwards: float = 0.0


def bits(flags: Tensor) -> NDArray[np.bool_]:
    """A tensor of truth values as an outcome keeps it."""
    return flags.cpu().numpy().astype(np.bool_)


def numbers(values: Tensor) -> list[float | None]:
    """A tensor of numbers as an outcome keeps it: six significant digits, None where it is not finite."""
    return [float(f"{value:.6g}") if value - value == 0 else None for value in values.double().cpu().tolist()]


def octets(images: Tensor) -> NDArray[np.uint8]:
    """Images in [0, 1] as bytes."""
    return (images * 255).round().to(torch.uint8).cpu().numpy()


def mean(counts: Tensor) -> float:
    """The mean of passes per image."""
    return round(float(counts.double().mean()), 3)
