"""Which code made a unit: the hash of the syntax trees of the modules it runs through.

Comments, docstrings and formatting do not count, and neither does what a record tells apart in another way:

- the declarations (`trials`, `keys`, `errors`): what they say of a unit stands in its key;
- `data`: a record holds the checksum of the images that it gave, and the weights hold their means and deviations;
- the registry of network families: the family's name stands in the key, and its module is a root.

Imports inside functions are not followed: they are lazy on purpose, so that a unit depends only on the attack or
defense it uses, and the two functions below name those modules as roots.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from bioinspired.trials import Measurement, Network

PACKAGE = Path(__file__).resolve().parent
APART = ("bioinspired.trials", "bioinspired.keys", "bioinspired.errors", "bioinspired.data")
REGISTRY = "FAMILIES"


def modules_of_network(network: Network) -> frozenset[str]:
    """The roots of the code that trains a network."""
    roots = {"bioinspired.training", f"bioinspired.networks.{network.architecture.name}"}
    if network.defense is not None:
        roots.add(f"bioinspired.defenses.{network.defense.kind}")
    if network.recipe.adversary is not None:
        roots.add("bioinspired.attacks.gradient")
    return frozenset(roots)


def modules_of_measurement(measurement: Measurement) -> frozenset[str]:
    """The roots of the code that answers a measurement."""
    question = measurement.question
    return frozenset({"bioinspired.measuring", f"bioinspired.questions.{question.kind}", *question.uses})


@cache
def code_hash(roots: frozenset[str]) -> str:
    """The hash of the named modules and of all that they import at module level."""
    digest = hashlib.sha256()
    for module in sorted(closure(roots)):
        digest.update(f"{module}\0{_tree(module)[0]}\0".encode())
    return digest.hexdigest()


def closure(roots: Iterable[str]) -> frozenset[str]:
    """The named modules and the modules of this package that they import, directly or through one another."""
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in seen and counts(module):
            seen.add(module)
            waiting += _tree(module)[1]
    return frozenset(seen)


def counts(module: str) -> bool:
    """Whether a module's code is part of the hashes: no record could tell it apart otherwise."""
    return not any(module == name or module.startswith(f"{name}.") for name in APART)


def path_of(module: str) -> Path | None:
    """The source file of a module of this package, or None where there is none of that name."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The same tree, in place, without the strings that only document."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _tree(module: str) -> tuple[str, tuple[str, ...]]:
    path = path_of(module)
    if path is None:
        raise ModuleNotFoundError(f"no source file for {module}")
    tree = ast.parse(path.read_text("utf-8"))
    imported: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names if alias.name.startswith("bioinspired.")]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "bioinspired":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            imported += [name if path_of(name) else node.module for name in names]
    tree.body = [node for node in tree.body if not _is_registry(node)]
    return ast.dump(without_docstrings(tree)), tuple(dict.fromkeys(imported))


def _is_registry(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == REGISTRY for t in node.targets)
