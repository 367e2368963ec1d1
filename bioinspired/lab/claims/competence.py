"""Is an adversarially trained baseline competent? Masked gradients pass PGD and fall to AutoAttack."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bioinspired.keys import strength
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.records.results import Result

TOLERATED = 5.0
"""Points that AutoAttack may take off PGD-20 at the epsilon of the training."""


def lost(found: Sequence[Result]) -> dict[str, float]:
    """For each label of PGD-trained networks: points that AutoAttack takes off PGD-20, mean over seeds.

    Both at the epsilon of the training, on the images that AutoAttack saw; seeds that lack either are left out.
    """
    differences = defaultdict[str, list[float]](list)
    for strong in (result for result in found if _at_training_eps(result) and _attack(result).name == "autoattack"):
        weak = [r for r in found if r.record.key == strong.record.key and _is_pgd_20(r) and r.n >= strong.n]
        if weak and weak[0].correct is not None and strong.correct is not None:
            kept = weak[0].correct[: strong.n].mean() - strong.correct.mean()
            differences[strong.label].append(100 * float(kept))
    return {label: float(np.mean(points)) for label, points in differences.items()}


def doubts(found: Sequence[Result]) -> str:
    """A sentence for each baseline that is not competent; "" where all are, or none was tested."""
    return " ".join(
        f"Not a competent baseline: {label}, of which AutoAttack takes {points:.0f} points off PGD-20 at the epsilon "
        "of its training."
        for label, points in lost(found).items()
        if points > TOLERATED
    )


def _attack(result: Result) -> Attack:
    assert isinstance(result.measurement.question, Attack)
    return result.measurement.question


def _at_training_eps(result: Result) -> bool:
    """Whether a network trained with PGD is attacked in the ball of its training."""
    asked, adversary = result.measurement.question, result.trial.network.recipe.adversary
    if adversary is None or result.source or not isinstance(asked, Attack):
        return False
    return (asked.norm, strength(asked.eps)) == (adversary.norm, strength(adversary.eps))


def _is_pgd_20(result: Result) -> bool:
    if not _at_training_eps(result):
        return False
    attack = _attack(result)
    return (attack.name, attack.steps, attack.loss) == ("pgd", 20, "ce")
