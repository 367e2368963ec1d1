"""Declarations of the chapter on the Weight Map layer."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bioinspired.declarations import Defense
from bioinspired.keys import Strength
from bioinspired.lab.measurements.declarations import Question


@dataclass(frozen=True, kw_only=True)
class WeightMap(Defense):
    """A map of weights and a small filter behind convolutions (arXiv 1905.00568); see `defenses.weight_map`."""

    kind: ClassVar = "weight_map"
    kernel: Literal["identity", "box_mean", "box_sum", "neighbours", "unsharp", "edge", "laplacian"]
    coupling: Literal["own", "all", "shared"] = "own"
    init: Literal["ones", "normal", "uniform", "glorot"] = "normal"
    learns: Literal["map", "kernel", "both", "nothing"] = "map"
    place: Literal["before", "after"] = "before"
    where: Literal["all", "first"] = "all"
    scale: tuple[Strength, ...] = ("1",)


@dataclass(frozen=True, kw_only=True)
class Variance(Question):
    """What the layers of a network do to the variance of activations; see `bioinspired.lab.papers.weight_map.variance`.

    `name` is "gain" (of the Weight Map layers, on clean images), "noise" (how far Gaussian noise of standard deviation
    `strength` moves activations) or "adversarial" (how far PGD with this Linf epsilon does).
    """

    kind: ClassVar = "variance"
    name: Literal["gain", "noise", "adversarial"]
    strength: Strength = "0"


@dataclass(frozen=True, kw_only=True)
class GradientSpectrum(Question):
    """Which spatial frequencies the gradient of the loss at the input consists of."""

    kind: ClassVar = "gradient_spectrum"


@dataclass(frozen=True, kw_only=True)
class Shift(Question):
    """Images moved by so many pixels, up, down, left and right; what comes in is black."""

    kind: ClassVar = "shift"
    pixels: int


@dataclass(frozen=True, kw_only=True)
class Rescaled(Question):
    """PGD in Linf on the cross-entropy of logits divided by the network's median margin; `step_size` in units of eps.

    Cross-entropy saturates where logits are large; divided by what is usual for the network they are not.
    """

    kind: ClassVar = "rescaled"
    eps: Strength
    steps: int
    step_size: Strength


@dataclass(frozen=True, kw_only=True)
class Maps(Question):
    """The learned maps and kernels, kept as pictures."""

    kind: ClassVar = "maps"
