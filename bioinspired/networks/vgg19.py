"""VGG-19 with batch normalisation in its CIFAR form, of any width."""

from torch import nn

from bioinspired.declarations import Architecture
from bioinspired.networks.vgg import VGG

OPTIONS: tuple[str, ...] = ()


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """VGG-19."""
    return VGG((2, 2, 4, 4, 4), width=architecture.width, classes=classes, channels=channels, size=size)
