"""The whole way: the real book at smoke scale, from nothing, as a reader's machine makes it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from urllib.parse import quote

import pytest
from executors import Here
from reading import ALLOWED, CHROMIUM, NARROW, WIDE, reader, says_what_is_seen

from bioinspired.lab import papers
from bioinspired.lab.engine.run import run
from bioinspired.lab.records.store import Store, checkout
from bioinspired.pages import pdf
from bioinspired.pages.build import build
from bioinspired.pages.bundle import pack

ROOT = checkout()
QUESTIONS = {
    "What was found?": ".answer",
    "How does it work?": "#build-it-yourself pre",
    "What shows it?": "#the-evidence",
    "Does it reproduce, and does it hold?": "#the-claims table",
    "Is this to be trusted?": "#is-this-to-be-trusted",
}
"""What a reader wants to know of a chapter, and the element that says it."""


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


def test_programs_find_every_page_and_every_number(built):
    root, _, page, _ = built
    html = page.parent
    listed = re.findall(r"\]\((\S+\.md)\)", (html / "llms.txt").read_text())
    sources = (root / "_build" / "source").rglob("*")
    pages = {path.relative_to(root / "_build/source") for path in sources if path.suffix in (".md", ".ipynb")}
    assert set(listed) == {path.with_suffix(".md").as_posix() for path in pages}
    for name in listed:
        assert (html / name).read_text().startswith("# "), name
    assert len((html / "data" / "frame.csv").read_text().splitlines()) > 100
    linked = re.findall(r'href="(data/[^"]+)"', (html / "data.html").read_text())
    assert linked
    assert all((html / name).is_file() for name in linked)


def test_notebooks_that_read_records_do_not_import_torch(built):
    root, *_ = built
    code = "import sys; from bioinspired.pages import chapter, figures, tables; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"
    executed = json.loads((root / "_build/source/papers/defective_conv.ipynb").read_text())
    assert any(cell.get("outputs") for cell in executed["cells"])


@pytest.fixture(scope="module")
def browser(built):
    _, _, page, _ = built
    with reader(page.parent) as mine:
        yield mine


@pytest.fixture(scope="module")
def read_pages(built, browser):
    """Every page opened, at its full width and on a telephone: what axe says of it, and how wide it wants to be."""
    _, _, page, _ = built
    found = {}
    for path in sorted(page.parent.rglob("*.html")):
        name = path.relative_to(page.parent).as_posix()
        if name not in ("index.html", "genindex.html") and not name.startswith("_"):
            browser.open(name)
            broken = browser.axe()
            browser.page.set_viewport_size(NARROW)
            found[name] = broken, browser.page.evaluate("document.documentElement.scrollWidth")
            browser.page.set_viewport_size(WIDE)
    return found


def test_pages_ask_for_nothing_elsewhere_and_fail_nowhere(browser, read_pages):
    assert {f"papers/{name}.html" for name in papers.NAMES} <= set(read_pages)
    assert browser.complaints == []


def test_pages_fit_a_telephone(read_pages):
    assert {name: width for name, (_, width) in read_pages.items() if width > NARROW["width"]} == {}


def test_pages_are_accessible(read_pages):
    broken = {name: rules for name, (rules, _) in read_pages.items()}
    others = {
        name: {rule: where for rule, where in rules.items() if rule not in ALLOWED} for name, rules in broken.items()
    }
    assert {name: rules for name, rules in others.items() if rules} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_can_be_told_apart(browser, scheme):
    for name in ("glance.html", "data.html", "rerun.html"):
        browser.page.emulate_media(color_scheme=scheme)
        browser.open(name)
        assert browser.page.evaluate("document.documentElement.dataset.theme") == scheme
        assert browser.axe(contrast=True) == {}, name
    browser.page.emulate_media(color_scheme="light")
    assert browser.complaints == []


def test_search_finds_each_paper(browser):
    for name in papers.NAMES:
        browser.open(f"search.html?q={quote(papers.title(name))}")
        browser.page.wait_for_selector("#search-results li a", timeout=20_000)
        links = browser.page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.getAttribute('href'))")
        assert any(link.startswith(f"papers/{name}.html") for link in links), name


def test_figures_have_numbers_captions_and_descriptions(browser):
    shown = 0
    for name in papers.NAMES:
        page = browser.open(f"papers/{name}.html")
        for image in page.query_selector_all("article img"):
            caption = image.evaluate("i => i.closest('figure')?.querySelector('figcaption')?.innerText ?? ''")
            assert re.match(r"Fig\. \d+", caption), f"{name}: {image.get_attribute('src')} has no number"
            assert says_what_is_seen(image.get_attribute("alt") or "", caption), f"{name}: {caption}"
            shown += 1
    assert shown > len(papers.NAMES)


def test_each_chapter_answers_the_readers_questions_where_they_look(browser):
    chapters = [name for name in papers.NAMES if (ROOT / "book" / "papers" / f"{name}_detail.ipynb").is_file()]
    assert chapters
    for name in chapters:
        page = browser.open(f"papers/{name}.html")
        for question, place in QUESTIONS.items():
            found = page.query_selector(f"article {place}")
            assert found, f"{name}: {question}"
            assert len(found.inner_text().split()) > 8, f"{name}: {question}"


def test_folded_code_opens_by_keyboard_and_mathematics_is_set(browser):
    page = browser.open("glance.html")
    folded = page.query_selector("details.hide summary, details.toggle summary, details summary")
    folded.focus()
    page.keyboard.press("Enter")
    assert folded.evaluate("s => s.closest('details').open")
    page = browser.open("method.html")
    page.wait_for_function("document.querySelectorAll('mjx-container').length > 0", timeout=20_000)
    assert (
        page.eval_on_selector_all(".math", "all => all.filter(one => !one.querySelector('mjx-container')).length") == 0
    )


def test_a_second_build_executes_and_renders_nothing(built):
    root, store, page, _ = built
    before = page.stat().st_mtime_ns
    said = []
    build(store=store, root=root, say=said.append)
    assert page.stat().st_mtime_ns == before
    assert not [line for line in said if line.startswith(("Executing", "Rendering"))]


def test_the_book_is_printed_and_linked(built):
    if CHROMIUM is None:
        pytest.skip("no Chromium here: the book was not printed")
    root, store, page, _ = built
    build(store=store, root=root, printed=True)
    printed = (page.parent / pdf.NAME).read_bytes()
    assert printed.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", printed)) > 2 * len(papers.NAMES)
    assert f'href="{pdf.NAME}"' in (page.parent / "data.html").read_text()


def test_a_stranger_with_only_the_archive_can_check_a_number(built, tmp_path):
    """Unpack, compare checksums, install nothing but the packed library, load, attack the fixed images, compare."""
    root, store, *_ = built
    pack(tmp_path / "book.tar.gz", store=store, root=root)
    with tarfile.open(tmp_path / "book.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (top,) = (path for path in tmp_path.iterdir() if path.is_dir())
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=top, check=True)
    assert {"html/index.html", "html/papers/dim.html", "notebooks/glance.ipynb", "html/data/frame.csv"} <= {
        path.relative_to(top).as_posix() for path in top.rglob("*")
    }
    assert {path.name for path in (top / "results" / "smoke").glob("*.json")} == {
        path.name for path in store.folder.glob("*.json")
    }
    data = tmp_path / "no data set"
    environment = os.environ | {"PYTHONPATH": str(top / "code"), "BIOINSPIRED_DATA": str(data)}
    environment.pop("BIOINSPIRED_STORE", None)
    command = [sys.executable, "-m", "bioinspired", "replay", "sleep/set-b", "--scale", "smoke", "--store", "results"]
    done = subprocess.run(command, cwd=top, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"sleep/set-b, seed 0: (\d+) measurements made again, \1 with the record's bits", done.stdout)
