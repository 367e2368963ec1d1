"""The DIM chapter's questions on models whose answers can be worked out."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bioinspired.defenses import dim
from bioinspired.defenses.thresholds import Threshold
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked
from bioinspired.lab.papers.dim import adaptive, closest, direct, flips, internal_errors, logit_scale
from bioinspired.lab.papers.dim.declarations import Adaptive, Closest, Direct, Flips, InternalErrors, LogitScale


class Plane(nn.Module):
    """Three classes: w x - b, its negative, and one that is never near."""

    def __init__(self, w, b, scale=1.0):
        super().__init__()
        self.w, self.b, self.scale = torch.tensor(w), b, scale

    def forward(self, x):
        side = self.scale * (x.flatten(1) @ self.w - self.b)
        return torch.stack([side, -side, torch.full_like(side, -1e3)], 1)


def asked(model, x, y):
    return Asked(model.eval(), x, y, (), torch.Generator().manual_seed(0))


def points(*rows):
    return torch.tensor(rows).view(len(rows), 1, 1, -1)


X = points(
    [0.55, 0.55, 0.5, 0.5], [0.7, 0.7, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5]
)  # from x + y = 1: Linf 0.05, 0.2; the third is wrong
Y = torch.tensor([0, 0, 0])


@pytest.mark.parametrize(
    ("norm", "options", "standing"),
    [
        ("linf", {"linf": "0.1"}, [False, True, False]),
        ("linf", {"linf": "0.3"}, [False, False, False]),
        ("l2", {"l2": "0.1"}, [False, True, False]),  # Euclidean 0.07 and 0.28
        ("l2", {"l2": "0.3"}, [False, False, False]),
        ("correct", {"linf": "0.01", "l2": "0.1", "l0": 0}, [False, True, False]),
        ("correct", {"linf": "0.01", "l2": "0.3", "l0": 0}, [False, False, False]),
    ],
)
def test_what_stands_against_direct_attacks(norm, options, standing):
    question = Direct(steps=30, **options)
    assert direct.ask(question, asked(Plane([1.0, 1.0, 0.0, 0.0], 1.0), X, Y)).bits[norm].tolist() == standing


def test_all_three_norms_are_asked_of_the_same_images():
    found = direct.ask(Direct(linf="0.1", l2="0.1", l0=1, steps=30), asked(Plane([1.0, 1.0, 0.0, 0.0], 1.0), X, Y))
    assert set(found.bits) == {"linf", "l2", "l0", "correct"}
    assert (found.bits["correct"] == found.bits["linf"] & found.bits["l2"] & found.bits["l0"]).all()
    assert found.bits["l2"].tolist() == [False, True, False]


def test_square_finds_what_a_flat_gradient_hides():
    class Steps(nn.Module):
        def forward(self, x):
            side = 2.5 - (x.flatten(1).amax(1) * 4).round()
            return torch.stack([side, -side], 1)

    x, y = torch.full((2, 1, 8, 8), 0.1), torch.tensor([0, 0])
    question = Direct(linf="0.5251", l2="1", steps=5)  # 0.525 is needed at one pixel, more than random starts have
    for queries, stands in ((0, True), (300, False)):
        found = direct.ask(replace(question, queries=queries), asked(Steps(), x, y)).bits
        assert found["linf"].all() == stands
        assert found["l2"].all() == stands


def test_changed_values_are_counted_not_measured():
    """One value alone cannot take the second image across, the first one it can: 0.55 + 0 < 1 < 1.4."""
    x = points([0.55, 0.55, 0.5], [0.9, 0.9, 0.5])
    model = Plane([1.0, 1.0, 0.0], 0.8)
    outcome = direct.ask(Direct(l0=1, starts=3, steps=30), asked(model, x, Y[:2]))
    assert outcome.bits["l0"].tolist() == [False, True]


def test_the_last_images_are_those_that_training_held_out():
    question = Direct(linf="0.1", l2="0.1", l0=4, steps=30, last=2)
    outcome = direct.ask(question, asked(Plane([1.0, 1.0, 0.0, 0.0], 1.0), X, Y))
    assert outcome.values["linf"] == outcome.values["l2"] == [100.0, 0.0]
    assert outcome.values["l0"] == [0.0, 0.0]
    assert outcome.values["value"] == pytest.approx([200 / 3, 0.0])
    assert not outcome.bits


def test_names_say_thresholds_and_larger_budgets():
    assert Direct(linf="0.15").name == "linf 0.15, l2 1.5, l0 12"
    assert Direct(steps=1_000, restarts=10).name == "linf 0.3, l2 1.5, l0 12; 1000 steps x 10"
    assert Direct(restarts=4, last=9).name == "linf 0.3, l2 1.5, l0 12; 100 steps x 4 held out"
    assert Direct().thresholds == {"linf": 0.3, "l2": 1.5, "l0": 12.0}


def test_a_run_towards_each_class_finds_what_the_nearest_one_hides():
    """The runner-up leads into a corner of the box; another class, behind at first, can be reached."""

    class Hidden(nn.Module):
        def forward(self, x):
            a, b = x.flatten(1)[:, :2].T
            return torch.stack([torch.ones_like(a), 0.9 + 0.05 * a, 3 * b - 0.5], 1)

    x, y = points([0.1, 0.3] + 198 * [0.0]), torch.tensor([0])
    held = [
        direct.ask(Direct(linf="0.25", steps=60, targeted=targeted), asked(Hidden(), x, y))
        for targeted in (False, True)
    ]
    assert [outcome.bits["linf"].tolist() for outcome in held] == [[True], [False]]


class Behind(nn.Module):
    """Pixels behind a threshold: the first is near it and enough to fool, fifty others weigh ten times as much each."""

    def __init__(self):
        super().__init__()
        self.threshold = Threshold(0.5, training=False)

    def forward(self, x):
        side = 0.5 - self.threshold(x).flatten(1) @ torch.tensor([1.0] + 50 * [10.0])
        return torch.stack([side, -side], 1)


def test_a_slope_at_the_threshold_finds_what_the_identity_does_not():
    """The identity spends the whole change on the pixels that are far from the threshold."""
    x, y = points([0.45] + 50 * [0.0]), torch.tensor([0])
    question = Direct(l2="0.1", steps=30, widths=("0.05",))
    found = direct.ask(question, asked(Behind(), x, y))
    assert found.bits["l2 identity"].tolist() == [True]
    assert found.bits["l2"].tolist() == [False]
    assert direct.ask(replace(question, widths=()), asked(Behind(), x, y)).bits["l2"].tolist() == [True]


def test_slopes_need_a_threshold():
    with pytest.raises(UserError, match="no threshold"):
        direct.ask(Direct(steps=2, widths=("0.1",)), asked(Plane([1.0, 1.0, 0.0, 0.0], 1.0), X, Y))


class Noisy(nn.Module):
    """The first of two classes, by half a standard deviation of what is drawn for every answer."""

    def forward(self, x):
        side = x.flatten(1).sum(1) * 0 + 0.5 + torch.randn(len(x))
        return torch.stack([side, -side], 1)


def test_lucky_draws_of_a_random_network_fool_a_single_pass_and_no_mean():
    torch.manual_seed(0)
    x, y = torch.full((20, 1, 8, 8), 0.5), torch.zeros(20, dtype=torch.int64)
    question = Direct(linf="0.001", l2="0.001", l0=64, steps=10, pointwise=True)
    lucky = direct.ask(replace(question, pointwise=False), asked(Noisy(), x, y))
    mean = direct.ask(replace(question, draws=80), asked(Noisy(), x, y))
    for norm in ("linf", "l2", "l0"):
        assert not lucky.bits[norm].all()
        assert mean.bits[norm].all()
    assert mean.forwards > 80 * 20


def test_what_was_found_is_confirmed_on_draws_that_no_attack_has_seen(monkeypatch):
    drawn, confirming = [], []

    class Logged(Noisy):
        def forward(self, x):
            noise = torch.randn(len(x))
            drawn.append(float(noise[0]))
            side = x.flatten(1).sum(1) * 0 + 0.5 + noise
            return torch.stack([side, -side], 1)

    falls = direct.Standing._falls

    def logged(self, x, y):
        before = len(drawn)
        found = falls(self, x, y)
        confirming.extend(range(before, len(drawn)))
        return found

    monkeypatch.setattr(direct.Standing, "_falls", logged)
    x, y = torch.full((20, 1, 8, 8), 0.5), torch.zeros(20, dtype=torch.int64)
    direct.ask(Direct(linf="0.001", steps=3, draws=2), asked(Logged(), x, y))
    fresh = {drawn[place] for place in confirming}
    assert len(fresh) == len(confirming) >= 2 * 2 * direct.CONFIRMED
    assert fresh.isdisjoint(number for place, number in enumerate(drawn) if place not in confirming)


def test_in_l0_what_salt_and_pepper_change_is_shortened_where_asked():
    """One value decides; salt and pepper change others besides, which pointwise puts back."""

    class One(nn.Module):
        def forward(self, x):
            side = x.flatten(1)[:, 0] - 0.5
            return torch.stack([side, -side], 1)

    x, y = torch.full((6, 1, 6, 6), 0.9), torch.zeros(6, dtype=torch.int64)
    question = Direct(l0=1, steps=1)
    found = [direct.ask(replace(question, pointwise=p), asked(One(), x, y)).bits["l0"] for p in (False, True)]
    assert found[1].sum() < found[0].sum()


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_direct_attacks_do_not_know_the_scale(scale):
    question = Direct(linf="0.1", steps=30)
    outcome = direct.ask(question, asked(Plane([1.0, 1.0, 0.0, 0.0], 1.0, scale), X, Y))
    assert outcome.bits["linf"].tolist() == [False, True, False]


def test_a_large_factor_hides_an_image_from_the_cross_entropy_only():
    """At a factor of 1e6 the softmax is one, exactly, and its gradient zero."""
    model = Plane([1.0, 1.0], 1.0)
    for factor, pgd_stands in (("1", False), ("1000000", True)):
        common = {"factor": factor, "norm": "linf", "eps": "0.3", "steps": 20}
        x, y = points([0.7, 0.7]), Y[:1]
        assert logit_scale.ask(LogitScale(name="pgd", **common), asked(model, x, y)).bits["correct"][0] == pgd_stands
        assert not logit_scale.ask(LogitScale(name="fmn", **common), asked(model, x, y)).bits["correct"][0]


def trained():
    """DIM on two classes of 8x8 images: the left half bright, the right half bright."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(40) % 2
    x = torch.zeros(40, 1, 8, 8)
    x[y == 0, :, :, :4] = 0.8
    x[y == 1, :, :, 4:] = 0.8
    x = (x + 0.1 * torch.rand(x.shape, generator=generator)).clamp(0, 1)
    model = dim.apply(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), input_shape=(1, 8, 8), generator=generator,
                      denoiser_widths=(32, 8), model_widths=(16, 2))  # fmt: skip
    dim.fit(model, images=(255 * x).byte(), labels=y, epochs=60, batch=20, rate=0.01, generator=generator,
            progress=lambda done: None)  # fmt: skip
    return model.requires_grad_(False), x[:8], y[:8]


@pytest.fixture(scope="module")
def toy():
    return trained()


ADAPTIVE = ("latent descent", "collision", "identity backward", "double precision", "nearest start")


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_attacks_fool_with_room_and_do_not_without(name, toy):
    model, x, y = toy
    # Half of the way to an image of the other class, so that a walk must come nearer than where it starts.
    near = float(torch.cdist(x.flatten(1), x.flatten(1))[0, 1])
    steps, far = (3, str(0.75 * near)) if name == "nearest start" else (40, "8")
    outcomes = {
        eps: adaptive.ask(Adaptive(name=name, norm="l2", eps=eps, steps=steps), asked(model, x, y)).bits["correct"]
        for eps in ("0.01", far)
    }
    assert outcomes["0.01"].all()
    assert not outcomes[far].all()


def test_a_collision_counts_what_fooled_on_the_way(toy, monkeypatch):
    """The last step goes back to the image itself, which does not fool."""
    model, x, y = toy
    question = Adaptive(name="collision", norm="l2", eps="8", steps=20)
    assert not adaptive.ask(question, asked(model, x, y)).bits["correct"].all()
    sphere, steps = adaptive.ball("l2"), []

    class Back:
        size, step = staticmethod(sphere.size), staticmethod(sphere.step)

        def project(self, made, images, eps):
            steps.append(1)
            return images if len(steps) == question.steps else sphere.project(made, images, eps)

    monkeypatch.setattr(adaptive, "ball", lambda norm: Back())
    assert not adaptive.ask(question, asked(model, x, y)).bits["correct"].all()
    assert len(steps) == question.steps


def test_closest_images_are_kept_with_their_sizes(toy):
    model, x, y = toy
    arrays = closest.ask(Closest(steps=30), asked(model, x, y)).arrays
    assert arrays["adversarial"].shape == (3, len(x), 1, 8, 8)
    found = np.isfinite(arrays["size"])
    assert found[:2].all()
    assert (arrays["answer"] != arrays["label"])[found].all()
    change = arrays["adversarial"][1].astype(float) / 255 - arrays["clean"].astype(float) / 255
    assert arrays["size"][1] == pytest.approx(np.sqrt((change**2).sum((1, 2, 3))), abs=0.05)


def test_adaptive_attacks_need_the_parts():
    for name in ADAPTIVE:
        with pytest.raises(UserError, match="such a network"):
            adaptive.ask(Adaptive(name=name, norm="l2", eps="1"), asked(Plane([1.0, 1.0, 0.0, 0.0], 1.0), X, Y))
    with pytest.raises(UserError, match="such a network"):
        internal_errors.ask(InternalErrors(), asked(Plane([1.0, 1.0, 0.0, 0.0], 1.0), X, Y))


def test_double_precision_is_that_of_a_copy(toy):
    model, x, y = deepcopy(toy[0]), toy[1], toy[2]
    seen = []
    model.network.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
    question = Adaptive(name="double precision", norm="linf", eps="0.01", steps=3)
    adaptive.ask(question, asked(model, x, y))
    assert seen.count(torch.float64) > 3
    assert seen[-2:] == [torch.float32, torch.float32], "what is found is judged on the network itself"
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_a_walk_starts_at_the_nearest_image_of_another_class_and_needs_one(toy):
    model, x, y = toy
    chosen = adaptive._nearest_of_another_class(x, y)
    assert (y[chosen] != y).all()
    for name in ("collision", "nearest start"):
        with pytest.raises(UserError, match="ask about more images"):
            adaptive.ask(Adaptive(name=name, norm="l2", eps="1", steps=2), asked(model, x[y == 0], y[y == 0]))


def test_the_table_of_errors_has_its_smallest_on_the_diagonal(toy):
    model, x, y = toy
    arrays = internal_errors.ask(InternalErrors(), asked(model, x, y)).arrays
    assert arrays["errors"].shape == (2, 2)
    assert (arrays["errors"].argmin(1) == [0, 1]).all()
    with torch.no_grad():
        assert arrays["errors"][0, 1] == pytest.approx(float(model.network.errors(x)[y == 0, 1].mean()), rel=1e-5)
    assert arrays["made"].shape == (4, 2, 1, 8, 8)
    assert sum(array.nbytes for array in arrays.values()) < 200 * 1024


def test_flips_are_asked_in_each_norm_of_a_network_behind_a_threshold():
    model = nn.Sequential(Threshold(0.5, training=True), Plane([1.0, 1.0, 0.0, 0.0], 1.5))
    x = points([0.55, 1.0, 0.5, 0.5], [1.0, 1.0, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5])
    found = flips.ask(Flips(linf="0.1", l2="0.2", l0=1), asked(model, x, Y)).bits
    assert found["linf"].tolist() == [False, True, False], "0.05 and 0.5 are needed; the third is wrong"
    assert found["l2"].tolist() == [False, True, False]
    assert found["l0"].tolist() == [False, False, False]
    assert found["correct"].tolist() == [False, False, False]
    with pytest.raises(UserError, match="one threshold"):
        flips.ask(Flips(), asked(Plane([1.0, 1.0, 0.0, 0.0], 1.5), x, Y))
