"""The book as one file: what is in it, that it can be checked, and that nothing is overwritten."""

import hashlib
import json
import subprocess
import sys
import tarfile

import pytest

from bioinspired.errors import UserError
from bioinspired.lab.records.store import Store, checkout
from bioinspired.pages.bundle import pack

FILES = {
    "_build/html/index.html": "first page",
    "_build/html/papers/dim.html": "a chapter",
    "_build/html/.content": "a stamp",
    "_build/source/papers/dim.ipynb": "{}",
    "_build/source/papers/dim.manifest.json": "not a notebook",
    "results/smoke/a.json": '{"a": 1}',
    "results/smoke/artifacts/b.safetensors": "arrays",
    "results/smoke/.lock": "",
    "CITATION.cff": "cff",
    "book/LICENSE": "CC BY",
}
WANTED = {
    "MANIFEST.json", "html/index.html", "html/papers/dim.html", "notebooks/papers/dim.ipynb", "records/a.json",
    "records/artifacts/b.safetensors", "CITATION.cff", "LICENSE-book",
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "checkout"


@pytest.fixture
def store(root):
    return Store(root / "results", "smoke")


def unpacked(target, folder):
    with tarfile.open(target) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


def test_everything_is_in_it_and_told_in_its_manifest(root, store, tmp_path):
    target = tmp_path / "book.tar.gz"
    digest = pack(target, store=store, root=root)
    top = unpacked(target, tmp_path / "out")
    assert top.name.endswith("-smoke")
    found = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    assert found == WANTED
    manifest = json.loads((top / "MANIFEST.json").read_text())
    assert set(manifest["files"]) == WANTED - {"MANIFEST.json"}
    for name, told in manifest["files"].items():
        content = (top / name).read_bytes()
        assert told == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["scale"] == "smoke"
    assert "torch" in manifest["versions"]
    assert digest == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (tmp_path / "book.tar.gz.sha256").read_text() == f"{digest}  book.tar.gz\n"


def test_the_same_book_gives_the_same_bytes(root, store, tmp_path):
    first = pack(tmp_path / "one.tar.gz", store=store, root=root)
    (root / "_build/html/index.html").touch()
    assert pack(tmp_path / "two.tar.gz", store=store, root=root) == first


@pytest.mark.parametrize(
    ("name", "taken", "words"),
    [
        ("book.zip", (), "ends in .tar.gz"),
        (".tar.gz", (), "ends in .tar.gz"),
        ("book.tar.gz", ("book.tar.gz",), "book.tar.gz exists already"),
        ("book.tar.gz", ("book.tar.gz.sha256",), "book.tar.gz.sha256 exists already"),
    ],
)
def test_nothing_is_overwritten(root, store, tmp_path, name, taken, words):
    for one in taken:
        (tmp_path / one).write_text("kept")
    with pytest.raises(UserError, match=words):
        pack(tmp_path / name, store=store, root=root)
    assert all((tmp_path / one).read_text() == "kept" for one in taken)
    assert {path.name for path in tmp_path.iterdir()} == {"checkout", *taken}


def test_without_a_book_there_is_nothing_to_pack(root, store, tmp_path):
    (root / "_build/html/index.html").unlink()
    with pytest.raises(UserError, match="bioinspired book"):
        pack(tmp_path / "book.tar.gz", store=store, root=root)


def test_a_bad_name_is_told_before_anything_is_built(tmp_path):
    command = [sys.executable, "-m", "bioinspired", "bundle", str(tmp_path / "book.zip"), "--scale", "smoke"]
    done = subprocess.run([*command, "--store", str(tmp_path)], capture_output=True, text=True, cwd=checkout())
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
