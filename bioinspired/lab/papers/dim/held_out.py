"""Clean accuracy on images that the training held out: what a reconstruction is chosen by."""

from bioinspired.attacks.predictions import correct
from bioinspired.lab.measurements.outcome import Asked, Outcome
from bioinspired.lab.papers.dim.declarations import HeldOut


def ask(question: HeldOut, asked: Asked) -> Outcome:
    """The percentage of the last images that the network answers right, as "value"."""
    right = correct(asked.model, asked.images[-question.last :], asked.labels[-question.last :])
    return Outcome(values={"value": [round(100 * float(right.double().mean()), 4)]}, forwards=1)
