"""Images as they are."""

from bioinspired.answers import correct
from bioinspired.outcome import Asked, Outcome, bits
from bioinspired.trials import Clean


def ask(question: Clean, asked: Asked) -> Outcome:
    """Which images the network answers right."""
    return Outcome(bits={"correct": bits(correct(asked.model, asked.images, asked.labels))}, forwards=1)
