"""Dropout stands where the masks would, drops what it says, and draws from the training's own numbers."""

import pytest
import torch
from torch import nn

from bioinspired import networks
from bioinspired.declarations import Architecture, Data, Network, Recipe
from bioinspired.defenses import dropout
from bioinspired.defenses.defective_conv import places
from bioinspired.errors import UserError
from bioinspired.lab.papers.defective_conv.declarations import Dropout
from bioinspired.training import train


def model():
    taken = {"classes": 10, "channels": 1, "size": 8, "mean": (0.5,), "std": (0.25,)}
    return networks.build(Architecture(name="vgg", width=8), **taken, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("unit", "kind"), [("channel", nn.Dropout2d), ("neuron", nn.Dropout)])
def test_it_stands_behind_every_normalisation_of_the_place(unit, kind):
    before = places(model(), "bottom")
    made = dropout.apply(model(), keep=0.3, unit=unit)
    found = [name for name, module in made.named_modules() if type(module) is kind]
    assert found == [f"{name}.dropout" for name in before]
    assert all(made.get_submodule(name).p == pytest.approx(0.7) for name in found)


def test_nothing_is_dropped_in_use():
    x = torch.rand((4, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    plain = model().eval()
    made = dropout.apply(model(), keep=0.3, unit="channel").eval()
    assert torch.equal(made(x), plain(x))


def test_training_with_dropout_is_reproducible_and_leaves_the_global_numbers_alone():
    network = Network(
        data=Data(name="digits", size=8, train=64),
        architecture=Architecture(name="vgg", width=4),
        recipe=Recipe(epochs=1, batch=16),
        seed=3,
        defense=Dropout(keep="0.5", unit="neuron"),
    )
    weights = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        weights.append(train.make(network).model.state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_share_that_is_none_is_refused():
    with pytest.raises(UserError, match="keep = 0 is not a share"):
        dropout.apply(model(), keep=0, unit="channel")
