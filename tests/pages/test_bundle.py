"""The book as one file: what is in it, that a stranger can check it, and that nothing is overwritten."""

import hashlib
import subprocess
import sys
import tarfile

import pytest
from filled import RUN, fill
from rocrate.rocrate import ROCrate

from bioinspired.errors import UserError
from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.records.store import Store, checkout
from bioinspired.pages.bundle import pack
from bioinspired.pages.crate import CC_BY, MIT, PROFILE

FILES = {
    "_build/html/index.html": "first page",
    "_build/html/papers/dim.html": "a chapter",
    "_build/html/.content": "a stamp",
    "_build/source/papers/dim.ipynb": "{}",
    "_build/source/papers/dim.manifest.json": "not a notebook",
    "results/smoke/artifacts/b.safetensors": "arrays",
    "results/smoke/.lock": "",
    "results/smoke/aside/c.json": "damaged",
    "bioinspired/cli.py": "code",
    "bioinspired/__pycache__/cli.pyc": "compiled",
    "uv.lock": "versions",
    "CITATION.cff": "cff",
    "book/LICENSE": "CC BY",
}
WANTED = {
    "README.md", "SHA256SUMS", "ro-crate-metadata.json", "html/index.html", "html/papers/dim.html",
    "notebooks/papers/dim.ipynb", "results/smoke/artifacts/b.safetensors", "code/bioinspired/cli.py", "code/uv.lock",
    "code/book/LICENSE", "CITATION.cff", "LICENSE-book",
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


def test_everything_is_in_it_with_its_checksum(root, store, tmp_path):
    target = tmp_path / "book.tar.gz"
    digest = pack(target, store=store, root=root)
    top = unpacked(target, tmp_path / "out")
    assert top.name.endswith("-smoke")
    found = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    assert found == WANTED
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=top, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.count(": OK") == len(WANTED) - 1
    assert digest == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (tmp_path / "book.tar.gz.sha256").read_text() == f"{digest}  book.tar.gz\n"
    (top / "html" / "index.html").write_text("altered")
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=top, capture_output=True).returncode


def test_the_crate_names_the_runs_that_made_the_records(root, store, tmp_path):
    study = papers.study("defective_conv", "smoke")
    fill(store, study, lambda trial, asked: 0.5)
    pack(tmp_path / "book.tar.gz", store=store, root=root)
    top = unpacked(tmp_path / "book.tar.gz", tmp_path / "out")
    crate = ROCrate(top)
    assert crate.root_dataset["conformsTo"].id == PROFILE
    assert crate.root_dataset["datePublished"] == "2026-01-02"
    assert {one.id for one in crate.root_dataset["license"]} == {MIT, CC_BY}
    action = crate.root_dataset["mentions"]
    assert action.type == "CreateAction"
    assert action["instrument"]["softwareVersion"] == RUN["commit"]
    results = {one.id for one in action["result"]}
    assert results == {f"results/smoke/{key(network)}.json" for network in {trial.network for trial in study.trials}}
    for entity in crate.data_entities:
        assert (top / entity.id).exists()
    assert results <= {entity.id for entity in crate.data_entities}


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
