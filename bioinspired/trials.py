"""What can be asked for: networks, measurements, trials. Declarations only; nothing here computes or imports torch.

    network      data x architecture x defense x recipe x seed            -> one training, one record
    measurement  one question asked of a network, on one set of images    -> an entry of that record
    trial        a network, the measurements a study wants of it, and what the study calls it

Every class is a frozen configuration in the sense of `bioinspired.keys`; strengths are exact numbers as text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from bioinspired import keys
from bioinspired.keys import Strength

Norm = Literal["linf", "l2", "l1"]
Loss = Literal["ce", "margin", "dlr"]
Tier = Literal["core", "wide"]
Scale = Literal["smoke", "laptop", "full"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Training images: a data set at a side length in pixels, and how many of its training images (None: all)."""

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10"]
    size: int
    train: int | None = None


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network family and its width: channels of the first stage (64 is the published ResNet-18)."""

    name: str
    width: int = 64


@dataclass(frozen=True, kw_only=True)
class DefectiveConv:
    """Fixed binary masks after batch normalisation (arXiv 1911.08432); see `bioinspired.defenses.defective_conv`."""

    kind: ClassVar = "defective_conv"
    keep: Strength
    where: Literal["bottom", "top", "both"] = "bottom"
    shared: bool = False
    constant: Strength = "0"
    after_addition: bool = False
    train_only: bool = False
    test_only: bool = False
    mask_seed: int | None = None


Defense = DefectiveConv


@dataclass(frozen=True, kw_only=True)
class PGDTraining:
    """Adversarial training: every batch is replaced by its PGD adversarial examples, from a random start."""

    norm: Norm = "linf"
    eps: Strength
    steps: int = 7
    step_size: Strength = "0.25"  # in units of eps


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained: SGD with Nesterov momentum or without, a schedule of the rate, augmentation.

    `schedule` is "steps" (the rate times 0.1 at each fraction of the epochs in `milestones`) or "one_cycle" (linear up
    to `rate` over the first `warmup` of the steps, linear down to zero). `noise` is the standard deviation of Gaussian
    noise added to every training image, on [0, 1]. `stop_at` ends training at the first epoch whose accuracy on the
    test images reaches it (a control for defenses that cost accuracy).
    """

    epochs: int
    batch: int = 128
    rate: Strength = "0.1"
    momentum: Strength = "0.9"
    nesterov: bool = False
    decay: Strength = "0.0005"
    schedule: Literal["one_cycle", "steps"] = "one_cycle"
    warmup: Strength = "0.25"
    milestones: tuple[Strength, ...] = ()
    smoothing: Strength = "0"
    augmentation: Literal["none", "crop", "flip", "crop_flip"] = "none"
    noise: Strength | None = None
    adversary: PGDTraining | None = None
    stop_at: Strength | None = None
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass(frozen=True, kw_only=True)
class Network:
    """One training. Its key is the hash of exactly these fields."""

    data: Data
    architecture: Architecture
    recipe: Recipe
    seed: int
    defense: Defense | None = None


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images a measurement asks about: the first n of a fixed permutation of a split, so that sets are nested."""

    n: int | None = None
    split: Literal["test", "train"] = "test"


@dataclass(frozen=True, kw_only=True)
class Clean:
    """The images as they are."""

    kind: ClassVar = "clean"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A gradient attack of fixed budget. `step_size` is in units of eps; None takes the attack's own default."""

    kind: ClassVar = "attack"
    name: Literal["fgsm", "pgd", "mi_fgsm", "autoattack"]
    eps: Strength
    norm: Norm = "linf"
    steps: int = 1
    step_size: Strength | None = None
    loss: Loss = "ce"
    random_start: bool = False
    restarts: int = 1


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """A corruption that knows nothing of the network. For "gaussian_noise" the strength is sigma on [0, 1]."""

    kind: ClassVar = "corruption"
    name: str
    strength: Strength


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The first adversarial examples of an attack, kept as images: for the eye, not for a number."""

    kind: ClassVar = "gallery"
    attack: Attack


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The checks of the evaluation itself (`bioinspired.checks`) at one epsilon; a source is the undefended twin."""

    kind: ClassVar = "checks"
    eps: Strength
    norm: Norm = "linf"


Question = Clean | Attack | Corruption | Gallery | Checked


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One question asked of one network, or, with sources, of the network through images that fool the sources.

    With one source, adversarial examples are made on that source and shown to the network (transfer); with several,
    on the mean of their logits.
    """

    question: Question
    images: Images = Images()
    sources: tuple[Network, ...] = ()
    seed: int = 0

    @property
    def is_transfer(self) -> bool:
        """Whether the question shows the network what was made on its sources."""
        return bool(self.sources) and isinstance(self.question, Attack)

    def __canonical__(self) -> dict[str, Any]:
        plain = keys.fields(self)
        if self.sources:
            plain["sources"] = [keys.key(source) for source in self.sources]
        return plain


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A network, what the study calls it, and the measurements wanted of it.

    `label` names the row it stands in, such as "keep 0.1"; `factors` are what tables and figures select and group by.
    """

    network: Network
    label: str
    measurements: tuple[Measurement, ...] = ()
    factors: Mapping[str, str] = field(default_factory=dict)
    tier: Tier = "core"


@dataclass(frozen=True, kw_only=True)
class Study:
    """One paper's experiments at one scale: its trials, in the order in which they should be made.

    `fidelity` is "paper", "changed", "reconstruction" or "proxy" (DESIGN: other data or a narrowed network), and
    `changes` says in words what differs.
    """

    name: str
    scale: Scale
    trials: tuple[Trial, ...]
    fidelity: Literal["paper", "changed", "reconstruction", "proxy"]
    changes: str = ""
