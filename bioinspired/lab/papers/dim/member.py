"""One of the 42 attacks: which images stand at each norm's threshold, and how far each had to go."""

import torch
from torch import Tensor

from bioinspired.attacks.predictions import correct
from bioinspired.attacks.slices import sliced
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, mean
from bioinspired.lab.papers.dim.declarations import Member
from bioinspired.lab.papers.dim.forty_two import run, sizes
from bioinspired.lab.papers.dim.members import member

ROUNDING = 1e-5  # by how much, relatively, a change may exceed a threshold that it was clipped to
L1 = 10.0  # what members in L1 take multiples of: the ABS paper has no threshold for this norm


def ask(question: Member, asked: Asked) -> Outcome:
    """What the member found, measured in every norm, whichever it looked in.

    The bits say which images stand at a threshold ("linf", "l2", "l0"), and "correct" which stand whatever the size of
    the change. The array "distances", float16 [3, n], has the sizes in the order Linf, L2 (Euclidean), L0: 0 where the
    image was wrong already, infinite where nothing was found.
    """
    x, y = asked.images, asked.labels
    model = sliced(asked.model, x.device)
    thresholds = {"linf": number(question.linf), "l2": number(question.l2), "l0": float(question.l0)}
    base = (thresholds | {"l1": L1}).get(member(question.name).norm, thresholds["l2"])
    result = run(
        question.name,
        model,
        x,
        y,
        epsilons=[number(share) * base for share in question.grid],
        steps=question.steps,
        searches=question.searches,
        generator=asked.generator,
    )
    right = correct(model, x, y)
    found = sizes(result.x_adv - x)
    distances = {norm: _distance(found[norm], right, result.success) for norm in thresholds}
    return Outcome(
        bits={"correct": bits(~result.success)}
        | {norm: bits(distances[norm] > threshold * (1 + ROUNDING)) for norm, threshold in thresholds.items()},
        arrays={"distances": torch.stack(list(distances.values())).half().cpu().numpy()},
        forwards=mean(result.forwards) + 1,
        backwards=mean(result.backwards),
    )


def _distance(size: Tensor, right: Tensor, fooled: Tensor) -> Tensor:
    return torch.where(right, torch.where(fooled, size, torch.inf), 0.0)
