"""Corrupted images."""

from bioinspired.answers import correct
from bioinspired.corruptions import corrupt
from bioinspired.keys import number
from bioinspired.outcome import Asked, Outcome, bits
from bioinspired.trials import Corruption


def ask(question: Corruption, asked: Asked) -> Outcome:
    """Which corrupted images the network answers right."""
    images = corrupt(asked.images, question.name, strength=number(question.strength), generator=asked.generator)
    return Outcome(bits={"correct": bits(correct(asked.model, images, asked.labels))}, forwards=1)
