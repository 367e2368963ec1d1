"""Trains the network that a `trials.Network` declares.

The images lie on the device as uint8 and are augmented a batch at a time. Everything random comes from generators of
its own, derived from the network's seed by purpose: a network and its twin without the defense share their initial
weights, the order of the images, their augmentation and their noise. The same declaration on the same type of
processor with the same number of threads gives the same weights, bit for bit.

A defense is the module of `bioinspired.defenses` that its declaration's `kind` names, imported only here and only when
it is asked for. Its function `apply(model, *, input_shape, generator, ...)` takes the declaration's other fields by
their names and returns the defended model, which may be the one it was given, changed in place.
"""

import dataclasses
import hashlib
import importlib
import time
import typing
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from bioinspired import data, networks
from bioinspired.errors import UserError
from bioinspired.keys import Strength, number
from bioinspired.trials import Images, Network, PGDTraining, Recipe

PADDING = 4  # pixels around an image before a random crop


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        model: images [n, C, H, W] in [0, 1] to logits, in evaluation mode, on the device; weights of the last epoch.
        history: a list with one number per epoch: "loss" and "train_accuracy" (means over the epoch's batches, as they
            were trained on) and "test_accuracy" (at the epoch's end, on the first test images, at most a quarter as
            many as there are training images, so that it costs little).
        seconds: wall-clock time of the training without the loading of data.
        images: how many training images were shown.
    """

    model: nn.Module
    history: dict[str, list[float]]
    seconds: float
    images: int


def make(
    network: Network, device: str | torch.device = "cpu", progress: Callable[[float], None] | None = None
) -> Trained:
    """Trains a network.

    Every epoch shows the images once in a new order, in full batches: the few that are left over are other ones each
    time. The test images only fill `history`, unless the recipe says `stop_at`.

    Args:
        network: what to train.
        device: where.
        progress: called after every step with the share of the work that is done, in (0, 1].

    Raises:
        UserError: the declaration cannot be carried out, data are missing, or the loss became infinite or undefined.
    """
    recipe = network.recipe
    _check(recipe)
    train, test = data.load(network.data, "train", device), data.load(network.data, "test", device)
    test = data.select(test, Images(n=min(len(test.labels), -(-len(train.labels) // 4))))
    model = assemble(network, device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=number(recipe.rate),
        momentum=number(recipe.momentum),
        nesterov=recipe.nesterov,
        weight_decay=number(recipe.decay),
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=number(recipe.smoothing))
    draws = Draws(network.seed, device)
    batch = min(recipe.batch, len(train.labels))
    steps = len(train.labels) // batch
    history: dict[str, list[float]] = {"loss": [], "train_accuracy": [], "test_accuracy": []}
    begun = time.perf_counter()
    for epoch in range(recipe.epochs):
        model.train()
        loss_sum, right = torch.zeros(2, device=device)
        order = torch.randperm(len(train.labels), generator=draws.order, device=device)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            x, y = augment(train.images[chosen], recipe, draws), train.labels[chosen]
            for group in optimizer.param_groups:
                group["lr"] = rate(recipe, epoch * steps + step, recipe.epochs * steps)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                if recipe.adversary is not None:
                    x = _adversarial(model, x, y, recipe.adversary, draws.adversary)
                logits = model(x)
            loss = criterion(logits.float(), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach()
            right += (logits.argmax(1) == y).sum()
            if progress is not None:
                progress((epoch * steps + step + 1) / (recipe.epochs * steps))
        if not torch.isfinite(loss_sum):
            raise UserError(
                f"The loss became infinite or undefined in epoch {epoch + 1} of {recipe.epochs} (seed {network.seed}): "
                f"lower the recipe's rate, now {recipe.rate}, or lengthen its warm-up."
            )
        history["loss"].append(float(loss_sum) / steps)
        history["train_accuracy"].append(float(right) / (steps * batch))
        history["test_accuracy"].append(_accuracy(model.eval(), test))
        if recipe.stop_at is not None and history["test_accuracy"][-1] >= number(recipe.stop_at):
            break
    seconds = time.perf_counter() - begun
    model = model.eval().to(memory_format=torch.contiguous_format)
    return Trained(model, history, seconds, len(history["loss"]) * steps * batch)


def assemble(network: Network, device: str | torch.device = "cpu") -> nn.Module:
    """The untrained network with its defense, on the device: what `make` starts from and weights are loaded into.

    Raises:
        UserError: a name is unknown, or the defense cannot be applied to the architecture.
    """
    description = data.describe(network.data.name)
    size = network.data.size
    model = networks.build(
        network.architecture,
        classes=len(description.classes),
        channels=description.channels,
        size=size,
        mean=description.mean,
        std=description.std,
        generator=_stream(network.seed, "weights"),
    )
    if network.defense is not None:
        options = _options(network.defense)
        seed = options.pop("mask_seed", None)
        generator = _stream(network.seed if seed is None else seed, "defense")
        defense = importlib.import_module(f"bioinspired.defenses.{network.defense.kind}")
        model = defense.apply(model, **options, input_shape=(description.channels, size, size), generator=generator)
    return model.to(device)


class Draws:
    """The random numbers of a training, a stream for each purpose."""

    def __init__(self, seed: int, device: str | torch.device) -> None:
        self.order = _stream(seed, "order", device)
        self.augmentation = _stream(seed, "augmentation", device)
        self.noise = _stream(seed, "noise", device)
        self.adversary = _stream(seed, "adversary", device)


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 0, out of so many.

    A one-cycle schedule is sampled at the middle of each step, so that neither the first nor the last one is wasted.
    """
    highest = number(recipe.rate)
    if recipe.schedule == "steps":
        epoch = step * recipe.epochs // steps
        passed = sum(epoch >= Fraction(milestone) * recipe.epochs for milestone in recipe.milestones)
        return highest * 0.1**passed
    done, warmup = (step + 0.5) / steps, number(recipe.warmup)
    return highest * (done / warmup if done < warmup else (1 - done) / (1 - warmup))


def augment(images: Tensor, recipe: Recipe, draws: Draws) -> Tensor:
    """A batch as the recipe shows it: uint8 [n, C, H, W] to float in [0, 1], channels last.

    A crop pads 4 black pixels on every side and cuts the original size out again; a flip is horizontal, of every second
    image on average; noise is clipped to [0, 1] with the image. Each image has its own draws.
    """
    n, _, H, W = images.shape
    if "crop" in recipe.augmentation:
        padded = nn.functional.pad(images, (PADDING,) * 4)
        corner = torch.randint(2 * PADDING + 1, (2, n, 1), generator=draws.augmentation, device=images.device)
        rows = corner[0] + torch.arange(H, device=images.device)
        columns = corner[1] + torch.arange(W, device=images.device)
        each = torch.arange(n, device=images.device)[:, None, None]
        images = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if "flip" in recipe.augmentation:
        flipped = torch.rand((n, 1, 1, 1), generator=draws.augmentation, device=images.device) < 0.5
        images = torch.where(flipped, images.flip(3), images)
    x = images.to(torch.float32, memory_format=torch.channels_last) / 255
    if recipe.noise is not None:
        noise = torch.randn(x.shape, generator=draws.noise, device=x.device)
        x = (x + number(recipe.noise) * noise).clamp(0, 1).contiguous(memory_format=torch.channels_last)
    return x


def _adversarial(model: nn.Module, x: Tensor, y: Tensor, adversary: PGDTraining, generator: torch.Generator) -> Tensor:
    """The last iterate of PGD from a random start, on the network in evaluation mode."""
    from bioinspired.attacks.gradient import iterates

    eps = number(adversary.eps)
    *_, last = iterates(
        model,
        x,
        y,
        norm=adversary.norm,
        eps=eps,
        steps=adversary.steps,
        step_size=number(adversary.step_size) * eps,
        random_start=True,
        generator=generator,
    )
    return last


@torch.no_grad()
def _accuracy(model: nn.Module, split: data.Split) -> float:
    batches = zip(torch.split(split.images, 500), torch.split(split.labels, 500), strict=True)
    right = [(model(images.float() / 255).argmax(1) == labels).sum() for images, labels in batches]
    return float(torch.stack(right).sum()) / len(split.labels)


def _check(recipe: Recipe) -> None:
    if recipe.epochs < 1 or recipe.batch < 2:
        raise UserError(
            f"A recipe needs at least one epoch and batches of two, not {recipe.epochs} and {recipe.batch}."
        )
    if not 0 <= number(recipe.warmup) < 1:
        raise UserError(f"A recipe's warm-up is a share of its steps below 1, not {recipe.warmup}.")


def _options(configuration: Any) -> dict[str, Any]:
    """A declaration's fields by name, strengths as numbers."""
    hints = typing.get_type_hints(type(configuration), include_extras=True)
    values = {field.name: getattr(configuration, field.name) for field in dataclasses.fields(configuration)}
    return {name: number(value) if hints[name] == Strength else value for name, value in values.items()}


def _stream(seed: int, purpose: str, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator of its own for each purpose, so that what one draws does not shift what another one gets."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))
