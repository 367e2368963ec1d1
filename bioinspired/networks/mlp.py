"""A fully connected network as the sleep paper's released code trains it: two hidden layers, no biases.

Three things differ from what is usual today. Weights start uniform in +-0.01 (here +-0.01 at the published sizes, else
scaled so that signals keep theirs). Dropout is not inverted: in training a unit is kept or not, in use all units are
scaled by the share that is kept. And the output has a ReLU whose derivative training leaves out, so that with the loss
"mse" the error at the output is relu(scores) - one-hot.

In use the network gives its scores, before that ReLU: where all scores are negative, their ReLU is a tie of zeros and
its gradient is gone, which would make an attack look weaker than it is.
"""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from bioinspired.declarations import Architecture
from bioinspired.keys import number

OPTIONS: tuple[str, ...] = ("dropout",)

PUBLISHED = (784, 1200, 1200)  # inputs of each layer
BOUND = 0.01  # of the initial weights at these sizes


class Thinned(nn.Module):
    """Dropout that is not inverted: x m in training, with a new random m in {0, 1}; (1 - share) x in use.

    Args:
        share: of units that are dropped, in [0, 1).
        seed: where the masks start from, so that a training can be repeated.
    """

    def __init__(self, share: float, seed: int) -> None:
        super().__init__()
        self.share = share
        self._seed = seed
        self._draws: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[n, units] to the same shape."""
        if not self.training:
            return x * (1 - self.share)
        if self._draws is None or self._draws.device != x.device:
            self._draws = torch.Generator(x.device).manual_seed(self._seed)
        return x * (torch.rand(x.shape, generator=self._draws, device=x.device) >= self.share)

    def restart(self) -> None:
        """Draws the first masks again."""
        self._draws = None

    def extra_repr(self) -> str:
        """The share that is dropped."""
        return f"{self.share:g}"


class Output(nn.Module):
    """The scores in use; in training their ReLU, with the gradient of the scores themselves."""

    def forward(self, scores: Tensor) -> Tensor:
        """[n, classes] to the same shape."""
        return rectified(scores) if self.training else scores


def rectified(scores: Tensor) -> Tensor:
    """relu(scores) with the derivative that the released code uses: one everywhere."""
    return scores + (scores.relu() - scores).detach()


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """channels * size^2 inputs, two hidden layers of `width` ReLUs, `classes` scores."""
    sizes = [channels * size**2, architecture.width, architecture.width, classes]
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
