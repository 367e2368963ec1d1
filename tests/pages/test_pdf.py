"""The PDF: made where it is wanted, kept while the book is as it was, taken away when it is not."""

import pytest

from bioinspired.errors import UserError
from bioinspired.pages import pdf

PRINTER = """#!/bin/sh
for word in "$@"; do case "$word" in --print-to-pdf=*) echo "%PDF" > "${word#--print-to-pdf=}";; esac; done
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "_build" / "extra").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def chromium(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()

    def install(script):
        (folder / "chromium").write_text(script)
        (folder / "chromium").chmod(0o755)

    install(PRINTER)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    return install


def make(root, content, *, wanted=True):
    said = []

    def typeset(_, output, builder):
        assert builder == "singlehtml"
        return output

    pdf.keep_or_make(root, content, wanted=wanted, typeset=typeset, say=said.append)
    return said


@pytest.mark.usefixtures("chromium")
def test_it_is_printed_once_and_goes_with_its_content(root):
    assert make(root, "one") == ["Printing the book"]
    printed = root / "_build" / "extra" / pdf.NAME
    assert printed.read_text() == "%PDF\n"
    assert make(root, "one") == make(root, "one", wanted=False) == []
    assert printed.exists()
    make(root, "two", wanted=False)
    assert not printed.exists(), "a reader would be led to another book"
    assert not list((root / "_build").glob("render-*"))


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\nexit 0\n"])
def test_a_printer_that_prints_nothing_is_told(root, chromium, script):
    chromium(script)
    with pytest.raises(UserError, match="did not print the book"):
        make(root, "one")
    assert not (root / "_build" / "extra" / pdf.NAME).exists()


def test_without_a_printer_the_sentence_says_what_to_do(root, monkeypatch):
    monkeypatch.setenv("PATH", str(root))
    with pytest.raises(UserError, match="Chromium, which is not installed: install it, or leave --pdf out"):
        make(root, "one")
    assert make(root, "one", wanted=False) == []
