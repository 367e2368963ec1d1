"""The searches beside the white-box core, against closed forms on linear models and against Foolbox."""

import math
import warnings

import pytest
import torch
from small_networks import EPS, adversarially_trained, images, undefended

from bioinspired.attacks import pgd
from bioinspired.attacks.fmn import fmn
from bioinspired.attacks.noise import noise
from bioinspired.attacks.own import square
from bioinspired.attacks.rays import rays
from bioinspired.errors import UserError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox

DUAL = {"linf": 1, "l2": 2, "l1": math.inf}


def lengths(delta, norm):
    return torch.linalg.vector_norm(delta.flatten(1), ord={"linf": math.inf, "l2": 2, "l1": 1}[norm], dim=1)


def linear(shape, n):
    generator = torch.Generator().manual_seed(len(shape))
    weight = torch.randn(math.prod(shape), generator=generator)

    def model(x):
        height = x.flatten(1) @ weight - weight.sum() / 2
        return torch.stack([height, torch.zeros_like(height)], 1)

    x = 0.5 + 0.05 * (torch.rand(n, *shape, generator=generator) - 0.5)
    return model, x, (model(x)[:, 0] < 0).long(), model(x)[:, 0].abs(), weight


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(("shape", "n"), [((20,), 64), ((4, 5), 3), ((3, 2, 3), 1)])
def test_fmn_finds_the_nearest_point_of_a_linear_model(norm, shape, n):
    model, x, y, height, weight = linear(shape, n)
    optimum = height / torch.linalg.vector_norm(weight, ord=DUAL[norm])
    found = fmn(model, x, y, norm=norm)
    assert bool(found.success.all())
    logits = model(found.x_adv)
    assert bool((logits.gather(1, 1 - y[:, None]) >= logits.gather(1, y[:, None])).all())
    ratio = lengths(found.x_adv - x, norm) / optimum
    assert float(ratio.min()) > 0.999
    assert float(ratio.max()) < 1.02
    assert found.forwards.tolist() == found.backwards.tolist() == [100] * n


@pytest.mark.parametrize(
    ("norm", "reference"),
    [("linf", "LInfFMNAttack"), ("l2", "L2CarliniWagnerAttack"), ("l2", "L2DeepFoolAttack"), ("l1", "EADAttack")],
)
def test_fmn_is_as_near_as_foolbox(norm, reference):
    x, y = images(60)
    model = adversarially_trained(0)
    budget = {"steps": 100, "initial_const": 1.0} if reference in ("L2CarliniWagnerAttack", "EADAttack") else {}
    attack = getattr(foolbox.attacks, reference)(**budget)
    theirs, _, success = attack(foolbox.PyTorchModel(model, (0, 1), device="cpu"), x, y, epsilons=None)
    theirs = torch.where(success, lengths(theirs - x, norm), torch.inf)
    found = fmn(model, x, y, norm=norm)
    ours = torch.where(found.success, lengths(found.x_adv - x, norm), torch.inf)
    assert float(ours.median()) <= 1.03 * float(theirs.median())
    assert bool(found.success.all())


def test_an_image_that_is_wrong_already_needs_no_perturbation():
    x, _ = images(20)
    model = undefended(0)
    wrong = (model(x).argmax(1) + 1) % 10
    for found in (
        fmn(model, x, wrong, norm="linf"),
        rays(model, x, wrong, norm="linf", eps=0.1),
        square(model, x, wrong, norm="linf", eps=0.1, rounds=10),
    ):
        assert bool(found.success.all())
        assert torch.equal(found.x_adv, x)


@pytest.mark.parametrize(("shape", "n"), [((16,), 40), ((1, 4, 4), 3), ((16,), 1)])
def test_rays_finds_the_best_signs_of_a_linear_model(shape, n):
    model, x, y, height, weight = linear(shape, n)
    optimum = height / weight.abs().sum()
    eps = 1.05 * float(optimum.max())
    found = rays(model, x, y, norm="linf", eps=eps, steps=200)
    assert bool(found.success.all())
    assert float((lengths(found.x_adv - x, "linf") - eps).max()) <= 1e-6
    below = rays(model, x, y, norm="linf", eps=0.99 * float(optimum.min()), steps=200)
    assert not bool(below.success.any())


def test_rays_uses_answers_only():
    x, y = images(50)
    model = undefended(0)

    def hard(x):
        return torch.nn.functional.one_hot(model(x).argmax(1), 10).float()

    one, other = (rays(asked, x, y, norm="linf", eps=EPS, steps=150) for asked in (model, hard))
    assert torch.equal(one.x_adv, other.x_adv)
    assert int(one.success.sum()) > 25


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_noise_has_full_length_and_keeps_what_fools(norm):
    x = torch.full((50, 3, 4, 4), 0.5)
    eps = {"linf": 0.1, "l2": 0.2, "l1": 0.4}[norm]
    seen = []

    def model(images):
        seen.append(images.clone())
        return torch.stack([torch.zeros(len(images)), images.flatten(1)[:, 0] - 0.5], 1)

    found = noise(model, x, torch.zeros(50, dtype=torch.int64), norm=norm, eps=eps, draws=20)
    for points in seen:
        assert torch.allclose(lengths(points - x, norm), torch.full((50,), eps), rtol=1e-5)
    assert bool(found.success.all())  # each draw fools with probability one half
    assert bool((found.x_adv.flatten(1)[:, 0] >= 0.5).all())
    assert found.backwards.tolist() == [0] * 50


@pytest.mark.parametrize("attack", [rays, square, noise, fmn])
def test_results_are_in_the_ball_and_their_verdict_is_true(attack):
    x, y = images(80)
    model = undefended(1)
    options = {} if attack is fmn else {"eps": 0.1}
    found = attack(model, x, y, norm="linf", **options)
    logits = model(found.x_adv)
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    assert torch.equal(found.success, others >= logits.gather(1, y[:, None])[:, 0])  # a tie is wrong
    assert float(found.x_adv.min()) >= 0
    assert float(found.x_adv.max()) <= 1
    if attack is not fmn:
        assert float(lengths(found.x_adv - x, "linf").max()) <= 0.1 + 1e-6
    assert float(found.success.double().mean()) >= {rays: 0.4, square: 0.3, noise: 0.02, fmn: 1.0}[attack]


def test_randomness_is_the_generators():
    x, y = images(40)
    model = undefended(0)
    for attack in (noise, square):
        runs = [
            attack(model, x, y, norm="linf", eps=0.1, generator=torch.Generator().manual_seed(seed)).x_adv
            for seed in (0, 0, 1)
        ]
        assert torch.equal(runs[0], runs[1])
        assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.5), ("l2", 4.0), ("l1", 30.0)])
def test_square_ends_when_the_last_image_is_fooled(norm, eps):
    weight = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = (x.flatten(1) @ weight).argmax(1)
    found = square(lambda images: images.flatten(1) @ weight, x, y, norm=norm, eps=eps, rounds=1000)
    assert bool(found.success.all())
    assert int(found.forwards.max()) < 1000


def test_square_sees_no_more_than_pgd_on_an_honest_network():
    x, y = images(100)
    model = adversarially_trained(1)
    white = pgd(model, x, y, norm="linf", eps=EPS, steps=100, loss="margin", restarts=3, random_start=True).success
    black = square(model, x, y, norm="linf", eps=EPS, rounds=500).success
    assert int((black & ~white).sum()) <= 3
    assert int(black.sum()) >= 10


def test_no_images_are_no_error_and_mistakes_are_one_sentence():
    x, y = images(3)
    for attack in (rays, square, noise):
        assert len(attack(undefended(0), x[:0], y[:0], norm="linf", eps=0.1).success) == 0
        with pytest.raises(UserError, match="eps"):
            attack(undefended(0), x, y, norm="linf", eps=-1)
        with pytest.raises(UserError, match="norm"):
            attack(undefended(0), x, y, norm="l7", eps=0.1)
    assert len(fmn(undefended(0), x[:0], y[:0], norm="l2").success) == 0
    with pytest.raises(UserError, match="steps"):
        fmn(undefended(0), x, y, norm="l2", steps=0)
