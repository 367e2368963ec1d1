"""The book's machinery, on a book of two pages that takes seconds: what is built, what is skipped, what is refused."""

import fcntl
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bioinspired.errors import UserError
from bioinspired.lab.records.store import Store
from bioinspired.pages import notebooks
from bioinspired.pages.build import build, contents

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = "papers/chapter.ipynb"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
PICTURE = f'from IPython.display import display\ndisplay({{"image/png": "{PIXEL}"}}, raw=True)'
ALT = "One grey pixel, much enlarged, and nothing else."


def code(source: str, **metadata: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": source}
    return {"id": f"c{zlib.crc32(source.encode())}", **cell}


def text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": f"t{zlib.crc32(source.encode())}", "metadata": {}, "source": source}


PARAMETERS = code('scale: str = "laptop"\nstore: str = ""\ndataset: str = ""', tags=["parameters"])


def write_notebook(path: Path, *cells: dict[str, Any], parameters: dict[str, Any] = PARAMETERS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "myst": {"html_meta": {"description": "A chapter for tests."}},
    }
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": metadata,
        "cells": [text("# Chapter"), parameters, *cells],
    }
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def good_cells() -> list[dict[str, Any]]:
    told = "os.environ['BIOINSPIRED_STORE'], os.environ['BIOINSPIRED_READ_ONLY']"
    seen = f"import os\nprint('at', scale, 'in', os.getcwd(), os.path.expanduser('~'), {told})"
    return [code(seen), code(PICTURE, mystnb={"image": {"alt": ALT}})]


def write_book(root: Path) -> Path:
    """A whole checkout in small: the real configuration and style, one page, one chapter, one module, one record."""
    (root / "book").mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    toc = "format: jb-book\nroot: intro\nchapters:\n  - file: papers/chapter\n"
    (root / "book" / "_toc.yml").write_text(toc)
    (root / "book" / "references.bib").write_text("@misc{one, author={A. Author}, title={Title}, year={2020}}\n")
    page = '---\nmyst:\n  html_meta:\n    description: "A page for tests."\n---\n\n# Page\n\n$x^2$ and {cite:t}`one`.\n'
    (root / "book" / "intro.md").write_text(page + "\n```{bibliography}\n```\n")
    write_notebook(root / "book" / CHAPTER, *good_cells())
    (root / "bioinspired").mkdir()
    (root / "bioinspired" / "module.py").write_text('"""Words."""\n\nX = 1  # more words\n')
    (root / "results" / "smoke").mkdir(parents=True)
    (root / "results" / "smoke" / "a.json").write_text("{}\n")
    return root


def make(root: Path, **options: Any) -> list[str]:
    """Builds, and returns what was said."""
    said: list[str] = []
    build(store=Store(root / "results", "smoke"), root=root, say=said.append, **options)
    return said


def now(root: Path, dataset: str = "") -> notebooks.Inputs:
    parameters = {"scale": "smoke", "store": "", "dataset": dataset}
    return notebooks.inputs(package=root / "bioinspired", store=Store(root / "results", "smoke"), parameters=parameters)


def execute(root: Path) -> None:
    source, executed = root / "book" / CHAPTER, root / "_build" / "source" / CHAPTER
    store = Store(root / "results", "smoke")
    with notebooks.kernels(store):
        notebooks.execute(source, executed, now(root), name=CHAPTER, store=store, root=root)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished book, for tests that only look at it."""
    root = write_book(tmp_path_factory.mktemp("finished") / "checkout")
    assert make(root) == [
        f"Executing {CHAPTER} (1 of 1)",
        "Rendering with Jupyter Book",
        f"The book: {root / '_build' / 'html' / 'index.html'}",
    ]
    return root


@pytest.fixture
def book(finished: Path, tmp_path: Path) -> Path:
    """A finished book of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "checkout"))


def html_of(root: Path) -> Iterator[Path]:
    yield from sorted((root / "_build" / "html").rglob("*.html"))


def test_pages_are_rendered_from_the_executed_copy(finished: Path) -> None:
    page = (finished / "_build" / "html" / "papers" / "chapter.html").read_text(encoding="utf-8")
    assert "at smoke in" in page
    assert f'alt="{ALT}"' in page
    assert '<meta content="A chapter for tests." name="description"' in page
    assert "laptop" not in page, "the cell of defaults is not for readers"
    assert "Show the parameters of this page" in page
    source = json.loads((finished / "book" / CHAPTER).read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") for cell in source["cells"]), "the source notebook was written to"


def test_nothing_of_this_machine_is_on_a_page(finished: Path) -> None:
    hidden = [str(finished), str(finished.parent), str(Path.home()), str(ROOT)]
    files = [*(finished / "_build" / "html").rglob("*"), *(finished / "_build" / "source").rglob("*")]
    for path in files:
        if path.is_file() and path.name != "tex-svg.js":
            content = path.read_bytes()
            for secret in hidden:
                assert secret.encode() not in content, f"{path} holds {secret}"
    executed = json.loads((finished / "_build" / "source" / CHAPTER).read_text(encoding="utf-8"))
    assert not {"input_path", "output_path"} & set(executed["metadata"]["papermill"])
    printed = next(cell for cell in executed["cells"] if cell.get("outputs"))["outputs"][0]["text"]
    assert "".join(printed) == "at smoke in ./book/papers ~ results 1\n"


def test_pages_reach_for_nothing_outside(finished: Path) -> None:
    loaded = r"<(?:script|img|iframe|source)[^>]*\ssrc=\"([^\"]+)\"|<link[^>]*\shref=\"([^\"]+)\"|url\((https?:[^)]+)\)"
    for path in html_of(finished):
        found = re.findall(loaded, path.read_text(encoding="utf-8"))
        outside = [name for names in found for name in names if re.match(r"(https?:)?//", name)]
        assert not outside, f"{path.name} loads {outside}"
    mathjax = finished / "_build" / "html" / "mathjax" / "tex-svg.js"
    assert mathjax.stat().st_size == 2_108_580
    assert "mathjax/tex-svg.js" in (finished / "_build" / "html" / "intro.html").read_text(encoding="utf-8")


def test_a_second_build_does_nothing(finished: Path) -> None:
    stamp = (finished / "_build" / "html" / "index.html").stat().st_mtime_ns
    began = time.monotonic()
    said = make(finished)
    assert time.monotonic() - began < 5
    assert said == ["1 of 1 notebooks are unchanged", f"The book: {finished / '_build' / 'html' / 'index.html'}"]
    assert (finished / "_build" / "html" / "index.html").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("change", "stands"),
    [
        (lambda root: None, True),
        (lambda root: (root / "bioinspired" / "module.py").write_text('"""Other."""\nX = 1\n'), True),
        (lambda root: (root / "bioinspired" / "module.py").write_text("X = 2\n"), False),
        (lambda root: (root / "bioinspired" / "claims.csv").write_text("a,b\n"), False),
        (lambda root: (root / "results" / "smoke" / "b.json").write_text("{}"), False),
        (lambda root: (root / "results" / "smoke" / "a.json").write_text('{"x": 1}'), False),
        (lambda root: (root / "results" / "smoke" / "a.json").unlink(), False),
        (lambda root: (root / "results" / "smoke" / ".lock").write_text(""), True),
        (lambda root: write_notebook(root / "book" / CHAPTER, *good_cells(), text("More.")), False),
        (lambda root: (root / "_build" / "source" / "papers" / "chapter.manifest.json").unlink(), False),
        (lambda root: (root / "_build" / "source" / "papers" / "chapter.manifest.json").write_text("{"), False),
        (lambda root: (root / "_build" / "source" / CHAPTER).write_text("{}"), False),
    ],
    ids=[
        "nothing", "comment", "code", "data", "record added", "record changed", "record gone", "lock file", "source",
        "manifest gone", "manifest cut", "copy altered",
    ],
)  # fmt: skip
def test_what_makes_an_executed_copy_out_of_date(book: Path, change: Callable[[Path], Any], stands: bool) -> None:
    change(book)
    assert notebooks.current(book / "book" / CHAPTER, book / "_build" / "source" / CHAPTER, now(book)) is stands


def test_another_parameter_makes_it_out_of_date(book: Path) -> None:
    copy = book / "_build" / "source" / CHAPTER
    for parameters_only in (False, True):
        other = now(book, dataset="mnist")
        assert not notebooks.current(book / "book" / CHAPTER, copy, other, parameters_only=parameters_only)


def test_only_leaves_the_other_chapters_as_they_are(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bioinspired.pages.build._render", lambda root, say: root)
    (book / "bioinspired" / "module.py").write_text("X = 2\n")
    toc = "format: jb-book\nroot: intro\nchapters:\n  - file: papers/chapter\n  - file: papers/other\n"
    (book / "book" / "_toc.yml").write_text(toc)
    write_notebook(book / "book" / "papers" / "other.ipynb", code("print('other')"))
    said = make(book, only=["other"])
    assert said[:2] == ["Executing papers/other.ipynb (1 of 1)", "1 of 2 notebooks are unchanged"]
    with pytest.raises(UserError, match=r'no chapter "sleep": choose from chapter, other\.'):
        make(book, only=["sleep"])


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (
            [code("x = 1\nprint(x / 0)")],
            r"chapter\.ipynb, cell starting with `x = 1`: ZeroDivisionError: division by zero",
        ),
        ([code("import sys\nsys.exit(0)"), code("1 + 1")], r"cell starting with `import sys`: SystemExit: 0"),
        ([code("import os\nos._exit(1)")], r"chapter\.ipynb: the notebook did not run to its end \(DeadKernelError"),
        ([code(PICTURE)], r"cell starting with `from IPython.display import display`: the picture needs a sentence"),
        ([code(PICTURE, mystnb={"image": {"alt": "b5c7.png"}})], "the picture needs a sentence"),
        (
            [code(PICTURE, mystnb={"image": {"alt": ALT}, "figure": {"caption": ALT}})],
            "the picture needs a sentence .* other than its caption",
        ),
    ],
    ids=["error", "exit", "kernel dies", "no alt text", "a file name", "the caption"],
)
def test_a_bad_run_never_replaces_a_good_copy(book: Path, cells: list[dict[str, Any]], sentence: str) -> None:
    copy = book / "_build" / "source" / CHAPTER
    before = copy.read_bytes()
    write_notebook(book / "book" / CHAPTER, *cells)
    with pytest.raises(UserError, match=sentence):
        execute(book)
    assert copy.read_bytes() == before
    assert not notebooks.current(book / "book" / CHAPTER, copy, now(book)), "it comes from another source"


def test_an_unknown_parameter_stops_the_build_and_leaves_the_last_book(book: Path) -> None:
    page = book / "_build" / "html" / "papers" / "chapter.html"
    before = page.read_bytes()
    parameters = code('scale: str = "laptop"\nstore: str = ""', tags=["parameters"])
    write_notebook(book / "book" / CHAPTER, *good_cells(), parameters=parameters)
    with pytest.raises(UserError, match=rf'^{CHAPTER}: unknown parameter "dataset"'):
        make(book)
    assert page.read_bytes() == before


def test_a_stale_source_is_refused() -> None:
    parts = {"metadata": {"papermill": {"end_time": "t", "exception": None}}}
    cell = {"cell_type": "code", "execution_count": 1, "outputs": [], "metadata": {}}
    executed = parts | {"cells": [cell | {"source": ["x = 1\n", "y = 2"]}]}
    notebooks.inspect(executed, {"cells": [cell | {"source": "x = 1\ny = 2"}]}, name="a.ipynb")
    for source in (
        [cell | {"source": "x = 2\ny = 2"}],
        [],
        [cell | {"source": "x = 1\ny = 2", "cell_type": "markdown"}],
    ):
        with pytest.raises(UserError, match=r"a\.ipynb: the executed copy comes from another source"):
            notebooks.inspect(executed, {"cells": source}, name="a.ipynb")


def test_a_copy_that_was_not_executed_is_refused() -> None:
    cell = {"cell_type": "code", "execution_count": 1, "outputs": [], "metadata": {}, "source": "x = 1"}
    ended = {"papermill": {"end_time": "t", "exception": None}}
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    for metadata, changed, sentence in (
        ({}, cell, "not executed to its end"),
        ({"papermill": {"end_time": "t", "exception": True}}, cell, "not executed to its end"),
        (ended, cell | {"execution_count": None}, "cell starting with `x = 1`: the cell was not executed"),
        (ended, cell | {"outputs": [error]}, "cell starting with `x = 1`: ValueError: no"),
    ):
        with pytest.raises(UserError, match=sentence):
            notebooks.inspect({"metadata": metadata, "cells": [changed]}, {"cells": [cell]}, name="a.ipynb")


def test_a_damaged_notebook_is_named(book: Path) -> None:
    (book / "book" / CHAPTER).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=rf"^{CHAPTER} is not a notebook of format 4"):
        make(book)


def test_a_complaint_of_jupyter_book_stops_the_build_and_leaves_the_last_book(book: Path) -> None:
    page = book / "_build" / "html" / "intro.html"
    before = page.read_bytes()
    (book / "book" / "intro.md").write_text("# Page\n\n[nowhere](missing.md) {cite:t}`one`\n\n```{bibliography}\n```\n")
    with pytest.raises(UserError, match=r"Jupyter Book found an error: intro\.md:\d+: .*missing\.md"):
        make(book)
    assert page.read_bytes() == before
    assert not list((book / "_build").glob("render-*"))


def test_a_page_that_is_gone_leaves_the_copy(book: Path) -> None:
    (book / "book" / "_static" / "more.css").write_text("p {}\n")
    (book / "book" / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
    make(book)
    assert (book / "_build" / "html" / "_static" / "more.css").exists()
    assert not (book / "_build" / "source" / CHAPTER).exists()
    assert not (book / "_build" / "html" / "papers").exists()


def test_a_page_that_the_contents_name_must_exist(book: Path) -> None:
    assert contents(book / "book") == ["intro.md", CHAPTER]
    (book / "book" / CHAPTER).unlink()
    with pytest.raises(UserError, match=r'_toc\.yml names "papers/chapter", but there is no'):
        make(book)


def test_two_builds_at_once(book: Path) -> None:
    with (book / "_build" / ".lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another build of this book is running"):
            make(book)
    assert make(book)[0] == "1 of 1 notebooks are unchanged"


def test_notebooks_learn_that_they_only_read() -> None:
    from bioinspired.pages import chapter

    assert notebooks.READ_ONLY_VARIABLE == chapter.READ_ONLY


def test_outside_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no book in .*: run this from a clone"):
        make(tmp_path)


RUN = """
import sys
from pathlib import Path
from bioinspired.pages.build import build
from bioinspired.lab.records.store import Store
root = Path(sys.argv[1])
build(store=Store(root / "results", "smoke"), root=root, say=lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("moment", ["Executing", "Rendering"])
def test_killed_at_any_moment_the_next_build_completes(book: Path, moment: str) -> None:
    write_notebook(book / "book" / CHAPTER, code("print('second edition')"))
    with subprocess.Popen([sys.executable, "-c", RUN, str(book)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(moment):
                time.sleep(0.6)
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
    page = book / "_build" / "html" / "papers" / "chapter.html"
    assert f'alt="{ALT}"' in page.read_text(encoding="utf-8"), "the last book stands until the new one is complete"
    said = make(book)
    assert said[-2] == "Rendering with Jupyter Book"
    assert ("unchanged" in said[0]) == (moment == "Rendering"), "what had finished is kept"
    assert "second edition" in page.read_text(encoding="utf-8")
    assert not list((book / "_build").glob("render-*"))
