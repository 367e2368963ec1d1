"""The book: `book/` copied, its notebooks executed, rendered by Jupyter Book.

    book/  --copy-->  _build/source  --papermill-->  executed notebooks  --Jupyter Book-->  _build/html

Each step leaves its result whole or not at all, and is skipped when nothing that it depends on has changed: a build
that was killed is completed by the next one, and a build that fails leaves the last good book in its place.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from bioinspired.errors import UserError
from bioinspired.lab.records.store import Store, checkout
from bioinspired.pages import notebooks, pdf

STAMP = ".content"
"""File in the rendered book: the checksum of everything that it was rendered from."""

TOGETHER = 2
"""Notebooks that are executed at once: each has a kernel of one torch thread."""

JUPYTER_BOOK = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
from jupyter_book.cli.main import main
main()
"""
"""Jupyter Book as a program that ends with the process that started it: then its standard input is closed."""

MATHJAX = ("sphinx-mathjax-offline", "tex-svg.js")
"""Distribution and file: MathJax for readers without a network."""


def build(
    *,
    store: Store,
    dataset: str = "",
    only: Sequence[str] = (),
    printed: bool = False,
    root: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Bring the book up to date with its notebooks and the records of one store.

    Args:
        store: the records that the pages show, of one scale; notebooks only read them, and every page renders from
            an empty store.
        dataset: another data set than the study's own, or "".
        only: chapters (names in book/papers) to execute anew. The other notebooks keep their last executed copy, if
            it comes from the present source and parameters.
        printed: also as one PDF, which takes a Chromium; without it one that is not up to date is taken away.
        root: the checkout (default: this one): holds _config.yml, book/ and bioinspired/; `_build` is written there.
        say: where progress goes, one line at a time.

    Returns:
        The first page, an HTML file.

    Raises:
        UserError: a notebook that must not be published, a page that Jupyter Book complains of, or another build of
            the same book still running.
    """
    root = (root or checkout()).resolve()
    installed()
    if not (root / "_config.yml").is_file():
        raise UserError(f"There is no book in {root}: run this from a clone of the repository.")
    with _lock(root / "_build"):
        pages = contents(root / "book")
        chosen = _chosen(only, pages)
        source = root / "_build" / "source"
        _copy(root / "book", source, pages)
        parameters = {"scale": store.scale, "store": "", "dataset": dataset}
        measured = root / "benchmarks" / "results"
        now = notebooks.inputs(package=root / "bioinspired", store=store, parameters=parameters, benchmarks=measured)
        _execute([page for page in pages if page.endswith(".ipynb")], chosen, now, root=root, store=store, say=say)
        _data(root, now, store=store, dataset=dataset, say=say)
        _mathjax(root / "_build" / "extra" / "mathjax")
        content = _content(root, without=pdf.NAME)
        pdf.keep_or_make(root, content, wanted=printed, typeset=typeset, say=say)
        html = _render(root, say)
    say(f"The book: {html}")
    return html


def contents(book: Path) -> list[str]:
    """The files that book/_toc.yml names, in order, relative to `book`.

    Raises:
        UserError: a file named there does not exist.
    """
    import yaml

    path = book / "_toc.yml"
    try:
        toc = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"book/_toc.yml cannot be read ({error}): restore the file.") from None
    pages = []
    for name in _names(toc):
        found = [suffix for suffix in (".md", ".ipynb") if (book / f"{name}{suffix}").is_file()]
        if not found:
            raise UserError(f'book/_toc.yml names "{name}", but there is no {name}.md or {name}.ipynb in book/.')
        pages.append(name + found[0])
    return pages


def _names(toc: Any) -> Iterator[str]:
    if isinstance(toc, list):
        for entry in toc:
            yield from _names(entry)
    elif isinstance(toc, dict):
        yield from (toc[key] for key in ("root", "file") if key in toc)
        for key in ("parts", "chapters", "sections"):
            yield from _names(toc.get(key))


def _chosen(only: Sequence[str], pages: Sequence[str]) -> list[str]:
    chapters = [page for page in pages if page.startswith("papers/") and page.endswith(".ipynb")]
    for name in only:
        if f"papers/{name}.ipynb" not in chapters:
            known = ", ".join(Path(chapter).stem for chapter in chapters)
            raise UserError(f'The book has no chapter "{name}": choose from {known}.')
    return [
        page for name in only for page in chapters if page in (f"papers/{name}.ipynb", f"papers/{name}_detail.ipynb")
    ]


def _copy(book: Path, source: Path, pages: Sequence[str]) -> None:
    """Make `source` equal to `book`, except that notebooks are left to `_execute`."""
    executed = {source / page for page in pages if page.endswith(".ipynb")}
    wanted = executed | {notebooks.manifest_path(path) for path in executed}
    for path in sorted(book.rglob("*")):
        if not path.is_file() or path.suffix == ".ipynb" or ".ipynb_checkpoints" in path.parts:
            continue
        target = source / path.relative_to(book)
        wanted.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.read_bytes() != path.read_bytes():
            shutil.copyfile(path, target)
    for path in sorted(source.rglob("*")):
        if path.is_file() and path not in wanted:
            path.unlink()


def _execute(
    names: Sequence[str],
    chosen: Sequence[str],
    now: notebooks.Inputs,
    *,
    root: Path,
    store: Store,
    say: Callable[[str], None],
) -> None:
    book, source = root / "book", root / "_build" / "source"
    due: list[str] = []
    for name in names:
        kept = bool(chosen) and name not in chosen
        if not notebooks.current(book / name, source / name, now, parameters_only=kept):
            due.append(name)

    def execute(name: str) -> None:
        say(f"Executing {name} ({due.index(name) + 1} of {len(due)})")
        try:
            notebooks.execute(book / name, source / name, now, name=name, store=store, root=root)
        finally:
            with contextlib.suppress(RuntimeError):  # where the kernel's client has left no event loop to this thread
                asyncio.get_event_loop().close()

    with notebooks.kernels(store), ThreadPoolExecutor(TOGETHER) as pool:
        try:
            list(pool.map(execute, due))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if len(names) > len(due):
        say(f"{len(names) - len(due)} of {len(names)} notebooks are unchanged")
    for name in names:
        notebooks.inspect(notebooks.read(source / name, name), notebooks.read(book / name, name), name=name)


def _data(root: Path, now: notebooks.Inputs, *, store: Store, dataset: str, say: Callable[[str], None]) -> None:
    """The measurements as files, beside the pages, where the book has a page on them."""
    described = root / "book" / "frame_columns.csv"
    if not described.is_file():
        return
    from bioinspired.pages import dataset as measurements

    folder, stamp = root / "_build" / "extra" / measurements.FOLDER, root / "_build" / "data.inputs"
    made_from = hashlib.sha256(f"{now}{described.read_text('utf-8')}".encode()).hexdigest()
    with contextlib.suppress(OSError):
        if stamp.read_text("utf-8") == made_from and all((folder / name).is_file() for name in measurements.FILES):
            return
    say("Writing the measurements as files")
    measurements.save(folder, store, described, dataset=dataset)
    stamp.write_text(made_from, encoding="utf-8")


def _render(root: Path, say: Callable[[str], None]) -> Path:
    """Run Jupyter Book beside the present book, and put the new one in its place when it is complete.

    Jupyter Book's own incremental build is not used: killed while writing, it would keep half a page.
    """
    work = root / "_build"
    html = work / "html"
    stamp = _content(root)
    with contextlib.suppress(OSError):
        if (html / STAMP).read_text(encoding="utf-8") == stamp:
            return html / "index.html"
    for left in work.glob("render-*"):
        shutil.rmtree(left, ignore_errors=True)
    say("Rendering with Jupyter Book")
    fresh = Path(tempfile.mkdtemp(prefix="render-", dir=work))
    rendered = typeset(root, fresh, "html")
    (rendered / STAMP).write_text(stamp, encoding="utf-8")
    if html.exists():
        html.rename(fresh / "before")
    rendered.rename(html)
    shutil.rmtree(fresh, ignore_errors=True)
    return html / "index.html"


def typeset(root: Path, output: Path, builder: str) -> Path:
    """Runs Jupyter Book on the executed pages.

    Args:
        root: the checkout.
        output: an empty folder, removed where Jupyter Book complains.
        builder: "html", or "singlehtml" for one long page.

    Returns:
        The folder with the pages.

    Raises:
        UserError: what Jupyter Book complained of first.
    """
    log = root / "_build" / "jupyter-book.log"
    with log.open("w", encoding="utf-8") as stream:
        code = _jupyter_book(root, output, stream, builder)
    if code != 0:
        shutil.rmtree(output)
        raise UserError(f"Jupyter Book found an error: {_complaint(log, root)} (all of its output: {log}).")
    return output / "_build" / builder


def _jupyter_book(root: Path, output: Path, log: IO[str], builder: str = "html") -> int:
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", "_build/source", "--builder", builder]
    command += ["--config", "_config.yml", "--path-output", str(output), "-n", "-W", "--keep-going"]
    plain = {**os.environ, "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=root, env=plain, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
    ) as process:
        return process.wait()


def _complaint(log: Path, root: Path) -> str:
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in log.read_text(encoding="utf-8").splitlines()]
    told = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL|\w*Error)\b:", line)]
    first = (told or [line for line in lines if line] or ["it said nothing"])[0]
    return first.replace(f"{root}/_build/source/", "").replace(f"{root}/", "").rstrip(".")


def _content(root: Path, *, without: str = "") -> str:
    """Checksum of everything that Jupyter Book reads, but for one extra file, and of the programs that read it."""
    total = hashlib.sha256((Path(__file__).parent / "publication.py").read_bytes())
    work = root / "_build"
    files = [root / "_config.yml", *sorted((work / "source").rglob("*")), *sorted((work / "extra").rglob("*"))]
    for path in files:
        if path.is_file() and path.name != without:
            total.update(path.relative_to(root).as_posix().encode() + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    for name in ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme"):
        total.update(f"{name}=={importlib.metadata.version(name)}".encode())
    return total.hexdigest()


def _mathjax(folder: Path) -> None:
    distribution, name = MATHJAX
    files = [file for file in importlib.metadata.files(distribution) or [] if file.name == name]
    if not files:
        raise UserError(f"{distribution} is installed without {name}: install it again.")
    content = files[0].read_binary()
    target = folder / name
    if not target.is_file() or target.read_bytes() != content:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def installed() -> None:
    """Raises UserError where a package is missing that only the book needs."""
    for name in ("jupyter-book", "papermill", "ipykernel", "pandas", "seaborn", MATHJAX[0]):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(
                f'{name} is not installed, and the book needs it: pip install -e ".[book]" in the checkout.'
            ) from None


@contextlib.contextmanager
def _lock(work: Path) -> Iterator[None]:
    """One build at a time; the system frees the lock when its process ends, however it ends."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / ".lock"
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another build of this book is running in {work}: wait until it has ended.") from None
        yield
