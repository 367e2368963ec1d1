"""Common corruptions of one band of spatial frequency."""

import torch

from bioinspired.answers import correct
from bioinspired.corruptions.common import BANDS, common
from bioinspired.outcome import Asked, Outcome, bits, numbers
from bioinspired.trials import CommonCorruptions


def ask(question: CommonCorruptions, asked: Asked) -> Outcome:
    """Which images the network answers right under each corruption, by its name; "value", the mean percentage."""
    found = {
        name: correct(asked.model, common(asked.images, name, question.severity, asked.generator), asked.labels)
        for name in BANDS[question.band]
    }
    share = torch.stack(list(found.values())).float().mean()
    return Outcome(
        bits={name: bits(right) for name, right in found.items()},
        values={"value": numbers(100 * share[None])},
        forwards=len(found),
    )
