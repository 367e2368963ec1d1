r"""Controls for the sleep of a network of one layer: as large a change of the same weights, without any spike.

What a linear classifier answers does not depend on a common factor of its weights, and neither does how far an image is
from being answered otherwise. So a change can matter only through the directions of the weight vectors, one for each
class, and through their lengths relative to one another. Four controls take this apart:

    "scaled"   every waking weight vector gets the length that sleep gives it: lengths without directions
    "turned"   every slept weight vector gets the length that it had awake: directions without lengths
    "noise"    every weight vector gets a random change that is as long as the change that sleep makes
    "deleted"  weights from pixels that are off in every image are set to zero: sleep lowers them, nothing trained them
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from bioinspired.defenses.one_layer_sleep import Parameters, asleep, only_layer
from bioinspired.errors import UserError
from bioinspired.keys import number


def after(
    model: nn.Module,
    *,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    choice: Literal["scaled", "turned", "noise", "deleted"],
    like: Any,
) -> tuple[nn.Module, dict[str, list[float]]]:
    """Changes the weights in place.

    Args:
        model: one linear layer without biases.
        images, labels: the training images, uint8 [n, C, H, W], and labels [n].
        generator: of the sleep that is imitated.
        choice: as above.
        like: the declared sleep; "deleted" needs none.

    Returns:
        The model and no curves.

    Raises:
        UserError: a sleep is needed and none is given.
    """
    layer = only_layer(model.eval())
    awake = layer.weight.detach().clone()
    if choice == "deleted":
        changed = awake * (images.flatten(1) > 0).any(0)
    elif like is None:
        raise UserError(f'The control "{choice}" changes weights as much as a sleep does: name the sleep in `like`.')
    else:
        slept, _ = asleep(model, images=images, labels=labels, generator=generator, parameters=parameters(like))
        if choice == "scaled":
            changed = awake * _lengths(slept) / _lengths(awake)
        elif choice == "turned":
            changed = slept * _lengths(awake) / _lengths(slept)
        else:
            noise = torch.randn(awake.shape, generator=generator, device=awake.device)
            changed = awake + noise * _lengths(slept - awake) / _lengths(noise)
    with torch.no_grad():
        layer.weight.copy_(changed)
    return model, {}


def parameters(declared: Any) -> Parameters:
    """The numbers of a declared sleep."""
    return Parameters(
        rate=number(declared.rate),
        inc=number(declared.inc),
        dec=number(declared.dec),
        beta=number(declared.beta),
        alpha=number(declared.alpha),
        steps=declared.steps,
        source=declared.source,
        factor=declared.factor,
    )


def _lengths(weights: Tensor) -> Tensor:
    """[classes, 1], Euclidean."""
    return weights.square().sum(1, keepdim=True).sqrt()
