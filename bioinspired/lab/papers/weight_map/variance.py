"""What a network's layers do to the variance of activations.

A neuron's variance is that over images; a layer's is the mean over its neurons. Two kinds of places are looked at: the
Weight Map layers, input against output ("gain"), and what enters the activation functions, ReLU by ReLU in the order of
the forward pass, which networks with and without the layer have in common ("noise", "adversarial"). There, with n the
perturbation, the change of a neuron is its value for x + n less its value for x.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.predictions import correct
from bioinspired.defenses.weight_map import deviations, layers
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, mean, numbers
from bioinspired.lab.papers.weight_map.declarations import Variance

BATCH = 250
STEPS = 10  # of PGD


def ask(question: Variance, asked: Asked) -> Outcome:
    """One value for every image, and one for every layer.

    "gain": of an image, the geometric mean over the Weight Map layers of |y - E y|^2 / |x - E x|^2; 1 where there is no
    such layer. Array "gain" [layers]: Var(y) / Var(x).

    Else: of an image, the squared change of the logits in units of their variance. Arrays [layers]: "change", the mean
    square change of the neurons, and "variance", their variance on clean images.
    """
    return _gain(asked) if question.name == "gain" else _change(question, asked)


def _gain(asked: Asked) -> Outcome:
    assert isinstance(asked.model, nn.Module)
    if not layers(asked.model):
        return Outcome(values={"value": [1.0] * len(asked.images)})
    before, after = deviations(asked.model, asked.images)
    return Outcome(
        values={"value": numbers((after / before).log().mean(0).exp())},
        arrays={"gain": (after.mean(1) / before.mean(1)).float().cpu().numpy()},
        forwards=2,
    )


def _change(question: Variance, asked: Asked) -> Outcome:
    assert isinstance(asked.model, nn.Module)
    x, y = asked.images, asked.labels
    cost = 3.0
    if question.name == "noise":
        noise = torch.randn(x.shape, generator=asked.generator, device=x.device)
        moved = (x + number(question.strength) * noise).clamp(0, 1)
    else:
        found = pgd(
            asked.model, x, y, norm="linf", eps=number(question.strength), steps=STEPS, generator=asked.generator
        )
        moved, cost = found.x_adv, cost + mean(found.forwards + found.backwards)
    kinds = [module for module in asked.model.modules() if isinstance(module, nn.ReLU)]

    def run(images: Tensor) -> list[Tensor]:
        return _seen(asked.model, kinds, images)

    centres = _means(run, x)
    variances, changes, logits = [], [], []
    for clean, other in zip(torch.split(x, BATCH), torch.split(moved, BATCH), strict=True):
        at, there = run(clean), run(other)
        variances.append(torch.stack([_spread(one - c) for one, c in zip(at, centres, strict=True)]))
        changes.append(torch.stack([_spread(one - other) for one, other in zip(there, at, strict=True)]))
        logits.append((there[-1] - at[-1]).square().mean(1))
    weights = torch.tensor([len(part) for part in torch.split(x, BATCH)], dtype=torch.float64, device=x.device)
    variance, change = ((torch.stack(part, 1) * weights).sum(1) / weights.sum() for part in (variances, changes))
    return Outcome(
        bits={"correct": bits(correct(asked.model, moved, y))},
        values={"value": numbers(torch.cat(logits) / variance[-1])},
        arrays={"variance": variance.float().cpu().numpy(), "change": change.float().cpu().numpy()},
        forwards=cost,
    )


def _spread(deviations: Tensor) -> Tensor:
    return deviations.double().square().mean()


@torch.no_grad()
def _seen(model: Callable[[Tensor], Tensor], modules: Sequence[nn.Module], images: Tensor) -> list[Tensor]:
    """What enters each of the modules, and last the logits."""
    found: list[Tensor] = []

    def note(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0])

    with _hooked(modules, note):
        logits = model(images)
    return [*found, logits]


@contextmanager
def _hooked(modules: Sequence[nn.Module], note: Callable[..., None]) -> Iterator[None]:
    hooks = [module.register_forward_pre_hook(note) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _means(run: Callable[[Tensor], list[Tensor]], images: Tensor) -> list[Tensor]:
    """The mean over images of every neuron of every tensor that a run gives."""
    sums = [[one.double().sum(0) for one in run(part)] for part in torch.split(images, BATCH)]
    return [torch.stack(places).sum(0) / len(images) for places in zip(*sums, strict=True)]
