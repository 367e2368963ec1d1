"""Trains the network that a `trials.Network` declares.

The images lie on the device as uint8 and are augmented a batch at a time. Everything random comes from generators of
its own, derived from the network's seed by purpose: a network and its twin without the defense share their initial
weights, the order of the images, their augmentation and their noise. The same declaration on the same type of
processor with the same number of threads gives the same weights, bit for bit.

A defense is the module that its declaration names; see `bioinspired.training.hooks` for the functions it may have.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from bioinspired import data, networks
from bioinspired.declarations import Images, Network, PGDTraining, Recipe
from bioinspired.errors import UserError
from bioinspired.keys import number
from bioinspired.training.hooks import Hooks, stream

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
    network: Network,
    device: str | torch.device = "cpu",
    progress: Callable[[float], None] | None = None,
    at_hand: Callable[[Network], nn.Module | None] = lambda network: None,
) -> Trained:
    """Trains a network.

    Every epoch shows the images once in a new order, in full batches: the few that are left over are other ones each
    time. The test images only fill `history`, unless the recipe says `stop_at`.

    Args:
        network: what to train.
        device: where.
        progress: called after every step with the share of the work that is done, in (0, 1].
        at_hand: gives a trained network where one is kept, else None. A defense that only works on the trained
            network asks it for the undefended one before it trains that anew.

    Raises:
        UserError: the declaration cannot be carried out, data are missing, or the loss became infinite or undefined.
    """
    _check(network.recipe)
    hooks = None if network.defense is None else Hooks(network)
    undefended = dataclasses.replace(network, defense=None)
    started = at_hand(undefended) if hooks is not None and hooks.only_after else None
    if started is not None:
        trained = Trained(started, {}, 0.0, 0)
    else:
        only_after = hooks is not None and hooks.only_after
        with _own_draws(network.seed, device):
            trained = _trained(undefended if only_after else network, None if only_after else hooks, device, progress)
    if hooks is None or hooks.after is None:
        return trained
    train = data.load(network.data, "train", device)
    begun = time.perf_counter()
    model, history = hooks.after(trained.model, images=train.images, labels=train.labels, device=device)
    seconds = trained.seconds + time.perf_counter() - begun
    return Trained(model.eval(), trained.history | history, seconds, trained.images)


def _trained(
    network: Network, hooks: Hooks | None, device: str | torch.device, progress: Callable[[float], None] | None
) -> Trained:
    recipe = network.recipe
    if hooks is not None and hooks.fit is not None:
        return _fitted(network, hooks, device, progress)
    train, test = data.load(network.data, "train", device), data.load(network.data, "test", device)
    train, held_out = _held_out(train, recipe.validation)
    test = data.select(test, Images(n=min(len(test.labels), -(-len(train.labels) // 4))))
    model = assemble(network, device).to(memory_format=torch.channels_last)
    batch = min(recipe.batch, len(train.labels))
    steps = len(train.labels) // batch
    more = None
    if hooks is not None and hooks.regularizer is not None:
        more = hooks.regularizer(model, images=train.images, labels=train.labels, batch=batch, device=device,
                                 steps=recipe.epochs * steps)  # fmt: skip
    spared = [] if hooks is None or hooks.undecayed is None else hooks.undecayed(model)
    optimizer = _optimizer(recipe, model, spared=spared, more=[] if more is None else list(more.parameters()))
    draws = Draws(network.seed, device)
    history: dict[str, list[float]] = {"loss": [], "train_accuracy": [], "test_accuracy": []}
    best = Best() if recipe.select == "best_loss" else None
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
                term = None if more is None else more(model)
            loss = criterion(recipe, logits.float(), y)
            total = loss if term is None else loss + term
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            loss_sum += total.detach()
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
        for name, value in ({} if more is None else more.history()).items():
            history.setdefault(name, []).append(value)
        if held_out is not None:
            lost = _loss(recipe, model, held_out)
            history.setdefault("validation_loss", []).append(lost)
            history.setdefault("validation_accuracy", []).append(_accuracy(model, held_out))
            if best is not None:
                best.see(model, lost)
        if recipe.stop_at is not None and history["test_accuracy"][-1] >= number(recipe.stop_at):
            break
    if best is not None:
        model.load_state_dict(best.weights)
    seconds = time.perf_counter() - begun
    model = model.eval().to(memory_format=torch.contiguous_format)
    return Trained(model, history, seconds, len(history["loss"]) * steps * batch)


def _fitted(
    network: Network, hooks: Hooks, device: str | torch.device, progress: Callable[[float], None] | None
) -> Trained:
    """A network whose defense trains it in its own way."""
    recipe, train = network.recipe, data.load(network.data, "train", device)
    train, _ = _held_out(train, recipe.validation)
    model = assemble(network, device)
    begun = time.perf_counter()
    history = hooks.fit(
        model,
        images=train.images,
        labels=train.labels,
        epochs=recipe.epochs,
        batch=recipe.batch,
        rate=number(recipe.rate),
        progress=progress or (lambda done: None),
        device=device,
    )
    seconds = time.perf_counter() - begun
    return Trained(model.eval(), history, seconds, recipe.epochs * len(train.labels))


def assemble(network: Network, device: str | torch.device = "cpu") -> nn.Module:
    """The untrained network with its defense, on the device: what `make` starts from and weights are loaded into.

    Raises:
        UserError: a name is unknown, or the defense cannot be applied to the architecture.
    """
    taken = data.inputs(network.data)
    model = networks.build(
        network.architecture,
        classes=taken.classes,
        channels=taken.channels,
        size=network.data.size,
        mean=taken.mean,
        std=taken.std,
        generator=stream(network.seed, "weights"),
    )
    if network.defense is not None:
        hooks = Hooks(network)
        if hooks.apply is not None:
            model = hooks.apply(model, input_shape=(taken.channels, network.data.size, network.data.size))
    return model.to(device)


def criterion(recipe: Recipe, logits: Tensor, y: Tensor) -> Tensor:
    """The recipe's loss of a batch, a scalar."""
    if recipe.loss == "mse":
        wanted = nn.functional.one_hot(y, logits.shape[1]).to(logits.dtype)
        return (logits - wanted).square().sum(1).mean() / 2
    return nn.functional.cross_entropy(logits, y, label_smoothing=number(recipe.smoothing))


class Best:
    """The weights of the epoch with the lowest validation loss so far."""

    def __init__(self) -> None:
        self.loss = float("inf")
        self.weights: dict[str, Tensor] = {}

    def see(self, model: nn.Module, loss: float) -> None:
        """Keeps a copy of the weights where the loss is lower than ever, the first of equals."""
        if loss < self.loss or not self.weights:
            self.loss = loss
            self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}


class Draws:
    """The random numbers of a training, a stream for each purpose."""

    def __init__(self, seed: int, device: str | torch.device) -> None:
        self.order = stream(seed, "order", device)
        self.augmentation = stream(seed, "augmentation", device)
        self.noise = stream(seed, "noise", device)
        self.adversary = stream(seed, "adversary", device)


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 0, out of so many.

    A one-cycle schedule is sampled at the middle of each step, so that neither the first nor the last one is wasted.
    """
    highest, epochs = number(recipe.rate), recipe.epochs
    if recipe.cycle is not None:
        steps, epochs = steps // recipe.epochs * recipe.cycle, recipe.cycle
        step %= steps
    if recipe.schedule == "constant":
        return highest
    if recipe.schedule == "steps":
        passed = sum(step * epochs // steps >= Fraction(milestone) * epochs for milestone in recipe.milestones)
        return float(highest * number(recipe.factor) ** passed)
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


@contextmanager
def _own_draws(seed: int, device: str | torch.device) -> Iterator[None]:
    """PyTorch's global generators, which dropout draws from, seeded inside and as before afterwards."""
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(torch.randint(2**62, (), generator=stream(seed, "dropout"))))
        yield


def _optimizer(
    recipe: Recipe, model: nn.Module, *, spared: Sequence[nn.Parameter], more: Sequence[nn.Parameter]
) -> torch.optim.Optimizer:
    """The recipe's optimizer, without weight decay on `spared` of the model's parameters and on a regularizer's own."""
    apart = set(spared)
    groups: list[dict[str, Any]] = [{"params": [one for one in model.parameters() if one not in apart]}]
    if spared or more:
        groups.append({"params": [*spared, *more], "weight_decay": 0.0})
    lr, decay = number(recipe.rate), number(recipe.decay)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=lr, weight_decay=decay)
    momentum = number(recipe.momentum)
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=recipe.nesterov, weight_decay=decay)


def _held_out(train: data.Split, n: int) -> tuple[data.Split, data.Split | None]:
    """The training images without the last n, and these, which serve as validation images."""
    if n == 0:
        return train, None
    cut = len(train.labels) - n
    if cut < 2:
        raise UserError(f"A recipe cannot hold {n} of {len(train.labels)} training images out: ask for fewer.")
    rest = data.Split(train.images[cut:], train.labels[cut:], f"{train.id}-last-{n}")
    return data.Split(train.images[:cut], train.labels[:cut], f"{train.id}-first-{cut}"), rest


@torch.no_grad()
def _loss(recipe: Recipe, model: nn.Module, split: data.Split) -> float:
    batches = zip(torch.split(split.images, 500), torch.split(split.labels, 500), strict=True)
    sums = [criterion(recipe, model(images.float() / 255), labels) * len(labels) for images, labels in batches]
    return float(torch.stack(sums).sum()) / len(split.labels)


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
    if recipe.select == "best_loss" and recipe.validation < 1:
        raise UserError("A recipe that selects the best validation loss must hold images out: set `validation`.")
    if recipe.cycle is not None and recipe.cycle < 1:
        raise UserError(f"A recipe's cycle is at least one epoch, not {recipe.cycle}.")
