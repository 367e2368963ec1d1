"""Declarations of the chapter on pixel similarity."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bioinspired.declarations import Data, Defense, Network
from bioinspired.keys import Strength
from bioinspired.lab.measurements.declarations import Question


@dataclass(frozen=True, kw_only=True)
class PixelSimilarity(Defense):
    """Features as similar as pixels (arXiv 2410.03952); see `bioinspired.defenses.pixel_similarity`.

    `source` is where the images of the pairs come from: the first `count` training images of another set, or of the
    network's own where there is none.
    """

    kind: ClassVar = "pixel_similarity"
    target: Literal[
        "pixel", "thresholded", "low", "high", "double", "positive", "negative", "shuffled", "random", "label"
    ] = "thresholded"
    alpha: Strength = "10"
    threshold: Strength = "0.8"
    second: Strength = "0"
    source: Data | None = None
    count: int = 5000
    pairs: int = 16
    layers: tuple[str, ...] = ()
    crop_flip: bool = False
    convention: Literal["code", "formula", "plain"] = "code"
    statistics: Literal["shared", "separate"] = "shared"


@dataclass(frozen=True, kw_only=True)
class Blur(Defense):
    """A fixed Gaussian blur before the network, in training and in testing; `sigma` in pixels."""

    kind: ClassVar = "blur"
    sigma: Strength


@dataclass(frozen=True, kw_only=True)
class RadialSpectrum(Question):
    """The spatial frequencies of small perturbations in L2 that fool the network, found by a search of `Distance`.

    The value is the radius that half of their mean power lies within, in percent of the spectrum's corner.
    """

    kind: ClassVar = "radial_spectrum"
    search: Literal["boundary", "fmn"]
    steps: int

    @property
    def name(self) -> str:
        """Search and steps."""
        return f"{self.search} {self.steps}"


@dataclass(frozen=True, kw_only=True)
class Similarities(Question):
    """How alike images are: by their pixels, and at the layers of the network that the regularizer compares."""

    kind: ClassVar = "similarities"


@dataclass(frozen=True, kw_only=True)
class FeatureAttack(Question):
    """Linf ascent that drives an image's features away from what they were, at each layer the regularizer compares.

    `step_size` is in units of eps.
    """

    kind: ClassVar = "feature_attack"
    eps: Strength
    steps: int
    step_size: Strength = "0.1"


@dataclass(frozen=True, kw_only=True)
class TrainingCost(Question):
    """What a step of a network's training costs, as a multiple of a plain one of the same architecture and data.

    `name` is "time" (of the processor) or "memory" (what the forward passes keep for the backward pass, which says
    nothing of adversarial training). `network` is the network that is asked, `steps` how many are timed in a turn.
    """

    kind: ClassVar = "training_cost"
    name: Literal["time", "memory"]
    network: Network
    steps: int = 10
