"""Records: the JSON of one network, and the folder that holds them.

    <root>/<folder>/<key>.json                one record per network, the citable data behind the book
    <root>/<folder>/artifacts/<a>-<b>.safetensors   galleries and maps of a measurement, at most 200 KiB each
    <root>/<folder>/aside/                    files that could not be read, moved here by the engine, never deleted
    <root>/weights/<key>.safetensors          weights, never committed

The folder is named after the scale; narrow and full, the scales of the papers' own data, share "published".

A record is written to a temporary name, synced and renamed, under a lock: a process killed at any moment leaves the
record as it was. Reading never writes.
"""

import base64
import fcntl
import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from bioinspired.errors import UserError
from bioinspired.lab.declarations import Scale

FORMAT = "bioinspired-record-1"
RECORD_LIMIT = 256 * 1024
ARTIFACT_LIMIT = 200 * 1024
SCALES: tuple[Scale, ...] = ("smoke", "laptop", "narrow", "full")
PUBLISHED: tuple[Scale, ...] = ("narrow", "full")
"""Scales whose records are committed; their missing units take hours, so only `run` makes them."""

Bits = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[Any]]


class DamagedRecordError(UserError):
    """A record file that cannot be used: which, and why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}; the next run sets it aside and measures again.")
        self.path = path
        self.why = why


@dataclass(frozen=True)
class Record:
    """One network's record, as plain JSON data; see record.schema.json."""

    key: str
    config: dict[str, Any]
    training: dict[str, list[float]] = field(default_factory=dict)
    measurements: dict[str, dict[str, Any]] = field(default_factory=dict)
    cost: dict[str, dict[str, float]] = field(default_factory=dict)
    provenance: dict[str, dict[str, Any]] = field(default_factory=lambda: {"runs": {}, "units": {}})

    def unit(self, name: str) -> dict[str, Any] | None:
        """The provenance of "training" or of a measurement's key, or None where it was not made."""
        return self.provenance["units"].get(name)

    def with_unit(self, name: str, unit: Mapping[str, Any], runs: Mapping[str, Any]) -> "Record":
        """The record with a unit's provenance in place of what stood there, and of all runs those that units name."""
        units = self.provenance["units"] | {name: dict(unit)}
        named = {one["run"] for unit in units.values() for one in (unit, unit.get("verified", unit))}
        known = self.provenance["runs"] | dict(runs)
        kept = {run: facts for run, facts in known.items() if run in named}
        return replace(self, provenance={"runs": kept, "units": units})

    def bits(self, measurement: str, name: str = "correct") -> Bits:
        """The outcome bits of a measurement, one per image, in the order of its image set."""
        entry = self.measurements[measurement]
        return unpack(entry["bits"][name], entry["images"]["n"])


def pack(bits: Bits) -> str:
    """Bits as text: base64(zlib(packbits))."""
    return base64.b64encode(zlib.compress(np.packbits(bits).tobytes(), 9)).decode("ascii")


def unpack(text: str, n: int) -> Bits:
    """The n bits in a text made by `pack`.

    Raises:
        ValueError: the text is damaged or holds another number of bits.
    """
    try:
        octets = zlib.decompress(base64.b64decode(text, validate=True))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"damaged bits: {error}") from None
    if len(octets) != -(-n // 8):
        raise ValueError(f"bits for {8 * len(octets)} images where there are {n}")
    return np.unpackbits(np.frombuffer(octets, np.uint8), count=n).astype(np.bool_)


def to_json(record: Record) -> str:
    """The record as the text of its file.

    Raises:
        UserError: the record would be larger than 256 KiB.
    """
    content = {"format": FORMAT, **{name: getattr(record, name) for name in Record.__dataclass_fields__}}
    text = json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n"
    if len(text) > RECORD_LIMIT:
        raise UserError(
            f"The record of network {record.key[:12]} would have {len(text) // 1024} KiB, over the limit of "
            f"{RECORD_LIMIT // 1024} KiB: ask fewer questions of it, or keep fewer values per image."
        )
    return text


def from_json(text: str) -> Record:
    """The record in the text of a file.

    Raises:
        ValueError: it is no JSON, of another or a later format, against the schema, its key is not its configuration's,
            or its parts do not fit together.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is damaged or cut off (no JSON: {error})") from None
    form = content.get("format") if isinstance(content, dict) else None
    if not isinstance(form, str) or not form.startswith("bioinspired-record-"):
        raise ValueError("is no record of this project")
    if form != FORMAT:
        raise ValueError(f"has the format {form}, which this version, made for {FORMAT}, cannot read")
    problem = next(_validator().iter_errors(content), None)
    if problem is not None:
        place = "/".join(str(part) for part in problem.absolute_path) or "top level"
        raise ValueError(f"does not fit the schema at {place}: {problem.message[:200]}")
    if key_of(content["config"]) != content["key"]:
        raise ValueError("has a key that is not the hash of its configuration")
    for name, entry in content["measurements"].items():
        if key_of(entry["config"]) != name:
            raise ValueError(f"has a measurement {name[:12]} whose key is not the hash of its configuration")
        for text in entry.get("bits", {}).values():
            try:
                unpack(text, entry["images"]["n"])
            except ValueError as error:
                raise ValueError(f"has {error} in measurement {name[:12]}") from None
    del content["format"]
    record = Record(**content)
    for name, unit in record.provenance["units"].items():
        if unit["run"] not in record.provenance["runs"]:
            raise ValueError(f"names a run {unit['run']} of {name[:12]} that it does not describe")
    if not set(record.measurements) <= set(record.cost) & set(record.provenance["units"]):
        raise ValueError("has a measurement without its cost or its provenance")
    return record


def key_of(config: Mapping[str, Any]) -> str:
    """The key of a configuration that is already canonical JSON data."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Store:
    """The records of one scale below one root."""

    root: Path
    scale: Scale

    @property
    def folder(self) -> Path:
        """Where the records lie."""
        return self.root / ("published" if self.scale in PUBLISHED else self.scale)

    def path(self, key: str) -> Path:
        """The file of a network's record."""
        return self.folder / f"{key}.json"

    def weights(self, key: str) -> Path:
        """The file of a network's weights."""
        return self.root / "weights" / f"{key}.safetensors"

    def read(self, key: str) -> Record | None:
        """A network's record, or None where there is none.

        Raises:
            DamagedRecordError: there is a file, but it cannot be used.
        """
        return _read(self.path(key))

    def records(self) -> Iterator[Record | DamagedRecordError]:
        """Every record of the folder in the order of its key, and, in its place, what is wrong with a damaged one."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                record = _read(path)
            except DamagedRecordError as damage:
                yield damage
            else:
                if record is not None:
                    yield record

    def update(self, key: str, change: Callable[[Record | None], Record]) -> Record:
        """Replaces a network's record by `change(record)`, atomically; a damaged one is set aside first."""
        with self._lock():
            try:
                old = self.read(key)
            except DamagedRecordError as damage:
                self.set_aside(damage)
                old = None
            new = change(old)
            write(self.path(key), to_json(new).encode("ascii"))
        return new

    def set_aside(self, damage: DamagedRecordError) -> Path:
        """Moves a damaged file into aside/, under a name that is free there, and returns its new place."""
        aside = self.folder / "aside"
        try:
            aside.mkdir(parents=True, exist_ok=True)
            names = (aside / (damage.path.name + (f".{n}" if n else "")) for n in range(10_000))
            target = next(name for name in names if not name.exists())
            damage.path.replace(target)
        except OSError as error:
            raise _unusable(self.folder, error) from None
        return target

    def save_artifact(self, network: str, measurement: str, arrays: Arrays) -> dict[str, str]:
        """Writes a measurement's arrays and returns what the record says of them.

        Raises:
            UserError: they take more than 200 KiB.
        """
        content = save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        if len(content) > ARTIFACT_LIMIT:
            raise UserError(
                f"The artifact of measurement {measurement[:12]} has {len(content) // 1024} KiB, over the limit of "
                f"{ARTIFACT_LIMIT // 1024} KiB: keep fewer or smaller images."
            )
        file = f"{network[:16]}-{measurement[:16]}.safetensors"
        write(self.folder / "artifacts" / file, content)
        return {"file": file, "sha256": hashlib.sha256(content).hexdigest()}

    def has_artifact(self, record: Record, measurement: str) -> bool:
        """Whether the arrays that a measurement left are there as it left them; true where it left none."""
        named = record.measurements[measurement].get("artifact")
        if named is None:
            return True
        try:
            return known_sha256(self.folder / "artifacts" / named["file"]) == str(named["sha256"])
        except OSError:
            return False

    def artifact(self, record: Record, measurement: str) -> dict[str, NDArray[Any]]:
        """The arrays that a measurement left.

        Raises:
            UserError: the file is missing, or is not the one that the record names.
        """
        named = record.measurements[measurement]["artifact"]
        path = self.folder / "artifacts" / named["file"]
        again = "run its study again, or restore the file from the published records."
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise UserError(f"{path}, which record {record.key[:12]} names, is missing: {again}") from None
        if hashlib.sha256(content).hexdigest() != named["sha256"]:
            raise UserError(f"{path} is not the file that record {record.key[:12]} names (another sha256): {again}")
        return dict(load_arrays(content))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / ".lock", os.O_CREAT | os.O_WRONLY)
        except OSError as error:
            raise _unusable(self.folder, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def open_store(scale: Scale, root: str | os.PathLike[str] | None = None) -> Store:
    """The store of a scale: below `root`, else BIOINSPIRED_STORE, else results/ of the checkout (or of this folder).

    Raises:
        UserError: the scale is unknown.
    """
    if scale not in SCALES:
        raise UserError(f'"{scale}" is no scale: choose one of {", ".join(SCALES)}.')
    if not root:
        root = os.environ.get("BIOINSPIRED_STORE") or checkout() / "results"
    return Store(Path(root).resolve(), scale)


def checkout() -> Path:
    """The checkout this package lies in, else the present folder."""
    above = Path(__file__).resolve().parents[3]
    return above if (above / "_config.yml").exists() else Path.cwd()


def write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: temporary name in the same folder, sync, rename.

    Raises:
        UserError: the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"{path} could not be written ({error.strerror}): free space or choose another store."
        ) from None


def known_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, read again only when its time or size has changed."""
    stat = path.stat()
    return _sha256(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _sha256(path: str, modified: int, size: int) -> str:
    return sha256_of(Path(path))


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> Record | None:
    """The record in a file; None where there is no file. One that is as it was is not read again."""
    try:
        stat = path.stat()
        return _parsed(path, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None


@lru_cache(maxsize=2048)
def _parsed(path: Path, inode: int, modified: int, size: int) -> Record:
    try:
        text = path.read_text("utf-8")
    except (UnicodeDecodeError, IsADirectoryError):
        raise DamagedRecordError(path, "is damaged (no text)") from None
    try:
        record = from_json(text)
    except ValueError as error:
        raise DamagedRecordError(path, str(error)) from None
    if record.key != path.stem:
        raise DamagedRecordError(path, f"holds the record of another network ({record.key[:12]})")
    return record


def _unusable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be used as a store ({error.strerror}): choose another, or mend its permissions.")


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(resources.files("bioinspired.lab.records").joinpath("record.schema.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)
