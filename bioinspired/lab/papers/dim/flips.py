"""Which images stand against greedy flips, in each norm: an attack that knows of a threshold before the network."""

import torch

from bioinspired.attacks.flips import flips
from bioinspired.attacks.predictions import correct
from bioinspired.attacks.slices import sliced
from bioinspired.defenses.thresholds import Threshold
from bioinspired.errors import UserError
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, mean
from bioinspired.lab.papers.dim.declarations import Flips


def ask(question: Flips, asked: Asked) -> Outcome:
    """Bits by norm ("linf", "l2", "l0") and in all three ("correct"): away from the label, then towards each class."""
    parts = asked.model.modules() if isinstance(asked.model, torch.nn.Module) else ()
    found = [part.threshold for part in parts if isinstance(part, Threshold)]
    if len(found) != 1:
        raise UserError("Flips need a network with one threshold, before all else: ask this of such a one.")
    x, y = asked.images, asked.labels
    model = sliced(asked.model, x.device)
    forwards, backwards = torch.zeros_like(y), torch.zeros_like(y)
    left = {}
    for norm, size in question.balls:
        left[norm] = correct(model, x, y)
        classes = model(x[:1]).shape[1]
        for shift in range(classes):
            rows = left[norm].nonzero().squeeze(1)
            if not len(rows):
                break
            result = flips(model, x[rows], y[rows], norm=norm, eps=number(size), threshold=found[0],
                           tried=question.tried, rounds=question.rounds,
                           targets=(y[rows] + shift) % classes if shift else None)  # fmt: skip
            left[norm][rows] &= ~result.success
            forwards[rows] += result.forwards
            backwards[rows] += result.backwards
    left["correct"] = torch.stack(list(left.values())).all(0)
    return Outcome(
        bits={name: bits(stands) for name, stands in left.items()}, forwards=mean(forwards), backwards=mean(backwards)
    )
