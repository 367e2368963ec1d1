"""PGD with perturbations of low or of high spatial frequencies only.

    d_{i+1} = shrink(d_i + step P g / |P g|),    g the gradient of the margin at clip(x + d_i)

P keeps the coefficients of the discrete Fourier transform below half the Nyquist frequency ("low") or the others
("high"). Images are clipped to [0, 1], which lets a little out of the band; `shrink` scales d, which does not, until
clip(x + d) lies within the ball, so that what the clip takes away is not charged. The gradient does not pass through
the clip: at a pixel that is clipped it would vanish and stay so.
"""

import math

import torch
from torch import Tensor

from bioinspired.attacks.losses import margin
from bioinspired.attacks.norms import per_image
from bioinspired.attacks.predictions import correct
from bioinspired.keys import number
from bioinspired.lab.measurements.declarations import Band
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits

CUTOFF = 0.25  # cycles per pixel: half the Nyquist frequency
STEP = 2.5  # times eps / steps, as PGD's default
BATCH = 500
BISECTIONS = 12


def ask(question: Band, asked: Asked) -> Outcome:
    """Which images held out at every step."""
    held = [
        _attack(question, asked, x, y)
        for x, y in zip(torch.split(asked.images, BATCH), torch.split(asked.labels, BATCH), strict=True)
    ]
    steps = float(question.steps)
    return Outcome(bits={"correct": bits(torch.cat(held))}, forwards=2 * steps + 1, backwards=steps)


def within(images: Tensor, band: str) -> Tensor:
    """The part of images [n, C, H, W] whose frequencies lie in the band: "low", "high", or "all"."""
    if band == "all":
        return images
    height, width = images.shape[2:]
    down = torch.fft.fftfreq(height, device=images.device)[:, None]
    across = torch.fft.fftfreq(width, device=images.device)[None, :]
    low = torch.hypot(down, across) < CUTOFF
    kept: Tensor = torch.fft.ifft2(torch.fft.fft2(images) * (low if band == "low" else ~low)).real
    return kept


def _attack(question: Band, asked: Asked, x: Tensor, y: Tensor) -> Tensor:
    radius = number(question.eps) * math.sqrt(x[0].numel())  # eps is a root mean square per value
    delta = torch.zeros_like(x)
    held = correct(asked.model, x, y)
    for _ in range(question.steps):
        point = (x + delta).clamp(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(margin(asked.model(point), y).sum(), point)
        direction = within(gradient, question.name)
        delta = delta + STEP * radius / question.steps * direction / per_image(_length(direction), x)
        delta = _shrunk(delta, x, radius)
        held &= correct(asked.model, (x + delta).clamp(0, 1), y)
    return held


def _shrunk(delta: Tensor, x: Tensor, radius: float) -> Tensor:
    """Each perturbation scaled down, where it must be, until the clipped image is within the radius, by bisection."""

    def reach(scale: Tensor) -> Tensor:
        return _length((x + per_image(scale, x) * delta).clamp(0, 1) - x)

    low, high = torch.zeros(len(x), device=x.device), torch.ones(len(x), device=x.device)
    low = torch.where(reach(high) <= radius, high, low)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        fits = reach(middle) <= radius
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return per_image(low, x) * delta


def _length(images: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(images.flatten(1), dim=1)
    return lengths.clamp_min(1e-12)
