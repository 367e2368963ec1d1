"""environment.yml, for conda and pip, agrees with uv.lock; CITATION.cff and codemeta.json agree with pyproject.toml."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
OLDER = {"requests", "urllib3", "idna", "chardet", "sphinx", "sphinxcontrib-bibtex"}
"""What may differ from the lock, because torchattacks asks for an old requests."""

ON_PYPI = {"pytorch": "torch"}
"""Names that conda-forge spells differently."""

IMPORTED_AS = {
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "IPython": "ipython",
    "myst_nb": "myst-nb",
    "bs4": "beautifulsoup4",
}


@pytest.fixture(scope="module")
def environment() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    return tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def conda(environment: dict[str, Any]) -> dict[str, str]:
    """Conda's section: name as on PyPI -> version ("" where none is given)."""
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    return {ON_PYPI.get(name, name): version for name, _, version in (line.partition("=") for line in lines)}


def pip(environment: dict[str, Any]) -> dict[str, str]:
    """Pip's section, without the line that installs this project."""
    lines = next(line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    required = [Requirement(line) for line in lines if not line.startswith("-e ")]
    return {found.name: str(found.specifier).removeprefix("==") for found in required}


def locked(lock: dict[str, Any], name: str, python: str) -> str | None:
    """The version that uv.lock gives for Linux and this Python."""
    there = {"python_full_version": f"{python}.0", "python_version": python, "sys_platform": "linux"}
    for package in lock["package"]:
        markers = package.get("resolution-markers", [])
        if package["name"] == name and (not markers or any(Marker(one).evaluate(there) for one in markers)):
            return package.get("version")
    return None


def test_versions_equal_the_lock_except_the_older_set(environment: dict[str, Any], lock: dict[str, Any]) -> None:
    wanted = conda(environment) | pip(environment)
    python = wanted.pop("python")
    assert wanted.pop("pip") == ""
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+(\.\w+)+", version), f"{name} needs an exact version"
        if name not in OLDER:
            assert version == locked(lock, name, python), f"{name} differs from uv.lock"
    assert set(wanted) >= OLDER
    assert wanted["requests"].startswith("2.25."), "torchattacks 3.5.1 accepts no other requests"


def test_python_is_one_that_the_project_supports(environment: dict[str, Any], project: dict[str, Any]) -> None:
    python = conda(environment)["python"]
    assert Requirement(f"python{project['project']['requires-python']}").specifier.contains(f"{python}.0")


def test_torchattacks_is_the_version_that_this_book_describes(
    environment: dict[str, Any], lock: dict[str, Any], project: dict[str, Any]
) -> None:
    import torchattacks

    assert pip(environment)["torchattacks"] == "3.5.1"
    assert locked(lock, "torchattacks", "3.11") == "3.5.1"
    assert "torchattacks==3.5.1" in project["project"]["optional-dependencies"]["book"]
    assert importlib.metadata.version("torchattacks") == "3.5.1"
    assert torchattacks.__version__ == "3.5.1"


def test_channels(environment: dict[str, Any]) -> None:
    assert environment["channels"] == ["conda-forge", "nodefaults"]


def test_sections(environment: dict[str, Any]) -> None:
    lines = environment["dependencies"]
    plain = [line for line in lines if isinstance(line, str)]
    assert "pip" in plain, "conda wants pip named before a pip section"
    assert isinstance(lines[-1], dict)
    assert len(plain) == len(conda(environment)), "a name stands twice in conda's section"
    assert not set(conda(environment)) & set(pip(environment))
    assert "-e .[book]" in lines[-1]["pip"]


def imported() -> dict[str, str]:
    """Third-party modules that the library and the notebooks import -> where."""
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / "bioinspired").rglob("*.py")
    }
    for path in (ROOT / "book").rglob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        sources[path.relative_to(ROOT).as_posix()] = re.sub(r"^\s*[%!].*$", "", code, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for where, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top != "bioinspired":
                    found.setdefault(top, where)
    return found


def test_every_import_is_covered(environment: dict[str, Any], project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    covered = set(conda(environment)) | set(pip(environment)) | {Requirement(one).name for one in extras["distributed"]}
    for module, where in imported().items():
        assert IMPORTED_AS.get(module, module) in covered, f"{where} imports {module}, which environment.yml lacks"


def test_every_requirement_of_the_project_is_covered(environment: dict[str, Any], project: dict[str, Any]) -> None:
    required = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["book"]
    wanted = conda(environment) | pip(environment)
    for one in map(Requirement, required):
        assert one.specifier.contains(wanted[one.name]), f"{one} refuses {wanted[one.name]}"


def test_citation(project: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["version"] == project["project"]["version"]
    assert citation["license"] == "MIT"
    allowed = {"cff-version", "message", "title", "type", "authors", "abstract", "keywords", "license", "version"}
    assert set(citation) == allowed | {"references"}
    assert all(isinstance(citation[key], str) for key in allowed - {"authors", "keywords"})
    papers = ["arXiv:1911.08432", "arXiv:1905.00568", "arXiv:2410.03952", "forum?id=r1xGnA4Kvr", "arXiv:2111.10844"]
    assert len(citation["references"]) == len(papers)
    for one, paper in zip(citation["references"], papers, strict=True):
        named = [one.get("url", "")] + [found["value"] for found in one.get("identifiers", [])]
        assert any(name.endswith(paper) for name in named), f"{one['title']} is not {paper}"
    for one in citation["references"]:
        assert {"type", "title", "authors", "year"} <= set(one)
        assert one["type"] in {"article", "conference-paper"}
        assert all(set(author) == {"family-names", "given-names"} for author in one["authors"])


def test_codemeta_agrees(project: dict[str, Any]) -> None:
    codemeta = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert codemeta["@context"] == "https://w3id.org/codemeta/3.0"
    assert codemeta["@type"] == "SoftwareSourceCode"
    assert codemeta["version"] == project["project"]["version"]
    assert codemeta["name"] == citation["title"]
    assert codemeta["description"] == citation["abstract"]
    assert codemeta["keywords"] == citation["keywords"]
    assert codemeta["license"].endswith(citation["license"])


@pytest.mark.release
@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_it_resolves(environment: dict[str, Any], lock: dict[str, Any], tmp_path: Path, python: str) -> None:
    """Over the network: conda's names as PyPI's, resolved by uv. What it cannot show: that conda-forge has the builds.

    A person with conda runs `conda env create --dry-run -f environment.yml` once a release.
    """
    uv = shutil.which("uv", path=os.pathsep.join([os.environ["PATH"], str(ROOT / ".uv" / "bin")]))
    assert uv, "uv is needed: make book installs one"
    wanted = conda(environment) | pip(environment)
    declared = wanted.pop("python")
    del wanted["pip"]
    if python != declared:
        wanted = {name: version for name, version in wanted.items() if name not in ("numpy", "scipy")}
    (tmp_path / "in.txt").write_text("".join(f"{name}=={version}\n" for name, version in wanted.items()))
    command = [uv, "pip", "compile", "--quiet", "--no-config", "--python-version", python, "in.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    resolved = dict(re.findall(r"^([\w.-]+)==(\S+)", done.stdout, flags=re.MULTILINE))
    assert resolved["torchattacks"] == "3.5.1"
    for name, version in wanted.items():
        assert resolved[name] == version
