"""Declarations of the chapter on defective convolution."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bioinspired.declarations import Defense
from bioinspired.keys import Strength
from bioinspired.lab.measurements.declarations import Attack, Question


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


@dataclass(frozen=True, kw_only=True)
class JPEGInput(Defense):
    """A control: the undefended network behind JPEG, quality 1 to 100; see `bioinspired.defenses.jpeg_input`."""

    kind: ClassVar = "jpeg_input"
    quality: int = 75


@dataclass(frozen=True, kw_only=True)
class ConfidentTransfer(Question):
    """C&W in L2 on other networks, until they are wrong by a margin of logits, shown to this one.

    See `bioinspired.lab.papers.defective_conv.confident_transfer`; the sources are attacked by their mean logits.
    """

    kind: ClassVar = "confident_transfer"
    name: str = "carlini_wagner"
    confidence: int
    steps: int
    searches: int


@dataclass(frozen=True, kw_only=True)
class Striking(Question):
    """Adversarial examples that a source reads as the network does, most confident first: chosen ones, for the eye."""

    kind: ClassVar = "striking"
    attack: Attack
