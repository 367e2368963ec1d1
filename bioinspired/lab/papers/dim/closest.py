"""Pictures of the smallest changes that fool a network: FMN in Linf and L2, and in L0 salt and pepper, shortened.

The arrays, kept beside the record, for n images:

clean         uint8 [n, C, H, W]
adversarial   uint8 [3, n, C, H, W]: in Linf, L2, L0
size          float32 [3, n]: largest change, Euclidean length, changed values; infinite where nothing was found
label         int16 [n]
answer        int16 [3, n]: what the network says
"""

from functools import partial

import torch

from bioinspired.attacks.external.guard import guarded
from bioinspired.attacks.fmn import fmn
from bioinspired.attacks.predictions import correct, predict
from bioinspired.attacks.slices import sliced
from bioinspired.lab.measurements.outcome import Asked, Outcome, mean, octets
from bioinspired.lab.papers.dim import forty_two
from bioinspired.lab.papers.dim.declarations import Closest
from bioinspired.lab.papers.dim.direct import salted

NORMS = ("linf", "l2", "l0")


def ask(question: Closest, asked: Asked) -> Outcome:
    """The pictures; there are no bits."""
    x, y = asked.images, asked.labels
    model = sliced(asked.model, x.device)
    shortened = partial(salted, question.steps, True)
    results = [
        fmn(model, x, y, norm="linf", steps=question.steps),
        fmn(model, x, y, norm="l2", steps=question.steps),
        guarded(shortened, model, x, y, name="salt and pepper", norm="l0", eps=x[0].numel(), generator=asked.generator),
    ]
    sizes = [
        torch.where(found.success, forty_two.sizes(found.x_adv - x)[norm], torch.inf)
        for norm, found in zip(NORMS, results, strict=True)
    ]
    made = torch.stack([found.x_adv for found in results])
    return Outcome(
        arrays={
            "clean": octets(x),
            "adversarial": octets(made),
            "size": torch.where(correct(model, x, y), torch.stack(sizes), 0.0).float().cpu().numpy(),
            "label": y.short().cpu().numpy(),
            "answer": torch.stack([predict(model, images) for images in made]).short().cpu().numpy(),
        },
        forwards=sum(mean(found.forwards) for found in results) + 3,
        backwards=sum(mean(found.backwards) for found in results),
    )
