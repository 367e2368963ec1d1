"""A model as the attacks use it: in evaluation mode, without weight gradients, and afterwards exactly as before."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bioinspired.attacks.reached import roots

Model = Callable[[Tensor], Tensor]
"""Any callable from images [n, ...] in [0, 1] to logits [n, k]."""


@contextmanager
def frozen(model: Model, device: torch.device) -> Iterator[None]:
    """Freezes a model for an attack, and puts back what was there, also after an exception.

    Inside, parameters need no gradient and gradients are enabled. A module whose root is in training mode is in
    evaluation mode; one whose root is in evaluation mode stays as it is, so that dropout which was left on by design
    stays on (the buffers of such submodules are put back too). Restored: the training flag of every module,
    `requires_grad` of every parameter, and the global states of torch, numpy and Python's random numbers, which a
    model may use and the attacks do not. `param.grad` is never touched.

    A callable that is no module stands for those that it reaches, see `reached.roots`; each of them is a root.
    """
    owners = roots(model)
    modules = [module for owner in owners for module in owner.modules() if hasattr(module, "training")]
    modes = [(module, module.training) for module in modules]
    parameters = [
        (parameter, parameter.requires_grad) for module in modules for parameter in module.parameters(recurse=False)
    ]
    to_set = [module for owner in owners if getattr(owner, "training", False) for module in owner.modules()]
    to_set = [module for module in to_set if hasattr(module, "training")]
    still_training = [module for module in modules if module.training and all(module is not one for one in to_set)]
    buffers = [(buffer, buffer.clone()) for module in still_training for buffer in module.buffers(recurse=False)]
    noise = noise_state(device)
    try:
        for parameter, requires_grad in parameters:
            if requires_grad:
                parameter.requires_grad_(False)
        for module in to_set:
            module.training = False
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, training in modes:
            if module.training != training:
                module.training = training
        for parameter, requires_grad in parameters:
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        _restore_noise(noise, device)


def noise_state(device: torch.device) -> tuple[Any, ...]:
    """The global random states that a model on this device could draw from."""
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_device, random.getstate(), np.random.get_state()


def same_noise(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two states are equal, so that nothing was drawn in between."""
    cpu, on_device, python, numpy = one
    return bool(
        torch.equal(cpu, other[0])
        and (on_device is None or torch.equal(on_device, other[1]))
        and python == other[2]
        and numpy[2:] == other[3][2:]
        and np.array_equal(numpy[1], other[3][1])
    )


def _restore_noise(state: tuple[Any, ...], device: torch.device) -> None:
    cpu, on_device, python, numpy = state
    torch.set_rng_state(cpu)
    if on_device is not None:
        torch.cuda.set_rng_state(on_device, device)
    random.setstate(python)
    np.random.set_state(numpy)
