"""The first page of a chapter: what can be counted of it, and its parts from records and from none."""

import ast
import json
import re

import pytest
from filled import fill, is_clean

from bioinspired.lab import papers
from bioinspired.lab.records.store import Store, checkout
from bioinspired.pages import anatomy, chapter

FOLDER = checkout() / "book" / "papers"
CHAPTERS = [name for name in papers.NAMES if (FOLDER / f"{name}_detail.ipynb").is_file()]


def cells(name):
    """Kind, tags and text of every cell."""
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text())
    return [(one["cell_type"], one["metadata"].get("tags", []), "".join(one["source"])) for one in notebook["cells"]]


def tagged(name, tag):
    return [text for _, tags, text in cells(name) if tag in tags]


def imported(text):
    """Top-level packages that a cell imports."""
    nodes = list(ast.walk(ast.parse(text)))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_reader_sees_the_method_built_in_the_open(name):
    built = tagged(name, "build")
    lines = [line for text in built[:-1] for line in text.splitlines() if line.strip()]
    assert 25 <= len(lines) <= 90, "visible lines of the method, its training and its attack"
    assert not any("bioinspired" in imported(text) for text in built[:-1]), "the method is built without the library"
    assert {"torch", "torchattacks"} <= {package for text in built for package in imported(text)}
    last = [line for line in built[-1].splitlines() if line.strip()][-1]
    assert "bioinspired" in imported(built[-1])
    assert "assert_close" in last, "and is the library's in the end"
    assert tagged(name, "turn"), "values that a reader may change"
    assert 2 <= len(tagged(name, "solution")) <= 3, "exercises with solutions that run"


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_evidence_is_short_and_each_piece_answers_a_question(name):
    pieces = [place for place, (_, tags, _) in enumerate(cells(name)) if "evidence" in tags]
    assert 3 <= len(pieces) <= 8
    for place in pieces:
        markdown = "\n".join(text for kind, _, text in cells(name)[:place] if kind == "markdown")
        headings = re.findall(r"(?m)^#+ .*$", markdown)
        assert headings[-1].endswith("?"), headings[-1]


@pytest.mark.parametrize("name", CHAPTERS)
def test_nothing_on_a_readers_path_needs_the_book_builder(name):
    assert not any("myst_nb" in imported(text) for kind, _, text in cells(name) if kind == "code")
    order = [tags[-1] for _, tags, _ in cells(name) if tags and tags[-1] in ("turn", "evidence", "claims", "trust")]
    assert order == sorted(order, key=["turn", "evidence", "claims", "trust"].index)


@pytest.fixture
def page(tmp_path):
    store = Store(tmp_path, "laptop")

    def share(trial, asked):
        return {"keep 0.1": 0.9}.get(trial.label, 1.0) if is_clean(asked) else 0.5

    fill(store, papers.study("defective_conv", "laptop"), share)
    return chapter.open("defective_conv", scale="laptop", store=str(tmp_path))


def test_numbers_for_prose_come_from_records(page):
    found = anatomy.said(page, "transfer")
    assert found.effect.startswith("+0.0 [")
    assert found.seeds == "3"
    assert found.paper_access.defended == "50 %"
    assert found.white_box.rival in ("the undefended twin", "the pgd-trained network", "the noise-trained network")


def test_under_the_picture_stands_what_made_it(page):
    text = anatomy.made(page)
    assert "**Data** digits" in text
    assert "**Seeds** 3" in text
    assert "2026-01-02" in text
    assert "**Hardware** a processor" in text
    assert "`bioinspired run defective_conv --scale laptop`" in text


def test_failed_checks_are_named(page):
    passed = anatomy.trust(page)
    assert "Failed:" not in passed
    for result in page.results:
        for check in result.checks[:1]:
            check["passed"] = False
    assert "Failed: noise (" in anatomy.trust(page)


def test_from_nothing_the_answer_is_the_command_that_makes_it(tmp_path):
    page = chapter.Chapter(papers.study("sleep", "laptop"), Store(tmp_path, "laptop"))
    text = anatomy.answer(page, "The paper claims much.")
    assert "bioinspired run sleep --scale laptop" in text
    assert "much" not in text
    assert anatomy.said(page, "fgsm").effect == "not measured"
    assert anatomy.trust(page).endswith("not been made yet.")
    assert anatomy.beside(page, lambda *_: None).empty


def test_before_its_claims_are_judged_a_page_says_how_far_it_is(tmp_path, page):
    assert "much" in anatomy.answer(page, "The paper claims much.", needs="transfer")
    study, store = papers.study("defective_conv", "laptop"), Store(tmp_path / "partly", "laptop")
    fill(store, study, lambda trial, asked: 1.0 if trial.label == "standard" else None)
    text = anatomy.answer(chapter.Chapter(study, store), "The paper claims much.", needs="transfer")
    assert "much" not in text
    assert "bioinspired run defective_conv --scale laptop" in text
