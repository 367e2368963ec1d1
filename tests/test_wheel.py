"""The wheel: what a reader gets who only wants the library, in an environment that holds nothing else."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TRIED = """
import torch, bioinspired
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)).eval()
x = torch.rand(20, 1, 4, 4)
print(bioinspired.evaluate(model, x, model(x).argmax(1), norm="linf", eps=0.1))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    uv = shutil.which("uv", path=os.pathsep.join([os.environ["PATH"], str(ROOT / ".uv" / "bin")]))
    assert uv, "uv is needed: make book installs one"
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([uv, "build", "--wheel", "--quiet", "--out-dir", out, ROOT], check=True)
    return uv, next(out.glob("*.whl"))


@pytest.mark.release
def test_the_wheel_has_every_file_of_the_package(wheel):
    package = ROOT / "bioinspired"
    listed = subprocess.run(["git", "ls-files", "bioinspired"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(zipfile.ZipFile(wheel[1]).namelist()) >= set(listed.stdout.split())
    assert (package / "lab" / "records" / "record.schema.json").is_file()


@pytest.mark.release
def test_the_library_and_its_command_work_in_an_empty_environment(wheel, tmp_path):
    uv, built = wheel
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-config", "--python", python, built], check=True, cwd=tmp_path
    )
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def tell(*command):
        done = subprocess.run([python, *command], capture_output=True, text=True, cwd=tmp_path, env=plain)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Accuracy on 20 images" in tell("-c", TRIED)
    assert "digits" in tell("-m", "bioinspired", "data", "digits")
    assert "not tested" in tell("-m", "bioinspired", "claims", "--study", "sleep", "--store", "empty", "--json")
    book = subprocess.run(
        [python.with_name("bioinspired"), "book"], capture_output=True, text=True, cwd=tmp_path, env=plain
    )
    assert book.returncode == 2
    assert book.stderr.startswith("error: ")
    assert book.stderr.count("\n") == 1
