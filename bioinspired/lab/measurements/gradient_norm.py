"""How long the gradients are that an attacker sees: a defense that hides them shows it here."""

import torch
from torch.nn import functional

from bioinspired.attacks.predictions import correct
from bioinspired.lab.measurements.declarations import GradientNorm
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, numbers

BATCH = 512


def ask(question: GradientNorm, asked: Asked) -> Outcome:
    """The root mean square of each image's gradient of the cross-entropy ("gradient")."""
    norms = []
    for x, y in zip(torch.split(asked.images, BATCH), torch.split(asked.labels, BATCH), strict=True):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            loss = functional.cross_entropy(asked.model(x), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
        norms.append(gradient.flatten(1).square().mean(1).sqrt())
    return Outcome(
        bits={"correct": bits(correct(asked.model, asked.images, asked.labels))},
        values={"gradient": numbers(torch.cat(norms))},
        forwards=2,
        backwards=1,
    )
