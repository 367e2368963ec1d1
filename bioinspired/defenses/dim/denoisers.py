"""The denoiser: an autoencoder from images in [0, 1] to images in [0, 1], through a code."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from bioinspired.defenses.thresholds import Steep

STEEPEST = 0.1  # width of the step at the logits of the pixels, where the denoiser is to binarise


class Dense(nn.Module):
    """Fully connected: d, widths, and back, with ReLUs between and a sigmoid at the end.

    Args:
        shape: of an image, [C, H, W].
        widths: of the encoder's layers; the last one is the code's.
        steep: the sigmoid at the end has the width `STEEPEST` instead of 1, so that pixels come out near 0 or 1.
    """

    def __init__(self, shape: Sequence[int], widths: Sequence[int], *, steep: bool = False) -> None:
        super().__init__()
        size = shape[0] * shape[1] * shape[2]
        self.encoder = nn.Sequential(nn.Flatten(), *_layers([size, *widths]))
        self.decoder = nn.Sequential(*_layers([*reversed(widths), size])[:-1], nn.Unflatten(1, tuple(shape)))
        self.code = widths[-1]
        self.end = Steep(STEEPEST) if steep else nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] to the same shape."""
        return self.decode(self.encoder(x))

    def decode(self, code: Tensor) -> Tensor:
        """[n, code] to [n, C, H, W]."""
        pixels: Tensor = self.decoder(code)
        ended: Tensor = self.end(pixels)
        return ended


class Convolutional(Dense):
    """Two strided convolutions of 16 and 32 channels, a code, and back. Sides must be divisible by 4."""

    def __init__(self, shape: Sequence[int], widths: Sequence[int], *, steep: bool = False) -> None:
        nn.Module.__init__(self)
        channels, height, width = shape
        small = (32, height // 4, width // 4)
        size = small[0] * small[1] * small[2]
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(size, widths[-1]),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.Linear(widths[-1], size),
            nn.ReLU(),
            nn.Unflatten(1, small),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, channels, 4, stride=2, padding=1),
        )
        self.code = widths[-1]
        self.end = Steep(STEEPEST) if steep else nn.Sigmoid()


def _layers(sizes: Sequence[int]) -> list[nn.Module]:
    """Linear layers of these sizes, a ReLU behind each."""
    return [module for inputs, outputs in pairwise(sizes) for module in (nn.Linear(inputs, outputs), nn.ReLU())]
