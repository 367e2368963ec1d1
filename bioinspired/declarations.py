"""Networks: data x architecture x defense x recipe x seed."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bioinspired.keys import Strength

Norm = Literal["linf", "l2", "l1"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Training images: a data set at a side length in pixels, and how many of its training images (None: all).

    `gray` turns colour into one channel, the luma of ITU-R BT.601. `overlap` is for patches alone: how many of the 25
    pixels that are on in an image are on in all four. "cub200" are features, images of one pixel with many channels.
    """

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "patches", "cub200"]
    size: int
    train: int | None = None
    gray: bool = False
    overlap: int | None = None


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network family (a key of `bioinspired.networks.FAMILIES`) and its width in the family's own unit.

    For ResNets and VGGs the width is the channels of the first stage; 64 is the published one. `dropout` is a share of
    units; a family without a place for it refuses it. `normalize` false leaves images as they are, in [0, 1].
    """

    name: str
    width: int = 64
    dropout: Strength = "0"
    batch_norm: bool = True
    normalize: bool = True


@dataclass(frozen=True, kw_only=True)
class Defense:
    """What a paper changes. A subclass is its configuration; `kind` names its module in the package `home`.

    `trained_alike` says whether a network with it starts from the weights, and sees the batches, of the undefended one
    of the same seed: only then are the two a pair. `closed_form` says that nothing about it is random: one network
    stands for all seeds.
    """

    kind: ClassVar[str]
    home: ClassVar[str] = "bioinspired.defenses"
    trained_alike: ClassVar[bool] = True
    closed_form: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class PGDTraining:
    """Adversarial training: every batch is replaced by its PGD adversarial examples, from a random start."""

    norm: Norm = "linf"
    eps: Strength
    steps: int = 7
    step_size: Strength = "0.25"  # in units of eps


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained: the loss, the optimizer, a schedule of the rate, augmentation.

    `loss` is cross-entropy, or "mse": half the squared distance from the logits to the one-hot label, summed over
    classes. Momentum and Nesterov's form of it are SGD's; "adam" has PyTorch's defaults beside the rate and the decay.

    `schedule` is "steps" (the rate times `factor` at each fraction of the epochs in `milestones`), "one_cycle" (linear
    up to `rate` over the first `warmup` of the steps, linear down to zero) or "constant". With `cycle` the schedule
    starts again every so many epochs, and its fractions are fractions of that.

    `noise` is the standard deviation of Gaussian noise added to every training image, on [0, 1]. `validation` holds the
    last so many training images out; `select` "best_loss" then takes the weights of the epoch at whose end their loss
    was lowest. `stop_at` ends training at the first epoch whose accuracy on the test images reaches it (a control for
    defenses that cost accuracy).
    """

    epochs: int
    batch: int = 128
    loss: Literal["ce", "mse"] = "ce"
    optimizer: Literal["sgd", "adam"] = "sgd"
    rate: Strength = "0.1"
    momentum: Strength = "0.9"
    nesterov: bool = False
    decay: Strength = "0.0005"
    schedule: Literal["one_cycle", "steps", "constant"] = "one_cycle"
    warmup: Strength = "0.25"
    milestones: tuple[Strength, ...] = ()
    factor: Strength = "0.1"
    cycle: int | None = None
    smoothing: Strength = "0"
    augmentation: Literal["none", "crop", "flip", "crop_flip"] = "none"
    noise: Strength | None = None
    adversary: PGDTraining | None = None
    validation: int = 0
    select: Literal["last", "best_loss"] = "last"
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


ALL = Images()
"""Every test image."""
