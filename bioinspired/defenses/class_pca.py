"""Internal models in closed form: the principal subspace of each class's images.

    e_c(x) = || (I - V_c V_c^T)(x - m_c) ||^2 / d,   logits z_c = -s e_c

with m_c the mean of class c's training images and V_c their first principal directions: the best linear autoencoder
with a code of that size. It asks whether autoencoders, and a denoiser, add anything.
"""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from bioinspired.defenses.classes import classes_of
from bioinspired.defenses.fitted import as_bytes
from bioinspired.errors import UserError


class PrincipalModels(nn.Module):
    """Images [n, C, H, W] to logits -s e_c; empty until it is fitted."""

    means: Tensor
    directions: Tensor

    def __init__(self, classes: int, size: int, components: int, logit_scale: float) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, size))
        self.register_buffer("directions", torch.zeros(classes, size, components))
        self.logit_scale = logit_scale

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        apart = x.flatten(1) - self.means[:, None]
        rest = apart - torch.bmm(torch.bmm(apart, self.directions), self.directions.transpose(1, 2))
        return -self.logit_scale * rest.square().mean(2).T


def apply(
    model: nn.Module,
    *,
    input_shape: tuple[int, int, int],
    generator: torch.Generator,
    components: int = 10,
    logit_scale: float = 100.0,
) -> nn.Module:
    """Replaces a network by empty principal models for the same images and classes.

    Args:
        model: whose classes are counted; its weights are not used.
        input_shape: of an image, [C, H, W].
        generator: not used; every defense gets one.
        components: directions per class.
        logit_scale: s, which changes no answer.

    Raises:
        UserError: more components than an image has values.
    """
    size = input_shape[0] * input_shape[1] * input_shape[2]
    if not 1 <= components <= size:
        raise UserError(f"Principal models need between 1 and {size} components, not {components}.")
    made = PrincipalModels(classes_of(model, input_shape), size, components, logit_scale)
    return nn.Sequential(OrderedDict(normalize=nn.Identity(), network=made))


@torch.no_grad()
def fit(model: nn.Module, *, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Computes means and directions from training images, uint8 or floats in [0, 1], [n, C, H, W], and labels [n].

    Returns:
        "explained": the share of the classes' variance inside their subspaces, one number.

    Raises:
        UserError: a class has fewer images than components.
    """
    network: Any = model.network
    assert isinstance(network, PrincipalModels)
    classes, _, components = network.directions.shape
    images, labels = as_bytes(images, labels, classes=classes)
    inside, whole = 0.0, 0.0
    for c in range(classes):
        x = images[labels == c].flatten(1).double() / 255
        if len(x) < components:
            raise UserError(f"Class {c} has {len(x)} training images and {components} components: ask for fewer.")
        mean = x.mean(0)
        values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean))
        network.means[c] = mean
        network.directions[c] = vectors[:, -components:].flip(1)
        inside += float(values[-components:].sum())
        whole += float(values.sum())
    return {"explained": [inside / whole]}
