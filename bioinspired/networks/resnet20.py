"""ResNet-20 for 32x32 images, of any width (He et al. 2016, section 4.2).

A stem, three stages of three basic blocks at full, half and a quarter of the resolution, mean over positions, one
linear layer. Where the shape changes, the shortcut is a 1x1 convolution (the paper's option B; its own CIFAR networks
pad with zeros). Modules have torchvision's names.
"""

from torch import Tensor, nn

from bioinspired.declarations import Architecture
from bioinspired.networks.resnet18 import BasicBlock

OPTIONS: tuple[str, ...] = ()


class ResNet20(nn.Module):
    """Width w gives stages of w, 2w and 4w channels; 16 as published."""

    def __init__(self, *, width: int, classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] to logits [n, classes]."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


def _stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(channels_in, channels, stride), BasicBlock(channels, channels, 1), BasicBlock(channels, channels, 1)
    )


def build(architecture: Architecture, *, classes: int, channels: int, size: int) -> nn.Module:
    """ResNet-20."""
    return ResNet20(width=architecture.width, classes=classes, channels=channels)
