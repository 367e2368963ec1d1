"""The smallest perturbation that fools the network, image by image."""

import torch
from torch import Tensor

from bioinspired.attacks.predictions import correct
from bioinspired.attacks.result import Result
from bioinspired.lab.measurements.declarations import Distance
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, mean, numbers


def ask(question: Distance, asked: Asked) -> Outcome:
    """Distances ("distance"), which images are right when clean ("correct"), and where nothing was found: None."""
    x, y = asked.images, asked.labels
    right = correct(asked.model, x, y)
    result = smallest(question, asked)
    found = torch.where(result.success, length(result.x_adv - x, question.norm), torch.inf)
    return Outcome(
        bits={"correct": bits(right)},
        values={"distance": numbers(torch.where(right, found, 0.0))},
        forwards=mean(result.forwards) + 1,
        backwards=mean(result.backwards),
    )


def length(delta: Tensor, norm: str) -> Tensor:
    """The size of each perturbation [n, ...]: root mean square ("l2"), largest ("linf"), mean absolute ("l1") value."""
    flat = delta.flatten(1)
    if norm == "linf":
        return flat.abs().amax(1)
    return flat.square().mean(1).sqrt() if norm == "l2" else flat.abs().mean(1)


def smallest(question: Distance, asked: Asked) -> Result:
    """What the search finds, image by image."""
    if question.name == "fmn":
        from bioinspired.attacks.fmn import fmn

        return fmn(asked.model, asked.images, asked.labels, norm=question.norm, steps=question.steps)
    from bioinspired.attacks.minimal import search

    return search(
        question.name,
        asked.model,
        asked.images,
        asked.labels,
        norm=question.norm,
        steps=question.steps,
        generator=asked.generator,
    )
