"""VGG-11 with batch normalisation in its CIFAR form, of any width, in torchvision's module names."""

from collections.abc import Sequence

from torch import Tensor, nn

from bioinspired.declarations import Architecture

OPTIONS: tuple[str, ...] = ()


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


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """VGG-11."""
    return VGG((1, 1, 2, 2, 2), width=architecture.width, classes=classes, channels=channels, size=size)
