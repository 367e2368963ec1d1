"""FGSM, PGD, MI-FGSM: bits against other libraries, and what the loop promises."""

import copy

import foolbox
import pytest
import torch
import torchattacks
from digit_networks import Counting
from torch import nn

from bioinspired.attacks import fgsm, mi_fgsm, pgd
from bioinspired.attacks.batches import LEAST_BATCH, bucket, remaining
from bioinspired.attacks.gradient import iterates
from bioinspired.attacks.losses import verdict
from bioinspired.attacks.norms import BALLS
from bioinspired.errors import UserError

EPS = {"linf": 0.12, "l2": 0.8, "l1": 3.0}


@pytest.fixture
def images(digits):
    _, _, x, y = digits
    return x[:64], y[:64]


def exactly(network, x):
    """Both in double precision, where rounding changes no sign of a gradient and no verdict."""
    return copy.deepcopy(network).double(), x.double()


def last(points):
    *_, point = points
    return point


# Bits ----------------------------------------------------------------------------------------------------------------


def test_fgsm_equals_torchattacks_and_foolbox(undefended, images):
    x, y = images
    ours = last(iterates(undefended, x, y, norm="linf", eps=0.1, steps=1, step_size=0.1))
    assert torch.equal(ours, torchattacks.FGSM(undefended, eps=0.1)(x, y))
    model = foolbox.PyTorchModel(undefended, bounds=(0, 1))
    assert torch.equal(ours, foolbox.attacks.LinfFastGradientAttack()(model, x, y, epsilons=0.1)[0])


@pytest.mark.parametrize("network", ["undefended", "trained"])
def test_pgd_equals_torchattacks_and_foolbox(network, images, request):
    x, y = images
    network, x = exactly(request.getfixturevalue(network), x)
    ours = last(iterates(network, x, y, norm="linf", eps=0.15, steps=20, step_size=0.02))
    theirs = torchattacks.PGD(network, eps=0.15, alpha=0.02, steps=20, random_start=False)(x, y)
    assert torch.equal(ours, theirs)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=0.02, steps=20, random_start=False)
    theirs = attack(foolbox.PyTorchModel(network, bounds=(0, 1)), x, y, epsilons=0.15)[0]
    assert torch.equal(ours, theirs)
    result = pgd(
        network, x, y, norm="linf", eps=0.15, steps=20, step_size=0.02, early_exit=False, keep="last", batch=32
    )
    assert torch.equal(ours, result.x_adv)


def test_pgd_l2_equals_foolbox_and_torchattacks_up_to_rounding(trained, images):
    x, y = images
    ours = last(iterates(trained, x, y, norm="l2", eps=0.8, steps=20, step_size=0.1))
    attack = foolbox.attacks.L2PGD(abs_stepsize=0.1, steps=20, random_start=False)
    theirs = attack(foolbox.PyTorchModel(trained, bounds=(0, 1)), x, y, epsilons=0.8)[0]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    theirs = torchattacks.PGDL2(trained, eps=0.8, alpha=0.1, steps=20, random_start=False)(x, y)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_mi_fgsm_equals_torchattacks(undefended, images):
    x, y = images
    theirs = torchattacks.MIFGSM(undefended, eps=0.15, alpha=0.02, steps=10, decay=1.0)(x, y)
    assert torch.equal(mi_fgsm(undefended, x, y, eps=0.15, steps=10, step_size=0.02).x_adv, theirs)


@pytest.mark.parametrize("network", ["undefended", "trained"])
def test_an_image_meets_the_same_attack_in_every_batch(network, images, request):
    """Up to rounding: a processor chooses its way through a matrix product by the product's size."""
    network = request.getfixturevalue(network)
    x, y = images
    whole = last(iterates(network, x, y, norm="l2", eps=0.8, steps=3))
    for size in (1, LEAST_BATCH, LEAST_BATCH + 3, 40, 50):
        part = last(iterates(network, x[:size], y[:size], norm="l2", eps=0.8, steps=3))
        torch.testing.assert_close(part, whole[:size], atol=1e-5, rtol=0)
        assert torch.equal(verdict(network(part), y[:size]) >= 0, verdict(network(whole), y)[:size] >= 0)


# What the loop promises ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["undefended", "trained", "masked"])
@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("start", ["image", "random"])
def test_early_exit_fools_the_same_images(network, norm, start, images, request):
    x, y = images
    network, x = exactly(request.getfixturevalue(network), x)
    options = {"norm": norm, "eps": EPS[norm], "steps": 30}
    if start == "random":
        options |= {"random_start": True, "restarts": 2}
    on = pgd(network, x, y, **options)
    off = pgd(network, x, y, **options, early_exit=False)
    assert torch.equal(on.success, off.success)
    if on.success.float().mean() > 0.1 or norm == "linf":
        assert on.backwards.sum() < off.backwards.sum()
    for result in (on, off):
        assert torch.equal(result.success, verdict(network(result.x_adv), y) >= 0)
        assert (BALLS[norm].size(result.x_adv - x) <= EPS[norm] * (1 + 1e-5)).all()
        assert result.x_adv.min() >= 0
        assert result.x_adv.max() <= 1


def test_a_cycle_is_a_cycle(trained, images):
    """An image that stops without being fooled would have seen nothing new: the plain path repeats itself."""
    x, y = images
    trained, x = exactly(trained, x)
    options = {"norm": "linf", "eps": 0.12, "steps": 100, "step_size": 0.01}
    result = pgd(trained, x, y, **options)
    stopped = ~result.success & (result.backwards < 100)
    assert stopped.sum() >= 5
    paths = torch.stack([x, *iterates(trained, x, y, **options)])
    margins = torch.stack([verdict(trained(points), y) for points in paths])
    assert torch.equal((margins >= 0).any(0), result.success)
    for image in stopped.nonzero().squeeze(1).tolist():
        steps = int(result.backwards[image])  # the last of these gradients was taken at a point seen before
        path = paths[:, image].flatten(1)
        assert any(torch.equal(path[steps - 1], earlier) for earlier in path[: steps - 1])
        assert margins[:steps, image].max() == margins[:, image].max()
    best = verdict(trained(result.x_adv), y)
    assert torch.equal(best[stopped], margins.amax(0)[stopped])


@pytest.mark.parametrize("source", ["torch", "python", "numpy"])
def test_random_models_run_to_the_end(trained, images, source):
    """Noise that can change a verdict later forbids stopping at a point seen before."""
    import random

    import numpy as np

    draw = {"torch": lambda: float(torch.rand(())), "python": random.random, "numpy": np.random.rand}[source]
    x, y = images
    result = pgd(lambda z: trained(z) * (0.5 + round(draw())), x, y, norm="linf", eps=0.12, steps=100, step_size=0.01)
    assert (result.backwards[~result.success] == 100).all()


def test_more_restarts_never_fool_fewer(trained, images):
    x, y = images
    options = {"norm": "linf", "eps": 0.15, "steps": 10, "random_start": True}
    margins = [
        verdict(trained(pgd(trained, x, y, **options, restarts=restarts, early_exit=False).x_adv), y)
        for restarts in (1, 2, 4)
    ]
    assert (margins[1] >= margins[0]).all()
    assert (margins[2] >= margins[1]).all()
    assert (margins[2] > margins[0]).any()


def test_the_best_point_is_at_least_as_good_as_any(trained, images):
    x, y = images
    options = {"norm": "l2", "eps": 0.8, "steps": 15, "step_size": 0.4}
    best = verdict(trained(pgd(trained, x, y, **options, early_exit=False).x_adv), y)
    path = torch.stack([verdict(trained(point), y) for point in [x, *iterates(trained, x, y, **options)]])
    assert torch.equal(best, path.amax(0))


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 30},
        {"steps": 30, "early_exit": False},
        {"steps": 12, "random_start": True, "restarts": 3},
        {"steps": 5, "early_exit": False, "keep": "last"},
        {"steps": 30, "batch": 50},
    ],
    ids=str,
)
@pytest.mark.parametrize("norm", EPS)
def test_counts_are_what_the_model_saw(trained, images, norm, options):
    x, y = images
    model = Counting(trained)
    result = pgd(model, x, y, norm=norm, eps=EPS[norm], **options)
    assert (int(result.forwards.sum()), int(result.backwards.sum())) == (model.forwards, model.backwards)
    if options.get("early_exit") is False:
        assert (result.backwards == options["steps"]).all()
        assert (result.forwards == options["steps"] + 1).all()


def test_mi_fgsm_counts_and_stays_in_its_ball(undefended, images):
    x, y = images
    model = Counting(undefended)
    result = mi_fgsm(model, x, y, eps=0.1, steps=10, diversity=0.7, batch=100)
    assert (int(result.forwards.sum()), int(result.backwards.sum())) == (model.forwards, model.backwards)
    assert (result.x_adv - x).abs().max() <= 0.1 + 1e-6
    assert torch.equal(result.success, verdict(undefended(result.x_adv), y) >= 0)
    again = mi_fgsm(undefended, x, y, eps=0.1, steps=10, diversity=0.7, batch=100)
    plain = mi_fgsm(undefended, x, y, eps=0.1, steps=10, batch=100)
    assert torch.equal(result.x_adv, again.x_adv)
    assert not torch.equal(result.x_adv, plain.x_adv)


@pytest.mark.parametrize("loss", ["ce", "margin", "dlr"])
def test_targets_lead_the_way(undefended, images, loss):
    x, y = images
    targets = (y + 1) % 10
    options = {"norm": "linf", "eps": 0.3, "steps": 40, "loss": loss, "early_exit": False, "keep": "last"}

    def beyond(result):
        logits = undefended(result.x_adv)
        return (logits.gather(1, targets[:, None]) > logits.gather(1, y[:, None])).float().mean()

    assert beyond(pgd(undefended, x, y, **options, targets=targets)) > 0.9
    assert beyond(pgd(undefended, x, y, **options)) < 0.8


def test_a_loss_of_ones_own(undefended, images):
    x, y = images
    mine = pgd(
        undefended,
        x,
        y,
        norm="linf",
        eps=0.1,
        steps=5,
        loss=lambda z, y: nn.functional.nll_loss(z.log_softmax(1), y, reduction="none"),
    )
    assert torch.equal(mine.x_adv, pgd(undefended, x, y, norm="linf", eps=0.1, steps=5).x_adv)


def test_a_tie_is_a_wrong_answer():
    x = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))

    def constant(images):
        return torch.zeros(len(images), 3) + 0 * images.sum(1, keepdim=True)

    assert constant(x).argmax(1).eq(0).all()  # argmax itself would call label 0 right
    assert pgd(constant, x, torch.zeros(6, dtype=torch.int64), norm="l2", eps=0.1, steps=2).success.all()


def test_undefined_logits_are_a_wrong_answer_and_undefined_gradients_move_nothing():
    x = torch.full((2, 4), 0.5)
    y = torch.zeros(2, dtype=torch.int64)
    nan = pgd(lambda z: z[:, :2] * torch.nan, x, y, norm="linf", eps=0.1, steps=3)
    assert nan.success.all()
    for norm in EPS:
        flat = pgd(lambda z: (z[:, :2] * 0).sqrt() + torch.tensor([1.0, 0.0]), x, y, norm=norm, eps=0.1, steps=3)
        assert torch.equal(flat.x_adv, x)
        assert not flat.success.any()


@pytest.mark.parametrize("norm", EPS)
def test_double_precision_flat_images_two_classes_and_no_images(norm):
    weights = torch.tensor([[1.0, -1.0, 0.5], [0.0, 0.0, 0.0]], dtype=torch.float64).T
    x = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = (x @ weights).argmax(1)
    result = pgd(lambda z: z @ weights, x, y, norm=norm, eps=2.0, steps=20, loss="margin", random_start=True)
    assert result.success.all()
    assert result.x_adv.dtype == torch.float64
    nothing = pgd(lambda z: z @ weights, x[:0], y[:0], norm=norm, eps=2.0, steps=20)
    assert nothing.x_adv.shape == (0, 3)
    assert nothing.success.dtype == torch.bool


def test_random_starts_come_from_the_generator_alone(trained, images):
    x, y = images
    options = {"norm": "linf", "eps": 0.15, "steps": 3, "random_start": True}
    one = pgd(trained, x, y, **options, generator=torch.Generator().manual_seed(1)).x_adv
    torch.manual_seed(5)
    assert torch.equal(one, pgd(trained, x, y, **options, generator=torch.Generator().manual_seed(1)).x_adv)
    assert not torch.equal(one, pgd(trained, x, y, **options, generator=torch.Generator().manual_seed(2)).x_adv)


def test_buckets_are_few_and_not_much_too_large():
    sizes = {bucket(size) for size in range(1, 2049)}
    assert min(sizes) == LEAST_BATCH
    assert len(sizes) <= 70
    assert all(size <= bucket(size) <= max(LEAST_BATCH, 1.125 * size) for size in range(1, 2049))


def test_a_batch_shrinks_when_that_pays():
    finished = torch.arange(100) < 10
    assert len(remaining(finished)) == 96
    assert len(remaining(finished, ahead=1)) == 100
    assert len(remaining(finished, ahead=99)) == 96
    assert len(remaining(torch.ones(100, dtype=torch.bool), ahead=0)) == 0
    kept = remaining(torch.arange(100) % 10 > 0, ahead=50)
    assert len(kept) == 10
    assert set(range(0, 100, 10)) <= set(kept.tolist())


# Mistakes ------------------------------------------------------------------------------------------------------------

X, Y = torch.full((2, 1, 4, 4), 0.5), torch.tensor([0, 1])


def three(images):
    return images.flatten(1)[:, :3]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": X * 255}, "put the normalisation inside the model"),
        ({"x": X - 1}, r"Images must lie in \[0, 1\]"),
        ({"x": X * torch.nan}, "NaN"),
        ({"x": (X * 255).byte()}, "divide by 255"),
        ({"x": X[0, 0, 0]}, "add a dimension"),
        ({"y": Y.float()}, r"\.long\(\)"),
        ({"y": Y[:1]}, "one label per image"),
        ({"y": Y - 1}, "labels run from 0 on"),
        ({"y": Y + 2}, "the model has 3 classes"),
        ({"eps": -0.1}, "eps must be a number from 0 on"),
        ({"eps": "eight"}, "eps must be a number from 0 on"),
        ({"eps": float("nan")}, "eps must be a number from 0 on"),
        ({"norm": "l3"}, 'There is no norm "l3"'),
        ({"loss": "hinge"}, 'There is no loss "hinge"'),
        ({"steps": 0}, "steps must be an integer from 1 on"),
        ({"restarts": 1.5}, "restarts must be an integer"),
        ({"step_size": -1.0}, "step_size must be"),
        ({"keep": "last"}, "early_exit=False"),
        ({"model": lambda z: z.flatten(1)[:, :2], "loss": "dlr"}, 'use loss="margin"'),
        ({"loss": "dlr", "targets": (Y + 1) % 3}, "from 4 classes on"),
        ({"model": lambda z: z.flatten(1)[:, 0]}, "must return logits of shape"),
        ({"model": lambda z: z.flatten(1)[:, :1]}, "must return logits of shape"),
        ({"model": lambda z: (three(z),)}, "tuple"),
        ({"model": lambda z: three(z).round().detach()}, "no gradient"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, dict) else part,
)
def test_mistakes_get_one_sentence(change, says):
    call = {"model": three, "x": X, "y": Y, "norm": "linf", "eps": 0.1, "steps": 2} | change
    with pytest.raises(UserError, match=says):
        pgd(call.pop("model"), call.pop("x"), call.pop("y"), **call)
    if "model" not in change and not change.keys() & {"steps", "restarts", "step_size", "keep"}:
        with pytest.raises(UserError, match=says):
            fgsm(
                three,
                call.get("x", change.get("x", X)),
                change.get("y", Y),
                **{key: value for key, value in call.items() if key in ("norm", "eps", "loss", "targets")},
            )
