"""Each defect of torchattacks is there, in the direction that is claimed, and what is recommended does not have it."""

import numpy as np
import pytest
import torch

from bioinspired.attacks import defects
from bioinspired.attacks.catalogue import entries

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shown():
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    found = defects.demonstrate()
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])
    return found


def test_all_are_described(shown):
    assert len(shown) == 12
    assert len({one.name for one in shown.values()}) == 12
    names = [entry.name for entry in entries()]
    for one in shown.values():
        assert one.claim.endswith(".")
        assert len(one.measure) > 20
        if one.instead.startswith("foolbox."):
            assert one.instead in names


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("step", (75, 95), (55, 75)),  # robust accuracy: the default overstates it
        ("iterations", (195, 205), (1800, 1950)),
        ("start", (0, 0), (90, 100)),
        ("mask", (0, 0), (95, 100)),
        ("stop", (3, 32), (0, 0)),
        ("overshoot", (20, 90), (100, 100)),
        ("radius", (0.45, 0.55), (0.95, 1.0)),
        ("gradients", (6, 6), (0, 0)),
        ("seed", (1, 1), (5, 5)),
        ("mode", (1, 1), (0, 0)),
        ("error", (5, 5), (0, 0)),
        ("graph", (1, 1), (0, 0)),
    ],
)
def test_a_defect_is_there_and_the_alternative_does_not_have_it(shown, name, theirs, ours):
    assert theirs[0] <= shown[name].theirs <= theirs[1]
    assert ours[0] <= shown[name].ours <= ours[1]


def test_the_default_step_overstates_robustness_more_the_larger_eps():
    curve = defects.accuracy_curve()
    default, followed = curve["2/255, the default"], curve["eps / 4"]
    assert default[0] == pytest.approx(followed[0], abs=2)
    assert default[-1] > followed[-1] + 20
    assert followed[-1] <= 5
    assert all(one <= other for one, other in zip(followed, default, strict=True))
