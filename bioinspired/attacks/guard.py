"""Runs attacks of other libraries so that nothing of the caller's is left changed.

Torchattacks and Foolbox draw from the global random generators (and torchattacks seeds them), accumulate parameter
gradients, switch a model's mode at its root only, leave all that behind when they raise, and expect an `nn.Module` on
images [n, C, H, W]. Here the attack sees an `Adapter`, and everything is put back.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from bioinspired.attacks import arguments
from bioinspired.attacks.frozen import Model, frozen
from bioinspired.errors import UserError


@contextmanager
def undisturbed(model: Model, device: torch.device, *, generator: torch.Generator | None = None) -> Iterator[None]:
    """`frozen`, and besides the global generators are seeded inside and parameters hide their gradients.

    Restored, also after an error: the global random state of torch (CPU and every CUDA device), numpy and Python,
    every module's training flag, and every parameter's `requires_grad` and `grad`.

    Args:
        model: of a callable that is no `nn.Module` only the random state is kept.
        device: of the images.
        generator: where the seed comes from; None seeds with 0.
    """
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    gradients = [parameter.grad for parameter in parameters]
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
            if started:
                torch.cuda.set_rng_state_all(cuda)


def _seed(generator: torch.Generator | None) -> None:
    drawn = torch.zeros(1)
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
        self.training = isinstance(model, nn.Module) and model.training

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
class Run:
    """What a guarded attack returned, and its passes: totals over the images, not counting the guard's own."""

    x_adv: Tensor
    forwards: int
    backwards: int


def guarded(
    attack: Callable[[Adapter, Tensor, Tensor], Tensor],
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    name: str,
    generator: torch.Generator | None = None,
) -> Run:
    """Runs one attack of another library.

    Args:
        attack: from an `Adapter`, images [n, C, H, W] and labels to images.
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], floating-point [n, ...].
        y: labels, integers [n].
        name: of the attack, for messages.
        generator: where the attack's randomness comes from; None is a fixed seed.

    Returns:
        Finite images in [0, 1], of the shape and on the device of x, without a graph. No ball is enforced here.

    Raises:
        UserError: the images or labels are not as described, or the attack cannot run on this model.
    """
    x, y = arguments.images(x, y)
    adapter = Adapter(model, x.shape[1:], x.device)
    with undisturbed(adapter, x.device, generator=generator):
        try:
            found = attack(adapter, x.clone().reshape(len(x), *adapter.shown), y.clone())
        except (UserError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            reason = (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")
            raise UserError(
                f"{name} cannot attack this model on images of shape {list(x.shape[1:])}: {reason}; "
                "take another attack from `bioinspired attack --list`."
            ) from error
    found = found.detach().to(x).reshape(x.shape)
    found = torch.where(found.isfinite(), found, x).clamp(0, 1)
    return Run(found, adapter.forwards, adapter.backwards)
