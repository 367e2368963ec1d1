"""General distortions as the released code of the sleep paper makes them."""

from bioinspired.attacks.predictions import correct
from bioinspired.corruptions.matlab import blurred, noisy
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits
from bioinspired.lab.papers.sleep.declarations import Distortion


def ask(question: Distortion, asked: Asked) -> Outcome:
    """Which distorted images the network answers right."""
    level = number(question.level)
    images = blurred(asked.images, level) if question.process == "blur" else noisy(asked.images, level, asked.generator)
    return Outcome(bits={"correct": bits(correct(asked.model, images, asked.labels))}, forwards=1)
