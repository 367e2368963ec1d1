"""Autoencoders of the same shape, one a class, as one batched computation."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Batched(nn.Module):
    """A linear layer for each of C classes: from [C, n, inputs] to [C, n, outputs]."""

    def __init__(self, classes: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)  # PyTorch's default for nn.Linear
        self.weight = nn.Parameter(torch.empty(classes, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(classes, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """[C, n, inputs] to [C, n, outputs]."""
        return torch.baddbmm(self.bias, x, self.weight)


class InternalModels(nn.Module):
    """One autoencoder a class: inputs, widths, and back to outputs, ReLUs between.

    Args:
        classes: how many.
        inputs, outputs: sizes of what is read and of what is compared.
        widths: of the encoder; the last one is the code's.
        sigmoid: whether the outputs lie in [0, 1].
        winners: keeps only so many of each code's largest values; None keeps all.
    """

    def __init__(
        self,
        classes: int,
        inputs: int,
        outputs: int,
        widths: Sequence[int],
        *,
        sigmoid: bool = True,
        winners: int | None = None,
    ) -> None:
        super().__init__()
        encoder, decoder = [inputs, *widths], [*reversed(widths), outputs]
        self.encoder = nn.ModuleList(Batched(classes, *pair) for pair in pairwise(encoder))
        self.decoder = nn.ModuleList(Batched(classes, *pair) for pair in pairwise(decoder))
        self.classes = classes
        self.sigmoid = sigmoid
        self.winners = winners

    def forward(self, u: Tensor) -> Tensor:
        """[n, inputs], shown to every class's model, or [C, n, inputs], each its own; to [C, n, outputs]."""
        return self.decode(self.encode(u))

    def encode(self, u: Tensor) -> Tensor:
        """The codes, [C, n, code]."""
        hidden = u.expand(self.classes, *u.shape) if u.ndim == 2 else u
        for layer in self.encoder:
            hidden = layer(hidden).relu()
        if self.winners is None:
            return hidden
        least = hidden.topk(min(self.winners, hidden.shape[2]), dim=2).values[..., -1:]
        return torch.where(hidden >= least, hidden, 0.0)

    def decode(self, codes: Tensor) -> Tensor:
        """[C, n, code] to [C, n, outputs]."""
        hidden = codes
        for layer in self.decoder[:-1]:
            hidden = layer(hidden).relu()
        made: Tensor = self.decoder[-1](hidden)
        return made.sigmoid() if self.sigmoid else made
