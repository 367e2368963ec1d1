"""An attack on what the regularizer asks for: that an image's features stay as they are.

For each layer l that the regularizer compares, from a random start in the ball,

    x_{i+1} = clip(x_i + step sign(gradient of 1 - S^CNN-l(x, x_i)))

so it needs no label and no logits. An image is held where the answer is right after every step at every layer.
"""

import torch
from torch import Tensor, nn

from bioinspired.attacks.frozen import frozen
from bioinspired.attacks.predictions import correct
from bioinspired.defenses.pixel_similarity.features import channel_mean, cosines, default_layers, features
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits
from bioinspired.lab.papers.pixel_similarity.declarations import FeatureAttack

BATCH = 500


def ask(question: FeatureAttack, asked: Asked) -> Outcome:
    """Which images held out: against the attack at each layer ("layer_1", ...), and against all of them ("correct")."""
    model = asked.model
    assert isinstance(model, nn.Module)
    layers = default_layers(model)
    held = []
    with frozen(model, asked.images.device):
        for x, y in zip(torch.split(asked.images, BATCH), torch.split(asked.labels, BATCH), strict=True):
            held.append(torch.stack([_attack(question, model, layer, x, y, asked.generator) for layer in layers]))
    found = torch.cat(held, 1)
    passes = len(layers) * float(question.steps)
    return Outcome(
        bits={"correct": bits(found.all(0))}
        | {f"layer_{number}": bits(row) for number, row in enumerate(found, start=1)},
        forwards=2 * passes + 2 * len(layers),
        backwards=passes,
    )


def _attack(
    question: FeatureAttack, model: nn.Module, layer: str, x: Tensor, y: Tensor, generator: torch.Generator
) -> Tensor:
    eps = number(question.eps)
    with torch.no_grad():
        (before,) = features(model, x, (layer,))
    mean = channel_mean(before)
    held = correct(model, x, y)
    noise = torch.rand(x.shape, generator=generator, device=x.device)
    point = (x + eps * (2 * noise - 1)).clamp(0, 1)
    for _ in range(question.steps):
        point = point.detach().requires_grad_()
        (now,) = features(model, point, (layer,))
        (gradient,) = torch.autograd.grad((1 - cosines(before, now, mean)).sum(), point)
        moved = point.detach() + number(question.step_size) * eps * gradient.sign()
        point = torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)
        held &= correct(model, point, y)
    return held
