"""Greedy flips on a linear rule behind a threshold, where the smallest set of flips can be counted."""

import itertools

import pytest
import torch
from torch import nn

from bioinspired.attacks.flips import flips
from bioinspired.defenses.thresholds import Threshold
from bioinspired.errors import UserError

WEIGHTS = (4.0, 3.0, 2.0, 1.0, -1.0, -2.0)


class Rule(nn.Module):
    """Two classes on zeros and ones: w b - c, and its negative; a third that is never near."""

    def __init__(self, weights=WEIGHTS, c=2.5):
        super().__init__()
        self.threshold = Threshold(0.5, training=True)
        self.register_buffer("weights", torch.tensor(weights))
        self.c = c

    def forward(self, x):
        side = self.threshold(x).flatten(1) @ self.weights - self.c
        return torch.stack([side, -side, torch.full_like(side, -1e3)], 1)


X = torch.tensor([[1.0, 0.9, 0.6, 0.0, 0.0, 0.45]]).view(1, 1, 1, 6)  # side 9 - 2.5; the smallest costs: 0.05 and 0.1
Y = torch.tensor([0])


def smallest(model, x, size):
    """The smallest set of flips that fools, by trying all of them; its size by `size` of the costs."""
    flat = x.flatten()
    sizes = []
    for chosen in itertools.chain.from_iterable(itertools.combinations(range(6), k) for k in range(1, 7)):
        other = flat.clone()
        for i in chosen:
            other[i] = 0.0 if flat[i] >= 0.5 else 1.0
        if model(other.view(1, 1, 1, 6))[0].argmax() != 0:
            sizes.append(size([abs(float(flat[i]) - 0.5) for i in chosen]))
    return min(sizes)


@pytest.mark.parametrize(
    ("norm", "size", "room"),
    [("l0", len, 1e-6), ("l2", lambda costs: sum(c**2 for c in costs) ** 0.5, 1e-4), ("linf", max, 1e-4)],
)
def test_the_smallest_set_of_flips_is_found_and_no_larger_one_is_needed(norm, size, room):
    model = Rule()
    least = smallest(model, X, size)
    found = flips(model, X, Y, norm=norm, eps=least + room)
    assert found.success.all()
    delta = (found.x_adv - X).flatten().abs()
    length = {"l0": float((delta > 0).sum()), "l2": float(delta.norm()), "linf": float(delta.max())}[norm]
    assert length == pytest.approx(least, abs=1e-6)
    below = flips(model, X, Y, norm=norm, eps=least - 2 * room)
    assert not below.success.any()


def test_values_end_just_across_the_threshold_or_where_they_were():
    found = flips(Rule(), X, Y, norm="l0", eps=2).x_adv.flatten()
    moved = found != X.flatten()
    assert moved.any()
    assert (found[moved] - 0.5).abs().max() <= 1e-6
    assert ((found >= 0.5) != (X.flatten() >= 0.5))[moved].all()


def test_passes_are_counted_and_images_that_are_wrong_cost_one():
    model, seen = Rule(), []
    counted = model.register_forward_hook(lambda _module, given, _answer: seen.append(len(given[0])))
    x, y = X.repeat(2, 1, 1, 1), torch.tensor([0, 1])
    found = flips(model, x, y, norm="l2", eps=0.6, tried=3)
    counted.remove()
    assert int(found.forwards.sum()) == sum(seen)
    assert found.success.tolist() == [True, True]
    assert int(found.forwards[1]) == 2, "once in the first round, once at the end"
    assert torch.equal(found.x_adv[1], x[1])


def test_a_target_is_compared_with():
    model = Rule()
    towards_the_far_class = flips(model, X, Y, norm="linf", eps=0.5, targets=torch.tensor([2]), rounds=3)
    assert towards_the_far_class.x_adv.shape == X.shape
    assert flips(model, X, Y, norm="linf", eps=0.5, targets=torch.tensor([1])).success.all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": "l1"}, "not .l1."),
        ({"threshold": 1.0}, "threshold"),
        ({"tried": 0}, "one try"),
        ({"eps": -1.0}, "eps"),
    ],
)
def test_mistakes_get_one_sentence(options, words):
    with pytest.raises(UserError, match=words):
        flips(Rule(), X, Y, **{"norm": "l2", "eps": 1.0, **options})
