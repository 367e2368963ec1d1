"""What can be asked of any network. A chapter's own kinds of questions stand in the chapter's file."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bioinspired.declarations import Norm
from bioinspired.keys import Strength

Loss = Literal["ce", "margin", "dlr"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something to be asked of a network. `kind` names the module of `bioinspired.lab.measurements` that answers it.

    `revision` is raised by whoever changes what a kind measures: what was measured before is missing then.
    """

    kind: ClassVar[str]
    revision: ClassVar[int] = 1

    @classmethod
    def module(cls) -> str:
        """The module that answers it: the one beside the declaration that is named after the kind."""
        return f"{cls.__module__.rpartition('.')[0]}.{cls.kind}"


@dataclass(frozen=True, kw_only=True)
class Clean(Question):
    """The images as they are."""

    kind: ClassVar = "clean"


@dataclass(frozen=True, kw_only=True)
class Attack(Question):
    """An attack within a ball.

    `name` is "fgsm", "pgd", "mi_fgsm" or "autoattack", or the full name of any other attack of the catalogue (such as
    "square" or "foolbox.VirtualAdversarial"), which runs at the budget that the catalogue lists: of those, only `eps`
    and `norm` can be chosen. `step_size` is in units of eps; None takes the attack's own default. `diversity` is
    "mi_fgsm"'s: the probability of a step on resized and padded images (arXiv 1803.06978).
    """

    kind: ClassVar = "attack"
    name: str
    eps: Strength
    norm: Norm = "linf"
    steps: int = 1
    step_size: Strength | None = None
    loss: Loss = "ce"
    random_start: bool = False
    restarts: int = 1
    diversity: Strength = "0"


@dataclass(frozen=True, kw_only=True)
class Distance(Question):
    """The smallest perturbation that fools the network, searched image by image.

    `name` is "fmn" (`steps` gradients), "boundary", "hopskipjump" or "deepfool" (Foolbox', with so many steps). Where
    the network is wrong already the distance is 0; where nothing was found there is none. Distances in "l2" are root
    mean squares per value, so that they do not change when an image is enlarged; in "linf" the largest change; in "l1"
    the mean absolute change.
    """

    kind: ClassVar = "distance"
    name: str
    norm: Norm = "l2"
    steps: int


@dataclass(frozen=True, kw_only=True)
class Corruption(Question):
    """A corruption that knows nothing of the network. For "gaussian_noise" the strength is sigma on [0, 1]."""

    kind: ClassVar = "corruption"
    name: str
    strength: Strength


@dataclass(frozen=True, kw_only=True)
class Gallery(Question):
    """The first adversarial examples of an attack, kept as images: for the eye, not for a number."""

    kind: ClassVar = "gallery"
    attack: Attack


@dataclass(frozen=True, kw_only=True)
class Checked(Question):
    """The checks of the evaluation itself (`evaluation.checks`) at one epsilon; a source is the undefended twin."""

    kind: ClassVar = "checks"
    eps: Strength
    norm: Norm = "linf"


@dataclass(frozen=True, kw_only=True)
class GradientNorm(Question):
    """The length of the gradient of the cross-entropy at each image, as root mean square per value."""

    kind: ClassVar = "gradient_norm"


@dataclass(frozen=True, kw_only=True)
class Band(Question):
    """PGD in L2 whose perturbation has low or high spatial frequencies only. `eps` is a root mean square per value."""

    kind: ClassVar = "band"
    name: Literal["low", "high", "all"]
    eps: Strength
    steps: int


@dataclass(frozen=True, kw_only=True)
class CommonCorruptions(Question):
    """The common corruptions of one band of spatial frequency, at one severity; see `bioinspired.corruptions.common`.

    The value is the percentage answered right, on average over them.
    """

    kind: ClassVar = "common_corruptions"
    band: Literal["low", "medium", "high"]
    severity: int

    @property
    def name(self) -> str:
        """Band and severity."""
        return f"{self.band} {self.severity}"
