"""Runs attacks of other libraries so that nothing of the caller's is left changed.

Torchattacks and Foolbox draw from the global random generators (and torchattacks seeds them), accumulate parameter
gradients, switch a model's mode at its root only, leave all that behind when they raise, and expect an `nn.Module` on
images [n, C, H, W]. Here the attack sees an `Adapter`, and everything is put back.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from bioinspired.attacks import arguments, door
from bioinspired.attacks.frozen import Model, frozen
from bioinspired.attacks.norms import ball, per_image
from bioinspired.attacks.predictions import correct
from bioinspired.attacks.reached import roots
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError


@contextmanager
def undisturbed(model: Model, device: torch.device, *, generator: torch.Generator | None = None) -> Iterator[None]:
    """`frozen`, and besides the global generators are seeded inside and parameters hide their gradients.

    Restored, also after an error: the global random state of torch (CPU and every CUDA device), numpy and Python,
    every module's training flag, every parameter's `requires_grad` and `grad`, and every buffer.

    Args:
        model: of a callable that is no `nn.Module`, the modules that it reaches are kept.
        device: of the images.
        generator: where the seed comes from; None seeds with 0.
    """
    owners = roots(model)
    parameters = [parameter for owner in owners for parameter in owner.parameters()]
    gradients = [parameter.grad for parameter in parameters]
    buffers = [(buffer, buffer.clone()) for owner in owners for buffer in owner.buffers()]
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if started else []
    with frozen(model, device):
        try:
            for parameter in parameters:
                parameter.grad = None
            _seed(generator)
            yield
        finally:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            if started:
                torch.cuda.set_rng_state_all(cuda)


def _seed(generator: torch.Generator | None) -> None:
    drawn = torch.zeros(1, device="cpu")
    if generator is not None:
        drawn = torch.randint(2**31, (1,), generator=generator, device=generator.device)
    seed = int(drawn)
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


class Adapter(nn.Module):
    """Any callable as the `nn.Module` on images [n, C, H, W] that the libraries expect, and it counts.

    Images of other shapes are shown to the attack as one channel: flat ones as a square where their length allows it,
    else as one row. `forwards` and `backwards` count images, not calls.
    """

    def __init__(self, model: Model, shape: Sequence[int], device: torch.device) -> None:
        """
        Args:
            model: from images [n, *shape] to logits.
            shape: of one image.
            device: where the attack should work.
        """
        super().__init__()
        self.model = model
        self.shape = tuple(shape)
        self.anchor = nn.Parameter(torch.empty(0, device=device), requires_grad=False)  # tells torchattacks the device
        self.forwards = 0
        self.backwards = 0
        self.training = False

    def train(self, mode: bool = True) -> Self:
        """Does nothing: the model's mode is its owner's, whatever an attack wants."""
        return self

    @property
    def shown(self) -> tuple[int, int, int]:
        """Channels, height and width that the attack sees."""
        match self.shape:
            case (channels, height, width):
                return channels, height, width
            case (height, width):
                return 1, height, width
            case (channels, *rest, width) if len(rest) > 1:
                return channels, prod(rest), width
            case (length,) if isqrt(length) ** 2 == length:
                return 1, isqrt(length), isqrt(length)
            case (length,):
                return 1, 1, length
        raise UserError(
            f"Images of shape {list(self.shape)} cannot be attacked: give [n, d], [n, H, W] or [n, C, H, W]."
        )

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images.reshape(len(images), *self.shape))
        self.forwards += len(images)
        if logits.requires_grad:
            hooked: Any = logits  # torch leaves register_hook untyped
            hooked.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


@dataclass(frozen=True)
class Task:
    """What a foreign attack is asked for: a norm ("linf", "l2", "l1", or "l0": how many values change), its eps, and
    how many classes the model has."""

    norm: str
    eps: float
    classes: int


Foreign = Callable[[Adapter, Tensor, Tensor, Task], Tensor]
"""An attack of another library: from an adapter, images [n, C, H, W], labels and a task to images."""


def guarded(
    attack: Foreign,
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    name: str,
    norm: str,
    eps: float,
    generator: torch.Generator | None = None,
    classes: int = 2,
    channels: int | None = None,
) -> Result:
    """Runs one attack of another library and judges its images by this library's rules.

    Only images that the model answers correctly are attacked. What comes back is detached, clipped to [0, 1], brought
    into the ball and shown to the model once more.

    Args:
        attack: the attack; what it returns need not lie in the ball.
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], floating-point [n, ...].
        y: labels, integers [n].
        name: of the attack, for messages.
        norm, eps: the ball.
        generator: where the attack's randomness comes from; None is a fixed seed.
        classes: fewest classes that the attack works with.
        channels: how many channels it needs, if it matters.

    Returns:
        The result. Passes per image are the mean over the attacked images, for libraries do not tell them apart.

    Raises:
        UserError: the images or labels are not as described, or the attack cannot run on this model.
    """
    model, x, y = door.enter(model, x, y)
    eps = arguments.length(eps, "eps")
    with frozen(model, x.device):
        rows = correct(model, x, y).nonzero().squeeze(1)
        with torch.no_grad():
            known = model(x[:1]).shape[1] if len(x) else classes
    forwards, backwards = torch.ones_like(y), torch.zeros_like(y)
    adapter = Adapter(model, x.shape[1:], x.device)
    if known < classes:
        raise UserError(f"{name} needs {classes} classes or more and the model has {known}: take another attack.")
    if channels not in (None, adapter.shown[0]):
        raise UserError(f"{name} needs images of {channels} channels, not {adapter.shown[0]}: take another attack.")
    x_adv = x.clone()
    if len(rows):
        with undisturbed(model, x.device, generator=generator):
            try:
                images = x[rows].reshape(len(rows), *adapter.shown)
                found = attack(adapter, images, y[rows].clone(), Task(norm, eps, known))
            except (UserError, torch.OutOfMemoryError):
                raise
            except Exception as error:
                reason = (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")
                raise UserError(
                    f"{name} cannot attack this model on images of shape {list(x.shape[1:])} ({reason}): "
                    "take another attack from `bioinspired attack --list`."
                ) from error
        found = found.detach().to(x).reshape(x[rows].shape)
        x_adv[rows] = within(torch.where(found.isfinite(), found, x[rows]).clamp(0, 1), x[rows], norm, eps)
        forwards[rows] += 1 + -(-adapter.forwards // len(rows))
        backwards[rows] += -(-adapter.backwards // len(rows))
    with frozen(model, x.device):
        return Result(x_adv, ~correct(model, x_adv, y), forwards, backwards)


def within(x_adv: Tensor, x: Tensor, norm: str, eps: float) -> Tensor:
    """Images brought into the ball: shortened on the way to the clean image; in "l0" taken back if they change more
    than eps values."""
    delta = x_adv - x
    if norm == "l0":
        many = (delta != 0).flatten(1).sum(1) > eps
        return torch.where(per_image(many, x), x, x_adv)
    if norm == "linf":
        return (x + delta.clamp(-eps, eps)).clamp(0, 1)
    factor = (eps / ball(norm).size(delta).clamp_min(1e-12)).clamp_max(1)
    return torch.where(per_image(factor < 1, x), x + per_image(factor, x) * delta, x_adv)
