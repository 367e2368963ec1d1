"""Network families by name: CIFAR-style ResNets and VGGs whose width can be narrowed.

Every network takes images in [0, 1] and gives logits; its first layer normalises. Inside, modules have torchvision's
names (`conv1`, `bn1`, `layer1` ... `layer4`; `features`, `classifier`), so that what can be said of torchvision's
networks can be said of these.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bioinspired.errors import UserError
from bioinspired.trials import Architecture


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, C, H, W] in [0, 1] to images of about zero mean and unit variance."""
        return (x - self.mean) / self.std


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes (He et al. 2016)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            projection = nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels_in, H, W] to [n, channels, H / stride, W / stride]."""
        branch = self.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(branch + shortcut)  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """The CIFAR form of a ResNet of basic blocks: a 3x3 stem at full resolution, four stages, mean over positions.

    Args:
        blocks: blocks in each stage; (2, 2, 2, 2) is ResNet-18.
        width: channels of the stem and of the first stage; each later stage doubles them. 64 as published.
    """

    def __init__(self, blocks: Sequence[int], *, width: int, classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(width, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(2 * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(4 * width, 8 * width, blocks[3], stride=2)
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] to logits [n, classes]."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


class VGG(nn.Module):
    """A VGG with batch normalisation and one linear layer (Simonyan and Zisserman 2015, in its CIFAR form).

    Five stages of 3x3 convolutions with biases, each followed by 2x2 max-pooling while the map is larger than one
    pixel: all five at 32 px, four at 28 and 16 px. What is left is averaged over positions, one pixel at these sizes.

    Args:
        convolutions: how many in each stage; (1, 1, 2, 2, 2) is VGG-11 (here "vgg"), (2, 2, 4, 4, 4) VGG-19.
        width: channels of the first stage, doubled by each later one up to 8 times. 64 as published.
        size: side length of the images in pixels.
    """

    def __init__(self, convolutions: Sequence[int], *, width: int, classes: int, channels: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for count, factor in zip(convolutions, (1, 2, 4, 8, 8), strict=True):
            for _ in range(count):
                convolution = nn.Conv2d(channels, factor * width, 3, padding=1)
                channels = factor * width
                layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
            if size > 1:
                layers.append(nn.MaxPool2d(2))
                size //= 2
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, size, size] to logits [n, classes]."""
        return self.classifier(self.features(x).mean((2, 3)))  # type: ignore[no-any-return]


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
        architecture: the family's name and the width.
        classes: number of logits.
        channels: of the images.
        size: side length of the images in pixels.
        mean, std: per channel, on [0, 1]: what `Normalize`, the first layer, uses.
        generator: where the initial weights come from (PyTorch's default initialisation); it advances by one draw.

    Returns:
        A module with the parts `normalize` and `network`, on the CPU, in training mode.

    Raises:
        UserError: no family has this name, or the width is not positive.
    """
    if architecture.name not in FAMILIES:
        raise UserError(f'There is no network family "{architecture.name}": choose one of {", ".join(FAMILIES)}.')
    if architecture.width < 1:
        raise UserError(f"A network's width must be at least 1, not {architecture.width}: it counts channels.")
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = FAMILIES[architecture.name](architecture.width, classes, channels, size)
    return nn.Sequential(OrderedDict(normalize=Normalize(mean, std), network=network))


def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))


def _resnet18(width: int, classes: int, channels: int, size: int) -> nn.Module:
    return ResNet((2, 2, 2, 2), width=width, classes=classes, channels=channels)


def _vgg(width: int, classes: int, channels: int, size: int) -> nn.Module:
    return VGG((1, 1, 2, 2, 2), width=width, classes=classes, channels=channels, size=size)


def _vgg19(width: int, classes: int, channels: int, size: int) -> nn.Module:
    return VGG((2, 2, 4, 4, 4), width=width, classes=classes, channels=channels, size=size)


FAMILIES: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "resnet18": _resnet18,
    "vgg": _vgg,
    "vgg19": _vgg19,
}
"""By name: width, classes, channels, size -> logits of normalised images."""
