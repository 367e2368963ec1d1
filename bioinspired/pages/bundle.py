"""The book in one file, to deposit and to cite, with all that is needed to check a number in it.

bioinspired-VERSION-SCALE/
    README.md               how to check it
    SHA256SUMS              of every other file, for `sha256sum --check`
    ro-crate-metadata.json  what it is, and which runs made the records (RO-Crate 1.1, Process Run Crate 0.5)
    html/                   the rendered book; index.html is its first page
    notebooks/              the notebooks as they were executed
    results/                the records that the pages show; weights and fixed images of the networks that are compared
    code/                   the library with the claims, its lock, and the notebooks' sources
    CITATION.cff  LICENSE  LICENSE-book
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from bioinspired.errors import UserError
from bioinspired.lab import weights
from bioinspired.lab.records import provenance
from bioinspired.lab.records.store import Store, checkout, write
from bioinspired.pages import crate

ENDING = ".tar.gz"
LOOSE = {"CITATION.cff": "CITATION.cff", "LICENSE": "LICENSE", "book/LICENSE": "LICENSE-book"}
CODE = ("pyproject.toml", "uv.lock", "environment.yml", "Makefile", "README.md", "LICENSE", "_config.yml")
FOLDERS = ("bioinspired", "book", "benchmarks")
README = """# An archive of the bioinspired book

Open `html/index.html` to read it. To check a number, in this folder:

    sha256sum --check --quiet SHA256SUMS              # every file is as it was packed
    python3 -m venv .venv                             # Python 3.11 or later
    .venv/bin/pip install ./code                      # or, with exactly its versions: uv sync --locked --project code
    .venv/bin/bioinspired claims --scale {scale} --store results        # every verdict, computed anew
    .venv/bin/bioinspired replay NAME --scale {scale} --store results   # attacks a network, compares the outcomes

and to attack a network with code of your own:

    import bioinspired
    model = bioinspired.load(NAME, scale="{scale}", store="results")
    images, labels = bioinspired.images(NAME, 100, scale="{scale}", store="results")

The networks with weights in this archive:

{names}

The same outcomes, image by image, are to be expected on the same type of processor with the same versions; elsewhere
single images may differ. `ro-crate-metadata.json` says on which hardware, with which versions, the records were made.
"""


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
    files["README.md"] = README.format(scale=store.scale, names=_names(store)).encode()
    run = provenance.of_run("cpu")
    files["ro-crate-metadata.json"] = crate.describe(files, store, run).encode()
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    files["SHA256SUMS"] = "".join(sums).encode()
    archive = _archive(f"bioinspired-{run['versions']['bioinspired']}-{store.scale}", files)
    digest = hashlib.sha256(archive).hexdigest()
    write(target, archive)
    write(_checksum_file(target), f"{digest}  {target.name}\n".encode())
    return digest


def _files(root: Path, store: Store) -> Iterator[tuple[str, bytes]]:
    """Names in the archive, and contents; no hidden file."""
    html, executed, records = root / "_build" / "html", root / "_build" / "source", store.folder
    yield from _tree("html", html)
    yield from _tree("notebooks", executed, "*.ipynb")
    yield from _tree(f"results/{records.name}", records)
    for name, content in weights.files(store):
        yield f"results/{name}", content
    for name in CODE + FOLDERS:
        yield from _tree(f"code/{name}", root / name)
    for name, kept in LOOSE.items():
        yield from _tree(kept, root / name)


def _tree(name: str, path: Path, pattern: str = "*") -> Iterator[tuple[str, bytes]]:
    """A file, or all files of a folder that fit, but for hidden and compiled ones and what was set aside."""
    if path.is_file():
        yield name, path.read_bytes()
    for one in path.rglob(pattern):
        inside = one.relative_to(path)
        if one.is_file() and not any(part.startswith(".") or part in ("__pycache__", "aside") for part in inside.parts):
            yield f"{name}/{inside.as_posix()}", one.read_bytes()


def _names(store: Store) -> str:
    named = [f"    {name}, seed {trial.network.seed}" for name, trial in weights.published(store)]
    return "\n".join(named) or "    none: this archive was made where no weights were at hand"


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
