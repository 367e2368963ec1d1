"""Masks are counted, placed and kept as the papers say; checked against arithmetic and forwards written out here."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from bioinspired import networks
from bioinspired.declarations import Architecture
from bioinspired.defenses import defective_conv
from bioinspired.defenses.defective_conv import Defect
from bioinspired.errors import UserError


def network(name: str = "resnet18", width: int = 4, size: int = 16, seed: int = 0) -> nn.Module:
    """A network whose batch normalisation has seen data, so that its parts are not alike."""
    generator = torch.Generator().manual_seed(seed)
    model = networks.build(
        Architecture(name=name, width=width),
        classes=10,
        channels=3,
        size=size,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        generator=generator,
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, 0.1, 1, generator=generator)
            nn.init.uniform_(module.running_mean, -0.5, 0.5, generator=generator)
            nn.init.uniform_(module.running_var, 0.5, 2, generator=generator)
    return model.eval()


def defective(model: nn.Module, seed: int = 0, **options: object) -> nn.Module:
    options = {"keep": 0.3, "input_shape": (3, 16, 16)} | options
    return defective_conv.apply(model, **options, generator=torch.Generator().manual_seed(seed))


def masks(model: nn.Module) -> dict[str, Tensor]:
    return {name: module.mask for name, module in model.named_modules() if isinstance(module, Defect)}


def images(n: int = 4, size: int = 16) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(9))


# How many, and where


@pytest.mark.parametrize("keep", ["0.7", "0.5", "0.3", "0.25", "0.2", "0.15", "0.1", "0.05", "0.9", "1"])
@pytest.mark.parametrize("shape", [(64, 32, 32), (3, 5, 7), (8, 10, 10)])
def test_exact_count_of_zeros_over_the_layer(keep: str, shape: tuple[int, int, int]) -> None:
    mask = defective_conv.draw(shape, keep=float(keep), generator=torch.Generator().manual_seed(0))
    hundredths = 100 - round(100 * float(keep))
    assert mask.dtype == torch.bool
    assert mask.shape == (1, *shape)
    assert int((~mask).sum()) == hundredths * shape[0] * shape[1] * shape[2] // 100


def test_the_stem_of_the_published_network_keeps_6554_neurons() -> None:
    assert int(defective_conv.draw((64, 32, 32), keep=0.1).sum()) == 6_554


def test_counts_within_a_channel_are_hypergeometric() -> None:
    """2,000 masks of 4 channels of 6 x 6, keep 0.25: of 144 neurons 36 survive; each channel draws 36 of them."""
    generator = torch.Generator().manual_seed(5)
    counts = [defective_conv.draw((4, 6, 6), keep=0.25, generator=generator).sum((0, 2, 3)) for _ in range(2_000)]
    first = torch.stack(counts)[:, 0].numpy()
    law = stats.hypergeom(144, 36, 36)
    edges = np.arange(5, 14)
    observed = [np.sum(first <= 5), *[np.sum(first == k) for k in edges[1:-1]], np.sum(first >= 13)]
    expected = 2_000 * np.array([law.cdf(5), *law.pmf(edges[1:-1]), law.sf(12)])
    assert stats.chisquare(observed, expected).pvalue > 1e-3
    binomial = 36 * 0.25 * 0.75  # what independent draws for each neuron would vary by
    assert first.var() < 0.85 * binomial
    assert first.var() == pytest.approx(law.var(), rel=0.1)


def test_every_neuron_has_the_same_chance() -> None:
    generator = torch.Generator().manual_seed(6)
    kept = sum(defective_conv.draw((2, 3, 4), keep=0.5, generator=generator).long() for _ in range(3_000))
    assert stats.chisquare(kept.flatten().numpy()).pvalue > 1e-3


def test_masks_of_one_seed_are_nested_and_of_two_seeds_differ() -> None:
    draws = [
        defective_conv.draw((8, 9, 9), keep=keep, generator=torch.Generator().manual_seed(1))
        for keep in (0.1, 0.3, 0.5)
    ]
    for fewer, more in itertools.pairwise(draws):
        assert not (fewer & ~more).any()
    other = defective_conv.draw((8, 9, 9), keep=0.5, generator=torch.Generator().manual_seed(2))
    assert 0.4 < (other == draws[2]).float().mean() < 0.6


def test_a_shared_mask_is_one_for_all_channels() -> None:
    mask = defective_conv.draw((8, 9, 9), keep=0.3, shared=True, generator=torch.Generator().manual_seed(1))
    assert mask.shape == (1, 8, 9, 9)
    assert (mask == mask[:, :1]).all()
    assert int((~mask[0, 0]).sum()) == 56  # int(0.7 * 81)
    assert mask.is_contiguous()
    different = defective_conv.draw((8, 9, 9), keep=0.3, generator=torch.Generator().manual_seed(1))
    assert (different != different[:, :1]).any()


# Placement: the table of the specification, for the published shapes

STAGES = {1: (64, 32, 32), 2: (128, 16, 16), 3: (256, 8, 8), 4: (512, 4, 4)}


@pytest.mark.parametrize(
    ("where", "expected"),
    [("bottom", [STAGES[1]] * 5 + [STAGES[2]] * 5), ("top", [STAGES[3]] * 5 + [STAGES[4]] * 5)],
)
def test_resnet18_has_ten_masks_at_the_bottom_and_ten_at_the_top(
    where: str, expected: list[tuple[int, int, int]]
) -> None:
    found = masks(defective(network(width=64, size=32), where=where, input_shape=(3, 32, 32), keep=0.1))
    assert [tuple(mask.shape[1:]) for mask in found.values()] == expected
    assert sum(mask.numel() for mask in found.values()) == (491_520 if where == "bottom" else 122_880)


def test_both_is_bottom_and_top_and_two_calls_may_differ() -> None:
    both = masks(defective(network(), where="both"))
    bottom, top = masks(defective(network(), where="bottom")), masks(defective(network(), where="top"))
    assert list(both) == list(bottom) + list(top)
    twice = masks(defective(defective(network(), keep=0.7, where="bottom"), keep=0.3, where="top"))
    assert list(twice) == list(both)
    shares = [mask.float().mean() for mask in twice.values()]
    assert torch.allclose(torch.stack(shares), torch.tensor([0.7] * 10 + [0.3] * 10), atol=0.01)


def test_shortcuts_projection_masked_identity_not() -> None:
    names = set(masks(defective(network(), where="both")))
    assert {name for name in names if "downsample" in name} == {
        f"network.layer{k}.0.downsample.1.defect" for k in (2, 3, 4)
    }


def test_vgg_masks_lie_before_the_second_pooling() -> None:
    found = masks(defective(network("vgg19", 64, 32), input_shape=(3, 32, 32)))
    assert [tuple(mask.shape[1:]) for mask in found.values()] == [STAGES[1]] * 2 + [STAGES[2]] * 2
    assert len(masks(defective(network("vgg19", 4, 16), where="top"))) == 12
    assert len(masks(defective(network("vgg", 4, 16), where="both"))) == 8


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("resnet18", 64, [(64, 32, 32)] + [(64, 16, 16)] * 4 + [(128, 8, 8)] * 5),
        ("resnet50", 32, [(64, 16, 16)] + [(64, 8, 8)] * 3 + [(128, 4, 4)] * 4),
        ("vgg19_bn", 32, [(64, 32, 32)] * 2 + [(128, 16, 16)] * 2),
    ],
)
def test_torchvision_networks_in_one_call(name: str, size: int, expected: list[tuple[int, int, int]]) -> None:
    with torch.device("meta"):  # a VGG's 120 million weights behind its maps are never made
        model = getattr(torchvision.models, name)(num_classes=10)
    if name.startswith("vgg"):
        model.classifier = nn.Identity()
    model.to_empty(device="cpu").eval()
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            module.reset_parameters()
    x = images(2, size)
    before, weights = model(x), {key: value.clone() for key, value in model.state_dict().items()}
    assert defective(model, keep=0.5, input_shape=(3, size, size)) is model
    assert [tuple(mask.shape[1:]) for mask in masks(model).values()] == expected
    after = {key.replace(".layer.", "."): value for key, value in model.state_dict().items() if "mask" not in key}
    assert list(after) == list(weights)
    assert all(torch.equal(after[key], weights[key]) for key in weights)
    assert not torch.allclose(model(x), before)


def test_modules_chosen_by_name() -> None:
    model = torchvision.models.densenet121(num_classes=10).eval()
    names = ["features.norm0", "features.denseblock1.denselayer1.conv1"]
    defective(model, where=names, input_shape=(3, 32, 32))
    assert list(masks(model)) == [f"{name}.defect" for name in names]
    nested = defective(network(), where=["network.layer1.0", "network.layer1.0.bn1"])
    assert set(masks(nested)) == {"network.layer1.0.defect", "network.layer1.0.layer.bn1.defect"}


# What the masked network computes


def bn(z: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    scale = layer.weight / torch.sqrt(layer.running_var + layer.eps)
    return z * scale[:, None, None] + (layer.bias - layer.running_mean * scale)[:, None, None]


def by_hand(model: nn.Module, x: Tensor, masks: list[Tensor], *, after_addition: bool = False, c: float = 0) -> Tensor:
    """ResNet-18 with masks at the bottom, equation by equation; the masks in the network's order."""
    net = model.network
    left = list(masks)

    def mask(z: Tensor) -> Tensor:
        m = left.pop(0).float()
        return m * z + (1 - m) * c

    def block(x: Tensor, b: nn.Module, stride: int, masked: bool) -> Tensor:
        z = bn(functional.conv2d(x, b.conv1.weight, stride=stride, padding=1), b.bn1)
        y = functional.relu(mask(z) if masked else z)
        z = bn(functional.conv2d(y, b.conv2.weight, padding=1), b.bn2)
        branch = mask(z) if masked and not after_addition else z
        if b.downsample is not None:
            x = bn(functional.conv2d(x, b.downsample[0].weight, stride=stride), b.downsample[1])
            x = mask(x) if masked and not after_addition else x
        y = functional.relu(branch + x)
        return mask(y) if masked and after_addition else y

    x = (x - 0.5) / 0.25
    x = functional.relu(mask(bn(functional.conv2d(x, net.conv1.weight, padding=1), net.bn1)))
    for k in (1, 2, 3, 4):
        for i, b in enumerate(getattr(net, f"layer{k}")):
            x = block(x, b, 2 if k > 1 and i == 0 else 1, masked=k <= 2)
    assert not left
    return functional.linear(x.mean((2, 3)), net.fc.weight, net.fc.bias)


@pytest.mark.parametrize("constant", [0.0, 0.7])
@pytest.mark.parametrize("after_addition", [False, True])
def test_forward_equals_the_one_written_out(constant: float, after_addition: bool) -> None:
    plain = network()
    model = defective(copy.deepcopy(plain), keep=0.5, constant=constant, after_addition=after_addition)
    order = [name.removesuffix(".defect").replace(".layer.", ".") for name in masks(model)]
    assert len(order) == (9 if after_addition else 10)
    x = images()
    expected = by_hand(plain, x, list(masks(model).values()), after_addition=after_addition, c=constant)
    assert torch.allclose(model(x), expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(model(x), plain(x), atol=1e-2)


def outputs(model: nn.Module, name: str, x: Tensor) -> Tensor:
    """What a module gives inside the network."""
    seen: list[Tensor] = []
    hook = model.get_submodule(name).register_forward_hook(lambda _module, _input, output: seen.append(output.clone()))
    model(x)
    hook.remove()
    return seen[0]


def test_defective_neurons_are_constant_for_any_image_and_others_are_not() -> None:
    for constant in (0.0, -1.5):
        model = defective(network(), constant=constant)
        x = torch.cat([images(3), torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16), 100 * images(1)])
        for name, mask in masks(model).items():
            z = outputs(model, name.removesuffix(".defect"), x)
            assert (z[:, ~mask[0]] == constant).all()
            assert (z[:, mask[0]].std(0) > 0).float().mean() > 0.9


def test_after_the_addition_of_an_identity_shortcut_they_carry_the_shortcut() -> None:
    model = defective(network())
    hidden = ~model.network.layer1[1].bn2.defect.mask[0]
    entering, leaving = outputs(model, "network.layer1.0", images()), outputs(model, "network.layer1.1", images())
    assert torch.equal(leaving[:, hidden], entering[:, hidden])
    assert leaving[:, hidden].std(0).max() > 0.1
    moved = defective(network(), after_addition=True)
    constant = ~moved.network.layer1[1].defect.mask[0]
    assert (outputs(moved, "network.layer1.1", images())[:, constant] == 0).all()


def test_statistics_of_batch_normalisation_are_those_of_the_unmasked_maps() -> None:
    plain = network().train()
    model = defective(copy.deepcopy(plain))
    plain(images()), model(images())
    masked, free = model.network.bn1.layer, plain.network.bn1
    assert torch.equal(masked.running_mean, free.running_mean)
    assert torch.equal(masked.running_var, free.running_var)


def test_no_gradient_passes_a_defective_neuron() -> None:
    z = torch.randn(2, 3, 4, 4, requires_grad=True)
    mask = defective_conv.draw((3, 4, 4), keep=0.5, generator=torch.Generator().manual_seed(0))
    Defect(mask)(z).sum().backward()
    assert torch.equal(z.grad, mask.float().expand(2, 3, 4, 4))
    infinite = Defect(mask)(torch.full((1, 3, 4, 4), torch.inf))
    assert torch.isfinite(infinite[~mask]).all()


def test_the_controls_switch_the_mask_off() -> None:
    plain, x = network(), images()
    train_only = defective(copy.deepcopy(plain), keep=0.5, train_only=True)
    assert torch.equal(train_only.eval()(x), plain.eval()(x))
    assert not torch.equal(train_only.train()(x), copy.deepcopy(plain).train()(x))
    test_only = defective(copy.deepcopy(plain), keep=0.5, test_only=True).train()
    assert torch.equal(test_only(x), plain.train()(x))
    z = torch.randn(1, 4, 16, 16)
    defect = test_only.eval().network.bn1.defect
    assert torch.equal(defect(z), torch.where(defect.mask, 2 * z, 0.0))


# Buffers


@pytest.mark.parametrize("options", [{}, {"shared": True}, {"after_addition": True}], ids=str)
def test_masks_are_saved_with_the_weights(options: dict[str, bool], tmp_path: Path) -> None:
    model = defective(network(seed=1), **options, seed=1)
    x = images()
    expected = model(x)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")  # refuses tensors that share memory
    for state in (model.state_dict(), load_file(tmp_path / "weights.safetensors")):
        other = defective(network(seed=2), **options, seed=2)
        assert not torch.equal(other(x), expected)
        other.load_state_dict(state)
        assert torch.equal(other(x), expected)
        assert all(torch.equal(a, b) for a, b in zip(masks(model).values(), masks(other).values(), strict=True))


def test_a_deep_copy_owns_its_masks() -> None:
    model = defective(network())
    other = copy.deepcopy(model)
    assert torch.equal(other(images()), model(images()))
    other.network.bn1.defect.mask.zero_()
    assert model.network.bn1.defect.mask.any()
    drawn = defective_conv.draw((2, 3, 3), keep=0.5)
    kept = Defect(drawn)
    drawn.zero_()
    assert kept.mask.any()


def test_the_generator_decides_and_the_global_one_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = masks(defective(network(), seed=4)), masks(defective(network(), seed=4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))
    layers = [mask for mask in first.values() if mask.shape == (1, 4, 16, 16)]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(layers, 2))


def test_applying_leaves_modes_and_statistics_alone() -> None:
    model = network().train()
    model.network.layer3.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    statistics = model.network.bn1.running_mean.clone()
    defective(model, where="both")
    assert torch.equal(model.network.bn1.layer.running_mean, statistics)
    assert all(module.training for module in model.network.bn1.modules())
    assert not any(module.training for module in model.network.layer3.modules())
    assert {name: module.training for name, module in model.named_modules() if name in modes} == modes


# Mistakes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"keep": 0.0}, "keep = 0.0 is not a share of neurons"),
        ({"keep": 1.5}, "keep = 1.5 is not a share of neurons"),
        ({"where": "middle"}, 'where = "middle" is no place: choose bottom, top, both'),
        ({"where": []}, "must name at least one module"),
        ({"where": ["network.bn9"]}, 'has no module "network.bn9"'),
        ({"where": ["network.fc"]}, r'"network.fc" does not give one map \[n, C, H, W\]'),
        ({"where": ["network.bn1"], "after_addition": True}, "named modules are masked as named"),
        ({"input_shape": (16, 16)}, "is not .channels, height, width."),
        ({"input_shape": (4, 16, 16)}, r"cannot be run on images of shape \(4, 16, 16\)"),
        ({"train_only": True, "test_only": True}, "exclude each other"),
    ],
)
def test_mistakes_give_a_sentence_and_change_nothing(options: dict[str, object], sentence: str) -> None:
    model = network()
    modules = list(model.modules())
    with pytest.raises(UserError, match=sentence):
        defective(model, **options)
    assert list(model.modules()) == modules
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vgg11", '"features.1" is a ReLU, but the masks belong behind batch normalisation'),
        ("alexnet", '"features.1" is a ReLU, but the masks belong behind batch normalisation'),
        ("densenet121", "DenseNet has no stages that are known here"),
        ("mobilenet_v3_small", "MobileNetV3 has no stages that are known here"),
        ("vit_b_32", "VisionTransformer has no stages that are known here"),
    ],
)
def test_networks_that_cannot_be_served(name: str, sentence: str) -> None:
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(num_classes=10)
    with pytest.raises(UserError, match=sentence):
        defective(model, input_shape=(3, 64, 64))


def test_other_normalisations_second_masks_and_other_sizes() -> None:
    group = torchvision.models.resnet18(norm_layer=lambda channels: nn.GroupNorm(2, channels))
    with pytest.raises(UserError, match='"bn1" is a GroupNorm, but the masks belong behind batch normalisation'):
        defective(group, input_shape=(3, 32, 32))
    model = defective(network())
    with pytest.raises(UserError, match=r'"network\.bn1" has a mask already'):
        defective(model)
    with pytest.raises(UserError, match="A mask made for 4x16x16 neurons met a map of 4x20x20"):
        model(torch.rand(1, 3, 20, 20))
    with pytest.raises(UserError, match="a bottleneck has no mask before its addition"):
        defective(torchvision.models.resnet50(num_classes=10), input_shape=(3, 32, 32), after_addition=True)
    with pytest.raises(UserError, match="this one adds nothing"):
        defective(network("vgg"), after_addition=True)
    unused = network()
    unused.network.spare = nn.BatchNorm2d(4)
    with pytest.raises(UserError, match=r'"network\.spare" takes no part'):
        defective(unused, where=["network.spare"])


def test_whole_channels_are_defective_in_an_exact_number() -> None:
    mask = defective_conv.draw((16, 5, 5), keep=0.3, channels=True, generator=torch.Generator().manual_seed(0))
    per_channel = mask[0].flatten(1).float().mean(1)
    assert set(per_channel.tolist()) == {0.0, 1.0}
    assert int((per_channel == 0).sum()) == int(0.7 * 16)


def test_shared_masks_and_whole_channels_exclude_each_other() -> None:
    with pytest.raises(UserError, match="exclude each other"):
        defective(network(), shared=True, channels=True)
