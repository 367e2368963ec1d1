"""Adversarial examples kept as images."""

import torch

from bioinspired.attacks.predictions import predict
from bioinspired.lab.measurements.attack import run
from bioinspired.lab.measurements.declarations import Gallery
from bioinspired.lab.measurements.outcome import Asked, Outcome, mean, octets

IMAGES = 24  # at 32x32 in colour, clean and adversarial, this is 144 KiB


def ask(question: Gallery, asked: Asked) -> Outcome:
    """The first images, what the attack made of them, and the network's answers to both."""
    x, y = asked.images[:IMAGES], asked.labels[:IMAGES]
    result = run(question.attack, asked.model, x, y, asked.generator, last=True)
    return Outcome(
        arrays={
            "clean": octets(x),
            "adversarial": octets(result.x_adv),
            "label": y.to(torch.int16).cpu().numpy(),
            "clean_answer": predict(asked.model, x).to(torch.int16).cpu().numpy(),
            "adversarial_answer": predict(asked.model, result.x_adv).to(torch.int16).cpu().numpy(),
        },
        forwards=mean(result.forwards) + 2,
        backwards=mean(result.backwards),
    )
