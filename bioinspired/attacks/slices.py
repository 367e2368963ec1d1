"""A network that answers many images in slices, channels last: on a CPU its activations then stay in the cache.

Attacks that hand over a thousand images at once spend most of their time moving activations to memory and back; see
`benchmarks/slices.py` for what the slices save. A GPU wants whole batches and gets them.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from bioinspired.attacks.frozen import Model

SLICE = 100


class Sliced(nn.Module):
    """A copy of a network that answers at most `SLICE` images at a time; for networks that treat images one by one.

    Slices of a batch are equal to one image, so that none is much smaller than the others. Logits differ from the
    network's own by rounding.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = deepcopy(model).to(memory_format=torch.channels_last)
        self.training = model.training

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, C, H, W] to logits [n, k]."""
        parts = x.tensor_split(max(1, -(-len(x) // SLICE)))
        return torch.cat([self.model(part) for part in parts])


def sliced(model: Model, device: torch.device) -> Model:
    """A module on a CPU in slices; any other model as it is."""
    return Sliced(model) if isinstance(model, nn.Module) and device.type == "cpu" else model
