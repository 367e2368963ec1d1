"""Where the power of small adversarial perturbations lies.

As in the analysis code of Li et al. (2023): |FFT|^2 of each perturbation, then the mean over images. (The paper's
caption leaves open whether the perturbations are averaged first.)
"""

import numpy as np

from bioinspired.answers import correct
from bioinspired.outcome import Asked, Outcome, mean, numbers
from bioinspired.questions.distance import smallest
from bioinspired.spectra import cumulative, half_power_radius, power
from bioinspired.trials import Distance, RadialSpectrum


def ask(question: RadialSpectrum, asked: Asked) -> Outcome:
    """Mean power [H, W] and its share within a radius, over the images that are right when clean and get fooled.

    Arrays: "power", scaled to its largest value; "radii" [k] and "shares" [k]; "images", how many. "value" is one
    number, the half-power radius in percent of the corner's; none where no image was fooled.
    """
    x, y = asked.images, asked.labels
    result = smallest(Distance(name=question.search, norm="l2", steps=question.steps), asked)
    moved = correct(asked.model, x, y) & result.success
    forwards, backwards = mean(result.forwards) + 1, mean(result.backwards)
    if not bool(moved.any()):
        return Outcome(values={"value": [None]}, forwards=forwards, backwards=backwards)
    found = power((result.x_adv - x)[moved]).mean(0)
    radii, shares = cumulative(found)
    arrays = {"power": found / found.max(), "radii": radii, "shares": shares}
    return Outcome(
        values={"value": numbers(100 * half_power_radius(found)[None])},
        arrays={name: array.float().cpu().numpy() for name, array in arrays.items()}
        | {"images": np.array([int(moved.sum())], dtype=np.int32)},
        forwards=forwards,
        backwards=backwards,
    )
