"""A line of the catalogue: one attack, what it is for, what it costs, and what is known to be wrong with it."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from bioinspired.attacks.result import Result
from bioinspired.errors import UserError

Kind = Literal["white", "transfer", "score", "decision", "noise"]
"""What the attack needs: the model's gradients; those of another model, or the model's own where it is its own source;
logits; answers; nothing."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One attack.

    Attributes:
        name: under which it runs, such as "pgd" or "torchattacks.FGSM".
        library: "bioinspired", or another one with its version.
        norms: the balls it knows; "l0" counts changed values.
        kind: what it needs.
        budget: what it does at most, in words.
        forwards, backwards: passes per image that stands to the end, those that check the result included, measured on
            a small network of 10 classes (tests/test_catalogue.py). Attacks that lead to every class cost more or less
            elsewhere.
        at_most: these passes are a bound, because how soon it stops depends on the network, down to its rounding.
        minimal: it searches the smallest perturbation and needs no eps.
        defects: what is known to be wrong with it, one sentence each.
        instead: the name of the entry to take because of these defects.
        attack: (model, x, y, *, norm, eps, generator) -> Result.
    """

    name: str
    library: str
    norms: tuple[str, ...]
    kind: Kind
    budget: str
    forwards: int
    backwards: int
    at_most: bool = False
    minimal: bool = False
    defects: tuple[str, ...] = ()
    instead: str | None = None
    attack: Callable[..., Result] = field(repr=False, compare=False)


def library(name: str) -> Any:
    """A library of the `book` extra, imported when first used.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"This attack needs {name}, which is not installed: pip install 'bioinspired[book]'."
        ) from error
