"""S^CNN: how similar a network finds two images, at some of its layers and mixed over them (equations 2 and 3).

At layer l the features of an image, C x H x W, are centred by a mean per channel, flattened, and compared by cosine:
S^CNN-l. The mean over images and positions runs along with training, as in the released code:

    m <- 0.9 m + 0.1 (mean of this batch of pairs),   from 0, before it is used, without gradient.

The mixture is S^CNN = sum_l gamma_l S^CNN-l with gamma = softmax of logits that are learned with the network's weights;
they begin at 0, so every layer begins with the same weight.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bioinspired.errors import UserError

DECAY = 0.9  # of the running mean


def default_layers(model: nn.Module) -> tuple[str, ...]:
    """The layers of a residual network that the paper compares: behind the stem's ReLU, behind each of four stages.

    Raises:
        UserError: the network has no stages of these names.
    """
    for prefix, network in model.named_modules():
        if all(hasattr(network, name) for name in ("relu", "layer1", "layer2", "layer3", "layer4")):
            dot = f"{prefix}." if prefix else ""
            return tuple(dot + name for name in ("relu", "layer1", "layer2", "layer3", "layer4"))
    raise UserError(
        f"{type(model).__name__} has no stages that are known here (relu, layer1 to layer4): give `layers` as a list "
        "of names out of `named_modules()`."
    )


def check_layers(model: nn.Module, layers: Sequence[str]) -> None:
    """Raises UserError unless the names are different modules of the model."""
    known = dict(model.named_modules())
    for name in layers:
        if name not in known or not name:
            raise UserError(
                f'{type(model).__name__} has no module "{name}": give `layers` as a list of names out of '
                "`named_modules()`."
            )
    if not layers or len(set(layers)) < len(layers):
        raise UserError("`layers` must name at least one module, and none of them twice.")


@contextmanager
def recorded(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """While it is open, what the layers give is kept by name; a later forward pass replaces it.

    Raises:
        UserError: a layer ran twice in one forward pass, or does not give a tensor [n, C, ...].
    """
    kept: dict[str, Tensor] = {}

    def keep(name: str, output: Any) -> None:
        if name in kept:
            raise UserError(f'"{name}" is used more than once in a forward pass: name modules that run once.')
        if not isinstance(output, Tensor) or output.ndim < 2:
            raise UserError(f'"{name}" does not give one tensor [n, C, ...]: name a convolution or what follows it.')
        kept[name] = output

    handles = [
        model.get_submodule(name).register_forward_hook(lambda _module, _input, output, name=name: keep(name, output))
        for name in layers
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def features(model: nn.Module, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
    """What each layer gives for images, float32 [n, C, ...], in the order of `layers`.

    Raises:
        UserError: as for `recorded`, or a layer takes no part in the forward pass.
    """
    with recorded(model, layers) as kept:
        model(images)
    for name in layers:
        if name not in kept:
            raise UserError(f'"{name}" takes no part in the forward pass: name modules that do.')
    return [kept[name].float() for name in layers]


def channel_mean(map: Tensor) -> Tensor:
    """Mean per channel over images and positions: [n, C, ...] to [C]."""
    return map.transpose(0, 1).flatten(1).mean(1)


def cosines(first: Tensor, second: Tensor, mean: Tensor) -> Tensor:
    """Cosine per image pair of features [n, C, ...] after a mean [C] is taken off: [n]."""
    shape = (1, -1) + (1,) * (first.ndim - 2)
    a, b = ((map - mean.view(shape)).flatten(1) for map in (first, second))
    return nn.functional.cosine_similarity(a, b, dim=1)


class Mixture(nn.Module):
    """The similarities of some layers, mixed by learned weights.

    Args:
        layers: how many there are.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers))
        self._means: list[Tensor | None] = [None] * layers

    @property
    def weights(self) -> Tensor:
        """gamma: at least 0, of sum 1."""
        return self.logits.softmax(0)

    def forward(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        """Features of both images of k pairs, a pair of tensors [k, C, ...] a layer, to S^CNN [k]."""
        layers = []
        for number, (a, b) in enumerate(zip(first, second, strict=True)):
            now = (channel_mean(a.detach()) + channel_mean(b.detach())) / 2
            before = self._means[number]
            mean = (1 - DECAY) * now + (0 if before is None else DECAY * before)
            self._means[number] = mean
            layers.append(cosines(a, b, mean))
        return self.weights @ torch.stack(layers)
