"""A control for sleep: delete hidden units of a trained network and change nothing else.

A deleted unit gives zero to every image: its incoming weights are set to zero. Three choices answer three questions.
"slept": is what sleep does no more than to silence the units that it changes? "active": would it have been enough to
delete the most active ones, without any spiking network? "random": does it matter which units are deleted?
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from bioinspired.defenses import sleep
from bioinspired.defenses.sleep.scaling import BATCH, activations, linear_layers
from bioinspired.errors import UserError
from bioinspired.keys import number

WATCHED = 10_000  # training images that mean activity is taken over


def after(
    model: nn.Module,
    *,
    images: Tensor,
    generator: torch.Generator,
    choice: Literal["active", "random", "slept"],
    first: float,
    second: float,
    like: Any,
) -> tuple[nn.Module, dict[str, list[float]]]:
    """Deletes hidden units in place.

    Args:
        model: three linear layers without biases.
        images: the training images, uint8 [n, C, H, W].
        generator: of the sleep that is imitated, or of the random choice.
        choice: "active": those of the largest mean activation on the first training images; "random"; "slept": those
            that spike during the sleep `like`.
        first, second: shares of the units of the two hidden layers.
        like: a declared sleep; given, as many units of each layer are deleted as spike in it.

    Returns:
        The model, and "deleted_1", "deleted_2": how many units.

    Raises:
        UserError: "slept" without a sleep to imitate.
    """
    layers = linear_layers(model.eval())
    hidden = layers[:-1]
    if like is not None:
        chosen = [
            counts > 0
            for counts in sleep.spikes(model, images=images, generator=generator, parameters=parameters(like))
        ]
        numbers = [int(units.sum()) for units in chosen[:-1]]
    elif choice == "slept":
        raise UserError('Deleting the units that slept needs `like`: name the sleep, or choose "active".')
    else:
        numbers = [round(share * layer.out_features) for share, layer in zip((first, second), hidden, strict=True)]
    if choice == "active":
        activity = mean_activity(model, images[:WATCHED])
        chosen = [_largest(mean, number) for mean, number in zip(activity, numbers, strict=True)]
    elif choice == "random":
        dice = [torch.rand(layer.out_features, generator=generator, device=images.device) for layer in hidden]
        chosen = [_largest(draw, number) for draw, number in zip(dice, numbers, strict=True)]
    with torch.no_grad():
        for layer, units in zip(hidden, chosen, strict=False):
            layer.weight[units] = 0
    return model, {f"deleted_{k}": [float(number)] for k, number in enumerate(numbers, start=1)}


def parameters(declared: Any) -> sleep.Parameters:
    """The numbers of a declared sleep."""
    return sleep.Parameters(
        rate=number(declared.rate),
        inc=number(declared.inc),
        dec=number(declared.dec),
        beta1=number(declared.beta1),
        beta2=number(declared.beta2),
        beta3=number(declared.beta3),
        alpha=number(declared.alpha),
        steps=declared.steps,
        source=declared.source,
        factor=declared.factor,
    )


def mean_activity(model: nn.Module, images: Tensor) -> list[Tensor]:
    """The mean activation of every hidden unit, a tensor per layer.

    Args:
        model: in evaluation mode.
        images: uint8 [n, C, H, W].
    """
    sums = [torch.zeros(layer.out_features, device=images.device) for layer in linear_layers(model)[:-1]]
    for part in torch.split(images, BATCH):
        for total, seen in zip(sums, activations(model, part.float() / 255)[0], strict=True):
            total += seen.sum(0)
    return [total / len(images) for total in sums]


def _largest(values: Tensor, number: int) -> Tensor:
    """bool, True for so many of the largest values."""
    chosen = torch.zeros_like(values, dtype=torch.bool)
    chosen[values.topk(number).indices] = True
    return chosen
