"""ResNet-18 with a 7x7 stem at full resolution (stride 1, no pooling), the network of arXiv 2410.03952."""

from torch import nn

from bioinspired.declarations import Architecture
from bioinspired.networks.resnet18 import ResNet

OPTIONS: tuple[str, ...] = ()


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """ResNet-18 whose first convolution is 7x7."""
    network = ResNet((2, 2, 2, 2), width=architecture.width, classes=classes, channels=channels)
    network.conv1 = nn.Conv2d(channels, architecture.width, 7, padding=3, bias=False)
    return network
