"""Keys: the sha256 of the canonical JSON of a resolved configuration.

A configuration is a frozen dataclass whose fields are numbers, strings, booleans, None, tuples, or other
configurations. Equal meaning gives equal JSON: numbers take the type the field declares, strengths one spelling
("16/510" is "8/255"), and a field equal to its declared default is left out, so that a new option with a default
changes no existing key.
"""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Hashable
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from bioinspired.errors import UserError

Strength = typing.Annotated[str, "strength"]
"""An epsilon, a noise level, a probability: an exact number written as text, such as "8/255" or "0.3"."""


LARGEST = 1_000_000
"""Of a strength: more is a slip of the pen, and a float could not hold any number."""


@lru_cache(maxsize=10_000, typed=True)
def strength(value: str | int | float | Fraction) -> Strength:
    """The one spelling of an exact number: a short decimal where it has one, else k/255, else a reduced fraction.

    Floats are read as their shortest decimal, so 0.1 is one tenth.

    Raises:
        UserError: the text is no number.
    """
    try:
        number = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    except (ValueError, ZeroDivisionError, TypeError):
        raise UserError(
            f'"{value}" is not a strength: write a number or a fraction such as "0.3" or "8/255".'
        ) from None
    if abs(number) > LARGEST:
        raise UserError(f'"{value}" is too large for a strength: write a number of at most {LARGEST:,}.')
    if (number * 10_000).denominator == 1:
        decimal = Decimal(number.numerator) / Decimal(number.denominator)
        return format(decimal.normalize(), "f")
    if (number * 255).denominator == 1:
        return f"{(number * 255).numerator}/255"
    return f"{number.numerator}/{number.denominator}"


def number(value: Strength) -> float:
    """A strength as a float."""
    return float(Fraction(value))


def canonical(configuration: Any) -> dict[str, Any]:
    """The resolved configuration as plain JSON data, fields equal to their defaults left out.

    A configuration class may set `kind`, a class attribute that is written beside its fields: it tells apart the
    classes that can stand in one place. It may set `revision`, written where it is not 1: raised when what the class
    stands for changes, it gives new keys. A class may also define `__canonical__()`, which then decides.
    """
    if hasattr(configuration, "__canonical__"):
        return typing.cast("dict[str, Any]", configuration.__canonical__())
    return fields(configuration)


def fields(configuration: Any) -> dict[str, Any]:
    """What `canonical` gives for a class without a rule of its own."""
    out: dict[str, Any] = {}
    kind = getattr(type(configuration), "kind", None)
    if kind is not None:
        out["kind"] = kind
    revision = getattr(type(configuration), "revision", 1)
    if revision != 1:
        out["revision"] = revision
    hints = _hints(configuration.__class__)
    for field in dataclasses.fields(configuration):
        value = _plain(getattr(configuration, field.name), hints[field.name])
        if field.default is not dataclasses.MISSING and value == _plain(field.default, hints[field.name]):
            continue
        out[field.name] = value
    return out


def text(configuration: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII."""
    return json.dumps(canonical(configuration), sort_keys=True, separators=(",", ":"), allow_nan=False)


@lru_cache(maxsize=100_000)
def key(configuration: Hashable) -> str:
    """The sha256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(text(configuration).encode("ascii")).hexdigest()


@cache
def _hints(declaration: type) -> dict[str, Any]:
    return typing.get_type_hints(declaration, include_extras=True)


def _plain(value: Any, hint: Any) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    if value is None:
        return None
    if dataclasses.is_dataclass(value):
        return canonical(value)
    if isinstance(value, tuple | list):
        inner = next((typing.get_args(option) for option in options if typing.get_origin(option) is tuple), (Any,))
        return [_plain(item, inner[0]) for item in value]
    if Strength in options:
        return strength(value)
    if isinstance(value, bool):
        return value
    if float in options and isinstance(value, int | float):
        return float(value)
    if isinstance(value, int | str):
        return value
    raise TypeError(f"{type(value).__name__} {value!r} cannot stand in a configuration (declared {hint})")
