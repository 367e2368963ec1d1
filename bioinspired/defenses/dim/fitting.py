"""Both stages of training, with Adam: the denoiser on noisy images, then all internal models at once.

The classes' models share no weights, so the sum of their losses trains each as if it were alone.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bioinspired.defenses.dim.denoisers import Dense
from bioinspired.defenses.dim.model import DenoisedInternalModels
from bioinspired.defenses.dim.noises import noisy
from bioinspired.defenses.fitted import as_bytes

Progress = Callable[[float], None]


def fit(
    model: nn.Module,
    *,
    images: Tensor,
    labels: Tensor,
    epochs: int,
    batch: int,
    rate: float,
    generator: torch.Generator,
    progress: Progress,
    noise: str = "mixture",
    level: float | None = None,
    sparsity: str = "none",
    penalty: float = 0.001,
    activity: float = 0.1,
    rescaled: bool = False,
    balanced: bool = False,
) -> dict[str, list[float]]:
    """Trains a model of `apply` in place.

    Args:
        model: with the part `network`, a `DenoisedInternalModels`.
        images: uint8, or floats in [0, 1], [n, C, H, W]. labels: int64 [n].
        epochs: of each stage. batch: images per step. rate: of Adam.
        generator: where order and noise come from.
        progress: called with the share that is done.
        noise, level: see `noises.noisy`.
        sparsity, penalty: what the second stage's loss of each class (the squared error of an image) gets besides: the
            penalty times the mean absolute code ("l1"), or times the divergence of Bernoulli variables of `activity`
            from those of each code's mean over the step's images, summed over the code ("kl").
        activity: the mean of a code that "kl" asks for, in (0, 1).
        rescaled: divides each class's error by its mean over the class's own training images.
        balanced: shows every class equally many images an epoch, repeating some of the smaller classes.

    Returns:
        Per epoch "denoising_error" and "internal_error", both mean squared errors per value.
    """
    network: Any = model.network
    assert isinstance(network, DenoisedInternalModels)
    images, labels = as_bytes(images, labels, classes=network.models.classes)
    model.train()
    history: dict[str, list[float]] = {}
    if network.denoiser is not None:
        history["denoising_error"] = fit_denoiser(
            network.denoiser, images, epochs=epochs, batch=batch, rate=rate, generator=generator, noise=noise,
            level=level, threshold=network.threshold, progress=lambda done: progress(done / 2),
        )  # fmt: skip
        network.denoiser.requires_grad_(False)
    prepared = [network.prepared(part.float() / 255) for part in torch.split(images, 1000)]
    reads, targets = (torch.cat(parts).detach() for parts in zip(*prepared, strict=True))
    optimizer = torch.optim.Adam(network.models.parameters(), lr=rate)
    errors = []
    for epoch in range(epochs):
        total = torch.zeros((), device=images.device)
        steps = 0
        for chosen, there in class_batches(labels, network.models.classes, batch, generator, balanced=balanced):
            codes = network.models.encode(reads[chosen])
            wrong = (network.models.decode(codes) - targets[chosen]).square().mean(2)
            each = (wrong * there).sum(1) / there.sum(1).clamp_min(1)
            loss = each.sum() * reads.shape[1]
            if sparsity in _PENALTIES:
                mean = (codes.abs() * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp_min(1)
                loss = loss + penalty * _PENALTIES[sparsity](mean, activity)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += each.detach().mean()
            steps += 1
        errors.append(float(total) / steps)
        progress(0.5 + (epoch + 1) / (2 * epochs))
    history["internal_error"] = errors
    network.requires_grad_(True)
    model.eval()
    if rescaled:
        network.scale.copy_(_own_errors(network, images, labels))
    return history


def fit_denoiser(
    denoiser: Dense,
    images: Tensor,
    *,
    epochs: int,
    batch: int,
    rate: float,
    generator: torch.Generator,
    progress: Progress,
    noise: str = "mixture",
    level: float | None = None,
    threshold: nn.Module | None = None,
) -> list[float]:
    """The first stage; per epoch the mean squared error. With a threshold the target is the image behind it."""
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=rate)
    batch = min(batch, len(images))
    steps = len(images) // batch
    errors = []
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator, device=images.device)
        total = torch.zeros((), device=images.device)
        for step in range(steps):
            x = images[order[step * batch : (step + 1) * batch]].float() / 255
            given = noisy(x, noise, level, generator)
            if threshold is not None:
                x, given = threshold(x), threshold(given)
            error = F.mse_loss(denoiser(given), x)
            optimizer.zero_grad()
            torch.autograd.backward(error * x[0].numel())
            optimizer.step()
            total += error.detach()
        errors.append(float(total) / steps)
        progress((epoch + 1) / epochs)
    return errors


def class_batches(
    labels: Tensor, classes: int, batch: int, generator: torch.Generator, *, balanced: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in steps of about `batch` images, split evenly over the classes.

    Every class's images come in a random order, once each, spread over all steps; balanced, smaller classes repeat
    images until they have as many as the largest.

    Yields:
        Indices [classes, b] and, as 0 or 1, which of them count: places that a class cannot fill do not.
    """
    own = [(labels == c).nonzero().squeeze(1) for c in range(classes)]
    own = [rows[torch.randperm(len(rows), generator=generator, device=labels.device)] for rows in own]
    longest = max(len(rows) for rows in own)
    if balanced:
        own = [rows.repeat(-(-longest // max(len(rows), 1)))[:longest] for rows in own]
    steps = max(1, round(longest * classes / batch))
    for step in range(steps):
        parts = [rows[step * len(rows) // steps : (step + 1) * len(rows) // steps] for rows in own]
        widest = max(len(part) for part in parts)
        chosen = torch.zeros(classes, widest, dtype=torch.int64, device=labels.device)
        there = torch.zeros(classes, widest, device=labels.device)
        for c, part in enumerate(parts):
            chosen[c, : len(part)] = part
            there[c, : len(part)] = 1
        yield chosen, there


def _absolute(codes: Tensor, activity: float) -> Tensor:
    return codes.mean(1).sum()


def _divergence(codes: Tensor, activity: float) -> Tensor:
    """Of Bernoulli variables of the activity from those of mean codes [classes, code] in (0, 1), summed."""
    wanted = torch.full_like(codes, activity)
    return (F.binary_cross_entropy(codes, wanted) - F.binary_cross_entropy(wanted, wanted)) * codes.numel()


_PENALTIES = {"l1": _absolute, "kl": _divergence}


@torch.no_grad()
def _own_errors(network: DenoisedInternalModels, images: Tensor, labels: Tensor) -> Tensor:
    """The mean error of each class's model on its own images, relative to their geometric mean over classes."""
    errors = torch.cat([network.errors(part.float() / 255) for part in torch.split(images, 1000)])
    own = torch.stack([errors[labels == c, c].mean() for c in range(errors.shape[1])])
    return own / own.log().mean().exp()
