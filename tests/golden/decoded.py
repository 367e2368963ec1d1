"""The networks and measurements of a folder of records as declarations, read back from their configurations."""

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from bioinspired.declarations import Defense, Network
from bioinspired.lab import papers
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.measurements.declarations import Question

for _paper in papers.NAMES:
    import_module(f"bioinspired.lab.papers.{_paper}.study")  # with the kinds that it declares


def declared(folder: Path) -> dict[Network, dict[str, Measurement]]:
    """Every network of a folder of records with its measurements, by the names under which they stand there."""
    records = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    networks = {record["key"]: decode(Network, record["config"]) for record in records}
    return {
        networks[record["key"]]: {
            name: _measurement(entry["config"], networks) for name, entry in record["measurements"].items()
        }
        for record in records
    }


def decode(hint: Any, plain: Any) -> Any:
    """A declaration of the type from plain JSON data; a class is chosen among those with a `kind` by its kind."""
    if dataclasses.is_dataclass(hint) and isinstance(plain, Mapping):
        chosen = next(one for one in kinds(hint) if one.kind == plain["kind"]) if hint in (Question, Defense) else hint
        hints = _hints(chosen)
        given = {name: value for name, value in plain.items() if name not in ("kind", "revision")}
        return chosen(**{name: decode(hints[name], value) for name, value in given.items()})
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    if isinstance(plain, list):
        inner = next(typing.get_args(option)[0] for option in options if typing.get_origin(option) is tuple)
        return tuple(decode(inner, item) for item in plain)
    if isinstance(plain, Mapping):
        return decode(next(option for option in options if dataclasses.is_dataclass(option)), plain)
    return plain


def kinds(base: type[Any]) -> Iterator[type[Any]]:
    """All classes of the package below one that have a kind of their own."""
    for one in base.__subclasses__():
        if "kind" in vars(one) and one.__module__.startswith("bioinspired."):
            yield one
        yield from kinds(one)


@cache
def _hints(declaration: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(declaration)


def _measurement(config: Mapping[str, Any], networks: Mapping[str, Network]) -> Measurement:
    sources = tuple(networks[name] for name in config.get("sources", ()))
    rest = {name: value for name, value in config.items() if name != "sources"}
    return dataclasses.replace(decode(Measurement, rest), sources=sources)
