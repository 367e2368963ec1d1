"""AutoAttack and its members: agreement with the authors' implementation, closed forms, promises."""

import copy
import math

import numpy as np
import pyautoattack
import pytest
import torch
from digit_networks import EPS, Counting
from pyautoattack.square import SquareAttack
from torch import nn

from bioinspired.attacks import autoattack
from bioinspired.attacks.auto_attack import ensemble, square
from bioinspired.attacks.auto_attack.fab import onto_hyperplane
from bioinspired.attacks.batches import Images
from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.frozen import frozen
from bioinspired.attacks.losses import verdict
from bioinspired.attacks.norms import BALLS
from bioinspired.attacks.queries import Queries
from bioinspired.errors import UserError

REFERENCE = {"linf": "Linf", "l2": "L2", "l1": "L1"}


def reference_robust(model, x, y, norm, eps, version="standard"):
    attack = pyautoattack.AutoAttack(model, norm=REFERENCE[norm], eps=eps, seed=0, version=version)
    x_adv, _ = attack.run_standard_evaluation(x, y, batch_size=len(x))
    with torch.no_grad():
        return model(x_adv).argmax(1) == y


@pytest.fixture
def short(monkeypatch):
    """Budgets that take no time, where what is tested does not depend on them."""
    monkeypatch.setattr(ensemble, "STEPS", 20)
    monkeypatch.setattr(ensemble, "PROPOSALS", 100)


# Agreement -----------------------------------------------------------------------------------------------------------


def assert_agrees(network, norm, eps, x, y):
    ours = autoattack(network, x, y, norm=norm, eps=eps)
    theirs = reference_robust(network, x, y, norm, eps)
    assert abs(int((~ours.success).sum()) - int(theirs.sum())) <= max(len(x) // 200, 1)
    assert (BALLS[norm].size(ours.x_adv - x) <= eps * (1 + 1e-5)).all()
    assert ours.x_adv.min() >= 0
    assert ours.x_adv.max() <= 1
    assert torch.equal(verdict(network(ours.x_adv), y) >= 0, ours.success)


@pytest.mark.parametrize(("norm", "eps"), [("linf", EPS), ("l2", 1.2), ("l1", 3.0)])
def test_agrees_with_the_authors_implementation(norm, eps, trained, digits):
    _, _, x, y = digits
    assert_agrees(trained, norm, eps, x[:12], y[:12])


@pytest.mark.release
@pytest.mark.parametrize("network", ["undefended", "trained", "masked"])
@pytest.mark.parametrize(("norm", "eps"), [("linf", EPS), ("linf", 0.1), ("l2", 0.8), ("l1", 2.0)])
def test_agrees_on_200_images(network, norm, eps, digits, request):
    _, _, x, y = digits
    assert_agrees(request.getfixturevalue(network), norm, eps, x[:200], y[:200])


def test_rand_agrees_on_a_model_without_randomness(trained, digits, monkeypatch):
    """There the draws are all alike, so fewer of them change nothing."""
    _, _, x, y = digits
    x, y = x[:50], y[:50]
    model = Expectation(trained, draws=2)
    ours = autoattack(model, x, y, norm="linf", eps=EPS, version="rand")
    attack = pyautoattack.AutoAttack(trained, norm="Linf", eps=EPS, seed=0, version="rand")
    attack.apgd.eot_iter = 2
    x_adv, _ = attack.run_standard_evaluation(x, y, batch_size=50)
    theirs = trained(x_adv).argmax(1) == y
    assert abs(int((~ours.success).sum()) - int(theirs.sum())) <= 1
    assert ours.members == ("apgd-ce", "apgd-dlr")


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.12), ("l2", 0.8), ("l1", 3.0)])
def test_square_alone_is_as_strong_as_the_authors(norm, eps, trained, digits):
    """Both are random searches: their counts differ by chance, over 190 images by a few."""
    _, _, x, y = digits
    right = trained(x[:200]).argmax(1) == y[:200]
    x, y = x[:200][right], y[:200][right]
    theirs = SquareAttack(
        trained, norm=REFERENCE[norm], n_queries=400, eps=eps, seed=0, resc_schedule=False, device="cpu"
    ).perturb(x, y)
    theirs = int((trained(theirs).argmax(1) != y).sum())
    ours = int(run_square(trained, x, y, norm, eps, 400).fooled.sum())
    assert 10 <= theirs <= 190
    assert abs(ours - theirs) <= 12


def run_square(model, x, y, norm, eps, rounds, queries=None):
    queries = Queries(model, y) if queries is None else queries
    rows = torch.arange(len(y))
    images = Images(x, y, rows, torch.zeros_like(y, dtype=torch.bool))
    with frozen(model, x.device):
        found = square.square(
            queries, images, norm=norm, eps=eps, rounds=rounds, generator=torch.Generator().manual_seed(0)
        )
    queries.settle()
    return found


# Closed forms --------------------------------------------------------------------------------------------------------


def smallest_step(w, x, gap, norm):
    """The step of least norm within [0, 1] after which w . x has changed by -gap; one image, by bisection."""
    w, x, gap = w.double().numpy().ravel(), x.double().numpy().ravel(), float(gap)
    w, gap = w / np.abs(w).max(), gap / np.abs(w).max()
    direction = -np.sign(w) * np.sign(gap)
    room = np.where(direction > 0, 1 - x, x) * (w != 0)
    if norm == "l1":
        moved, needed = np.zeros_like(w), abs(gap)
        for i in np.argsort(-np.abs(w)):
            if needed > 0 and w[i] != 0:
                moved[i] = min(room[i], needed / abs(w[i]))
                needed -= moved[i] * abs(w[i])
        return direction * moved
    speed = np.ones_like(w) if norm == "linf" else np.abs(w)
    low, high = 0.0, 1e9
    for _ in range(200):
        t = (low + high) / 2
        low, high = (t, high) if np.abs(w) @ np.minimum(t * speed, room) < abs(gap) else (low, t)
    return direction * np.minimum(high * speed, room)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e8])
def test_projection_onto_a_hyperplane(norm, scale):
    dice = torch.Generator().manual_seed(0)
    points, others = torch.rand(30, 2, 3, 4, generator=dice), torch.rand(30, 2, 3, 4, generator=dice)
    points[:5] = points[:5].round()
    normal = scale * torch.randn(30, 2, 3, 4, generator=dice)
    normal[3:6, :, 0] = 0
    gap = scale * torch.randn(30, generator=dice) * torch.tensor([0.1, 1.0, 3.0, 50.0, 0.0]).repeat(6)
    steps = onto_hyperplane(points, others, normal, gap, norm)
    gap_there = gap.double() + (normal.double() * (others - points).double()).flatten(1).sum(1)
    for found, start, gaps in ((steps[0], points, gap), (steps[1], others, gap_there)):
        for i in range(30):
            best = smallest_step(normal[i], start[i], gaps[i], norm)
            np.testing.assert_allclose(found[i].double().numpy().ravel(), best, atol=2e-4)


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_reaches_the_optimum_of_linear_models(norm, shape, classes, short):
    """Far from the box, class j is reached at a distance of (z_y - z_j) over the dual norm of w_j - w_y."""
    dice = torch.Generator().manual_seed(1)
    weights = torch.randn(classes, math.prod(shape), generator=dice)
    x = 0.4 + 0.2 * torch.rand(16, *shape, generator=dice)

    def model(images):
        return (images - 0.5).flatten(1) @ weights.T

    logits = model(x)
    y = logits.argmax(1)
    between = weights - weights[y].unsqueeze(1)
    order = {"linf": 1, "l2": 2, "l1": math.inf}[norm]
    distance = (logits.max(1, keepdim=True).values - logits) / between.norm(p=order, dim=2)
    distance[torch.arange(16), y] = torch.inf
    nearest = distance.amin(1)
    for share, fooled in ((1.05, True), (0.99, False)):
        for i in range(0, 16, 5):
            result = autoattack(model, x[i : i + 1], y[i : i + 1], norm=norm, eps=share * float(nearest[i]))
            assert bool(result.success) == fooled


def test_bumps_are_those_of_the_authors():
    for norm in ("L2", "L1"):
        theirs = SquareAttack(None, norm=norm, eps=1.0, seed=0, device="cpu")
        for size in (3, 4, 7, 12):
            window = square.two_bumps(size, size, norm.lower())
            reference = theirs.eta(size)
            assert torch.allclose(window, reference) or torch.allclose(window.T, reference)
    for height, width in ((1, 1), (1, 5), (3, 5)):
        assert square.two_bumps(height, width, "l2").square().sum() == pytest.approx(1)


@pytest.mark.parametrize("number", [1, 10, 11, 50, 51, 200, 500, 501, 1000, 1001, 2001, 4001, 4999])
def test_window_sides_are_those_of_the_authors(number):
    theirs = SquareAttack(None, norm="Linf", eps=1.0, resc_schedule=False, device="cpu")
    for pixels in (8, 28, 32):
        expected = max(round(math.sqrt(theirs.p_selection(number) * pixels**2)), 1)
        assert square.side(number, pixels, pixels) == expected


# Promises ------------------------------------------------------------------------------------------------------------


def test_square_takes_the_same_path_without_asking_twice(trained, digits, monkeypatch):
    _, _, x, y = digits
    x, y = x[:40].double(), y[:40]
    trained = copy.deepcopy(trained).double()
    counting = Counting(trained)
    remembering = run_square(counting, x, y, "linf", 0.12, 2000)
    asked = counting.forwards
    monkeypatch.setattr(square, "_MOST_REMEMBERED", 0)
    counting.forwards = 0
    asking = run_square(counting, x, y, "linf", 0.12, 2000)
    assert torch.equal(remembering.fooled, asking.fooled)
    margins = [verdict(trained(found.points), y) for found in (remembering, asking)]
    torch.testing.assert_close(*margins, atol=1e-6, rtol=0)
    assert asked < 0.8 * counting.forwards


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 0.5), ("l1", 1.5)])
def test_square_takes_the_same_path_with_one_proposal_at_a_time(norm, eps, trained, digits, monkeypatch):
    """Up to rounding, which two proposals that are equal to a network can fall to either side of."""
    _, _, x, y = digits
    x, y = x[:12].double(), y[:12]
    trained = copy.deepcopy(trained).double()
    many = run_square(trained, x, y, norm, eps, 600)
    monkeypatch.setattr(square, "_SHOWN_AT_ONCE", 1)
    one = run_square(trained, x, y, norm, eps, 600)
    assert torch.equal(many.fooled, one.fooled)
    torch.testing.assert_close(verdict(trained(many.points), y), verdict(trained(one.points), y), atol=1e-6, rtol=0)
    assert (many.points != x).any()


def test_aiming_at_several_classes_at_once_fools_the_same_images(trained, digits, monkeypatch):
    """Of the members with targets, FAB draws no random numbers."""
    _, _, x, y = digits
    monkeypatch.setattr(ensemble, "MEMBERS", {"standard": ("fab-t",)})
    together = autoattack(trained, x[:12], y[:12], norm="linf", eps=0.12)
    monkeypatch.setattr(ensemble, "_ROOM", 1)
    alone = autoattack(trained, x[:12], y[:12], norm="linf", eps=0.12)
    assert torch.equal(together.success, alone.success)
    assert 0 < together.success.sum() < 12
    for result in (together, alone):
        assert torch.equal(verdict(trained(result.x_adv), y[:12]) >= 0, result.success)


def test_square_asks_a_random_model_again(trained, digits):
    """A refused proposal may be accepted on another draw, so nothing is remembered."""
    _, _, x, y = digits
    x, y = x[:20], y[:20]
    noisy, still = Counting(lambda z: trained(z) + 0 * torch.rand(())), Counting(trained)
    run_square(noisy, x, y, "linf", 0.1, 2000)
    run_square(still, x, y, "linf", 0.1, 2000)
    assert noisy.forwards > 1.1 * still.forwards


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("version", ["standard", "rand"])
def test_counts_are_what_the_model_saw(norm, version, trained, digits, short):
    _, _, x, y = digits
    model = Counting(trained)
    result = autoattack(model, x[:17], y[:17], norm=norm, eps=0.1, version=version, batch=12)
    assert (int(result.forwards.sum()), int(result.backwards.sum())) == (model.forwards, model.backwards)


def test_each_image_is_credited_to_one_member(undefended, digits, short):
    _, _, x, y = digits
    y = y.clone()
    y[:3] = (y[:3] + 1) % 10  # wrong as they are
    result = autoattack(undefended, x[:60], y[:60], norm="linf", eps=0.12)
    assert result.members == ("apgd-ce", "apgd-t", "fab-t", "square")
    assert (result.member[:3] == -1).all()
    assert torch.equal(result.x_adv[:3], x[:3])
    credited = sum(result.fooled_by(name).long() for name in result.members)
    assert torch.equal(credited + (result.member == -1), result.success.long())
    assert result.fooled_by("apgd-ce").any()
    assert torch.equal(result.x_adv[~result.success], x[:60][~result.success])


def test_later_members_get_what_gradients_of_ce_miss(masked, digits):
    """Logits times a thousand: cross-entropy saturates, the difference of logits ratio does not see the factor."""
    _, _, x, y = digits
    result = autoattack(masked, x[:24], y[:24], norm="linf", eps=0.3)
    assert result.success.all()
    assert (result.member >= 1).any()


def test_more_batches_fool_the_same_images(trained, digits, short):
    _, _, x, y = digits
    whole = autoattack(trained, x[:40], y[:40], norm="linf", eps=EPS)
    parts = autoattack(trained, x[:40], y[:40], norm="linf", eps=EPS, batch=17)
    assert abs(int(whole.success.sum()) - int(parts.success.sum())) <= 2


def test_the_generator_decides(trained, digits, short):
    _, _, x, y = digits
    options = {"norm": "l2", "eps": 0.6}
    one = autoattack(trained, x[:20], y[:20], **options, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(7)
    two = autoattack(trained, x[:20], y[:20], **options, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one.x_adv, two.x_adv)
    other = autoattack(trained, x[:20], y[:20], **options, generator=torch.Generator().manual_seed(2))
    assert not torch.equal(one.x_adv, other.x_adv)


def test_rand_judges_by_the_mean_of_many_draws(undefended, digits, short):
    """A model that errs on one draw in ten is right on the whole; a single draw would call it fooled."""
    _, _, x, y = digits
    x, y = x[:30], y[:30]
    right = undefended(x).argmax(1) == y

    def errs(images):
        return undefended(images) * (1 if torch.rand(()) < 0.9 else -1)

    result = autoattack(errs, x, y, norm="linf", eps=0.0, version="rand")
    assert torch.equal(result.success, ~right)


def test_no_images():
    result = autoattack(nn.Flatten(), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), norm="l2", eps=0.1)
    assert result.x_adv.shape == (0, 4)
    assert result.success.dtype == torch.bool


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "plus"}, 'no version "plus"'),
        ({"norm": "Linf"}, 'There is no norm "Linf"'),
        ({"x": torch.full((2, 4), 7.0)}, "normalisation inside the model"),
        ({"eps": -1}, "eps must be"),
        ({"y": torch.tensor([0, 4])}, "the model has 4 classes"),
    ],
    ids=str,
)
def test_mistakes_get_one_sentence(change, says):
    call = {"x": torch.full((2, 4), 0.5), "y": torch.tensor([0, 1]), "norm": "linf", "eps": 0.1} | change
    with pytest.raises(UserError, match=says):
        autoattack(nn.Flatten(), call.pop("x"), call.pop("y"), **call)
