"""A report on a stranger's model: one page, resumed, with what an own attack really found."""

import json
import os
import subprocess
import sys

import pytest
from small_networks import images, undefended

from bioinspired.errors import UserError
from bioinspired.pages import report as reports
from bioinspired.pages import strangers

SMALL = reports.Budget(24, 24, 5, 20, ("fgsm", "pgd"))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(reports.BUDGETS, "quick", SMALL)
    monkeypatch.setenv("MPLBACKEND", "Agg")  # as containers set it
    monkeypatch.setenv("JUPYTER_PATH", "/nowhere")


def written(folder, **options):
    x, y = images(40)
    said = []
    path = reports.report(undefended(0), x, y, **{"eps": "1/10", "folder": folder, "say": said.append, **options})
    return path.read_text(encoding="utf-8"), said, json.loads((folder / "findings.json").read_text())


def test_one_page_with_its_pictures_and_the_notebook_behind_it(small, tmp_path):
    nothing = {"idle": lambda model, x, y: x, "boasting": lambda model, x, y, *, eps: (x + eps / 2).clamp(0, 1)}
    text, said, found = written(tmp_path, twin=undefended(1), attacks=nothing)
    assert said == ["attacks", "twin", "checks", "distances", "page"]
    assert text.count("data:image/png;base64,") == 2
    assert "http" not in text
    assert (tmp_path / "report.ipynb").is_file()
    assert found["main"]["attacks"] == ["fgsm", "pgd", "idle", "boasting"]
    assert found["main"]["robust"][2] == found["main"]["robust"][1]  # what does nothing changes nothing
    assert set(found["distances"]["found"]) == {"FMN", "APGD, bisected", "hopskipjump"}
    _, again, same = written(tmp_path, twin=undefended(1))
    assert again == ["page"]
    assert same["main"]["robust"] == found["main"]["robust"][:2]
    _, other, _ = written(tmp_path, norm="l2", eps=1.0)
    assert other[0] == "attacks"


def test_a_folder_that_cannot_be_written_is_noticed_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        written(tmp_path / "file")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def build(:", "does not run"),
        ("x = 1", "has no build"),
        ("def build(size): return 1", "does not build a model"),
        ("def build(): return 5", "returned int"),
    ],
)
def test_a_stranger_s_mistakes_get_one_sentence(tmp_path, source, words):
    path = tmp_path / "theirs.py"
    path.write_text(source)
    with pytest.raises(UserError, match=words):
        strangers.model(f"{path}:build")
    with pytest.raises(UserError, match="names no function"):
        strangers.model("build")


def test_images_in_folders_by_class(tmp_path):
    from PIL import Image

    for number, name in enumerate(("cats", "dogs")):
        (tmp_path / name).mkdir()
        for one in range(3):
            Image.new("RGB", (6, 5), (50 * number, 0, one)).save(tmp_path / name / f"{one}.png")
    x, y = strangers.images(str(tmp_path), 10)
    assert (x.shape, sorted(y.tolist())) == ((6, 3, 5, 6), [0, 0, 0, 1, 1, 1])
    assert float(x[y == 1][:, 0].min()) == pytest.approx(50 / 255)


def test_output_that_is_not_utf_8_and_not_a_terminal_is_whole():
    call = [sys.executable, "-m", "bioinspired", "attack", "--list"]
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(call, env=env, capture_output=True, text=True, check=True)
    assert "foolbox.ProjectedGradientDescent" in done.stdout.split()
