"""What depends on where the book is published, and the Markdown twins of its pages."""

from types import SimpleNamespace

import pytest

from bioinspired.pages import pdf, publication

PAGE = """<html><head><meta name="description" content="What it says."></head><body><nav>elsewhere</nav>
<article class="bd-article"><h1>Title<a class="headerlink" href="#t">#</a></h1>
<details><summary>Show the code</summary><pre>print(1 * 2)</pre></details><style>td {}</style>
<table><caption>Its caption</caption><thead><tr><th>claim</th><th>ours</th></tr></thead>
<tbody><tr><td>holds_up</td><td>12.5</td></tr></tbody></table>
<img alt="Two lines fall." src="_images/a.png"></article></body></html>"""


def config(address, **published):
    return SimpleNamespace(
        html_theme_options={"repository_url": address},
        myst_substitutions={},
        publication={"doi": "", "swhid": ""} | published,
    )


def test_without_an_address_there_are_no_buttons_and_no_identifiers(tmp_path):
    mine = config("")
    publication._where_it_is_published(SimpleNamespace(srcdir=tmp_path / "source"), mine)
    assert mine.html_theme_options == {"repository_url": ""}
    assert mine.myst_substitutions["identifiers"] == publication.UNPUBLISHED
    assert mine.myst_substitutions["pdf"] == publication.NOT_PRINTED


def test_a_pdf_is_linked_where_there_is_one(tmp_path):
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / pdf.NAME).write_bytes(b"%PDF")
    mine = config("")
    publication._where_it_is_published(SimpleNamespace(srcdir=tmp_path / "source"), mine)
    assert f'href="{pdf.NAME}"' in mine.myst_substitutions["pdf"]


def test_with_an_address_readers_can_launch_a_notebook(tmp_path):
    mine = config("https://github.com/o/r", doi="10.1234/5", swhid="swh:1:rel:" + "0" * 40)
    publication._where_it_is_published(SimpleNamespace(srcdir=tmp_path / "source"), mine)
    assert mine.html_theme_options["use_repository_button"] is True
    assert set(mine.html_theme_options["launch_buttons"]) == {"notebook_interface", "binderhub_url", "colab_url"}
    assert "https://doi.org/10.1234/5" in mine.myst_substitutions["identifiers"]
    assert "swh:1:rel:" in mine.myst_substitutions["identifiers"]


def test_a_twin_has_the_numbers_and_not_the_furniture():
    description, text = publication.markdown(PAGE)
    assert description == "What it says."
    assert text.startswith("# Title\n")
    assert "| holds_up | 12.5 |" in text
    assert "```python\nprint(1 * 2)\n```" in text
    assert "![Two lines fall.](_images/a.png)" in text
    assert not any(word in text for word in ("elsewhere", "Show the code", "td {}", "#t"))


@pytest.mark.parametrize("html", ["", "<html><body></body></html>"])
def test_a_page_without_a_main_part_gives_nothing(html):
    assert publication.markdown(html) == ("", "")


def test_folds_in_the_list_of_pages_have_a_name():
    context = {"generate_toctree_html": lambda kind, *, depth: f"<{kind} {depth}><summary><span></span></summary>"}
    publication._name_folds(None, "page", "page.html", context, None)
    made = context["generate_toctree_html"]("nav", depth=1)
    assert made.startswith('<nav 1><summary aria-label="')
    publication._name_folds(None, "page", "page.html", empty := {}, None)
    assert empty == {}
