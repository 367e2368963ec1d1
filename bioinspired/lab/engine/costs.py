"""How long a run will take: a cost model that learns from the records at hand.

The unit of work is one pass, forward or backward, of one image through a network. A training step counts three passes
an image (forward, backward to the weights, backward to the activations). What a pass costs depends on the network and
the hardware: the median over records of the same architecture and image size on the same device; without records, a
first guess from two idle cores.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bioinspired.declarations import Network
from bioinspired.keys import canonical
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.engine.plan import Task
from bioinspired.lab.measurements.declarations import Attack, Checked, Distance, Gallery
from bioinspired.lab.papers.dim.declarations import Adaptive, Direct, Flips, LogitScale, Member
from bioinspired.lab.papers.dim.members import member
from bioinspired.lab.records.store import Record, Store

# Seconds of one pass of one image, per million multiply-adds of a convolutional network, one CPU thread and one H200.
GUESS = {"cpu": 60e-6, "cuda": 0.15e-6}
START = 0.05  # seconds a unit takes besides its passes: loading, saving

# Members of AutoAttack, passes of an image that stays robust and of one that is broken by the first member.
AUTOATTACK_ROBUST, AUTOATTACK_BROKEN = 9_774, 212

CLASSES = 10  # of the data that targeted attacks run on

SEARCHES = 5  # of C&W's constant
POINTWISE = 1_500  # passes of an image whose changes are taken back value by value

CHECKS = 3_000  # passes of an image through all checks, near enough
OTHER = 1_000  # of an attack of the catalogue, likewise

STEP = {"boundary": 1.1, "hopskipjump": 330.0, "deepfool": 11.0}
"""Passes that a step of a search for the smallest perturbation takes; 2 for the others."""

TRAINING_IMAGES = {
    "digits": 1_437, "mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "patches": 4, "cub200": 5_994,
}  # fmt: skip
TEST_IMAGES = {
    "digits": 360, "mnist": 10_000, "fashion_mnist": 10_000, "cifar10": 10_000, "patches": 4, "cub200": 5_794,
}  # fmt: skip


class CostModel:
    """Seconds per task on one device, learned from the records of a store; `basis` says from what."""

    def __init__(self, store: Store, device: str) -> None:
        records = [found for found in store.records() if isinstance(found, Record)]
        self._device = "cuda" if device.startswith("cuda") else "cpu"
        samples: dict[str, list[float]] = defaultdict(list)
        for record in records:
            for name, cost in record.cost.items():
                unit = record.unit(name)
                hardware = record.provenance["runs"][unit["run"]]["hardware"]["device"] if unit else None
                if cost.get("work", 0) >= 100 and (hardware == "cpu") == (self._device == "cpu"):
                    stage = "training" if name == "training" else "measuring"
                    samples[_place(record.config, stage)].append(cost["seconds"] / cost["work"])
        self.basis = (
            f"learned from {len(records)} records" if samples else "a first guess: no records of this device here"
        )
        self._pass = {place: statistics.median(found) for place, found in samples.items()}

    def seconds(self, task: Task) -> float:
        """The estimate for one task."""
        total = 0.0
        if task.network is not None:
            total += START + self._of(task.network, "training") * training_work(task.network)
        crafted = set[Measurement]()
        for network, question in task.questions:
            passes = 1.0 if question in crafted else measuring_passes(question)
            if question.sources:
                crafted.add(question)
            images = asked_of(question, question.images.n or TEST_IMAGES[network.data.name])
            total += START + self._of(network, "measuring") * passes * images
        return total

    def total(self, tasks: Sequence[Task], workers: int) -> float:
        """The estimate for all tasks on so many workers."""
        each = [self.seconds(task) for task in tasks]
        return max(sum(each) / workers, max(each, default=0.0))

    def _of(self, network: Network, stage: str) -> float:
        learned = self._pass.get(_place(canonical(network), stage))
        return GUESS[self._device] * _million_multiply_adds(network) if learned is None else learned


def training_work(network: Network) -> float:
    """Passes of one image that a training takes."""
    recipe = network.recipe
    images = network.data.train or TRAINING_IMAGES[network.data.name]
    return float(images * recipe.epochs * (3 + (2 * recipe.adversary.steps if recipe.adversary else 0)))


def asked_of(question: Measurement, images: int) -> int:
    """How many of its images a question looks at: all, or the last so many that the training held out."""
    last: int | None = getattr(question.question, "last", None)
    return images if last is None else last


def measuring_passes(question: Measurement) -> float:
    """Passes of one image that a measurement takes if the image stays robust to the end."""
    asked = question.question
    if isinstance(asked, Checked):
        return float(CHECKS)
    attack = asked.attack if isinstance(asked, Gallery) else asked
    if isinstance(attack, Distance):
        return STEP.get(attack.name, 2.0) * attack.steps
    if isinstance(attack, Adaptive) and attack.name == "nearest start":
        return STEP["hopskipjump"] * attack.steps
    if isinstance(attack, LogitScale) and attack.name == "carlini_wagner":
        return 2.0 * attack.steps * SEARCHES
    if isinstance(attack, Member):
        return _passes_of(attack)
    if isinstance(attack, Direct):
        return _passes_of_direct(attack)
    if isinstance(attack, Flips):
        return attack.rounds * (attack.tried + 2.0) * CLASSES / 2
    if not isinstance(attack, Attack):
        # A chapter's own kind: one pass, or with steps two passes a step.
        return max(1.0, 2.0 * float(getattr(attack, "steps", 0)))
    if attack.name == "autoattack":
        return (AUTOATTACK_ROBUST + AUTOATTACK_BROKEN) / 2
    if attack.name not in ("fgsm", "pgd", "mi_fgsm"):
        return OTHER
    return 2.0 * attack.steps * attack.restarts * max(1, len(question.sources)) + 1


def _place(config: dict[str, Any], stage: str) -> str:
    architecture, data = config["architecture"], config["data"]
    return f"{stage} {architecture['name']} {architecture.get('width', 64)} {data['size']}"


def _passes_of(asked: Member) -> float:
    """A member of the 42 at the budget that is asked for; one that wants an epsilon runs at each of a grid."""
    one = member(asked.name)
    passes = float(one.forwards + one.backwards)
    named, chosen = (one.steps, one.searches), (asked.steps, asked.searches)
    for name, here, there in zip(named, chosen, one.budget, strict=True):
        if name and here is not None:
            passes *= here / there
    return passes * (1 if one.minimal else len(asked.grid))


def _passes_of_direct(asked: Direct) -> float:
    """Half of the images stand to the end, half fall to the first attack of each norm."""
    runs = asked.restarts * (1 + len(asked.widths)) + len(asked.widths) + (CLASSES - 1 if asked.targeted else 0)
    gradients = 2.0 * asked.steps * 2 * (1 + runs / 2)
    counted = 2.0 * asked.steps + asked.starts * (POINTWISE if asked.pointwise else asked.steps)
    return asked.draws * (gradients + asked.queries + counted)


def _million_multiply_adds(network: Network) -> float:
    """Of one pass; small networks cost no less than 2 M would. ResNet-18 has 555 M at width 64 and 32 pixels."""
    width, pixels = network.architecture.width, network.data.size**2
    known = {"mlp": width * (pixels + width) / 1e6, "small_cnn": 9 * width**2 * pixels / 2e6}
    return max(2.0, known.get(network.architecture.name, 555.0 * (width / 64) ** 2 * pixels / 32**2))
