"""Each defect of torchattacks is there, in the direction that is claimed, and what is recommended does not have it."""

import numpy as np
import pytest
import torch

from bioinspired.attacks.catalogue import entries
from bioinspired.attacks.external import defects

torch.set_num_threads(1)


EXPECTED = {  # between what and what the two numbers must lie: as shipped, and what is recommended
    "step": ((75, 95), (55, 75)),  # robust accuracy: the default overstates it
    "iterations": ((195, 205), (1800, 1950)),
    "start": ((0, 0), (90, 100)),
    "mask": ((0, 0), (95, 100)),
    "stop": ((3, 32), (0, 0)),
    "overshoot": ((20, 90), (100, 100)),
    "radius": ((0.45, 0.55), (0.95, 1.0)),
    "gradients": ((6, 6), (0, 0)),
    "seed": ((1, 1), (5, 5)),
    "mode": ((1, 1), (0, 0)),
    "error": ((5, 5), (0, 0)),
    "graph": ((1, 1), (0, 0)),
}


def test_every_defect_is_there_and_its_alternative_does_not_have_it():
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    shown = defects.demonstrate()
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])
    assert set(shown) == set(EXPECTED)
    names = [entry.name for entry in entries()]
    for key, ((least, most), (fewest, highest)) in EXPECTED.items():
        one = shown[key]
        assert least <= one.theirs <= most, key
        assert fewest <= one.ours <= highest, key
        assert one.claim.endswith(".")
        assert not one.instead.startswith("foolbox.") or one.instead in names


def test_the_default_step_overstates_robustness_more_the_larger_eps():
    curve = defects.accuracy_curve()
    default, followed = curve["2/255, the default"], curve["eps / 4"]
    assert default[0] == pytest.approx(followed[0], abs=2)
    assert default[-1] > followed[-1] + 20
    assert followed[-1] <= 5
    assert all(one <= other for one, other in zip(followed, default, strict=True))
