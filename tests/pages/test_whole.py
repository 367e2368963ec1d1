"""The whole way: the real book at smoke scale, from nothing, as a reader's machine makes it."""

import json
import shutil
import subprocess
import sys
import tarfile

import pytest
from executors import Here

from bioinspired.lab import papers
from bioinspired.lab.engine.run import run
from bioinspired.lab.records.store import Store, checkout
from bioinspired.pages.build import build
from bioinspired.pages.bundle import pack

ROOT = checkout()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Every study run at smoke scale and the book built, in a copy of the checkout."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("book", "bioinspired"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    shutil.copy(ROOT / "_config.yml", root)
    store = Store(root / "results", "smoke")
    assert run([papers.study(name, "smoke") for name in papers.NAMES], store, executor=Here()) == []
    said = []
    page = build(store=store, root=root, say=said.append)
    return root, store, page, said


def test_every_page_is_there_and_nothing_reaches_for_the_network(built):
    root, _, page, said = built
    assert said[-1] == f"The book: {page}"
    pages = sorted(path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*.html"))
    assert {"intro.html", "method.html", "status.html", *(f"papers/{name}.html" for name in papers.NAMES)} <= set(pages)
    for path in page.parent.rglob("*.html"):
        text = path.read_text()
        assert 'src="http' not in text
        assert '<link rel="stylesheet" href="http' not in text
        assert "Traceback" not in text
        assert str(root) not in text


def test_notebooks_that_read_records_do_not_import_torch(built):
    root, *_ = built
    code = "import sys; from bioinspired import chapter, figures, tables; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"
    executed = json.loads((root / "_build/source/papers/defective_conv.ipynb").read_text())
    assert any(cell.get("outputs") for cell in executed["cells"])


def test_a_second_build_executes_and_renders_nothing(built):
    root, store, page, _ = built
    before = page.stat().st_mtime_ns
    said = []
    build(store=store, root=root, say=said.append)
    assert page.stat().st_mtime_ns == before
    assert not [line for line in said if line.startswith(("Executing", "Rendering"))]


def test_the_book_is_packed_with_its_records(built, tmp_path):
    root, store, *_ = built
    pack(tmp_path / "book.tar.gz", store=store, root=root)
    with tarfile.open(tmp_path / "book.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"html/index.html", "html/papers/dim.html", "notebooks/glance.ipynb"} <= names
    assert {f"records/{path.name}" for path in store.folder.glob("*.json")} <= names
