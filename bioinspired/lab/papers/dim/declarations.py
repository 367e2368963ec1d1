"""Declarations of the chapter on Denoised Internal Models."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bioinspired.declarations import Defense
from bioinspired.keys import Strength, number, strength
from bioinspired.lab.measurements.declarations import Question
from bioinspired.lab.papers.dim.members import member

BUDGET = 100, 3
"""Steps and restarts up to which direct attacks are called by their thresholds alone."""


@dataclass(frozen=True, kw_only=True)
class DIM(Defense):
    """Denoised Internal Models (arXiv 2111.10844), reconstructed; see `bioinspired.defenses.dim`.

    Every field is something that the sources do not say. `level` None draws the noise's level anew for every image.
    """

    kind: ClassVar = "dim"
    trained_alike: ClassVar = False
    reads: Literal["image", "code", "raw"] = "image"
    target: Literal["read", "raw"] = "read"
    denoiser: Literal["dense", "conv", "none"] = "dense"
    denoiser_widths: tuple[int, ...] = (512, 64)
    models: Literal["dense", "conv"] = "dense"
    model_widths: tuple[int, ...] = (128, 10)
    noise: Literal["mixture", "gaussian", "uniform", "salt_and_pepper"] = "mixture"
    level: Strength | None = None
    sparsity: Literal["none", "l1", "kl", "winners"] = "none"
    penalty: Strength = "0.001"
    activity: Strength = "0.1"
    winners: int = 3
    binarized: Literal["no", "before", "inside"] = "no"
    rescaled: bool = False
    test_noise: Strength = "0"
    balanced: bool = False
    logit_scale: Strength = "100"


@dataclass(frozen=True, kw_only=True)
class ClassPCA(Defense):
    """A control: internal models in closed form, one principal subspace per class; see `defenses.class_pca`."""

    kind: ClassVar = "class_pca"
    trained_alike: ClassVar = False
    closed_form: ClassVar = True
    components: int = 10
    logit_scale: Strength = "100"


@dataclass(frozen=True, kw_only=True)
class NearestNeighbour(Defense):
    """A control: the nearest of the first so many training images answers; see `defenses.nearest`."""

    kind: ClassVar = "nearest"
    trained_alike: ClassVar = False
    closed_form: ClassVar = True
    images: int
    logit_scale: Strength = "100"


@dataclass(frozen=True, kw_only=True)
class BinaryInput(Defense):
    """A control: the undefended network behind a threshold, not trained with it (the ABS paper's Binary CNN)."""

    kind: ClassVar = "binary_input"
    threshold: Strength = "0.5"


@dataclass(frozen=True, kw_only=True)
class DenoisedCNN(Defense):
    """A control: the denoiser of DIM, then an ordinary network on what it gives; see `defenses.denoised_cnn`."""

    kind: ClassVar = "denoised_cnn"
    trained_alike: ClassVar = False
    denoiser_widths: tuple[int, ...] = (512, 64)
    noise: Literal["mixture", "gaussian", "uniform", "salt_and_pepper"] = "mixture"


@dataclass(frozen=True, kw_only=True)
class InThreeNorms(Question):
    """A question that is asked in Linf, L2 and L0, at a threshold in each: a size of the change that images stand."""

    linf: Strength = "0.3"
    l2: Strength = "1.5"
    l0: int = 12

    @property
    def balls(self) -> tuple[tuple[str, Strength], ...]:
        """Norms and thresholds as strengths."""
        return ("linf", strength(self.linf)), ("l2", strength(self.l2)), ("l0", strength(str(self.l0)))

    @property
    def together(self) -> str:
        """The thresholds in words, such as "linf 0.3, l2 1.5, l0 12"."""
        return f"linf {self.linf}, l2 {self.l2}, l0 {self.l0}"


@dataclass(frozen=True, kw_only=True)
class Member(InThreeNorms):
    """One of the 42 attacks of `bioinspired.lab.papers.dim.members`, by name.

    Attributes:
        linf, l2, l0: thresholds at which images are called robust: largest change, Euclidean length, changed values.
        steps, searches: the member's budget, where it has one; None is Foolbox' default.
        grid: a member that wants an epsilon runs at these multiples of its norm's threshold, smallest first.
    """

    kind: ClassVar = "member"
    name: str
    steps: int | None = None
    searches: int | None = None
    grid: tuple[Strength, ...] = ("0.5", "1")

    @property
    def decided_by(self) -> str:
        """What decides whether an image stands: the norm that judges it, or for one without a norm every change."""
        return member(self.name).judged or "unconditional"


@dataclass(frozen=True, kw_only=True)
class Direct(InThreeNorms):
    """Which images stand in each norm, and in all three, against attacks on the score; see `questions.direct`.

    `restarts` are those of the untargeted attacks in Linf and L2; `targeted` adds one run towards every class,
    `queries` so many of Square's. In L0 salt and pepper begins from so many `starts`, and `pointwise` shortens what it
    finds.
    `widths` are those of the sigmoids as which the thresholds or steep steps of a network are differentiated, one after
    the other, after the attacks that take a threshold for the identity and a steep step as it is. `draws` averages over
    so many passes of a network that draws random numbers. `last` asks about the last so many of the images only: those
    that the training held out.
    """

    kind: ClassVar = "direct"
    steps: int = 100
    restarts: int = 1
    targeted: bool = False
    queries: int = 0
    starts: int = 1
    pointwise: bool = False
    widths: tuple[Strength, ...] = ()
    draws: int = 1
    last: int | None = None

    @property
    def thresholds(self) -> dict[str, float]:
        """The size of a change, in each norm, up to which an image has to stand."""
        return {norm: number(size) for norm, size in self.balls}

    @property
    def longer(self) -> bool:
        """Whether the budget is above `BUDGET`."""
        return self.steps > BUDGET[0] or self.restarts > BUDGET[1]

    @property
    def name(self) -> str:
        """The thresholds, such as "linf 0.3, l2 1.5, l0 12"; a budget above `BUDGET`; whether held out."""
        budget = f"; {self.steps} steps x {self.restarts}" if self.longer else ""
        return f"{self.together}{budget}" + ("" if self.last is None else " held out")


@dataclass(frozen=True, kw_only=True)
class HeldOut(Question):
    """Accuracy on the last so many of the images, those that the training held out; see `held_out`."""

    kind: ClassVar = "held_out"
    last: int


@dataclass(frozen=True, kw_only=True)
class Flips(InThreeNorms):
    """Which images stand in each norm against greedy flips across a threshold; see `questions.flips`.

    `tried` flips are tried exactly in each of at most `rounds` rounds.
    """

    kind: ClassVar = "flips"
    tried: int = 16
    rounds: int = 60


@dataclass(frozen=True, kw_only=True)
class Closest(Question):
    """Pictures of the smallest changes that fool, norm by norm; see `questions.closest`."""

    kind: ClassVar = "closest"
    steps: int = 100


@dataclass(frozen=True, kw_only=True)
class Adaptive(Question):
    """An attack that knows DIM; see `questions.adaptive`. `eps` is Euclidean for "l2"."""

    kind: ClassVar = "adaptive"
    name: Literal["latent descent", "collision", "identity backward", "double precision", "nearest start"]
    norm: Literal["linf", "l2"]
    eps: Strength
    steps: int = 50


@dataclass(frozen=True, kw_only=True)
class LogitScale(Question):
    """Attacks that see the logits times a factor, which changes no answer; see `questions.logit_scale`."""

    kind: ClassVar = "logit_scale"
    name: Literal["pgd", "carlini_wagner", "fmn"]
    factor: Strength
    norm: Literal["linf", "l2"]
    eps: Strength
    steps: int


@dataclass(frozen=True, kw_only=True)
class InternalErrors(Question):
    """What the parts of DIM make of images: errors of every class under every model, and a strip of examples."""

    kind: ClassVar = "internal_errors"
