"""Where the power of small adversarial perturbations lies, and how large they are.

As in the analysis code of Li et al. (2023): |FFT|^2 of each perturbation, then the mean over images. (The paper's
caption leaves open whether the perturbations are averaged first.)
"""

import numpy as np
import torch

from bioinspired.attacks.predictions import correct
from bioinspired.lab.measurements.declarations import Distance
from bioinspired.lab.measurements.distance import length, smallest
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, mean, numbers
from bioinspired.lab.measurements.spectra import cumulative, half_power_radius, power
from bioinspired.lab.papers.pixel_similarity.declarations import RadialSpectrum


def ask(question: RadialSpectrum, asked: Asked) -> Outcome:
    """Mean power [H, W] and its share within a radius, over the images that are right when clean and get fooled.

    Bits and the values "distance" are those of the question `Distance`. "value" is one number, the half-power radius in
    percent of the corner's; none where no image was fooled. Arrays: "power", scaled to its largest value; "radii" [k]
    and "shares" [k].
    """
    x, y = asked.images, asked.labels
    right = correct(asked.model, x, y)
    result = smallest(Distance(name=question.search, norm="l2", steps=question.steps), asked)
    found = torch.where(result.success, length(result.x_adv - x, "l2"), torch.inf)
    average = power((result.x_adv - x)[right & result.success]).mean(0)  # not a number where there is none
    radii, shares = cumulative(average)
    arrays = {"power": average / average.max(), "radii": radii, "shares": shares}
    return Outcome(
        bits={"correct": bits(right)},
        values={
            "distance": numbers(torch.where(right, found, 0.0)),
            "value": numbers(100 * half_power_radius(average)[None]),
        },
        arrays={name: array.float().cpu().numpy().astype(np.float32) for name, array in arrays.items()},
        forwards=mean(result.forwards) + 1,
        backwards=mean(result.backwards),
    )
