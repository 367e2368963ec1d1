"""Declarations of the chapter on defective convolution."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bioinspired.keys import Strength
from bioinspired.trials.networks import Defense


@dataclass(frozen=True, kw_only=True)
class DefectiveConv(Defense):
    """Fixed binary masks after batch normalisation (arXiv 1911.08432); see `bioinspired.defenses.defective_conv`."""

    kind: ClassVar = "defective_conv"
    keep: Strength
    where: Literal["bottom", "top", "both"] = "bottom"
    shared: bool = False
    channels: bool = False
    constant: Strength = "0"
    after_addition: bool = False
    train_only: bool = False
    test_only: bool = False
    mask_seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Dropout(Defense):
    """Ordinary dropout where the masks would be, for comparison; see `bioinspired.defenses.dropout`."""

    kind: ClassVar = "dropout"
    keep: Strength
    unit: Literal["channel", "neuron"]
    where: Literal["bottom", "top", "both"] = "bottom"
