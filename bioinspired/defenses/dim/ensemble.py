"""Autoencoders of the same shape, one a class, as one batched computation."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
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
        bounded: codes end in a sigmoid instead of a ReLU, so that they lie in (0, 1).
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
        bounded: bool = False,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.sigmoid = sigmoid
        self.winners = winners
        self.bounded = bounded
        self.build(inputs, outputs, widths)

    def build(self, inputs: int, outputs: int, widths: Sequence[int]) -> None:
        """Makes the layers."""
        encoder, decoder = [inputs, *widths], [*reversed(widths), outputs]
        self.encoder = nn.ModuleList(Batched(self.classes, *pair) for pair in pairwise(encoder))
        self.decoder = nn.ModuleList(Batched(self.classes, *pair) for pair in pairwise(decoder))

    def forward(self, u: Tensor) -> Tensor:
        """[n, inputs], shown to every class's model, or [C, n, inputs], each its own; to [C, n, outputs]."""
        return self.decode(self.encode(u))

    def encode(self, u: Tensor) -> Tensor:
        """The codes, [C, n, code]."""
        before = self.read(u.expand(self.classes, *u.shape) if u.ndim == 2 else u)
        codes = before.sigmoid() if self.bounded else before.relu()
        if self.winners is None:
            return codes
        least = codes.topk(min(self.winners, codes.shape[2]), dim=2).values[..., -1:]
        return torch.where(codes >= least, codes, 0.0)

    def decode(self, codes: Tensor) -> Tensor:
        """[C, n, code] to [C, n, outputs]."""
        made = self.write(codes)
        return made.sigmoid() if self.sigmoid else made

    def read(self, u: Tensor) -> Tensor:
        """Codes before their nonlinearity: [C, n, inputs] to [C, n, code]."""
        hidden = u
        for layer in self.encoder[:-1]:
            hidden = layer(hidden).relu()
        before: Tensor = self.encoder[-1](hidden)
        return before

    def write(self, codes: Tensor) -> Tensor:
        """What is made of codes, before the sigmoid: [C, n, code] to [C, n, outputs]."""
        hidden = codes
        for layer in self.decoder[:-1]:
            hidden = layer(hidden).relu()
        made: Tensor = self.decoder[-1](hidden)
        return made


class ConvolutionalModels(InternalModels):
    """The same in the shape of ABS's models (Schott et al., 2019), for gray images of 28 x 28; all classes in groups.

    Kernels 5, 4, 3, 5 and back 4, 5, 5, 4, strides 1, 2, 2, 1 both ways, ELUs between, as in the networks of the ABS
    paper (bethgelab/AnalysisBySynthesis); half their channels, neither batch normalisation nor a variance of the code.
    """

    DOWN, UP = (16, 16, 32), (16, 8, 8)
    SIDE = 28

    def build(self, inputs: int, outputs: int, widths: Sequence[int]) -> None:
        """Makes the layers; of the widths only the code's counts."""
        C, down, up = self.classes, (1, *self.DOWN, widths[-1]), (widths[-1], *self.UP, 1)
        self.encoder = nn.ModuleList(
            nn.Conv2d(C * a, C * b, kernel, stride, groups=C)
            for (a, b), kernel, stride in zip(pairwise(down), (5, 4, 3, 5), (1, 2, 2, 1), strict=True)
        )
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(C * a, C * b, kernel, stride, groups=C)
            for (a, b), kernel, stride in zip(pairwise(up), (4, 5, 5, 4), (1, 2, 2, 1), strict=True)
        )

    def read(self, u: Tensor) -> Tensor:
        """Codes before their nonlinearity: [C, n, 784] to [C, n, code]."""
        return self._through(self.encoder, u.transpose(0, 1).reshape(u.shape[1], self.classes, self.SIDE, self.SIDE))

    def write(self, codes: Tensor) -> Tensor:
        """What is made of codes, before the sigmoid: [C, n, code] to [C, n, 784]."""
        return self._through(self.decoder, codes.transpose(0, 1).flatten(1)[..., None, None])

    def _through(self, layers: nn.ModuleList, maps: Tensor) -> Tensor:
        """Layers on maps [n, C x channels, H, W], to [C, n, all of a class]."""
        for layer in layers[:-1]:
            maps = F.elu(layer(maps))
        made: Tensor = layers[-1](maps)
        return made.reshape(len(made), self.classes, -1).transpose(0, 1)
