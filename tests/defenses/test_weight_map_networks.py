"""The small network and ResNet-20: shapes, parameters as the literature counts them, and the layer inside them."""

import pytest
import torch
from torch import nn

from bioinspired import networks
from bioinspired.declarations import Architecture, Data, Network, Recipe
from bioinspired.defenses import weight_map
from bioinspired.lab.papers.weight_map.declarations import WeightMap
from bioinspired.training import hooks


def build(name: str, width: int, channels: int, size: int, batch_norm: bool = True) -> nn.Module:
    return networks.build(
        Architecture(name=name, width=width, batch_norm=batch_norm),
        classes=10,
        channels=channels,
        size=size,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        generator=torch.Generator().manual_seed(0),
    )


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_small_network_has_the_weights_of_its_three_convolutions_and_its_linear_layer() -> None:
    model = build("small_cnn", 12, 1, 28, batch_norm=False)
    assert count(model) == (9 + 1) * 12 + 2 * (9 * 12 + 1) * 12 + (7 * 7 * 12 + 1) * 10 == 8_626
    assert count(build("small_cnn", 12, 1, 28)) == 8_626 + 3 * 24
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_layer_adds_a_weight_for_every_neuron_behind_a_convolution() -> None:
    model = build("small_cnn", 12, 1, 28, batch_norm=False)
    weight_map.apply(model, input_shape=(1, 28, 28))
    assert count(model) == 8_626 + 12 * (28**2 + 14**2 + 7**2)
    shared = weight_map.apply(build("small_cnn", 12, 1, 28), coupling="shared", input_shape=(1, 28, 28))
    assert sum(one.weight.numel() for one in weight_map.layers(shared).values()) == 28**2 + 14**2 + 7**2
    behind = weight_map.apply(build("small_cnn", 12, 1, 28), place="after", input_shape=(1, 28, 28))
    assert list(weight_map.layers(behind)) == [f"network.relu{k}.weight_map" for k in (1, 2, 3)]


def test_resnet20_has_the_published_size_and_nineteen_layers_behind_its_convolutions() -> None:
    model = build("resnet20", 16, 3, 32)
    assert count(model) == pytest.approx(272_474, abs=2_700)  # the two projections are not in the published network
    weight_map.apply(model, input_shape=(3, 32, 32))
    added = [one.weight.numel() for one in weight_map.layers(model).values()]
    assert len(added) == 19
    assert sum(added) == 188_416  # 7 x 16 x 32^2 + 6 x 32 x 16^2 + 6 x 64 x 8^2
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_weight_decay_leaves_learned_maps_alone() -> None:
    model = weight_map.apply(build("small_cnn", 4, 1, 28), input_shape=(1, 28, 28))
    maps = [one.weight for one in weight_map.layers(model).values()]
    assert all(one is other for one, other in zip(weight_map.undecayed(model), maps, strict=True))
    fixed = weight_map.apply(build("small_cnn", 4, 1, 28), learns="kernel", input_shape=(1, 28, 28))
    assert weight_map.undecayed(fixed) == []


def test_declaration_gives_every_layer_its_own_scale() -> None:
    defense = WeightMap(kernel="identity", init="ones", learns="nothing", scale=("0.5", "2", "3"))
    network = Network(
        data=Data(name="mnist", size=28),
        architecture=Architecture(name="small_cnn", width=4, batch_norm=False),
        recipe=Recipe(epochs=1),
        seed=0,
        defense=defense,
    )
    model = hooks.Hooks(network).apply(build("small_cnn", 4, 1, 28, batch_norm=False), input_shape=(1, 28, 28))
    assert [float(one.weight.mean()) for one in weight_map.layers(model).values()] == [0.5, 2.0, 3.0]
