"""The attacks that need images of three channels, which digits do not have: on a random network and random images."""

import torch
from torch import Tensor, nn

from bioinspired.attacks.catalogue import run

NAMES = ("torchattacks.TIFGSM", "torchattacks.PIFGSM", "torchattacks.PIFGSMPP")


def examples(name: str) -> Tensor:
    """What an attack makes of four images, float32 [4, 3, 8, 8]."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).eval()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5
    x = torch.rand(4, 3, 8, 8, generator=generator)
    return run(name, model, x, model(x).argmax(1), norm="linf", eps=0.1, generator=generator).x_adv
