"""The layer against loops in NumPy, its gain against Monte Carlo, and its insertion into networks of other makers."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from scipy import signal
from torch import Tensor, nn

from bioinspired.defenses import weight_map
from bioinspired.defenses.weight_map import KERNELS, WeightMap
from bioinspired.errors import UserError

COUPLINGS = ("own", "all", "shared")
ENTRIES = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "box_mean": np.ones((3, 3)) / 9,
    "box_sum": np.ones((3, 3)),
    "neighbours": [[1, 1, 1], [1, 0, 1], [1, 1, 1]],
    "unsharp": 2 * np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]) - np.ones((3, 3)) / 9,
    "edge": np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]) - np.ones((3, 3)) / 9,
    "laplacian": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
}


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer(kernel: str, coupling: str = "own", *, shape: tuple[int, int, int] = (3, 5, 4), **options: str) -> WeightMap:
    weight = weight_map.draw(shape, coupling=coupling, init=options.pop("init", "normal"), generator=dice())
    entries = torch.tensor(np.array(ENTRIES[kernel]), dtype=torch.float32)
    return WeightMap(entries, weight, coupling=coupling, channels=shape[0], **options)


def small() -> nn.Sequential:
    """Two convolutions and a linear layer: 1x8x8 images, 4 logits."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 2, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(), nn.Flatten(), nn.Linear(32, 4))


# The layer


def test_every_kernel_has_the_entries_of_its_formula() -> None:
    assert set(KERNELS) == set(ENTRIES)
    for name, kernel in KERNELS.items():
        np.testing.assert_allclose(kernel.entries().numpy(), ENTRIES[name], atol=1e-6)
        assert kernel.white == pytest.approx(np.sum(np.square(ENTRIES[name])))
        assert kernel.flat == pytest.approx(np.sum(ENTRIES[name]) ** 2, abs=1e-12)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("kernel", ENTRIES)
def test_forward_is_the_sum_that_the_equation_writes(kernel: str, coupling: str) -> None:
    module = layer(kernel, coupling)
    x = torch.randn(2, 3, 5, 4, generator=dice(1))
    W, K = module.weight.detach().numpy(), np.array(ENTRIES[kernel])
    expected = np.zeros((2, 3, 5, 4))
    for image in range(2):
        for o in range(3):
            if coupling == "all":
                z = sum(W[o, c] * x[image, c].numpy() for c in range(3))
            else:
                z = (W[0, o] if coupling == "own" else W[0, 0]) * x[image, o].numpy()
            expected[image, o] = signal.correlate2d(z, K, mode="same")
    np.testing.assert_allclose(module(x).detach().numpy(), expected, atol=1e-5)


def test_a_learned_kernel_is_one_for_each_channel_and_starts_at_the_fixed_one() -> None:
    fixed, learned = layer("unsharp"), layer("unsharp", learns="both")
    x = torch.randn(2, 3, 5, 4, generator=dice(1))
    assert torch.equal(fixed(x), learned(x))
    assert learned.kernel.shape == (3, 1, 3, 3)
    with torch.no_grad():
        learned.kernel[1] *= 2
    torch.testing.assert_close(learned(x)[:, 1], 2 * fixed(x)[:, 1])
    assert torch.equal(learned(x)[:, 0], fixed(x)[:, 0])


@pytest.mark.parametrize(
    ("learns", "names"),
    [("map", {"weight"}), ("kernel", {"kernel"}), ("both", {"weight", "kernel"}), ("nothing", set())],
)
def test_parameters_are_what_is_learned_and_the_rest_is_saved(learns: str, names: set[str]) -> None:
    module = layer("unsharp", learns=learns)
    assert {name for name, _ in module.named_parameters()} == names
    assert set(module.state_dict()) == {"weight", "kernel"}


# The gain


@pytest.mark.parametrize("correlation", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("kernel", ["identity", "box_sum", "unsharp", "edge", "laplacian"])
def test_closed_form_gain_is_what_monte_carlo_sees(kernel: str, coupling: str, correlation: float) -> None:
    module = layer(kernel, coupling, init="uniform")
    draws = np.random.default_rng(0)
    own, common = draws.standard_normal((40_000, 3, 5, 4)), draws.standard_normal((40_000, 3, 1, 1))
    x = 3 * (np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common)
    with torch.no_grad():
        y = module(torch.tensor(x, dtype=torch.float32)).numpy()
    # The relative error of a variance over 40,000 draws is 0.7 %: five of them.
    np.testing.assert_allclose(module.gain(correlation).numpy(), y.var(0) / 9, rtol=0.035, atol=1e-6)


@pytest.mark.parametrize("name", ENTRIES)
def test_gain_of_the_kernel_alone_is_the_one_in_its_table(name: str) -> None:
    module = layer(name, shape=(2, 7, 7), init="ones")
    inside = (slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(module.gain()[inside], torch.full((2, 5, 5), float(KERNELS[name].white)))
    torch.testing.assert_close(
        module.gain(1.0)[inside], torch.full((2, 5, 5), float(KERNELS[name].flat)), atol=1e-5, rtol=0
    )


def test_gain_of_a_scaled_map_is_scaled_by_its_square() -> None:
    models = [weight_map.apply(small(), input_shape=(1, 8, 8), scale=s, generator=dice()) for s in ((1.0,), (0.5, 3.0))]
    plain, scaled = (list(weight_map.layers(model).values()) for model in models)
    torch.testing.assert_close(scaled[0].gain(), 0.25 * plain[0].gain())
    torch.testing.assert_close(scaled[1].gain(0.3), 9 * plain[1].gain(0.3))


@pytest.mark.parametrize(
    ("init", "mean", "deviation"), [("ones", 1, 0), ("normal", 1, 0.1), ("uniform", 0, 3**-0.5), ("glorot", 0, None)]
)
def test_initial_maps_have_the_moments_of_their_law(init: str, mean: float, deviation: float | None) -> None:
    weight = weight_map.draw((16, 20, 20), init=init, generator=dice()).numpy()
    if deviation is None:  # fans of [1, 16, 20, 20]: 16 * 400 in, 400 out
        deviation = np.sqrt(2 / (16 * 400 + 400))
    assert weight.shape == (1, 16, 20, 20)
    assert weight.mean() == pytest.approx(mean, abs=5 * deviation / 80 + 1e-7)
    assert weight.std() == pytest.approx(deviation, rel=0.05)


def test_with_all_channels_coupled_each_starts_with_itself() -> None:
    weight = weight_map.draw((4, 10, 10), coupling="all", generator=dice())
    means = weight.mean((2, 3)).numpy()
    np.testing.assert_allclose(means, np.eye(4), atol=0.06)
    assert torch.equal(weight_map.draw((4, 2, 2), coupling="all", init="ones")[:, :, 0, 1], torch.eye(4))


# Into a network


def test_layers_stand_between_convolution_and_activation() -> None:
    model = weight_map.apply(small(), input_shape=(1, 8, 8), generator=dice())
    plain = small()
    x = torch.rand(2, 1, 8, 8, generator=dice(1))
    first, second = weight_map.layers(model).values()
    expected = plain[5:](plain[4](second(plain[3](plain[2](plain[1](first(plain[0](x))))))))
    torch.testing.assert_close(model(x), expected)
    assert [tuple(one.weight.shape) for one in (first, second)] == [(1, 3, 8, 8), (1, 2, 4, 4)]


def test_layers_stand_behind_the_activations_when_asked() -> None:
    model = weight_map.apply(small(), input_shape=(1, 8, 8), place="after", where="first", generator=dice())
    plain = small()
    x = torch.rand(2, 1, 8, 8, generator=dice(1))
    (only,) = weight_map.layers(model).values()
    torch.testing.assert_close(model(x), plain[2:](only(plain[1](plain[0](x)))))


def test_the_identity_with_ones_changes_nothing_and_a_scale_is_a_constant_gain() -> None:
    x = torch.rand(2, 1, 8, 8, generator=dice(1))
    options = {"kernel": "identity", "init": "ones", "learns": "nothing", "input_shape": (1, 8, 8)}
    torch.testing.assert_close(weight_map.apply(small(), **options)(x), small()(x))
    amplified = weight_map.apply(small(), **options, scale=(2.0, 1.0))
    expected = copy.deepcopy(small())
    with torch.no_grad():
        for parameter in expected[0].parameters():
            parameter *= 2
    torch.testing.assert_close(amplified(x), expected(x))
    assert sum(p.numel() for p in amplified.parameters()) == sum(p.numel() for p in expected.parameters())


@pytest.mark.parametrize(("coupling", "extra"), [("own", 224), ("all", 9 * 64 + 4 * 16), ("shared", 64 + 16)])
def test_extra_weights_are_as_many_as_the_coupling_says(coupling: str, extra: int) -> None:
    before = sum(p.numel() for p in small().parameters())
    model = weight_map.apply(small(), input_shape=(1, 8, 8), coupling=coupling, generator=dice())
    assert sum(p.numel() for p in model.parameters()) - before == extra


def test_torchvisions_resnet_gets_a_layer_behind_every_large_convolution() -> None:
    model = torchvision.models.resnet18(num_classes=5)
    weight_map.apply(model, input_shape=(3, 64, 64), generator=dice())
    added = weight_map.layers(model)
    assert len(added) == 17  # the three 1x1 projections have none
    assert added["conv1.weight_map"].weight.shape == (1, 64, 32, 32)
    assert added["layer4.1.conv2.weight_map"].weight.shape == (1, 512, 2, 2)
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    assert all(module.training for module in model.modules())


def test_the_same_generator_gives_the_same_maps_and_weights_can_be_loaded() -> None:
    one, other, third = (weight_map.apply(small(), input_shape=(1, 8, 8), generator=dice(seed)) for seed in (3, 3, 4))
    x = torch.rand(2, 1, 8, 8, generator=dice(1))
    assert torch.equal(one(x), other(x))
    assert not torch.equal(one(x), third(x))
    third.load_state_dict(one.state_dict())
    assert torch.equal(one(x), third(x))


def test_the_layer_does_not_commute_with_translations() -> None:
    x: Tensor = torch.rand(1, 3, 5, 4, generator=dice(1))
    x[:, :, 0] = 0
    moved = x.roll(-1, 2)
    module, without = layer("unsharp"), layer("unsharp", init="ones")
    inside = (slice(None), slice(None), slice(1, 3))
    torch.testing.assert_close(without(moved)[inside], without(x).roll(-1, 2)[inside])
    assert not torch.allclose(module(moved)[inside], module(x).roll(-1, 2)[inside], atol=1e-2)


# Mistakes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel": "sharp"}, "kernel"),
        ({"coupling": "B"}, "coupling"),
        ({"init": "zeros"}, "init"),
        ({"learns": "all"}, "learns"),
        ({"place": "behind"}, "place"),
        ({"scale": (1.0, 1.0, 1.0)}, "2 layers"),
        ({"input_shape": (8, 8)}, "input_shape"),
        ({"input_shape": (3, 8, 8)}, "cannot be run"),
    ],
)
def test_what_does_not_exist_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        weight_map.apply(small(), **({"input_shape": (1, 8, 8)} | options))


def test_networks_without_a_place_for_a_map_are_refused() -> None:
    with pytest.raises(UserError, match="no convolution"):
        weight_map.apply(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), input_shape=(1, 8, 8))
    with pytest.raises(UserError, match="more than once"):
        weight_map.apply(torchvision.models.resnet18(), input_shape=(3, 64, 64), place="after")
    with pytest.raises(UserError, match="already"):
        weight_map.apply(weight_map.apply(small(), input_shape=(1, 8, 8)), input_shape=(1, 8, 8))
    model = weight_map.apply(small(), input_shape=(1, 8, 8))
    with pytest.raises(UserError, match="3x8x8"):
        model(torch.rand(1, 1, 12, 12))
