"""One linear layer without biases: the network of the sleep papers' patches. It has no width.

The weights start uniform in +-0.01, as those of the released networks do. The softmax of the released network is that
of the cross-entropy: scores come out.
"""

from torch import nn

from bioinspired.declarations import Architecture
from bioinspired.networks.mlp import BOUND

OPTIONS: tuple[str, ...] = ()


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """channels * size^2 inputs, `classes` scores."""
    layer = nn.Linear(channels * size**2, classes, bias=False)
    nn.init.uniform_(layer.weight, -BOUND, BOUND)
    return nn.Sequential(nn.Flatten(), layer)
