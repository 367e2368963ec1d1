"""Runs attacks of other libraries so that nothing of the caller's is left changed.

Torchattacks and Foolbox draw from the global random generators (and torchattacks seeds them), accumulate parameter
gradients, switch a model's mode at its root only, leave all that behind when they raise, and expect an `nn.Module` on
images [n, C, H, W]. Here the attack sees an `Adapter`, and `undisturbed` puts everything back.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bioinspired.answers import Model
from bioinspired.errors import UserError


@contextlib.contextmanager
def undisturbed(model: Model, *, generator: torch.Generator | None = None) -> Iterator[None]:
    """Inside, the model is in eval mode and its parameters take no gradients; afterwards all is as it was.

    Restored, also after an error: torch's (CPU and CUDA), numpy's and Python's global random state, every module's
    training flag, and every parameter's `requires_grad` and `grad`. The global generators are seeded from `generator`.

    Args:
        model: modules and parameters are found where it is an `nn.Module`; of any other callable only the random
            state is kept.
        generator: where the seed comes from; None seeds with 0.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    modes = [module.training for module in modules]
    gradients = [(parameter.requires_grad, parameter.grad) for parameter in parameters]
    with _random_state(generator), torch.enable_grad():
        try:
            for module in modules:
                module.training = False
            for parameter in parameters:
                parameter.requires_grad_(False)
                parameter.grad = None
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
            for parameter, (wanted, gradient) in zip(parameters, gradients, strict=True):
                parameter.requires_grad_(wanted)
                parameter.grad = gradient


@contextlib.contextmanager
def _random_state(generator: torch.Generator | None) -> Iterator[None]:
    seed = 0
    if generator is not None:
        seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    states = torch.get_rng_state(), torch.cuda.get_rng_state_all() if cuda else [], np.random.get_state()
    python = random.getstate()
    try:
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        yield
    finally:
        torch.set_rng_state(states[0])
        if cuda:
            torch.cuda.set_rng_state_all(states[1])
        np.random.set_state(states[2])
        random.setstate(python)


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
        x: images in [0, 1], [n, ...].
        y: labels, int64 [n].
        name: of the attack, for messages.
        generator: where the attack's randomness comes from; None is a fixed seed.

    Returns:
        Finite images in [0, 1], of the shape and on the device of x, without a graph. No ball is enforced here.

    Raises:
        UserError: the images or labels are not as described, or the attack cannot run on this model.
    """
    _demand(x, y)
    adapter = Adapter(model, x.shape[1:], x.device)
    with undisturbed(adapter, generator=generator):
        try:
            found = attack(adapter, x.detach().clone().reshape(len(x), *adapter.shown), y.detach().clone())
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


def _demand(x: Tensor, y: Tensor) -> None:
    if not x.is_floating_point() or (x.numel() and not (x.min() >= 0 and x.max() <= 1)):
        raise UserError("Images must be floating-point in [0, 1]: divide bytes by 255, and normalise inside the model.")
    if y.shape != x.shape[:1] or y.dtype != torch.int64:
        raise UserError(f"Labels must be int64 of shape [{len(x)}], one per image, not {y.dtype} {list(y.shape)}.")
