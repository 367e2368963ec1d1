"""What the golden store declares besides the smoke scale of the studies: what no study asks there, and every attack.

A new kind of measurement, defense or network family is declared here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from golden.colour import NAMES as COLOUR

from bioinspired.attacks.catalogue import entries
from bioinspired.declarations import Architecture, Data, Images, Network, Recipe
from bioinspired.lab.declarations import Measurement, Trial
from bioinspired.lab.measurements.declarations import Attack, Checked, Clean, Question
from bioinspired.lab.papers.defective_conv.declarations import ConfidentTransfer
from bioinspired.lab.papers.dim.declarations import BinaryInput, Flips, HeldOut
from bioinspired.lab.papers.pixel_similarity.declarations import Blur, PixelSimilarity, TrainingCost
from bioinspired.lab.papers.sleep.declarations import Coded, Sleep, SleepNoise, SleepScaling, SleepSearch

IMAGES = Images(n=12)
SMALL = Network(
    data=Data(name="digits", size=8),
    architecture=Architecture(name="mlp", width=16),
    recipe=Recipe(epochs=10, batch=64, rate="0.1"),
    seed=0,
)
CNN = replace(SMALL, architecture=Architecture(name="small_cnn", width=4), recipe=replace(SMALL.recipe, epochs=4))
SOURCE = replace(CNN, seed=1)
DROPOUT = replace(SMALL, architecture=Architecture(name="mlp", width=16, dropout="0.2", normalize=False))
REGULARIZED = replace(
    SMALL,
    architecture=Architecture(name="resnet18_stem7", width=4),
    defense=PixelSimilarity(alpha="2", threshold="0.5", count=100),
)
EPS = {"linf": "0.1", "l2": "0.8", "l1": "4", "l0": "6"}
COSTLY = 300
"""Passes of an image above which an attack of the catalogue is asked in one of its norms and of few images."""

SMALL_SLEEP = Sleep(
    rate="100", inc="0.01", dec="0.01", beta1="20", beta2="20", beta3="20", alpha="2", steps=50
)  # fmt: skip


def extra() -> Iterator[Trial]:
    """What no study asks at smoke scale."""
    yield _trial(SMALL, *_attacks(costly=False), images=Images(n=16))
    yield _trial(SMALL, *_attacks(costly=True), images=Images(n=4))
    yield _trial(SMALL, Checked(eps="0.1"), images=Images(n=30))
    yield _trial(CNN, Clean())
    yield _trial(SOURCE, Clean())
    yield _trial(CNN, ConfidentTransfer(confidence=1, steps=10, searches=2), sources=(SOURCE,))
    yield _trial(replace(SMALL, defense=BinaryInput()), Clean(), Flips(rounds=5, tried=4))
    yield _trial(CNN, HeldOut(last=40), images=Images(n=100, split="train"))
    yield _trial(CNN, TrainingCost(name="memory", network=REGULARIZED, steps=2))
    yield _trial(replace(SMALL, defense=Blur(sigma="0.7")), Clean(), Attack(name="pgd", eps="0.1", steps=5))
    yield _trial(DROPOUT, Clean(), Coded(name="deepfool", steps=10), Coded(name="jsma", steps=10))
    for defense in (SleepScaling(), SleepNoise(first="0.5", second="0.5", third="0.5"), SMALL_SLEEP):
        yield _trial(replace(DROPOUT, defense=defense), Clean())
    searches = [
        SleepSearch(name=name, objective=objective, candidates=5, generations=1, held=60, scored=40, steps=20)
        for name, objective in (("sleep", "fgsm"), ("deletion", "distortion"), ("noise", "fgsm"))
    ]
    yield _trial(DROPOUT, *searches, images=Images(n=100, split="train"))


def _trial(network: Network, *questions: Question, images: Images = IMAGES, sources: Sequence[Network] = ()) -> Trial:
    asked = (Measurement(question=question, images=images, sources=tuple(sources)) for question in questions)
    return Trial(network=network, label="", measurements=tuple(asked))


def _attacks(*, costly: bool) -> Iterator[Question]:
    """The costly attacks of the catalogue in the first of their norms, or the others in every norm that they know."""
    for entry in entries():
        if (entry.forwards + entry.backwards > COSTLY) == costly and entry.name not in COLOUR:
            for norm in entry.norms[:1] if costly else entry.norms:
                yield Attack(name=entry.name, norm=norm, eps=EPS[norm])
