"""What a run says of itself."""

import subprocess

import pytest

from bioinspired.lab.records import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one committed file of the package."""
    package = tmp_path / "bioinspired"
    package.mkdir()
    (package / "code.py").write_text("A = 1\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return tmp_path


def test_a_changed_tree_is_told_from_a_clean_one(checkout):
    run = provenance.of_run.__wrapped__
    assert run("cpu")["dirty"] is False
    (checkout / "notes.txt").write_text("beside the package")
    assert run("cpu")["dirty"] is False
    (checkout / "bioinspired" / "code.py").write_text("A = 2\n")
    assert run("cpu")["dirty"] is True


def test_a_package_outside_of_a_checkout_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    run = provenance.of_run.__wrapped__("cpu")
    assert run["commit"] is None
    assert run["dirty"] is None
