"""Corrupted images."""

from bioinspired.attacks.predictions import correct
from bioinspired.corruptions import corrupt
from bioinspired.keys import number
from bioinspired.lab.measurements.declarations import Corruption
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits


def ask(question: Corruption, asked: Asked) -> Outcome:
    """Which corrupted images the network answers right."""
    images = corrupt(asked.images, question.name, strength=number(question.strength), generator=asked.generator)
    return Outcome(bits={"correct": bits(correct(asked.model, images, asked.labels))}, forwards=1)
