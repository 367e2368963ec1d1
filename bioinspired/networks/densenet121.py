"""DenseNet-121 in its CIFAR form, of any width: torchvision's, with a 3x3 stem at full resolution and no pooling."""

from torch import nn
from torchvision.models import DenseNet

from bioinspired.declarations import Architecture

OPTIONS: tuple[str, ...] = ()


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """DenseNet-121; at the published width of 64 a layer adds 32 channels."""
    width = architecture.width
    network: nn.Module = DenseNet(
        growth_rate=max(width // 2, 1), block_config=(6, 12, 24, 16), num_init_features=width, num_classes=classes
    )
    network.set_submodule("features.conv0", nn.Conv2d(channels, width, 3, padding=1, bias=False))
    network.set_submodule("features.pool0", nn.Identity())
    return network
