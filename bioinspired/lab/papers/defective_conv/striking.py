"""Adversarial examples that look most like another class to a second network: cherry-picked, and called so."""

import torch

from bioinspired.attacks.predictions import correct, predict
from bioinspired.lab.measurements.attack import run
from bioinspired.lab.measurements.outcome import Asked, Outcome, mean, numbers, octets
from bioinspired.lab.papers.defective_conv.declarations import Striking

KEPT = 8


def ask(question: Striking, asked: Asked) -> Outcome:
    """The examples with a new answer that the source shares, in the order of its confidence in that answer.

    "agreed" is 100 where the network's answer became wrong and the source gives the same wrong one, else 0. The arrays
    hold the first few of these images, clean and changed, with their labels and new answers.
    """
    x, y = asked.images, asked.labels
    result = run(question.attack, asked.model, x, y, asked.generator, last=True)
    answers = predict(asked.model, result.x_adv)
    with torch.no_grad():
        confidence = asked.sources[0](result.x_adv).softmax(1)
    agreed = correct(asked.model, x, y) & (answers != y) & (confidence.argmax(1) == answers)
    shares = torch.where(agreed, confidence.gather(1, answers[:, None])[:, 0], -1.0)
    chosen = shares.argsort(descending=True, stable=True)[: min(KEPT, int(agreed.sum()))]
    return Outcome(
        values={"agreed": numbers(100.0 * agreed.double())},
        arrays={
            "clean": octets(x[chosen]),
            "adversarial": octets(result.x_adv[chosen]),
            "label": y[chosen].to(torch.int16).cpu().numpy(),
            "adversarial_answer": answers[chosen].to(torch.int16).cpu().numpy(),
        },
        forwards=mean(result.forwards) + 3,
        backwards=mean(result.backwards),
    )
