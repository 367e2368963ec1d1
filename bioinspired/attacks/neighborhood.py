"""A gradient averaged over a neighborhood: for networks whose answers jump, so that a gradient holds in a point only.

The network's answer is left as it is; its gradient becomes the mean of the gradients at points drawn around the input,
as the attack on k-WTA did (Tramer et al., 2020, arXiv 2002.08347, section 5). It joins `eot` and `bpda`.
"""

import torch
from torch import Tensor

from bioinspired.attacks import arguments
from bioinspired.attacks.frozen import Model
from bioinspired.attacks.norms import normal


def neighborhood(model: Model, *, radius: float, draws: int = 20, generator: torch.Generator | None = None) -> Model:
    """A model with the same answers and the gradient of its mean answer around the input.

    Args:
        model: any callable from images [n, ...] in [0, 1] to logits [n, k].
        radius: standard deviation of the normal noise, in the units of the images; about a quarter of eps.
        draws: points around each image; an even number, for each comes with its mirror image.
        generator: where the points come from; None is a generator seeded with 0.

    Raises:
        UserError: an argument is out of range.
    """
    radius, pairs = arguments.length(radius, "radius"), -(-arguments.count(draws, "draws") // 2)
    dice = arguments.dice(generator)

    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            logits = model(x)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return logits
        drawn = [radius * normal(x, dice) for _ in range(pairs)]
        around = torch.stack([model(x + side * one) for one in drawn for side in (1, -1)]).mean(0)
        return logits + (around - around.detach())  # the difference is zero, exactly, and carries the gradient

    return answer
