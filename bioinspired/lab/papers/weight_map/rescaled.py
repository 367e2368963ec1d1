"""PGD on the cross-entropy of rescaled logits, and the two signs that it is needed.

Where logits are large the softmax saturates and the gradient of the cross-entropy vanishes, exactly so in float32. The
logits' scale does not change the answer, so an attacker divides by the median margin of the correct answers.
"""

import torch
from torch import Tensor

from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.losses import ce, margin
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, mean, numbers
from bioinspired.lab.papers.weight_map.declarations import Rescaled

BATCH = 500


def ask(question: Rescaled, asked: Asked) -> Outcome:
    """Which images held out; as values, one number each, "margin" (median) and "zero_gradients" (share of images)."""
    x, y = asked.images, asked.labels
    parts = list(zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True))
    with torch.no_grad():
        margins = torch.cat([-margin(asked.model(images), labels) for images, labels in parts])
    usual = margins[margins > 0].median() if (margins > 0).any() else torch.ones((), device=x.device)
    zero = torch.cat([_gradient(asked, *part).flatten(1).abs().amax(1) == 0 for part in parts])
    eps = number(question.eps)
    found = pgd(
        lambda images: asked.model(images) / usual,
        x,
        y,
        norm="linf",
        eps=eps,
        steps=question.steps,
        step_size=number(question.step_size) * eps,
        random_start=True,
        generator=asked.generator,
    )
    return Outcome(
        bits={"correct": bits(~found.success)},
        values={"margin": numbers(usual[None]), "zero_gradients": numbers(zero.double().mean()[None])},
        forwards=mean(found.forwards) + 2,
        backwards=mean(found.backwards) + 1,
    )


def _gradient(asked: Asked, images: Tensor, labels: Tensor) -> Tensor:
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ce(asked.model(x), labels).sum(), x)
    return gradient
