"""The door of everything public: what is done once with anybody's model and images before any attack sees them."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bioinspired.attacks import arguments
from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.predictions import Model
from bioinspired.attacks.reached import roots
from bioinspired.errors import UserError

_LOW = (torch.float16, torch.bfloat16)


class Guarded:
    """A model behind the door: it gets images that it may spoil, in its own type, and what it answers is checked.

    Attributes:
        model: as it was given.
    """

    def __init__(self, model: Model, labels: Tensor, like: Tensor) -> None:
        self.model = model
        self._labels = labels
        self._dtype = _type_of(model, like)
        self._classes = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Images [n, ...] to logits [n, k], in single precision at least."""
        given: Any = self.model(x.clone() if self._dtype in (None, x.dtype) else x.to(self._dtype))
        logits = given if isinstance(given, Tensor) else _logits_of(given)
        if not self._classes:
            self._check(given, logits, x)
        if not isinstance(logits, Tensor):
            raise UserError(f"The model first returned logits and now {type(logits).__name__}: repair it.")
        return logits.float() if logits.dtype in _LOW else logits

    def __getattr__(self, name: str) -> Any:
        """What else an attack may ask a model for, such as its parameters."""
        if name == "model":
            raise AttributeError(name)
        return getattr(self.model, name)

    def _check(self, given: object, logits: Tensor | None, x: Tensor) -> None:
        if logits is None or logits.ndim != 2 or len(logits) != len(x) or logits.shape[1] < 2:
            raise UserError(
                f"The model must return logits of shape [{len(x)}, classes], from 2 classes on, for {len(x)} images "
                f"and returned {_described(given)}: wrap it in a function that does{_wrapper(given, x)}."
            )
        if not logits.is_floating_point():
            raise UserError(f"The model returned {logits.dtype}: logits are floating-point numbers, not classes.")
        classes = logits.shape[1]
        largest = int(self._labels.max()) if len(self._labels) else 0
        if largest >= classes:
            raise UserError(
                f"A label is {largest} and the model has {classes} classes: labels run from 0 to {classes - 1}."
            )
        if logits.dtype in _LOW:
            warnings.warn(
                f"The logits are {logits.dtype}, which rounds near ones to ties, and a tie is a wrong answer: "
                "let the last layer answer in float32.",
                stacklevel=2,
            )
        self._classes = classes


def enter(model: Model, x: Tensor, y: Tensor, *, targets: Tensor | None = None) -> tuple[Model, Tensor, Tensor]:
    """A model, images and labels as attacks use them; what has come through the door already passes again.

    Raises:
        UserError: what is wrong with them, and what to do.
    """
    x, y = arguments.images(x, y)
    if not callable(model):
        raise UserError(f"The model must be a callable from images to logits and is {type(model).__name__}.")
    if isinstance(model, Expectation):
        inner, _, _ = enter(model.model, x, y)
        return Expectation(inner, model.draws), x, y
    raw = model.model if isinstance(model, Guarded) else model
    for root in roots(raw):
        devices = {tensor.device for tensor in (*root.parameters(), *root.buffers())}
        if len(devices) == 1 and x.device not in devices:
            (device,) = devices
            raise UserError(f"The images are on {x.device} and the model is on {device}: move one to the other's.")
    return Guarded(raw, y if targets is None else torch.cat([y, targets]), x), x, y


def _type_of(model: Model, like: Tensor) -> torch.dtype | None:
    """What the images are turned into: the one type of a model's weights, where it is another than the images'."""
    kinds = {one.dtype for root in roots(model) for one in root.parameters() if one.is_floating_point()}
    return kinds.pop() if len(kinds) == 1 and like.dtype not in kinds else None


def _logits_of(given: object) -> Tensor | None:
    """The logits of an output object that names them."""
    named = given.get("logits") if isinstance(given, Mapping) else getattr(given, "logits", None)
    return named if isinstance(named, Tensor) else None


def _described(given: object) -> str:
    return f"a tensor of shape {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__


def _wrapper(given: object, x: Tensor) -> str:
    """How the function would look, as far as can be told."""
    if isinstance(given, Tensor):
        if given.numel() == len(x):
            return ", for one logit `lambda x: torch.nn.functional.pad(model(x).view(-1, 1), (1, 0))`"
        return ""
    if isinstance(given, Mapping):
        return f", such as `lambda x: model(x)[{next(iter(given), 'logits')!r}]`"
    if isinstance(given, tuple | list):
        return ", such as `lambda x: model(x)[0]`"
    if type(given).__module__ == "numpy":
        return " and stays in torch, for numpy carries no gradient"
    return ""
