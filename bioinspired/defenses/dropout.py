"""Ordinary dropout at the places where defective convolution puts its masks: drawn anew for every image, off in use.

Two comparisons of the chapter on defective convolution are made of it. Spatial dropout (whole channels, Tompson et al.,
arXiv 1411.4280) at the same rate says what noise in training gives by itself. Dropout of single neurons is training
under ever new masks: an attacker who knows the recipe and not the mask can train one such surrogate.
"""

from collections import OrderedDict
from typing import Literal

from torch import nn

from bioinspired.defenses.defective_conv import places
from bioinspired.errors import UserError


def apply(
    model: nn.Module,
    *,
    keep: float,
    unit: Literal["channel", "neuron"],
    where: Literal["bottom", "top", "both"] = "bottom",
) -> nn.Module:
    """Puts dropout behind the batch normalisations of a network, in place, and returns it.

    What survives in training is multiplied by 1 / keep; in evaluation nothing is dropped.

    Args:
        model: a ResNet or VGG as `defective_conv.places` knows them.
        keep: probability that a unit survives, in (0, 1].
        unit: "channel" drops maps [H, W], "neuron" single values.
        where: "bottom" (stem, stages 1 and 2), "top" (the later stages), or "both".

    Raises:
        UserError: `keep` is no such probability, or the network's stages are not known.
    """
    if not 0 < keep <= 1:
        raise UserError(f"keep = {keep} is not a share of units: give a number above 0 and at most 1.")
    for name in places(model, where):
        layer = model.get_submodule(name)
        dropout = nn.Dropout2d(1 - keep) if unit == "channel" else nn.Dropout(1 - keep)
        dropped = nn.Sequential(OrderedDict(layer=layer, dropout=dropout))
        dropped.training = dropout.training = layer.training
        model.set_submodule(name, dropped)
    return model
