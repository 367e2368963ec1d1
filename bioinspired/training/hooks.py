"""How training calls a defense: the functions that a module of `bioinspired.defenses` may have.

    apply(model, *, input_shape, generator, ...) -> model
        Changes the architecture before training; called again when weights are loaded.
    regularizer(model, *, images, labels, batch, steps, generator, ...) -> Regularizer
        A term of the loss. The images are those of training, uint8 [n, C, H, W], with their labels [n]; `batch` is the
        recipe's batch size, `steps` how many batches the training has in all.
    undecayed(model, ...) -> parameters
        Those parameters of the network that weight decay leaves alone.
    fit(model, *, images, labels, epochs, batch, rate, generator, progress, ...) -> history
        Trains the model itself, in place, instead of the usual training; of the recipe it gets the three numbers, and
        `progress` is to be called with the share that is done.
    after(model, *, images, labels, generator, ...) -> (model, history)
        Works on the trained network; the history is kept with the training's. A defense that has only this function
        starts from the undefended network of the same data, architecture, recipe and seed.

Beside these, a function names those fields of the declaration that it wants; strengths come as numbers, data as their
training images. The model has the parts `normalize` and `network`. The module is imported only here, so that a network
depends on no other defense.
"""

import dataclasses
import hashlib
import importlib
import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bioinspired import data
from bioinspired.declarations import Data, Network
from bioinspired.keys import Strength, number


class Regularizer(Protocol):
    """A term added to the loss of every batch."""

    def __call__(self, model: nn.Module) -> Tensor:
        """The term, a scalar."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """What is learned beside the network's own parameters, at the same rate, without weight decay."""

    def history(self) -> Mapping[str, float]:
        """Numbers to keep at the end of an epoch, by name."""


class Hooks:
    """The functions of a network's defense, each ready to be called, or None where it has none."""

    def __init__(self, network: Network) -> None:
        """
        Args:
            network: one with a defense.
        """
        assert network.defense is not None
        self._module = importlib.import_module(f"{network.defense.home}.{network.defense.kind}")
        self._options = _options(network.defense)
        seed = self._options.pop("mask_seed", None)
        self._seed = network.seed if seed is None else seed
        self.apply = self._hook("apply")
        self.regularizer = self._hook("regularizer")
        self.undecayed = self._hook("undecayed")
        self.fit = self._hook("fit")
        self.after = self._hook("after")

    @property
    def only_after(self) -> bool:
        """The defense changes nothing before or during training."""
        return not any((self.apply, self.regularizer, self.undecayed, self.fit))

    def _hook(self, name: str) -> Any:
        function = getattr(self._module, name, None)
        if function is None:
            return None

        def call(model: nn.Module, *, device: str | torch.device = "cpu", **given: Any) -> Any:
            known = inspect.signature(function).parameters
            generator = stream(self._seed, "defense", device)
            offered = self._options | given | {"generator": generator}
            return function(model, **{key: _loaded(value, device) for key, value in offered.items() if key in known})

        return call


def stream(seed: int, purpose: str, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator of its own for each purpose, so that what one draws does not shift what another one gets."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def _options(configuration: Any) -> dict[str, Any]:
    """A declaration's fields by name, strengths as numbers."""
    hints = typing.get_type_hints(type(configuration), include_extras=True)
    values = {field.name: getattr(configuration, field.name) for field in dataclasses.fields(configuration)}
    return {name: _number(value) if _is_strength(hints[name]) and value is not None else value
            for name, value in values.items()}  # fmt: skip


def _loaded(value: Any, device: str | torch.device) -> Any:
    return data.load(value, "train", device).images if isinstance(value, Data) else value


def _number(value: Strength | tuple[Strength, ...]) -> float | tuple[float, ...]:
    return tuple(number(one) for one in value) if isinstance(value, tuple) else number(value)


def _is_strength(hint: Any) -> bool:
    return hint == Strength or Strength in typing.get_args(hint)
