"""What the parts of Denoised Internal Models make of images."""

from typing import Any

import torch

from bioinspired.defenses.dim.model import DenoisedInternalModels
from bioinspired.defenses.dim.noises import noisy
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked, Outcome, octets
from bioinspired.lab.papers.dim.declarations import InternalErrors

SHOWN = 4  # images
SIGMA = 0.3  # of the noise in the strip


@torch.no_grad()
def ask(question: InternalErrors, asked: Asked) -> Outcome:
    """The mean error of class i under model j ("errors", [10, 10]) and a strip of the first images.

    The strip: "clean", "noisy", "denoised" [4, C, H, W], "made" [4, classes, C, H, W], "strip_errors" [4, classes] and
    "label" [4]. Everything behind "noisy" is made of the noisy image. Where the internal models give codes, "made" is
    what the denoiser decodes from them.
    """
    inner: Any = getattr(asked.model, "network", None)
    if not isinstance(inner, DenoisedInternalModels):
        raise UserError("Only Denoised Internal Models have internal errors: ask it of such a network.")
    x, y = asked.images, asked.labels
    errors = torch.cat([inner.errors(part) for part in torch.split(x, 500)])
    table = torch.stack([errors[y == c].mean(0) for c in range(errors.shape[1])])
    clean = x[:SHOWN]
    hit = noisy(clean, "gaussian", SIGMA, asked.generator)
    made = inner.models(inner.prepared(hit)[0])
    if made.shape[2] != clean[0].numel() and inner.denoiser is not None:
        made = torch.stack([inner.denoiser.decode(codes).flatten(1) for codes in made])
    return Outcome(
        arrays={
            "errors": table.float().cpu().numpy(),
            "clean": octets(clean),
            "noisy": octets(hit),
            "denoised": octets(inner.denoised(hit)),
            "made": octets(made.clamp(0, 1).transpose(0, 1).reshape(len(clean), -1, *clean.shape[1:])),
            "strip_errors": inner.errors(hit).float().cpu().numpy(),
            "label": y[:SHOWN].to(torch.int16).cpu().numpy(),
        },
        forwards=1,
    )
