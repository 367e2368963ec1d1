"""The nearest training image answers: logits z_c = -s min_{i: y_i = c} || x - x_i ||^2 / d."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from bioinspired.defenses.classes import classes_of
from bioinspired.defenses.fitted import as_bytes
from bioinspired.errors import UserError


class Nearest(nn.Module):
    """Images [n, C, H, W] to logits. The training images are kept as bytes."""

    images: Tensor
    labels: Tensor

    def __init__(self, classes: int, size: int, images: int, logit_scale: float) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(images, size, dtype=torch.uint8))
        self.register_buffer("labels", torch.full((images,), -1))
        self.classes = classes
        self.logit_scale = logit_scale

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]; -inf where a class has no training image."""
        flat, kept = x.flatten(1), self.images.to(x) / 255
        squares = flat.square().sum(1, keepdim=True) - 2 * flat @ kept.T + kept.square().sum(1)
        apart = [squares.masked_fill(self.labels != c, torch.inf).amin(1) for c in range(self.classes)]
        return -self.logit_scale * torch.stack(apart, 1) / flat.shape[1]


def apply(
    model: nn.Module,
    *,
    input_shape: tuple[int, int, int],
    generator: torch.Generator,
    images: int,
    logit_scale: float = 100.0,
) -> nn.Module:
    """Replaces a network by an empty memory of so many images, for the same classes.

    Args:
        model: whose classes are counted; its weights are not used.
        input_shape: of an image, [C, H, W].
        generator: not used; every defense gets one.
        images: how many training images are kept.
        logit_scale: s, which changes no answer.
    """
    size = input_shape[0] * input_shape[1] * input_shape[2]
    made = Nearest(classes_of(model, input_shape), size, images, logit_scale)
    return nn.Sequential(OrderedDict(normalize=nn.Identity(), network=made))


@torch.no_grad()
def fit(model: nn.Module, *, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Keeps the first training images, uint8 or floats in [0, 1], [n, C, H, W], with their labels [n].

    Raises:
        UserError: there are fewer than it should keep.
    """
    network: Any = model.network
    assert isinstance(network, Nearest)
    images, labels = as_bytes(images, labels, classes=network.classes)
    n = len(network.labels)
    if len(images) < n:
        raise UserError(f"There are {len(images)} training images and {n} should be kept: ask for fewer.")
    network.images.copy_(images[:n].flatten(1))
    network.labels.copy_(labels[:n])
    return {}
