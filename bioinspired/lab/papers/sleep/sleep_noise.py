"""A control for sleep: a random change of the weights, as large as it must be, without any rule."""

import torch
from torch import Tensor, nn

from bioinspired.defenses.sleep.scaling import linear_layers


def after(
    model: nn.Module, *, generator: torch.Generator, first: float, second: float, third: float
) -> tuple[nn.Module, dict[str, list[float]]]:
    """Adds independent Gaussian noise to the weights of the three layers, in place.

    Args:
        model: three linear layers without biases.
        generator: where the noise comes from.
        first, second, third: its deviation in units of the layer's own, for each layer.

    Returns:
        The model and no curves.
    """
    with torch.no_grad():
        for layer, size in zip(linear_layers(model), (first, second, third), strict=True):
            layer.weight.copy_(noisy(layer.weight, size, generator))
    return model, {}


def noisy(weight: Tensor, size: float, generator: torch.Generator) -> Tensor:
    """The weights with noise of `size` times their own deviation."""
    noise = torch.randn(weight.shape, generator=generator, device=weight.device, dtype=weight.dtype)
    return weight + size * weight.std() * noise
