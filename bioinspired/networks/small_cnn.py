"""A small convolutional network: three 3x3 convolutions, two poolings, one linear layer.

The network of many papers' first experiments. Every activation is a module of its own, so that what is put behind one
has one place.
"""

from collections import OrderedDict

from torch import nn

from bioinspired.declarations import Architecture

OPTIONS: tuple[str, ...] = ("batch_norm",)


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """Convolutions of `width` channels at full, half and a quarter of the resolution, with or without normalisation."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for k in (1, 2, 3):
        parts[f"conv{k}"] = nn.Conv2d(channels, architecture.width, 3, padding=1)
        if architecture.batch_norm:
            parts[f"bn{k}"] = nn.BatchNorm2d(architecture.width)
        parts[f"relu{k}"] = nn.ReLU()
        if k < 3:
            parts[f"pool{k}"] = nn.MaxPool2d(2)
        channels = architecture.width
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(channels * (size // 4) ** 2, classes)
    return nn.Sequential(parts)
