"""A fixed Gaussian blur before the network: what losing high frequencies does by itself (a control, Li et al. 2023)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from bioinspired.errors import UserError


class GaussianBlur(nn.Module):
    """Images [n, C, H, W] filtered with a normal kernel cut off at three sigmas; the border is mirrored.

    Args:
        sigma: in pixels, above 0.
    """

    kernel: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        if not sigma > 0:
            raise UserError(f"sigma = {sigma} is no width of a blur: give a number of pixels above 0.")
        reach = int(3 * sigma + 0.5)
        line = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
        line = line / line.sum()
        self.register_buffer("kernel", torch.outer(line, line))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        reach, channels = len(self.kernel) // 2, x.shape[1]
        padded = nn.functional.pad(x, (reach,) * 4, mode="reflect")
        return nn.functional.conv2d(padded, self.kernel.to(x.dtype).expand(channels, 1, -1, -1), groups=channels)


def apply(model: nn.Module, *, sigma: float) -> nn.Module:
    """The model behind a blur; the parts of one of ours keep their names.

    Args:
        model: from images in [0, 1] to logits.
        sigma: in pixels.
    """
    blur, parts = GaussianBlur(sigma), dict(model.named_children())
    ours = isinstance(model, nn.Sequential) and "normalize" in parts
    return nn.Sequential(OrderedDict(blur=blur, **parts) if ours else OrderedDict(blur=blur, network=model))
