"""Gaussian noise on few images, many times: an image alone would be answered right or wrong by chance."""

from bioinspired.attacks.predictions import correct
from bioinspired.corruptions.matlab import noisy
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, numbers
from bioinspired.lab.papers.sleep.declarations import RepeatedNoise


def ask(question: RepeatedNoise, asked: Asked) -> Outcome:
    """Values: "value", per image the percentage of the noisy copies that are answered right.

    The bits say which images are answered right more often than not.
    """
    n, level = len(asked.labels), number(question.level)
    copies = asked.images.repeat(question.repeats, 1, 1, 1)
    right = correct(asked.model, noisy(copies, level, asked.generator), asked.labels.repeat(question.repeats))
    share = right.view(question.repeats, n).double().mean(0)
    return Outcome(
        bits={"correct": bits(share > 0.5)}, values={"value": numbers(100 * share)}, forwards=question.repeats
    )
