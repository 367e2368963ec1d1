"""Other libraries' attacks leave nothing changed, also when they raise, and are judged by this library's rules."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bioinspired.attacks import catalogue
from bioinspired.attacks.external.guard import guarded, within
from bioinspired.errors import UserError

CHANGING = [  # attacks that are known to seed, to accumulate gradients, or to switch modes
    ("torchattacks.FGSM", "linf"),
    ("torchattacks.APGD", "linf"),
    ("torchattacks.FAB", "l2"),
    ("torchattacks.CW", "l2"),
    ("torchattacks.DeepFool", "l2"),
    ("torchattacks.EADL1", "l1"),
    ("torchattacks.JSMA", "l0"),
    ("torchattacks.SparseFool", "l0"),
    ("torchattacks.OnePixel", "l0"),
    ("torchattacks.Pixle", "l0"),
    ("torchattacks.PIFGSM", "linf"),
    ("foolbox.ProjectedGradientDescent", "linf"),
    ("foolbox.CarliniWagner", "l2"),
    ("foolbox.Pointwise", "l0"),
    ("foolbox.GenAttack", "linf"),
    ("foolbox.RepeatedAdditiveGaussianNoise", "l2"),
]


@pytest.fixture
def model():
    """A training model with a frozen BatchNorm, a frozen weight, dropout, and gradients that are waiting for a step."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(4 * 12 * 12, 10),
        )
    network.train()
    network[1].eval()
    network[0].bias.requires_grad_(False)
    F.cross_entropy(network(torch.rand(8, 3, 12, 12)), torch.arange(8)).backward()
    return network


@pytest.fixture
def batch(model):
    x = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    model.eval()
    y = model(x).argmax(1).detach()
    model.train()
    model[1].eval()
    return x, y


def state(model):
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    return {
        "modes": [module.training for module in model.modules()],
        "wanted": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [id(parameter.grad) for parameter in model.parameters()],
        "values": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "tensors": list(tensors.values()),
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].copy(),
        "place": np.random.get_state()[2],
        "python": random.getstate(),
    }


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def changed(before, after):
    return [name for name in before if not same(before[name], after[name])]


@pytest.mark.filterwarnings("ignore:.* is known to be wrong")
@pytest.mark.parametrize(("name", "norm"), CHANGING)
def test_nothing_is_left_changed(model, batch, name, norm):
    x, y = batch
    before, images = state(model), x.clone()
    result = catalogue.run(name, model, x, y, norm=norm, eps={"linf": 0.1, "l2": 1.0, "l1": 5.0, "l0": 20}[norm])
    assert changed(before, state(model)) == []
    assert torch.equal(x, images)
    assert not result.x_adv.requires_grad
    assert result.x_adv.grad_fn is None
    assert result.x_adv.device == x.device


def vandal(error):
    """An attack that changes all there is to change, and then raises."""

    def attack(adapter, x, y, task):
        torch.manual_seed(123)
        np.random.seed(123)
        random.seed(123)
        adapter.train()
        for module in adapter.model.modules():
            module.training = not module.training
        for parameter in adapter.model.parameters():
            parameter.requires_grad_(True)
        F.cross_entropy(adapter(x), y).backward()
        raise error

    return attack


@pytest.mark.parametrize(
    "error", [ValueError("no good"), KeyboardInterrupt(), torch.OutOfMemoryError("full"), AssertionError()]
)
def test_nothing_is_left_changed_by_an_attack_that_raises(model, batch, error):
    before = state(model)
    ours = isinstance(error, (ValueError, AssertionError))
    with pytest.raises(UserError if ours else type(error)):
        guarded(vandal(error), model, *batch, name="vandal", norm="linf", eps=0.1)
    assert changed(before, state(model)) == []


def test_a_foreign_error_becomes_one_sentence(model, batch):
    with pytest.raises(UserError) as caught:
        guarded(vandal(ValueError("no good\nat all")), model, *batch, name="vandal", norm="linf", eps=0.1)
    assert str(caught.value).count("\n") == 0
    assert "vandal" in str(caught.value)
    assert "no good" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_attack_sees_an_eval_model_without_parameter_gradients(model, batch):
    seen = {}

    def attack(adapter, x, y, task):
        seen["training"] = [module.training for module in adapter.modules()]
        seen["wanted"] = [parameter.requires_grad for parameter in adapter.parameters()]
        seen["shape"], seen["task"] = x.shape, task
        x.mul_(0)  # what it does to its copy is its own business
        return x

    with torch.no_grad():
        guarded(attack, model, *batch, name="look", norm="l2", eps=0.5)
    assert not any(seen["training"])
    assert not any(seen["wanted"])
    assert (seen["task"].norm, seen["task"].eps, seen["task"].classes) == ("l2", 0.5, 10)


def test_randomness_comes_from_the_generator(model, batch):
    def attack(adapter, x, y, task):
        return torch.rand_like(x) * float(np.random.rand()) * random.random()

    def run(seed):
        dice = None if seed is None else torch.Generator().manual_seed(seed)
        return guarded(attack, model, *batch, name="dice", norm="linf", eps=1.0, generator=dice).x_adv

    assert torch.equal(run(1), run(1))
    assert torch.equal(run(None), run(None))
    assert not torch.equal(run(1), run(2))


def test_only_correctly_answered_images_are_attacked_and_the_verdict_is_our_own(model, batch):
    x, y = batch
    y = y.clone()
    y[:2] = (y[:2] + 1) % 10
    seen = []

    def attack(adapter, x, y, task):
        seen.append(len(x))
        return x  # claims nothing, changes nothing

    result = guarded(attack, model, x, y, name="idle", norm="linf", eps=0.1)
    assert seen == [4]
    assert result.success.tolist() == [True, True, False, False, False, False]
    assert result.backwards.tolist() == [0] * 6


def test_what_comes_back_is_finite_in_the_box_and_in_the_ball(model, batch):
    x, y = batch

    def attack(adapter, x, y, task):
        far = (x + 5).double()
        far[0] = torch.nan
        return far.requires_grad_()

    result = guarded(attack, model, x, y, name="far", norm="linf", eps=0.1)
    assert torch.equal(result.x_adv[0], x[0])
    assert torch.allclose(result.x_adv[1:], (x[1:] + 0.1).clamp(max=1), atol=1e-6)
    assert result.x_adv.dtype == x.dtype
    assert not result.x_adv.requires_grad


def test_passes_are_counted_per_image(model, batch):
    def attack(adapter, x, y, task):
        x = x.requires_grad_()
        for _ in range(3):
            torch.autograd.grad(adapter(x).sum(), x)
        adapter(x[:2])
        return x

    result = guarded(attack, model, *batch, name="three", norm="linf", eps=0.1)
    assert result.backwards.tolist() == [3] * 6
    assert result.forwards.tolist() == [1 + 3 + 1 + 1] * 6  # first look, three steps, two images more, last look


@pytest.mark.parametrize("shape", [(16,), (10,), (4, 6), (1, 5, 5), (3, 4, 4)])
def test_images_of_any_shape_are_shown_as_channels_height_and_width(shape):
    size = int(torch.tensor(shape).prod())
    weight = torch.randn(size, 3, generator=torch.Generator().manual_seed(0))
    x = torch.rand(5, *shape, generator=torch.Generator().manual_seed(1))

    def model(images):
        assert images.shape[1:] == shape
        return images.flatten(1) @ weight

    y = model(x).argmax(1)
    found = {name: catalogue.run(name, model, x, y, norm="linf", eps=0.2) for name in ("torchattacks.FGSM", "fgsm")}
    assert torch.equal(found["torchattacks.FGSM"].success, found["fgsm"].success)
    assert found["torchattacks.FGSM"].x_adv.shape == x.shape


def test_a_video_is_shown_as_one_tall_image():
    seen = []

    def attack(adapter, x, y, task):
        seen.append(x.shape[1:])
        return x

    x, y = torch.zeros(2, 3, 2, 4, 5), torch.tensor([0, 0])
    x[:, 0, 0, 0, 0] = 1
    found = guarded(attack, lambda x: x.flatten(1), x, y, name="a", norm="linf", eps=1)
    assert (seen, found.x_adv.shape) == ([(3, 8, 5)], x.shape)


@pytest.mark.parametrize(
    ("norm", "eps", "expected"),
    [
        ("linf", 0.25, [0.25, -0.25, 0.0, 0.0]),
        ("l2", 0.25, [0.15, -0.2, 0.0, 0.0]),
        ("l1", 0.35, [0.15, -0.2, 0.0, 0.0]),
        ("l0", 1, [0.0, 0.0, 0.0, 0.0]),
        ("l0", 2, [0.3, -0.4, 0.0, 0.0]),
        ("l2", 0.5, [0.3, -0.4, 0.0, 0.0]),
    ],
)
def test_the_way_back_into_the_ball(norm, eps, expected):
    x = torch.full((1, 4), 0.5)
    delta = torch.tensor([[0.3, -0.4, 0.0, 0.0]])
    assert torch.allclose(within(x + delta, x, norm, eps) - x, torch.tensor([expected]), atol=1e-6)


def test_images_and_labels_are_checked(model, batch):
    x, y = batch
    for images, labels, words in ((x * 255, y, "normalisation"), ((x * 255).byte(), y, "255"), (x, y[:3], "label")):
        with pytest.raises(UserError, match=words):
            catalogue.run("torchattacks.FGSM", model, images, labels, norm="linf", eps=0.1)
