"""The toy task of patches in the study of sleep: four images, one layer, and how much the images share.

    waking; sleep with the parameters of the authors' later code                    every overlap, main seeds; more
                                                                                    where a claim is judged
    scaled, turned, as much noise, deleted (`defenses.one_layer_controls`)          every overlap, control seeds

Every network is asked about its four images: clean, the FGSM scan as released, the smallest change in Linf (a
formula), and Gaussian noise on 500 copies; the first two rows besides the boundary attack; on the first seed, weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bioinspired.declarations import Architecture, Data, Defense, Network, Recipe
from bioinspired.keys import Strength
from bioinspired.lab.declarations import Measurement, Trial
from bioinspired.lab.measurements.declarations import Clean, Distance, Question
from bioinspired.lab.papers.sleep.declarations import (
    FGSMScan,
    OneLayerControl,
    OneLayerDistance,
    OneLayerSleep,
    OneLayerWeights,
    RepeatedNoise,
)

SLEEP = OneLayerSleep(rate="64", inc="0.0035", dec="0.0002", beta="1.045", alpha="4.25", steps=30_000)
"""Of the authors' later code (2022); beta is 0.95 x 1.1."""

RECIPE = Recipe(epochs=4, batch=2, rate="0.05", momentum="0.5", decay="0", schedule="constant")
"""Rate, batch and epochs of the later code, the momentum of the released one; a softmax with its cross-entropy."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """What differs between scales: overlaps in pixels of 25, seeds, how long sleep and searches are, noise.

    `claimed` is the overlap at which a claim is judged, and how many seeds its two rows have there.
    """

    overlaps: tuple[int, ...]
    seeds: tuple[int, ...]
    control_seeds: tuple[int, ...]
    claimed: tuple[int, int] | None = None
    steps: int = SLEEP.steps
    scan_steps: int = 81
    boundary_steps: int = 2_000
    variances: tuple[Strength, ...] = ("0.1", "0.3", "0.5", "0.7", "0.9")


def trials(patches: Patches, seeds: tuple[int, ...] | None) -> Iterator[Trial]:
    """The trials, with other seeds where they are given; the factors are "row" and "overlap"."""
    if seeds is not None:
        patches = replace(patches, seeds=seeds, control_seeds=seeds, claimed=None)
    sleep = replace(SLEEP, steps=patches.steps)
    for overlap in patches.overlaps:
        main = patches.seeds
        if patches.claimed is not None and patches.claimed[0] == overlap:
            main = tuple(range(main[0], main[0] + patches.claimed[1]))
        yield from _at(overlap, main, patches, sleep)


def _at(overlap: int, main: tuple[int, ...], patches: Patches, sleep: OneLayerSleep) -> Iterator[Trial]:
    rows: list[tuple[str, Defense | None, tuple[int, ...]]] = [
        ("waking", None, main),
        ("sleep", sleep, main),
        ("scaled", OneLayerControl(choice="scaled", like=sleep), patches.control_seeds),
        ("turned", OneLayerControl(choice="turned", like=sleep), patches.control_seeds),
        ("as much noise", OneLayerControl(choice="noise", like=sleep), patches.control_seeds),
        ("deleted", OneLayerControl(choice="deleted"), patches.control_seeds),
    ]
    for row, defense, its_seeds in rows:
        for seed in its_seeds:
            network, twin = (_network(overlap, seed, change) for change in (defense, None))
            asked = _questions(patches)
            if row in ("waking", "sleep") and patches.boundary_steps:
                boundary = Distance(name="boundary", norm="l2", steps=patches.boundary_steps)
                asked += (Measurement(question=boundary),)
            if seed == its_seeds[0]:
                asked += (Measurement(question=OneLayerWeights(), sources=(twin,)),)
            yield Trial(
                network=network,
                label=f"{row}, overlap {overlap}",
                measurements=asked,
                factors={"row": row, "overlap": str(overlap)},
            )


def _network(overlap: int, seed: int, defense: Defense | None) -> Network:
    data = Data(name="patches", size=10, overlap=overlap)
    architecture = Architecture(name="linear", normalize=False)
    return Network(data=data, architecture=architecture, recipe=RECIPE, seed=seed, defense=defense)


def _questions(patches: Patches) -> tuple[Measurement, ...]:
    questions: tuple[Question, ...] = (
        Clean(),
        FGSMScan(steps=patches.scan_steps),
        OneLayerDistance(),
        *(RepeatedNoise(level=variance, repeats=500) for variance in patches.variances),
    )
    return tuple(Measurement(question=question) for question in questions)
