"""The denoiser of Denoised Internal Models, then an ordinary network trained on what it gives.

Where this is as robust as the whole model, the internal models add nothing.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bioinspired.defenses.dim.denoisers import Dense
from bioinspired.defenses.dim.fitting import fit_denoiser


def apply(
    model: nn.Module,
    *,
    input_shape: tuple[int, int, int],
    generator: torch.Generator,
    denoiser_widths: tuple[int, ...] = (512, 64),
) -> nn.Module:
    """Puts an untrained denoiser before a network with the parts `normalize` and `network`.

    Args:
        model: the network.
        input_shape: of an image, [C, H, W].
        generator: where the denoiser's initial weights come from.
        denoiser_widths: of its encoder, the code last.
    """
    parts: Any = model
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        denoiser = Dense(input_shape, denoiser_widths)
    first = nn.Sequential(OrderedDict(denoiser=denoiser, normalize=parts.normalize))
    return nn.Sequential(OrderedDict(normalize=first, network=parts.network))


def fit(
    model: nn.Module,
    *,
    images: Tensor,
    labels: Tensor,
    epochs: int,
    batch: int,
    rate: float,
    generator: torch.Generator,
    progress: Callable[[float], None],
    noise: str = "mixture",
) -> dict[str, list[float]]:
    """Trains the denoiser, then the network on denoised images with cross-entropy, both with Adam.

    Args:
        model: of `apply`.
        images: uint8 [n, C, H, W]. labels: int64 [n].
        epochs: of each. batch: images per step. rate: of Adam.
        generator: where order and noise come from.
        progress: called with the share that is done.
        noise: see `dim.noises.noisy`.

    Returns:
        Per epoch "denoising_error" (mean squared, per value) and "loss".
    """
    parts: Any = model
    denoiser: Dense = parts.normalize.denoiser
    model.train()
    errors = fit_denoiser(denoiser, images, epochs=epochs, batch=batch, rate=rate, generator=generator, noise=noise,
                          progress=lambda done: progress(done / 2))  # fmt: skip
    with torch.no_grad():
        seen = torch.cat([denoiser(part.float() / 255) for part in torch.split(images, 1000)])
    optimizer = torch.optim.Adam(parts.network.parameters(), lr=rate)
    batch = min(batch, len(images))
    steps = len(images) // batch
    losses = []
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator, device=images.device)
        total = torch.zeros((), device=images.device)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            loss = F.cross_entropy(parts.network(parts.normalize.normalize(seen[chosen])), labels[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.detach()
        losses.append(float(total) / steps)
        progress(0.5 + (epoch + 1) / (2 * epochs))
    return {"denoising_error": errors, "loss": losses}
