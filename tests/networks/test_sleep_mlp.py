"""The network of the sleep paper against NumPy: start, forward pass, dropout, and one step of its training."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from bioinspired import networks
from bioinspired.declarations import Architecture, Recipe
from bioinspired.networks.mlp import rectified
from bioinspired.training.train import criterion


def network(width: int = 6, size: int = 28, dropout: str = "0", seed: int = 0) -> nn.Module:
    return networks.build(
        Architecture(name="mlp", width=width, dropout=dropout, normalize=False),
        classes=10,
        channels=1,
        size=size,
        mean=(0.1,),
        std=(0.3,),
        generator=torch.Generator().manual_seed(seed),
    )


def weights(model: nn.Module) -> list[np.ndarray]:
    return [parameter.detach().numpy().astype(np.float64) for parameter in model.parameters()]


def test_published_sizes_start_uniform_within_a_hundredth() -> None:
    model = network(width=1200)
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    assert shapes == [(1200, 784), (1200, 1200), (10, 1200)]
    for weight in weights(model):
        assert np.abs(weight).max() <= 0.01
        assert weight.std() == pytest.approx(0.01 / np.sqrt(3), rel=0.02)


def test_other_sizes_start_so_that_a_signal_keeps_its_strength() -> None:
    small = weights(network(width=200, size=16))
    for weight, inputs, published in zip(small, (256, 200, 200), (784, 1200, 1200), strict=True):
        assert np.abs(weight).max() <= 0.01 * np.sqrt(published / inputs)
        assert weight.std() * np.sqrt(inputs) == pytest.approx(0.01 / np.sqrt(3) * np.sqrt(published), rel=0.05)


def test_in_use_hidden_units_are_scaled_and_the_scores_have_no_relu() -> None:
    model = network(dropout="0.2").eval()
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    first, second, last = weights(model)
    h = 0.8 * np.maximum(first @ x.numpy().reshape(5, -1).T, 0)
    h = 0.8 * np.maximum(second @ h, 0)
    assert model(x).detach().numpy() == pytest.approx((last @ h).T, rel=1e-5)
    assert (last @ h).min() < 0


def test_dropout_drops_its_share_and_never_scales_up() -> None:
    dropped = network(width=400, dropout="0.2").train()[1].dropout1
    values = torch.cat([dropped(torch.ones(50, 400)) for _ in range(10)])
    assert set(values.unique().tolist()) == {0.0, 1.0}
    assert float(values.mean()) == pytest.approx(0.8, abs=5 * np.sqrt(0.16 / values.numel()))


def test_dropout_repeats_with_the_seed_whatever_else_draws_numbers() -> None:
    x = torch.rand(3, 1, 28, 28)
    runs = []
    for _ in range(2):
        torch.rand(7)
        model = network(width=50, dropout="0.5").train()
        runs.append(torch.stack([model(x) for _ in range(3)]))
    assert torch.equal(*runs)
    assert not torch.equal(runs[0][0], runs[0][1])
    copy.deepcopy(model)


def test_one_step_of_training_is_that_of_the_released_code() -> None:
    """delta at the output is relu(scores) - one-hot, without the ReLU's derivative; hidden ReLUs have theirs."""
    model = network(width=7).train()
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.2, 0.2, generator=generator)
    x = torch.rand(4, 1, 28, 28, generator=generator)
    y = model(x).argmin(1)  # the ReLU of the label's score would pass no gradient
    criterion(Recipe(epochs=1, loss="mse"), model(x), y).backward()

    first, second, last = weights(model)
    a0 = x.numpy().reshape(4, -1).T.astype(np.float64)
    a1 = np.maximum(first @ a0, 0)
    a2 = np.maximum(second @ a1, 0)
    scores = last @ a2
    delta = (np.maximum(scores, 0) - np.eye(10)[y].T) / 4
    assert ((scores < 0) & (np.eye(10)[y].T == 1)).any(), "a case where the derivative would matter"
    wanted = [delta @ a2.T]
    delta = (last.T @ delta) * (a2 > 0)
    wanted.append(delta @ a1.T)
    delta = (second.T @ delta) * (a1 > 0)
    wanted.append(delta @ a0.T)
    for parameter, gradient in zip(model.parameters(), reversed(wanted), strict=True):
        assert parameter.grad.numpy() == pytest.approx(gradient, rel=1e-4, abs=1e-7)


def test_rectified_is_a_relu_with_a_gradient_of_one() -> None:
    scores = torch.tensor([-1.0, 0.5], requires_grad=True)
    out = rectified(scores)
    out.sum().backward()
    assert out.tolist() == [0.0, 0.5]
    assert scores.grad.tolist() == [1.0, 1.0]


# The chapter's two other networks


def other(name: str, width: int, channels: int, classes: int, size: int = 1, dropout: str = "0") -> nn.Module:
    return networks.build(
        Architecture(name=name, width=width, dropout=dropout, normalize=False), classes=classes, channels=channels,
        size=size, mean=(0.0,) * channels, std=(1.0,) * channels, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def test_the_head_has_the_published_sizes_and_starts_within_a_hundredth() -> None:
    model = other("feature_head", 350, 2048, 200, dropout="0.25")
    assert [w.shape for w in weights(model)] == [(350, 2048), (300, 350), (200, 300)]
    for weight in weights(model):
        assert np.abs(weight).max() <= 0.01
        assert weight.std() == pytest.approx(0.01 / np.sqrt(3), rel=0.02)


def test_the_head_is_an_mlp_of_unequal_layers() -> None:
    model = other("feature_head", 7, 20, 200, dropout="0.25").eval()
    x = torch.rand(5, 20, 1, 1, generator=torch.Generator().manual_seed(1))
    first, second, last = weights(model)
    assert [w.shape for w in (first, second, last)] == [(7, 20), (6, 7), (200, 6)]
    h = 0.75 * np.maximum(first @ x.numpy().reshape(5, -1).T, 0)
    h = 0.75 * np.maximum(second @ h, 0)
    assert model(x).detach().numpy() == pytest.approx((last @ h).T, rel=1e-4, abs=1e-9)
    assert (last @ h).min() < 0
    assert float(model.train()(x).min()) >= -1e-7, "the output's ReLU, in training only"


def test_patches_have_one_linear_layer() -> None:
    model = other("linear", 64, 1, 4, size=10)
    (weight,) = weights(model)
    assert weight.shape == (4, 100)
    assert np.abs(weight).max() <= 0.01
    assert weight.std() == pytest.approx(0.01 / np.sqrt(3), rel=0.1)
    x = torch.rand(3, 1, 10, 10)
    assert model(x).detach().numpy() == pytest.approx(x.numpy().reshape(3, -1) @ weight.T, rel=1e-4, abs=1e-6)
