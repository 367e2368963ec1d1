"""The book's sources: every page reads offline and describes its pictures; no measured number is typed."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bioinspired.pages.build import contents

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
PAGES = sorted(BOOK.rglob("*.md"))
NOTEBOOKS = sorted(path for path in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
PARAMETERS = {"scale": "str", "store": "str", "dataset": "str"}

LOADED_LATER = set(
    re.findall(
        r"\w+",
        """
        boldsymbol bbox bra ket braket set Bra Ket Braket Set ketbra Ketbra xtofrom xmapsto xlongequal
        cancel bcancel xcancel cancelto ce class color colorbox cssId definecolor enclose fcolorbox href
        mathtip mathtoggle mmlToken pu require style textcolor texttip toggle unicode verb
        """,
    )
)
"""Macros that MathJax fetches from a file of their own, which the book does not ship."""


def label(path: Path) -> str:
    return path.relative_to(BOOK).as_posix()


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def code(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def prose(path: Path) -> str:
    """What a reader reads: Markdown without code and mathematics."""
    if path.suffix == ".md":
        words = path.read_text(encoding="utf-8")
    else:
        words = "\n\n".join(source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown")
    words = re.sub(r"```.*?```", "", words, flags=re.DOTALL)
    words = re.sub(r"\$\$.*?\$\$", "", words, flags=re.DOTALL)
    return re.sub(r"`[^`]*`|\$[^$\n]*\$", "", words)


def markdown(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown")


def values(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        for value in config.values():
            yield from values(value)
    elif isinstance(config, list):
        for value in config:
            yield from values(value)
    else:
        yield str(config)


def says_something(text: str) -> bool:
    return len(text.split()) >= 4 and not re.fullmatch(r"\S+\.(png|jpe?g|svg)", text)


def test_configuration_reads_offline() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert not [value for value in values(config) if re.search(r"//", value)], "an address in _config.yml"
    assert config["execute"]["execute_notebooks"] == "off"
    assert config["only_build_toc_files"] is True
    sphinx = config["sphinx"]["config"]
    assert "sphinx_thebe" not in sphinx["extensions"]
    assert sphinx["mathjax_path"] == "../mathjax/tex-svg.js"
    assert sphinx["html_context"]["default_mode"] == "auto"
    assert not any("analytics" in key or "comments" in key for key in config["html"])
    for name in (config["logo"], config["html"]["favicon"], *config["bibtex_bibfiles"]):
        assert (BOOK / name).is_file(), name


def test_style_reads_offline() -> None:
    for path in (BOOK / "_static").rglob("*"):
        assert path.suffix != ".js", "Jupyter Book would add it to every page"
        if path.suffix in (".css", ".svg"):
            addresses = re.findall(r"(?:https?:)?//[^\s\"')]+", path.read_text(encoding="utf-8"))
            assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path.name


def test_contents_and_folder_agree() -> None:
    named = contents(BOOK)
    assert len(named) == len(set(named))
    assert set(named) == {label(path) for path in [*PAGES, *NOTEBOOKS]}


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=label)
def test_description_and_title(path: Path) -> None:
    if path.suffix == ".md":
        front = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
    else:
        front = read(path)["metadata"]
    description = front["myst"]["html_meta"]["description"]
    assert 60 <= len(description) <= 200
    fenced = re.sub(r"```.*?```", "", markdown(path), flags=re.DOTALL)
    assert len(re.findall(r"^# \S", fenced, flags=re.MULTILINE)) == 1, "a page has one title"


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=label)
def test_pictures_are_described_and_local(path: Path) -> None:
    text = markdown(path)
    assert not re.search(r"<(script|iframe|img|link|video|audio)\b", text)
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)", text):
        assert says_something(alt), f"{target} needs a sentence that says what is to be seen"
        assert (path.parent / target).is_file(), target
    for target, options in re.findall(r"^[`:]{3,}\{(?:figure|image)\}\s*(\S+)\n(.*?)^[`:]{3,}", text, re.M | re.S):
        alt = re.search(r"^:alt:\s*(.+)$", options, flags=re.MULTILINE)
        assert alt, f"{target} needs :alt:"
        assert says_something(alt[1])
        assert (path.parent / target).is_file(), target


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=label)
def test_mathematics_needs_no_further_file(path: Path) -> None:
    formulas = "\n".join(re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", markdown(path), flags=re.DOTALL))
    used = set(re.findall(r"\\([A-Za-z]+)", formulas))
    assert not used & LOADED_LATER


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=label)
def test_words(path: Path) -> None:
    found = re.findall(r"\b(?:nobody|fastest|broken|state[- ]of[- ]the[- ]art|TODO)\b", prose(path), re.IGNORECASE)
    assert not found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=label)
def test_notebooks_are_sources(path: Path) -> None:
    notebook = read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"] >= 5) == (4, True)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info", "myst"}
    for cell in code(path):
        assert not cell["outputs"]
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=label)
def test_parameters_are_declared_with_their_types(path: Path) -> None:
    cells = [cell for cell in code(path) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(cells) == 1
    declared = {}
    for line in source(cells[0]).splitlines():
        statements = ast.parse(line).body
        assert len(statements) == 1, "one parameter a line, or papermill does not see it"
        assert isinstance(statements[0], ast.AnnAssign), f"{line} needs a type"
        declared[ast.unparse(statements[0].target)] = ast.unparse(statements[0].annotation)
    assert declared.items() >= PARAMETERS.items()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=label)
def test_code_cells_are_short(path: Path) -> None:
    for cell in code(path):
        lines = source(cell).splitlines()
        if not {"build", "solution"} & set(cell["metadata"].get("tags", [])):
            assert len(lines) <= 45, f"{len(lines)} lines from {lines[0]}: move the detail into the package"
        assert max(map(len, lines), default=0) <= 100, f"a line is cut on narrow screens: {lines[0]}"


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.name != "torchattacks.ipynb"], ids=label)
def test_notebooks_only_read_but_where_a_reader_builds(path: Path) -> None:
    live = {"build", "solution"}
    read_only = [source(cell) for cell in code(path) if not live & set(cell["metadata"].get("tags", []))]
    tree = ast.parse("\n".join(read_only))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module.partition(".")[0] for module in modules} & {"torch", "torchvision", "torchattacks", "foolbox"}


def test_figures_have_captions_names_and_descriptions() -> None:
    names = []
    for path in NOTEBOOKS:
        for cell in code(path):
            metadata = cell["metadata"].get("mystnb", {})
            if not {"figure", "image"} & set(metadata):
                continue
            alt, figure = metadata["image"]["alt"], metadata["figure"]
            where = f"{label(path)}: {figure['name']}"
            assert says_something(alt), where
            assert alt.endswith("."), where
            assert says_something(figure["caption"]), where
            assert alt != figure["caption"], where
            names.append(figure["name"])
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.parent.name == "papers"], ids=label)
def test_measured_numbers_are_not_typed(path: Path) -> None:
    """What was measured reaches the prose by glue. A number that a paper states stands beside its citation."""
    for paragraph in re.split(r"\n\s*\n", prose(path)):
        if "{cite" not in paragraph:
            assert not re.search(r"\d+\.\d+\s*(%|per ?cent|points)|±\s*\d", paragraph), paragraph


def test_references() -> None:
    entries = re.findall(r"^@(\w+)\{(\w+),\n(.*?)^\}", (BOOK / "references.bib").read_text("utf-8"), re.M | re.S)
    keys = [key for _, key, _ in entries]
    assert len(keys) == len(set(keys))
    for kind, key, fields in entries:
        given = dict(re.findall(r"^  (\w+) = \{(.*)\},$", fields, flags=re.MULTILINE))
        assert {"title", "author", "year"} <= set(given), key
        assert {"article": "journal", "inproceedings": "booktitle"}[kind] in given, key
    cited = set()
    for path in [*PAGES, *NOTEBOOKS]:
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", markdown(path)):
            cited |= {key.strip() for key in group.split(",")}
    assert cited <= set(keys)


def test_version_to_cite() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"version = {{{version}}}" in (BOOK / "cite.md").read_text(encoding="utf-8")


def test_readme_is_one_screen_and_true() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 50
    assert "make book" in readme
    assert "make test" in readme
    assert "202110577422.5" in readme
    for target in re.findall(r"\]\(([^)]+)\)", readme):
        assert (ROOT / target).is_file(), target
    for folder in re.findall(r"`([\w/]+/)`", readme):
        assert (ROOT / folder).is_dir(), folder
