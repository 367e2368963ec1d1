"""Images as they are."""

from bioinspired.attacks.predictions import correct
from bioinspired.lab.measurements.declarations import Clean
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits


def ask(question: Clean, asked: Asked) -> Outcome:
    """Which images the network answers right."""
    return Outcome(bits={"correct": bits(correct(asked.model, asked.images, asked.labels))}, forwards=1)
