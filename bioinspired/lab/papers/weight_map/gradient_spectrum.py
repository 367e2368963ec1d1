"""The spatial frequencies of the gradient of the loss at the input.

Of every image's gradient of the margin, the power of its two-dimensional Fourier transform, in rings of equal
width around frequency 0 and divided by its sum, so that images with large gradients do not count for more.
"""

import numpy as np
import torch
from torch import Tensor

from bioinspired.attacks.losses import margin
from bioinspired.lab.measurements.outcome import Asked, Outcome, numbers
from bioinspired.lab.papers.weight_map.declarations import GradientSpectrum

RINGS = 8  # up to the Nyquist frequency, half a cycle per pixel
BATCH = 250


def ask(question: GradientSpectrum, asked: Asked) -> Outcome:
    """Of every image, the share of power above half the Nyquist frequency; as array, "power" [rings]: mean shares."""
    shares = torch.cat(
        [_shares(_gradient(asked, part)) for part in torch.split(torch.arange(len(asked.images)), BATCH)]
    )
    return Outcome(
        values={"value": numbers(shares[:, RINGS // 2 :].sum(1))},
        arrays={"power": shares.nanmean(0).float().cpu().numpy()},
        forwards=1,
        backwards=1,
    )


def rings(height: int, width: int) -> Tensor:
    """For every coefficient of a transform [height, width] its ring, 0 to RINGS - 1; RINGS beyond Nyquist."""
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    return torch.from_numpy(np.minimum(np.floor(frequencies / 0.5 * RINGS), RINGS).astype(np.int64))


def _gradient(asked: Asked, part: Tensor) -> Tensor:
    x = asked.images[part].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(margin(asked.model(x), asked.labels[part]).sum(), x)
    return gradient


def _shares(gradient: Tensor) -> Tensor:
    """[n, C, H, W] to the share of power in each ring, [n, RINGS]; not a number where the gradient is zero."""
    power = torch.fft.fft2(gradient.double()).abs().square().sum(1).flatten(1)
    ring = rings(*gradient.shape[2:]).flatten().to(power.device)
    sums = torch.zeros(len(power), RINGS + 1, dtype=power.dtype, device=power.device).index_add_(1, ring, power)
    return sums[:, :RINGS] / sums[:, :RINGS].sum(1, keepdim=True)
