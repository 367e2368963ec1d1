"""Families have the published sizes, and a network is decided by its generator."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bioinspired import networks
from bioinspired.declarations import Architecture
from bioinspired.errors import UserError

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def build(name: str, width: int, size: int = 32, channels: int = 3, seed: int = 0) -> nn.Module:
    return networks.build(
        Architecture(name=name, width=width),
        classes=10,
        channels=channels,
        size=size,
        mean=MEAN[:channels],
        std=STD[:channels],
        generator=torch.Generator().manual_seed(seed),
    )


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, size: int = 32) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.rand(1, 3, size, size))
    return counter.get_total_flops() // 2


def test_resnet18_has_its_published_size() -> None:
    """Counted layer by layer from the paper's table: (inputs, outputs, kernel, output side) of each convolution."""
    layers = [(3, 64, 3, 32)] + [(64, 64, 3, 32)] * 4
    for stage, side in ((128, 16), (256, 8), (512, 4)):
        layers += [(stage // 2, stage, 3, side)] + [(stage, stage, 3, side)] * 3 + [(stage // 2, stage, 1, side)]
    weights = sum(i * o * k * k for i, o, k, _ in layers) + 512 * 10
    affine = 2 * sum(o for _, o, _, _ in layers) + 10
    assert parameters(build("resnet18", 64)) == weights + affine == 11_173_962
    assert macs(build("resnet18", 64)) == sum(i * o * k * k * s * s for i, o, k, s in layers) + 5120
    assert round(sum(i * o * k * k * s * s for i, o, k, s in layers) / 1e6) in (555, 556)


def test_vgg19_has_its_published_size() -> None:
    plan = [(64, 2, 32), (128, 2, 16), (256, 4, 8), (512, 4, 4), (512, 4, 2)]
    layers, inputs = [], 3
    for outputs, count, side in plan:
        for _ in range(count):
            layers.append((inputs, outputs, side))
            inputs = outputs
    expected = sum(9 * i * o + 3 * o for i, o, _ in layers) + 5130
    assert parameters(build("vgg19", 64)) == expected == 20_040_522
    assert macs(build("vgg19", 64)) == sum(9 * i * o * s * s for i, o, s in layers) + 5120
    assert round(sum(9 * i * o * s * s for i, o, s in layers) / 1e6) == 398


@pytest.mark.parametrize("name", list(networks.FAMILIES))
@pytest.mark.parametrize(("size", "channels"), [(16, 1), (28, 1), (32, 3)])
def test_every_family_takes_every_size_and_learns_everywhere(name: str, size: int, channels: int) -> None:
    model = build(name, 4, size, channels)
    logits = model(torch.rand(3, channels, size, size))
    assert logits.shape == (3, 10)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_width_scales_every_layer() -> None:
    for name in ("resnet18", "vgg", "vgg19"):
        narrow, wide = build(name, 4), build(name, 12)
        for (key, small), (_, large) in zip(narrow.named_parameters(), wide.named_parameters(), strict=True):
            fixed = key.endswith(("conv1.weight", "features.0.weight")) and small.shape[1] == 3
            factor = 3 if small.dim() == 1 or fixed or "fc" in key or "classifier" in key else 9
            assert large.numel() == factor * small.numel() or small.numel() == 10, key


def test_the_first_layer_normalises() -> None:
    model = build("resnet18", 4)
    first = next(iter(model.children()))
    assert isinstance(first, networks.Normalize)
    x = torch.rand(2, 3, 32, 32)
    expected = torch.stack([(x[:, c] - MEAN[c]) / STD[c] for c in range(3)], 1)
    assert torch.allclose(first(x), expected)
    assert torch.equal(model.eval()(x), model.network(first(x)))


def test_the_generator_decides_the_weights_and_the_global_one_is_left_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    a = build("resnet18", 4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    b, c = build("resnet18", 4), build("resnet18", 4, seed=3)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.network.conv1.weight, c.network.conv1.weight)


def test_unknown_names_and_widths_give_a_sentence() -> None:
    with pytest.raises(UserError, match='no network family "resnet19": choose one of '):
        build("resnet19", 8)
    with pytest.raises(UserError, match="width must be at least 1, not 0"):
        build("vgg", 0)


def test_densenet_has_the_published_size_at_its_published_width() -> None:
    """6,956,298 parameters in the CIFAR form without a normalisation behind the stem, which torchvision's has."""
    assert sum(parameter.numel() for parameter in build("densenet121", 64).parameters()) == 6_956_298 + 2 * 64
