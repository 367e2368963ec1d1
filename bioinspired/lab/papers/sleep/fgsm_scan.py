"""FGSM as the released code of the sleep paper runs it: one gradient, 81 lengths of one step.

The gradient is that of half the squared distance from the ReLU of the scores to the label, with the ReLU's derivative
left out, at the clean image; x + eta sign, clipped to [0, 1], for eta = 0, 0.005, ... 0.4.
"""

import torch

from bioinspired.attacks.predictions import correct
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, numbers
from bioinspired.lab.papers.sleep.declarations import FGSMScan
from bioinspired.lab.papers.sleep.sleep_retraining import fgsm_sign


def ask(question: FGSMScan, asked: Asked) -> Outcome:
    """The scan, image by image and step by step.

    Values: "value", per image the percentage of the steps at which the network is still right; "distance", the first
    eta that fools it (0 where it is wrong already, None where none does); "curve", per step the percentage of images.
    """
    x, y = asked.images, asked.labels
    with torch.no_grad():
        classes = asked.model(x[:1]).shape[1]
    signs = fgsm_sign(asked.model, x, torch.nn.functional.one_hot(y, classes).to(x.dtype))
    etas = torch.linspace(0, number(question.largest), question.steps, device=x.device)
    right = torch.stack([correct(asked.model, (x + eta * signs).clamp(0, 1), y) for eta in etas])
    first = torch.where((~right).any(0), etas[(~right).int().argmax(0)], torch.inf)
    return Outcome(
        bits={"correct": right[0].cpu().numpy()},
        values={
            "value": numbers(100 * right.double().mean(0)),
            "distance": numbers(first),
            "curve": numbers(100 * right.double().mean(1)),
        },
        forwards=question.steps + 1,
        backwards=1,
    )
