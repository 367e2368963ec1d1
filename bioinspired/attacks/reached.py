"""The modules that a callable reaches, so that a function around a network is frozen as the network itself is."""

from collections.abc import Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType

from torch import nn

_DEPTH = 5
_FOREIGN = ("torch", "numpy", "builtins", "functools")


def roots(model: object) -> list[nn.Module]:
    """The modules that a callable reaches: itself, or through closures, globals, defaults, partials and attributes."""
    found: dict[int, nn.Module] = {}
    _search(model, found, set(), _DEPTH)
    return list(found.values())


def _search(thing: object, found: dict[int, nn.Module], seen: set[int], depth: int) -> None:
    if id(thing) in seen or depth < 0:
        return
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        found[id(thing)] = thing
        return
    for part in _parts(thing):
        _search(part, found, seen, depth - 1)


def _parts(thing: object) -> Iterator[object]:
    if thing is None:
        return
    if isinstance(thing, MethodType):
        yield from (thing.__self__, thing.__func__)
    elif isinstance(thing, partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, FunctionType):
        if thing.__module__ and thing.__module__.partition(".")[0] in _FOREIGN:
            return
        for cell in thing.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not filled yet
                continue
        yield from thing.__defaults__ or ()
        yield from (thing.__kwdefaults__ or {}).values()
        named = [thing.__globals__[name] for name in thing.__code__.co_names if name in thing.__globals__]
        yield from (one for one in named if isinstance(one, nn.Module | FunctionType | partial | MethodType))
        yield from (one for one in named if type(one).__module__ == thing.__module__)
    elif isinstance(thing, Mapping):
        yield from thing.values()
    elif isinstance(thing, list | tuple | set):
        yield from thing
    elif type(thing).__module__.partition(".")[0] not in _FOREIGN and not isinstance(thing, type):
        yield from getattr(thing, "__dict__", {}).values()
        yield from (getattr(thing, name, None) for name in _slots(type(thing)))
        yield type(thing).__dict__.get("__call__")


def _slots(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        named = base.__dict__.get("__slots__", ())
        yield from (named,) if isinstance(named, str) else named
