"""Executed copies of the book's notebooks.

A source notebook carries no outputs. papermill executes it into a copy, with a manifest beside the copy that says what
went in: as long as source, parameters, code, records and environment are the same, the copy stands and nothing runs.
A copy that does not pass `inspect` never replaces one that did.
"""

import ast
import contextlib
import hashlib
import importlib.metadata
import json
import logging
import platform
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bioinspired.errors import UserError
from bioinspired.lab.records.store import Store, write
from bioinspired.pages.kernel import KERNEL, environment, own_kernel

STORE_VARIABLE = "BIOINSPIRED_STORE"
"""Environment variable through which a notebook finds the records: its value never appears on a page."""

READ_ONLY_VARIABLE = "BIOINSPIRED_READ_ONLY"
"""Set while the book is built: a notebook then shows what is there, and trains nothing."""

START_TIMEOUT = 180
"""Seconds a kernel may take to start; a machine with two busy cores needs more than papermill's 60."""

PICTURES = ("image/png", "image/jpeg", "image/svg+xml")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All that an executed notebook depends on besides its source: checksums, and the parameters as they are passed."""

    parameters: Mapping[str, str]
    code: str
    records: str
    environment: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What made an executed copy, and the copy's own checksum."""

    source: str
    inputs: Inputs
    executed: str
    seconds: float


def inputs(*, package: Path, store: Store, parameters: Mapping[str, str], benchmarks: Path | None = None) -> Inputs:
    """The present state of everything a notebook reads.

    The whole package counts, because studies and claims are looked up by name: which files a notebook reaches cannot
    be told from its imports. Of Python files the syntax tree counts, without comments and docstrings.

    Args:
        package: folder of the library.
        store: the records that the notebooks read; its folder need not exist.
        parameters: what is passed to every notebook.
        benchmarks: folder of the benchmarks' measured files.
    """
    code = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            code.update(path.relative_to(package).as_posix().encode() + b"\0")
            code.update(_meaning(path))
    records = hashlib.sha256()
    for folder in (store.folder, *((benchmarks,) if benchmarks else ())):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                records.update(path.relative_to(folder).as_posix().encode() + b"\0")
                records.update(hashlib.sha256(path.read_bytes()).digest())
    installed = sorted({f"{found.name}=={found.version}" for found in importlib.metadata.distributions()})
    environment = hashlib.sha256("\n".join([platform.python_version(), *installed]).encode())
    return Inputs(
        parameters=dict(parameters),
        code=code.hexdigest(),
        records=records.hexdigest(),
        environment=environment.hexdigest(),
    )


def current(source: Path, executed: Path, now: Inputs, *, parameters_only: bool = False) -> bool:
    """Whether the executed copy stands: made from this source and these inputs, and itself unaltered.

    Args:
        source: the notebook.
        executed: its executed copy.
        now: the present inputs.
        parameters_only: of the inputs compare the parameters only, and let changed code or records pass.
    """
    try:
        manifest = json.loads(manifest_path(executed).read_text(encoding="utf-8"))
        made = Inputs(**manifest["inputs"])
        return (
            (made.parameters == now.parameters if parameters_only else made == now)
            and manifest["source"] == _sha256(source.read_bytes())
            and manifest["executed"] == _sha256(executed.read_bytes())
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def execute(source: Path, executed: Path, now: Inputs, *, name: str, store: Store, root: Path) -> None:
    """Run a notebook and put the result, if it passes `inspect`, in the place of the executed copy.

    To be called within `kernels`, which several calls at once share.

    Args:
        source: the notebook to run; read once, so that an edit during the run cannot mix with it.
        executed: where its copy goes; written to a temporary name and renamed, the manifest last.
        now: what `inputs` gave; its parameters are passed to the notebook.
        name: what messages call the notebook, such as "papers/dim.ipynb".
        store: the records; their path is written as "results".
        root: folder of the checkout; its path is written as "." wherever a cell printed it.

    Raises:
        UserError: a parameter that the notebook does not declare, an error in a cell, or a copy that fails `inspect`.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    content = source.read_bytes()
    origin = _parse(content, name)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / source.name, Path(folder) / "executed.ipynb"
        before.write_bytes(content)
        # papermill itself only logs a parameter that a notebook does not declare, and runs with the default instead.
        known = papermill.inspect_notebook(before)
        for parameter in now.parameters:
            if parameter not in known:
                raise UserError(
                    f'{name}: unknown parameter "{parameter}": declare it on a line of its own in the cell tagged '
                    '"parameters".'
                )
        try:
            papermill.execute_notebook(
                before,
                after,
                parameters=dict(now.parameters),
                kernel_name=KERNEL,
                language="python",
                progress_bar=False,
                cwd=source.parent,
                start_timeout=START_TIMEOUT,
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            )
        except PapermillExecutionError as error:
            message = re.sub(r"\s+", " ", f"{error.ename}: {error.evalue}").strip(" :")
            raise UserError(f"{name}, {_cell(error.source)}: {message}") from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("nbclient", "jupyter_client", "papermill"):
                raise
            message = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}").strip()
            raise UserError(f"{name}: the notebook did not run to its end ({message}).") from error
        plain = _parse(after.read_bytes(), name)
    seconds = time.monotonic() - began
    _finish(plain, hide={str(root): ".", str(store.root): "results", str(Path.home()): "~"})
    inspect(plain, origin, name=name)
    text = json.dumps(plain, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    manifest = Manifest(source=_sha256(content), inputs=now, executed=_sha256(text.encode()), seconds=round(seconds, 2))
    write(executed, text.encode())
    write(manifest_path(executed), (json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n").encode())


def inspect(executed: Mapping[str, Any], source: Mapping[str, Any], *, name: str) -> None:
    """Refuse an executed notebook that must not be published.

    It has to come from the given source, every code cell has to have run to its end without an error, and every
    picture needs a text that says what is to be seen.

    Raises:
        UserError: naming the notebook, and the cell where it is one cell's fault.
    """
    made = [(cell["cell_type"], _text(cell)) for cell in executed["cells"] if "injected-parameters" not in _tags(cell)]
    if made != [(cell["cell_type"], _text(cell)) for cell in source["cells"]]:
        raise UserError(f"{name}: the executed copy comes from another source than the notebook in book/.")
    for cell in executed["cells"]:
        if cell["cell_type"] != "code":
            continue
        where = f"{name}, {_cell(_text(cell))}"
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                raise UserError(f"{where}: {output['ename']}: {output['evalue']}")
        if _text(cell).strip() and cell["execution_count"] is None:
            raise UserError(f"{where}: the cell was not executed.")
        if any(kind in output.get("data", {}) for output in cell["outputs"] for kind in PICTURES):
            _alternative(cell["metadata"].get("mystnb", {}), where)
    run = executed["metadata"].get("papermill", {})
    if not run.get("end_time") or run.get("exception"):
        raise UserError(f"{name}: the copy was not executed to its end by papermill.")


def manifest_path(executed: Path) -> Path:
    """Where the manifest of an executed copy lies: beside it."""
    return executed.with_suffix(".manifest.json")


def read(path: Path, name: str) -> dict[str, Any]:
    """A notebook as plain JSON data.

    Raises:
        UserError: the file is no notebook of format 4, or names no kernel.
    """
    return _parse(path.read_bytes(), name)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _parse(content: bytes, name: str) -> dict[str, Any]:
    try:
        notebook: dict[str, Any] = json.loads(content)
        notebook["metadata"]["kernelspec"]["name"]
        if notebook["nbformat"] != 4 or not isinstance(notebook["cells"], list):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{name} is not a notebook of format 4 with a Python kernel: repair it, or open and save it in Jupyter."
        ) from None
    return notebook


def _finish(notebook: dict[str, Any], *, hide: Mapping[str, str]) -> None:
    """Take out what belongs to this machine, and fold what belongs to papermill."""
    run = notebook["metadata"].get("papermill", {})
    for field in ("input_path", "output_path", "environment_variables", "default_parameters"):
        run.pop(field, None)
    for cell in notebook["cells"]:
        if "parameters" in _tags(cell):
            _tag(cell, "remove-cell")
        if "injected-parameters" in _tags(cell):
            _tag(cell, "hide-input")
            cell["metadata"]["mystnb"] = {
                "code_prompt_show": "Show the parameters of this page",
                "code_prompt_hide": "Hide the parameters of this page",
            }
        if "outputs" in cell:
            cell["outputs"] = _replace(cell["outputs"], hide)


def _replace(value: Any, hide: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for path in sorted(hide, key=len, reverse=True):
            if len(path) > 1:
                value = re.sub(re.escape(path) + r"(?![\w-])", hide[path], value)
        return value
    if isinstance(value, list):
        return [_replace(item, hide) for item in value]
    if isinstance(value, dict):
        return {key: item if key in PICTURES[:2] else _replace(item, hide) for key, item in value.items()}
    return value


def _alternative(metadata: Mapping[str, Any], where: str) -> None:
    text = str(metadata.get("image", {}).get("alt", "")).strip()
    caption = str(metadata.get("figure", {}).get("caption", "")).strip()
    if len(text.split()) < 4 or re.fullmatch(r"\S+\.(png|jpe?g|svg)", text) or text == caption:
        raise UserError(
            f'{where}: the picture needs a sentence that says what is to be seen, in the cell\'s metadata as "mystnb": '
            '{"image": {"alt": "..."}}, other than its caption.'
        )


def _cell(source: str) -> str:
    first = next((line.strip() for line in source.splitlines() if line.strip() and line.strip()[0] != "#"), "")
    return f"cell starting with `{first[:60]}`"


def _text(cell: Mapping[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _tags(cell: Mapping[str, Any]) -> list[str]:
    tags: list[str] = cell["metadata"].get("tags", [])
    return tags


def _tag(cell: Mapping[str, Any], tag: str) -> None:
    if tag not in _tags(cell):
        cell["metadata"]["tags"] = [*_tags(cell), tag]


def _meaning(path: Path) -> bytes:
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).digest()
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return hashlib.sha256(path.read_bytes()).digest()
    return ast.dump(_without_docstrings(tree)).encode()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """The same tree, in place, without the strings that only document."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@contextlib.contextmanager
def kernels(store: Store) -> Iterator[None]:
    """While notebooks run: what their kernels inherit from this process, and no noise of papermill's.

    It belongs to the process, so it is entered once around all that run at once.
    """
    settings = {STORE_VARIABLE: str(store.root), READ_ONLY_VARIABLE: "1"}
    with environment(settings), own_kernel(), _quiet():
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """papermill logs absolute paths and an unknown parameter as a line nobody reads."""
    logger = logging.getLogger("papermill")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
