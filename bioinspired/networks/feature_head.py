"""The head that the sleep papers train on the features of a frozen network: two hidden layers, no biases.

Everything is as in `networks.mlp` but for the sizes: the published ones are 2048-350-300-200, with a dropout of 0.25
(from the authors' later repository, so a reconstruction). Weights start uniform in +-0.01 at these sizes, else scaled
so that signals keep their strength.
"""

import math
from collections import OrderedDict

import torch
from torch import nn

from bioinspired.declarations import Architecture
from bioinspired.keys import number
from bioinspired.networks.mlp import BOUND, Output, Thinned

OPTIONS: tuple[str, ...] = ("dropout",)

PUBLISHED = (2_048, 350, 300)  # inputs of each layer


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """channels * size^2 inputs, `width` ReLUs, 300 for every 350 of them in the second layer, `classes` scores."""
    width = architecture.width
    sizes = [channels * size**2, width, max(1, round(width * PUBLISHED[2] / PUBLISHED[1])), classes]
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for k, (inputs, outputs, published) in enumerate(zip(sizes, sizes[1:], PUBLISHED, strict=False), start=1):
        layer = nn.Linear(inputs, outputs, bias=False)
        nn.init.uniform_(layer.weight, -(bound := BOUND * math.sqrt(published / inputs)), bound)
        parts[f"fc{k}"] = layer
        if k < len(PUBLISHED):
            parts[f"relu{k}"] = nn.ReLU()
            parts[f"dropout{k}"] = Thinned(number(architecture.dropout), int(torch.randint(2**62, ())))
    parts["output"] = Output()
    return nn.Sequential(parts)
