"""Common corruptions of one band of spatial frequency."""

import torch

from bioinspired.attacks.predictions import correct
from bioinspired.corruptions.common import BANDS, common
from bioinspired.lab.measurements.declarations import CommonCorruptions
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, numbers
from bioinspired.lab.measurements.spectra import half_power_radius, power


def ask(question: CommonCorruptions, asked: Asked) -> Outcome:
    """Which images the network answers right under each corruption, by its name.

    Values: "value", the mean percentage; and for each corruption "radius of ..." the half-power radius of what it does
    to these images, in percent of the spectrum's corner, which does not depend on the network.
    """
    found, radii = {}, {}
    for name in BANDS[question.band]:
        images = common(asked.images, name, question.severity, asked.generator)
        found[name] = correct(asked.model, images, asked.labels)
        change = power(images - asked.images).mean(0)
        radii[f"radius of {name}"] = numbers(100 * half_power_radius(change)[None])
    share = torch.stack(list(found.values())).float().mean()
    return Outcome(
        bits={name: bits(right) for name, right in found.items()},
        values={"value": numbers(100 * share[None]), **radii},
        forwards=len(found),
    )
