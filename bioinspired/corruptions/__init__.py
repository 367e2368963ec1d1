"""Corruptions of images that know nothing of the network.

noises    noise of a strength on [0, 1]
patches   patches that change places
common    the fifteen common corruptions of CIFAR-10-C at five severities, made anew
"""

from bioinspired.corruptions.noises import (
    CORRUPTIONS,
    corrupt,
    gaussian_noise,
    gaussian_noise_clipped,
    gaussian_noise_own_range,
    salt_and_pepper,
    salt_and_pepper_own_range,
    uniform_noise,
    uniform_noise_own_range,
)

__all__ = [
    "CORRUPTIONS",
    "corrupt",
    "gaussian_noise",
    "gaussian_noise_clipped",
    "gaussian_noise_own_range",
    "salt_and_pepper",
    "salt_and_pepper_own_range",
    "uniform_noise",
    "uniform_noise_own_range",
]
