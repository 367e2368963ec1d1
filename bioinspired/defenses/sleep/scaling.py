"""The scales of a network's layers, by which its weights drive spiking units as strongly as they drive ReLUs.

Data-based normalisation after Diehl et al. 2015 (IJCNN), as the released code has it: lambda_l is the largest positive
weight or activation of layer l on the training images, f_l = lambda_l / f_(l-1) with f_0 = 1, and c_l = 1 / f_l. The
chain runs over the factors f that were applied, not over lambda as in later work (Rueckauer et al. 2017). Only the
constants are used: the weights themselves stay as they were trained, and c_l scales the impulses of layer l.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bioinspired.errors import UserError

BATCH = 2_000  # images per forward pass


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """The layers of a fully connected network, from input to output.

    Raises:
        UserError: it has other layers with parameters, or biases: the spiking network has neither.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers or len(layers) != len(list(model.parameters())):
        raise UserError("Only fully connected networks without biases can sleep: use the architecture mlp.")
    return layers


def largest_activations(model: nn.Module, images: Tensor) -> list[float]:
    """The largest activation of every layer, after its ReLU and whatever follows it, the output's ReLU included.

    Args:
        model: a network of linear layers, in evaluation mode.
        images: uint8 [n, C, H, W].
    """
    largest = [0.0] * len(linear_layers(model))
    for part in torch.split(images, BATCH):
        hidden, scores = activations(model, part.float() / 255)
        for layer, seen in enumerate([*hidden, scores]):
            largest[layer] = max(largest[layer], float(seen.max()))
    return largest


@torch.no_grad()
def activations(model: nn.Module, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """What every hidden layer passes on to the next one, [n, units] each, and the scores [n, classes].

    Args:
        model: a network of linear layers, in evaluation mode.
        x: images in [0, 1], [n, C, H, W].
    """
    hidden: list[Tensor] = []
    handles = [
        layer.register_forward_pre_hook(lambda _, given: hidden.append(given[0])) for layer in linear_layers(model)[1:]
    ]
    try:
        return hidden, model(x)
    finally:
        for handle in handles:
            handle.remove()


def constants(weights: Sequence[Tensor], activations: Sequence[float]) -> list[float]:
    """c_l of every layer.

    Args:
        weights: per layer, any shape.
        activations: the largest activation of each layer.
    """
    found, factor = [], 1.0
    for weight, activation in zip(weights, activations, strict=True):
        factor = max(float(weight.max()), activation) / factor
        found.append(1 / factor)
    return found
