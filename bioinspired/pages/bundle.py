"""The book in one file, to deposit and to cite: pages, executed notebooks, the records behind them, licences.

bioinspired-VERSION-SCALE/
    MANIFEST.json   version, commit, scale, package versions; every file with its size and sha256
    html/           the rendered book; index.html is its first page
    notebooks/      the notebooks as they were executed
    records/        the records that the pages show
    CITATION.cff  LICENSE  LICENSE-book
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from bioinspired.errors import UserError
from bioinspired.lab.records import provenance
from bioinspired.lab.records.store import Store, checkout, write

ENDING = ".tar.gz"
LOOSE = {"CITATION.cff": "CITATION.cff", "LICENSE": "LICENSE", "book/LICENSE": "LICENSE-book"}


def check(target: Path) -> None:
    """Refuses a name that no archive can have, and one that is taken.

    Raises:
        UserError: the name does not end in ".tar.gz", or there is such a file already.
    """
    if not target.name.endswith(ENDING) or target.name == ENDING:
        raise UserError(f'"{target}" is no name for the archive: give one that ends in {ENDING}, such as book{ENDING}.')
    for taken in (target, _checksum_file(target)):
        if taken.exists():
            raise UserError(f"{taken} exists already: move it away or choose another name.")


def pack(target: Path, *, store: Store, root: Path | None = None) -> str:
    """Writes the archive of a book that is up to date, and beside it its checksum for `sha256sum --check`.

    The same book gives the same bytes.

    Args:
        target: the archive, a new file that ends in ".tar.gz".
        store: the records that the book shows.
        root: the checkout (default: this one) with the built book in `_build`.

    Returns:
        The sha256 of the archive.

    Raises:
        UserError: see `check`; no book has been built; or the file cannot be written.
    """
    check(target)
    root = (root or checkout()).resolve()
    if not (root / "_build" / "html" / "index.html").is_file():
        raise UserError(f"There is no book in {root / '_build'}: build it with `bioinspired book` first.")
    files = dict(sorted(_files(root, store)))
    run = provenance.of_run("cpu")
    manifest = {
        "name": "bioinspired",
        "scale": store.scale,
        "commit": run["commit"],
        "dirty": run["dirty"],
        "versions": run["versions"],
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
    }
    files["MANIFEST.json"] = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
    archive = _archive(f"bioinspired-{run['versions']['bioinspired']}-{store.scale}", files)
    digest = hashlib.sha256(archive).hexdigest()
    write(target, archive)
    write(_checksum_file(target), f"{digest}  {target.name}\n".encode())
    return digest


def _files(root: Path, store: Store) -> Iterator[tuple[str, bytes]]:
    """Names in the archive, and contents; no hidden file."""
    html, executed = root / "_build" / "html", root / "_build" / "source"
    trees = (("html", html, "*"), ("notebooks", executed, "*.ipynb"), ("records", store.folder, "*"))
    for name, folder, pattern in trees:
        for path in folder.rglob(pattern):
            inside = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield f"{name}/{inside.as_posix()}", path.read_bytes()
    for name, kept in LOOSE.items():
        if (root / name).is_file():
            yield kept, (root / name).read_bytes()


def _archive(folder: str, files: dict[str, bytes]) -> bytes:
    """A gzipped tar file without times, owners or anything else that differs from one machine to the next."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _checksum_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")
