"""Declarations of the chapter on sleep."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bioinspired.declarations import Defense
from bioinspired.keys import Strength
from bioinspired.lab.measurements.declarations import Question


@dataclass(frozen=True, kw_only=True)
class Sleep(Defense):
    """The sleep algorithm (Tadros et al., ICLR 2020); see `bioinspired.defenses.sleep`."""

    kind: ClassVar = "sleep"
    rate: Strength
    inc: Strength
    dec: Strength
    beta1: Strength
    beta2: Strength
    beta3: Strength
    alpha: Strength
    steps: int
    source: Literal["images", "mean", "masked", "shuffled", "noise"] = "images"
    factor: Literal["released", "logistic", "one"] = "released"


@dataclass(frozen=True, kw_only=True)
class SleepDeletion(Defense):
    """A control: hidden units deleted instead of put to sleep; see `bioinspired.lab.papers.sleep.sleep_deletion`.

    With `like`, as many units of each hidden layer as that sleep would change; else the shares `first` and `second`.
    """

    kind: ClassVar = "sleep_deletion"
    home: ClassVar = __package__
    choice: Literal["active", "random", "slept"]
    first: Strength = "0"
    second: Strength = "0"
    like: Sleep | None = None


@dataclass(frozen=True, kw_only=True)
class SleepNoise(Defense):
    """A control: Gaussian noise on the weights, in units of each layer's own deviation."""

    kind: ClassVar = "sleep_noise"
    home: ClassVar = __package__
    first: Strength
    second: Strength
    third: Strength


@dataclass(frozen=True, kw_only=True)
class SleepScaling(Defense):
    """A control: homeostasis by scaling alone; see `bioinspired.lab.papers.sleep.sleep_scaling`."""

    kind: ClassVar = "sleep_scaling"
    home: ClassVar = __package__
    power: Strength = "1"


@dataclass(frozen=True, kw_only=True)
class SleepRetraining(Defense):
    """The paper's baselines, trained further from the waking network; see `sleep_retraining`."""

    kind: ClassVar = "sleep_retraining"
    home: ClassVar = __package__
    method: Literal["distillation as coded", "distillation", "fgsm", "noise", "blur"]
    changed: int = 5_000
    level: Strength = "0.1"
    epochs: int = 2
    batch: int = 100


@dataclass(frozen=True, kw_only=True)
class OneLayerSleep(Defense):
    """Sleep of a network of one layer; see `bioinspired.defenses.one_layer_sleep`."""

    kind: ClassVar = "one_layer_sleep"
    rate: Strength
    inc: Strength
    dec: Strength
    beta: Strength
    alpha: Strength
    steps: int
    source: Literal["images", "mean", "shuffled", "noise"] = "mean"
    factor: Literal["released", "logistic", "one"] = "released"


@dataclass(frozen=True, kw_only=True)
class OneLayerControl(Defense):
    """A control: what sleep may be no more than; see `bioinspired.lab.papers.sleep.one_layer_controls`."""

    kind: ClassVar = "one_layer_controls"
    home: ClassVar = __package__
    choice: Literal["scaled", "turned", "noise", "deleted"]
    like: OneLayerSleep | None = None


@dataclass(frozen=True, kw_only=True)
class FGSMScan(Question):
    """FGSM as the released code has it, over so many steps from 0 to `largest`; see `questions.fgsm_scan`."""

    kind: ClassVar = "fgsm_scan"
    name: str = "fgsm"
    steps: int = 81
    largest: Strength = "0.4"


@dataclass(frozen=True, kw_only=True)
class Distortion(Question):
    """Noise of a variance or blur of a sigma in pixels, as MATLAB makes them."""

    kind: ClassVar = "distortion"
    process: Literal["noise", "blur"]
    level: Strength

    @property
    def name(self) -> str:
        """Such as "blur 2.5"."""
        return f"{self.process} {self.level}"


@dataclass(frozen=True, kw_only=True)
class RepeatedNoise(Question):
    """Gaussian noise of a variance, as MATLAB makes it, on so many copies of every image."""

    kind: ClassVar = "repeated_noise"
    level: Strength
    repeats: int

    @property
    def name(self) -> str:
        """Such as "noise 0.3"."""
        return f"noise {self.level}"


@dataclass(frozen=True, kw_only=True)
class Coded(Question):
    """An attack with the particulars of the released code; see `bioinspired.lab.papers.sleep.coded`."""

    kind: ClassVar = "coded"
    name: Literal["deepfool", "jsma"]
    steps: int


@dataclass(frozen=True, kw_only=True)
class Rectified(Question):
    """The network with the released code's output, a ReLU, and what it answers class by class."""

    kind: ClassVar = "rectified"


@dataclass(frozen=True, kw_only=True)
class LabelScore(Question):
    """The score of each image's label; see `bioinspired.lab.papers.sleep.label_score`."""

    kind: ClassVar = "label_score"


@dataclass(frozen=True, kw_only=True)
class SleepLayers(Question):
    """What sleep did to weights and activations; the source is the waking network."""

    kind: ClassVar = "sleep_layers"


@dataclass(frozen=True, kw_only=True)
class OneLayerDistance(Question):
    """The smallest change in Linf that fools a network of one layer; see `one_layer_distance`."""

    kind: ClassVar = "one_layer_distance"


@dataclass(frozen=True, kw_only=True)
class OneLayerWeights(Question):
    """The weights of a network of one layer and of its source, the waking network."""

    kind: ClassVar = "one_layer_weights"


@dataclass(frozen=True, kw_only=True)
class SleepSearch(Question):
    """A search of parameters on the network and its sources, asked of their training images.

    Differential evolution over `generations` of `candidates` each, after a first one of random candidates. Candidates
    are scored on the first `scored` of the last `held` training images, which the networks have not seen.
    """

    kind: ClassVar = "sleep_search"
    name: Literal["sleep", "deletion", "noise"]
    objective: Literal["fgsm", "distortion"]
    candidates: int
    generations: int
    held: int
    scored: int
    steps: int = 0
