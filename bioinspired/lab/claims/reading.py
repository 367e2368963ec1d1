"""Read a study's claims: `<study>/claims.toml` holds the headline claims, `<study>/cells.csv` the cells.

Whatever is wrong in them is said in one sentence with the file, the row and what to do. Numbers are typed once: the
value of a headline claim is checked against the cells it is computed from, which must belong to its own source set.
"""

import csv
import dataclasses
import functools
import io
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, cast

from bioinspired import keys
from bioinspired.errors import UserError
from bioinspired.lab.claims.declarations import MARGINS, Cell, Claims, Endpoint, Headline, Override

T = TypeVar("T")

CLAIMS, CELLS = "claims.toml", "cells.csv"

PRINTED = ("statement", "place", "value", "cells")
"""What a claim says on a data set for which its paper prints another number."""

ROUNDING = 0.005
"""How far a typed value may be from the one its cells give: half a unit of the second decimal."""


def studies(folder: Traversable | None = None) -> tuple[str, ...]:
    """Names of the studies that have claims, sorted."""
    folder = _folder(folder)
    return tuple(sorted(entry.name for entry in folder.iterdir() if (entry / CLAIMS).is_file()))


def load(study: str, folder: Traversable | None = None) -> Claims:
    """The claims of one study.

    Args:
        study: such as "defective_conv".
        folder: where the studies' folders lie; None is the package's own.

    Raises:
        UserError: no such study, or a damaged file; the sentence names file and row.
    """
    folder = _folder(folder)
    if study not in studies(folder):
        raise UserError(f'There are no claims of a study "{study}"; there are: {", ".join(studies(folder)) or "none"}.')
    return _parsed(study, cast(Any, folder), tuple(_text(folder / study / name) for name in (CELLS, CLAIMS)))


@functools.lru_cache(maxsize=16)
def _parsed(study: str, folder: Any, texts: tuple[str, ...]) -> Claims:
    """The claims in the files of a folder, which hold these texts: as long as they do, they are not parsed again."""
    cells = _cells(folder / study / CELLS)
    headlines = _headlines(folder / study / CLAIMS, {cell.id: cell for cell in cells})
    return Claims(study=study, headlines=headlines, cells=cells)


def _folder(folder: Traversable | None) -> Traversable:
    return resources.files("bioinspired.lab.papers") if folder is None else folder


def _named(file: Traversable) -> str:
    """A file as a sentence names it, with its study."""
    return "/".join(Path(str(file)).parts[-2:])


def _text(file: Traversable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{_named(file)} is missing beside the claims: restore it.") from None
    except UnicodeDecodeError:
        raise UserError(f"{_named(file)} is not UTF-8 text: restore it or save it as UTF-8.") from None


def _headlines(file: Traversable, cells: dict[str, Cell]) -> tuple[Headline, ...]:
    try:
        content = tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{_named(file)} is not valid TOML ({error}): correct it.") from None
    rows = content.pop("headline", None)
    if content or not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{_named(file)} must hold one or more tables [[headline]] and nothing else.")
    headlines = tuple(_headline(row, f"{_named(file)}, headline {i}", cells) for i, row in enumerate(rows, start=1))
    _once([headline.id for headline in headlines], _named(file))
    return headlines


def _headline(row: dict[str, Any], place: str, cells: dict[str, Cell]) -> Headline:
    if isinstance(row.get("id"), str):
        place = f'{place} ("{row["id"]}")'
    table = dict(row)
    endpoint = _table(table.pop("endpoint", None), f"{place}, endpoint")
    others = _table(table.pop("on", {}), f"{place}, on")
    table["endpoint"] = _endpoint(endpoint, f"{place}, endpoint")
    table["overrides"] = tuple(
        _override(data, endpoint, changes, f"{place}, on.{data}") for data, changes in others.items()
    )
    if isinstance(table.get("unit"), str):
        table.setdefault("margin", MARGINS.get(table["unit"], 0.0))
    headline = _build(Headline, table, place)
    for data in ("", *(override.data for override in headline.overrides)):
        here = f"{place}, on.{data}" if data else place
        _check_value(headline.on(data), here)
        _check_cells(headline.on(data), here, cells)
    return headline


def _override(data: str, endpoint: dict[str, Any], changes: Any, place: str) -> Override:
    asked = _table(changes, place)
    printed = {name: asked[name] for name in PRINTED if name in asked}
    if printed and len(printed) < len(PRINTED):
        raise UserError(f"{place}: a number of its own needs {', '.join(PRINTED)}, all of them.")
    changed = {name: value for name, value in asked.items() if name not in PRINTED}
    return _build(Override, printed | {"data": data, "endpoint": _endpoint(endpoint | changed, place)}, place)


def _endpoint(table: dict[str, Any], place: str) -> Endpoint:
    endpoint = _build(Endpoint, table, place)
    if (endpoint.question == "clean") != (endpoint.name == ""):
        raise UserError(f'{place}: a question other than "clean" needs a name, and "clean" has none.')
    if endpoint.question in ("attack", "corruption") and endpoint.eps is None:
        raise UserError(f'{place}: "{endpoint.question}" needs eps.')
    if endpoint.metric == "conditional" and not endpoint.source:
        raise UserError(f"{place}: the conditional metric needs the source that examples are made on.")
    if (endpoint.metric == "distance") != (endpoint.question == "distance"):
        raise UserError(f'{place}: the metric "distance" goes with the question "distance" and with no other.')
    return endpoint


def _check_value(headline: Headline, place: str) -> None:
    """Sign, value, margin and unit must say the same thing."""
    ratio, metric = headline.unit == "ratio", headline.endpoint.metric
    if headline.margin <= (1.0 if ratio else 0.0):
        raise UserError(f"{place}: margin must be above {1 if ratio else 0} in {headline.unit}.")
    if metric != "value" and ratio != (metric == "distance"):
        raise UserError(f'{place}: the unit "ratio" goes with the metric "distance" or "value", "points" with others.')
    if headline.reading_error < 0:
        raise UserError(f"{place}: reading_error must not be negative.")
    if headline.value is None:
        if headline.reading_error or headline.cells:
            raise UserError(f"{place}: reading_error and cells belong to a value; there is none.")
        return
    if ratio and headline.value <= 0:
        raise UserError(f"{place}: a ratio must be above 0.")
    size = math.log(headline.value) if ratio else headline.value
    if headline.kind == "effect" and size * headline.sign <= 0:
        raise UserError(f"{place}: value {headline.value:g} does not have the claimed sign ({headline.sign:+d}).")
    if headline.reliability == "none available":
        raise UserError(f'{place}: there is a value, so reliability cannot be "none available".')


def _check_cells(headline: Headline, place: str, cells: dict[str, Cell]) -> None:
    """A value that is computed from cells must be theirs, and the cells of the claim's own source set."""
    if not headline.cells:
        return
    if headline.value is None or len(headline.cells) != 2:
        raise UserError(f"{place}: cells must name two, defended and baseline.")
    for name in headline.cells:
        if name not in cells:
            raise UserError(f'{place}: there is no cell "{name}"; correct the name.')
        if cells[name].source_set != headline.source_set:
            raise UserError(
                f'{place}: cell "{name}" is of the source set "{cells[name].source_set}", '
                f'the claim of "{headline.source_set}"; one set never feeds a verdict of another.'
            )
        if headline.unit == "ratio" and cells[name].value <= 0:
            raise UserError(f'{place}: cell "{name}" is no distance above 0; correct one.')
    value = _effect(headline, *(cells[name] for name in headline.cells))
    if abs(value - headline.value) > ROUNDING:
        raise UserError(f"{place}: value is {headline.value:g} but its cells give {value:.2f}; correct one.")


def _effect(headline: Headline, defended: Cell, baseline: Cell) -> float:
    """The effect that two cells show: a difference, or a factor of distances (cells may print them squared)."""
    if headline.unit == "points":
        return defended.value - baseline.value
    factor = defended.value / baseline.value
    return math.sqrt(factor) if defended.unit.startswith("squared") else factor


def _cells(file: Traversable) -> tuple[Cell, ...]:
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    own = [field.name for field in dataclasses.fields(Cell) if field.name != "columns"]
    cells = []
    try:
        names = next(reader, [])
        if set(own) - set(names) or len(set(names)) < len(names):
            raise UserError(f"{_named(file)}, row 1: the columns must include {','.join(own)}, each column once.")
        for row in reader:
            place = f"{_named(file)}, row {reader.line_num}"
            if len(row) != len(names):
                raise UserError(f"{place}: {len(row)} fields instead of {len(names)}; correct the row.")
            fields = dict(zip(names, row, strict=True))
            table: dict[str, Any] = {name: fields.pop(name) for name in own}
            table["value"] = _value(table["value"], place)
            cells.append(_build(Cell, table | {"columns": fields}, place))
    except csv.Error as error:
        raise UserError(f"{_named(file)}, row {reader.line_num}: not valid CSV ({error}); correct the row.") from None
    _once([cell.id for cell in cells], _named(file))
    _check_repeats(cells, _named(file))
    return tuple(cells)


def _value(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f'{place}: value "{text}" is not a finite number; correct it.')
    return value


def _check_repeats(cells: list[Cell], file: str) -> None:
    """A repeated cell names the first one, which must stand before it."""
    seen: dict[str, Cell] = {}
    for cell in cells:
        if cell.same_as and (cell.same_as not in seen or seen[cell.same_as].same_as):
            raise UserError(f'{file}, "{cell.id}": same_as "{cell.same_as}" is not an earlier, first cell.')
        seen[cell.id] = cell


def _once(names: list[str], file: str) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise UserError(f'{file}: the id "{twice}" stands twice; rename one.')


def _table(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{place} must be a table; add or correct it.")
    return value


def _build(declaration: type[T], table: dict[str, Any], place: str) -> T:
    """A declaration out of plain data: every field known, present where it has no default, and of its type."""
    hints = typing.get_type_hints(declaration, include_extras=True)
    required = [field.name for field in dataclasses.fields(cast(Any, declaration)) if _required(field)]
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise UserError(f'{place}: unknown field "{unknown[0]}"; remove or rename it.')
    absent = [name for name in required if table.get(name) is None]
    if absent:
        raise UserError(f'{place}: the field "{absent[0]}" is missing; add it.')
    return declaration(**{name: _typed(value, hints[name], f"{place}, {name}") for name, value in table.items()})


def _required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING


def _typed(value: Any, hint: Any, place: str) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if hint == keys.Strength:
        return _strength(value, place)
    if typing.get_origin(hint) is typing.Literal:
        if not any(value == option and type(value) is type(option) for option in typing.get_args(hint)):
            allowed = ", ".join(str(option) for option in typing.get_args(hint))
            raise UserError(f'{place}: "{value}" is none of: {allowed}.')
        return value
    if typing.get_origin(hint) is Mapping:
        return value
    if typing.get_origin(hint) is tuple:
        return value if isinstance(value, tuple) else _strings(value, place)
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if hint is not float and type(value) is hint:
        return value
    raise UserError(f'{place}: "{value}" is not of the right kind ({getattr(hint, "__name__", hint)}).')


def _strength(value: Any, place: str) -> str:
    try:
        return keys.strength(value if isinstance(value, str) else "")
    except UserError:
        raise UserError(f'{place}: "{value}" is not a strength; write it as text such as "0.3" or "8/255".') from None


def _strings(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UserError(f"{place}: must be a list of texts.")
    return tuple(value)
