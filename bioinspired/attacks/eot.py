"""Expectation over transformation: attacking a model that draws random numbers when it answers.

Athalye et al., 2018 (arXiv 1707.07397): climb the expected loss, whose gradient is the mean of the gradients over
independent draws. This is not the gradient of the loss of the mean logits.
"""

import math

import torch
from torch import Tensor

from bioinspired.attacks import arguments
from bioinspired.attacks.frozen import Model


class Expectation:
    """A randomized model, answered and differentiated over several draws.

    Every attack of this package takes it as its model: losses and gradients are then means over `draws` independent
    passes, and the verdict on an image is that of the mean probability, not of a single draw. Each draw is a pass.

    As a callable it maps images [n, ...] to the logarithm of the mean probability [n, k].

    Args:
        model: any callable from images [n, ...] in [0, 1] to logits [n, k]. A module must be in evaluation mode with
            what is random by design left on; a whole model in training mode is attacked in evaluation mode.
        draws: number of passes, 20 as in AutoAttack's version for randomized defenses.

    Raises:
        UserError: draws is no integer from 1 on.
    """

    def __init__(self, model: Model, draws: int = 20) -> None:
        self.model = model
        self.draws = arguments.count(draws, "draws")

    def __call__(self, x: Tensor) -> Tensor:
        return mean_answer([self.model(x) for _ in range(self.draws)])


def mean_answer(logits: list[Tensor]) -> Tensor:
    """The logarithm of the mean probability over draws; the logits themselves where there is one draw."""
    if len(logits) == 1:
        return logits[0]
    return torch.stack([draw.log_softmax(1) for draw in logits]).logsumexp(0) - math.log(len(logits))
