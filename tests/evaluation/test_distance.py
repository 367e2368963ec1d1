"""Smallest perturbations against a linear network, where they are known in closed form."""

import math

import pytest
import torch
from torch import nn

from bioinspired.data import Split
from bioinspired.errors import UserError
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.engine.measuring import measure
from bioinspired.lab.measurements.declarations import Distance

HEIGHT = 0.2  # every image stands so far, in logits, above the threshold


class Linear(nn.Module):
    """Two logits, 0 and the mean of the image minus a half: the boundary is a plane."""

    def forward(self, x):
        score = x.flatten(1).mean(1) - 0.5
        return torch.stack([torch.zeros_like(score), score], 1)


def split(n=12):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((n, 1, 4, 4), generator=generator) * 0.2
    images += 0.5 + HEIGHT - images.flatten(1).mean(1).view(-1, 1, 1, 1)
    return Split((images * 255).round().to(torch.uint8), torch.ones(n, dtype=torch.int64), f"made-up-{n}")


def distances(question, made=None):
    return measure(Measurement(question=question), Linear().eval(), made or split())


def heights(made):
    return (made.images.float() / 255).flatten(1).mean(1) - 0.5


@pytest.mark.parametrize(
    ("question", "tolerance"),
    [
        (Distance(name="fmn", norm="l2", steps=100), 0.02),
        (Distance(name="fmn", norm="linf", steps=100), 0.02),
        (Distance(name="fmn", norm="l1", steps=100), 0.35),
        (Distance(name="deepfool", norm="l2", steps=20), 0.04),
        (Distance(name="deepfool", norm="linf", steps=20), 0.04),
        (Distance(name="boundary", norm="l2", steps=2000), 0.05),
        (Distance(name="hopskipjump", norm="l2", steps=20), 0.12),
    ],
    ids=str,
)
def test_the_distance_to_a_plane(question, tolerance):
    """Moving every value by h lowers the mean by h: the least that does, in all three norms."""
    made = split()
    found = distances(question, made)
    assert found.bits["correct"].all()
    for value, height in zip(found.values["distance"], heights(made).tolist(), strict=True):
        assert height * (1 - 1e-3) <= value <= height * (1 + tolerance)
    assert found.forwards > 1


def test_more_steps_of_the_boundary_attack_come_nearer():
    few, many = (distances(Distance(name="boundary", steps=steps)).values["distance"] for steps in (50, 1000))
    assert sum(many) < 0.95 * sum(few)


def test_a_wrong_image_has_distance_zero_and_one_that_nothing_fools_has_none():
    made = split()
    made.labels[:3] = 0

    class Certain(Linear):
        def forward(self, x):
            logits = super().forward(x)
            return torch.where(x[:, 0, :1, :1].flatten(1) >= -1, torch.tensor([0.0, 1.0]), logits)

    outcome = measure(Measurement(question=Distance(name="fmn", steps=5)), Certain().eval(), made)
    assert outcome.bits["correct"].tolist() == [False] * 3 + [True] * 9
    assert outcome.values["distance"] == [0.0] * 3 + [None] * 9


def test_an_unknown_search_or_norm_is_refused_in_a_sentence():
    with pytest.raises(UserError, match='no search "walk"'):
        distances(Distance(name="walk", steps=1))
    with pytest.raises(UserError, match="knows the norm l2"):
        distances(Distance(name="boundary", norm="linf", steps=1))


def test_lengths_do_not_change_when_an_image_is_enlarged():
    from bioinspired.lab.measurements.distance import length

    small = torch.randn((3, 1, 4, 4), generator=torch.Generator().manual_seed(1))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for norm in ("l2", "linf", "l1"):
        assert torch.allclose(length(small, norm), length(large, norm))
    assert length(torch.full((1, 1, 2, 2), -0.3), "l2").item() == pytest.approx(0.3)
    assert math.isclose(length(torch.tensor([[[[0.0, 0.4]]]]), "l1").item(), 0.2, rel_tol=1e-6)
