"""Network families by name, one module each, imported when one is built.

A family's module has a function `build(architecture, *, classes, channels, size)` that gives a module from normalised
images to logits, and names in OPTIONS which fields of the architecture it knows beside name, width and `normalize`.
Every network begins with `Normalize`, so that it takes images in [0, 1].
"""

import importlib
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from bioinspired.declarations import Architecture
from bioinspired.errors import UserError
from bioinspired.networks.normalize import Normalize

FAMILIES = (
    "densenet121",
    "feature_head",
    "linear",
    "mlp",
    "resnet18",
    "resnet18_stem7",
    "resnet20",
    "small_cnn",
    "vgg",
    "vgg19",
)
"""Each is a module of this package."""


def build(
    architecture: Architecture,
    *,
    classes: int,
    channels: int,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
) -> nn.Module:
    """A new network: images [n, channels, size, size] in [0, 1] to logits [n, classes].

    Args:
        architecture: the family's name, the width, and what else the family knows.
        classes: number of logits.
        channels: of the images.
        size: side length of the images in pixels.
        mean, std: per channel, on [0, 1]: what `Normalize`, the first layer, uses.
        generator: where the initial weights come from (PyTorch's default initialisation unless the family has its
            own); it advances by one draw.

    Returns:
        A module with the parts `normalize` and `network`, on the CPU, in training mode.

    Raises:
        UserError: no family has this name, it has no place for what is asked, or the width is not positive.
    """
    if architecture.name not in FAMILIES:
        raise UserError(f'There is no network family "{architecture.name}": choose one of {", ".join(FAMILIES)}.')
    if architecture.width < 1:
        raise UserError(f"A network's width must be at least 1, not {architecture.width}: it counts channels or units.")
    family = importlib.import_module(f"bioinspired.networks.{architecture.name}")
    for option in ("dropout", "batch_norm"):
        if option not in family.OPTIONS and getattr(architecture, option) != getattr(Architecture, option):
            raise UserError(f'The network family "{architecture.name}" has no option {option}: leave it out.')
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = family.build(architecture, classes=classes, channels=channels, size=size)
    first = Normalize(mean, std) if architecture.normalize else nn.Identity()
    return nn.Sequential(OrderedDict(normalize=first, network=network))
