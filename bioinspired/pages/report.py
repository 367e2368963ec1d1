"""One page about anybody's model: measured here, shown by a notebook, written as one file of HTML.

    report(model, x, y, norm="linf", eps="8/255", folder="report")

Every step is kept in the folder under the state of the model, the images and the settings; a report that was broken off
goes on with the next step.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bioinspired.attacks import arguments, door
from bioinspired.attacks.external.guard import undisturbed
from bioinspired.attacks.minimal import search
from bioinspired.attacks.norms import ball
from bioinspired.attacks.predictions import Model
from bioinspired.attacks.reached import roots
from bioinspired.declarations import Norm
from bioinspired.errors import UserError
from bioinspired.evaluation.checks import check
from bioinspired.evaluation.evaluate import Evaluation, evaluate
from bioinspired.lab.records.store import write

BudgetName = Literal["quick", "standard", "thorough"]


@dataclass(frozen=True)
class Budget:
    """How much is tried: images of the attacks, of the checks and of the searches, the attacks, the searches' steps."""

    images: int
    checked: int
    searched: int
    steps: int
    attacks: tuple[str, ...]


BUDGETS: Mapping[str, Budget] = {
    "quick": Budget(100, 50, 20, 100, ("fgsm", "fmn", "pgd", "pgd_margin")),
    "standard": Budget(500, 200, 50, 1000, ("fgsm", "fmn", "pgd", "pgd_margin", "autoattack")),
    "thorough": Budget(2000, 500, 200, 5000, ("fgsm", "fmn", "pgd", "pgd_margin", "autoattack", "rays")),
}
SHARES = (0.25, 0.5, 1.0, 2.0)
"""The epsilons of the curve, in units of the one that is asked about."""

SHOWN = 8
"""Adversarial images on the page."""


def report(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: Any,
    norm: Norm = "linf",
    twin: Model | None = None,
    budget: BudgetName = "quick",
    attacks: Mapping[str, Callable[..., Any]] | None = None,
    generator: torch.Generator | None = None,
    folder: str | Path = "report",
    name: str = "the model",
    say: Callable[[str], object] = lambda _: None,
) -> Path:
    """Measures a model and writes `report.html` and `report.ipynb` into a folder.

    Args:
        model: any callable from images in [0, 1] to logits; a random one as `attacks.eot.Expectation`.
        x: images in [0, 1], [n, ...]; the budget says how many of them, from the first on, are used.
        y: labels, integers [n].
        eps: the radius asked about, a number or text such as "8/255".
        norm: "linf", "l2" or "l1".
        twin: the same network without its defense.
        budget: "quick" (about a minute for a small network), "standard" or "thorough".
        attacks: attacks of your own by name, functions (model, x, y, *, norm, eps, generator) -> perturbed images.
            What they return is shown to the model again and measured.
        generator: where the attacks' randomness comes from; None is a fixed seed.
        folder: where the page goes, and the steps on the way to it.
        name: what the page calls the model.
        say: told what is done next.

    Returns:
        The path of the page.

    Raises:
        UserError: an argument is not as described, or the folder cannot be written.
    """
    if budget not in BUDGETS:
        raise UserError(f'There is no budget "{budget}": choose one of {", ".join(BUDGETS)}.')
    tried = BUDGETS[budget]
    radius = arguments.radius(eps, norm)
    if not radius:
        raise UserError("eps must be above 0: the page is about what happens within it.")
    model, x, y = door.enter(model, x[: tried.images], y[: tried.images])
    twin = None if twin is None else door.enter(twin, x, y)[0]
    folder = Path(folder)
    kept = _Kept(folder, _state(model, twin, x, y, norm, radius, budget), say)
    radii = [share * radius for share in SHARES if norm != "linf" or share * radius <= 1]
    options: dict[str, Any] = {"norm": norm, "eps": radii, "generator": generator, "keep": True}
    main = kept.step("attacks", lambda: _plain(evaluate(model, x, y, attacks=tried.attacks, **options)))
    own = {}
    for title, attack in (attacks or {}).items():
        mine = {title: attack}  # not kept: a function has no state to know it by
        own[title] = _plain(evaluate(model, x, y, attacks=mine, **options))
    beside = None
    if twin is not None:
        beside = kept.step("twin", lambda: _plain(evaluate(twin, x, y, attacks=tried.attacks, **options)))
    checks = kept.step("checks", lambda: _checked(model, x[: tried.checked], y[: tried.checked], norm, radius, twin))
    distances = kept.step(
        "distances", lambda: _distances(model, x[: tried.searched], y[: tried.searched], norm, radii, tried.steps)
    )
    found = {
        "name": name,
        "norm": norm,
        "eps": radius,
        "asked": str(eps),
        "budget": budget,
        "main": _joined([main, *own.values()]),
        "own": list(own),
        "twin": beside,
        "checks": checks,
        "distances": distances,
        "pictures": _pictures(x, main),
    }
    write(folder / "findings.json", (json.dumps(found) + "\n").encode())
    from bioinspired.pages.report_page import page

    say("page")
    return page(folder)


class _Kept:
    """Steps that are made once, and read from the folder afterwards."""

    def __init__(self, folder: Path, state: str, say: Callable[[str], object]) -> None:
        self._folder, self._state, self._say = folder / "steps", state, say
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write(folder / "steps" / "state.json", json.dumps(state).encode())
        except OSError as error:
            raise UserError(f"{folder} cannot be written ({error.strerror}): choose another folder.") from error

    def step(self, name: str, make: Callable[[], Any]) -> Any:
        path = self._folder / f"{name}-{self._state[:16]}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            pass
        self._say(name)
        made = make()
        write(path, json.dumps(made).encode())
        return made


def _state(model: Model, twin: Model | None, x: Tensor, y: Tensor, *settings: Any) -> str:
    """What the steps depend on, as far as it can be told: weights, answers, images, settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for part in (x, y):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    for one in (model, twin):
        if one is None:
            continue
        for tensor in (tensor for root in roots(one) for tensor in root.state_dict().values()):
            if isinstance(tensor, Tensor):
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        with undisturbed(one, x.device), torch.no_grad():  # seeded: a random model answers alike
            digest.update(one(x[:16].clone()).cpu().numpy().tobytes())
    return digest.hexdigest()


def _plain(found: Evaluation) -> dict[str, Any]:
    """An evaluation as plain data."""
    assert found.nearest is not None
    return {
        "attacks": list(found.attacks),
        "eps": list(found.eps),
        "clean": found.clean.tolist(),
        "robust": found.robust.tolist(),
        "distances": [_finite(value) for value in found.distances.tolist()],
        "forwards": float(found.forwards.double().mean()),
        "backwards": float(found.backwards.double().mean()),
        "seconds": found.seconds,
        "skipped": dict(found.skipped),
        "nearest": found.nearest[_striking(found.clean, found.distances)].tolist(),
    }


def _striking(clean: Tensor, distances: Tensor) -> Tensor:
    """The images that are shown: the first that were answered correctly and fooled."""
    return (clean & distances.isfinite()).nonzero().flatten()[:SHOWN]


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Evaluations of the same images one after the other: a row counts what the rows above it broke too."""
    first, *others = parts
    whole = dict(first)
    for part in others:
        above = np.array(whole["robust"][-1])
        rows = (np.array(part["robust"]) & above).tolist()
        whole["robust"] = [*whole["robust"], *rows]
        whole["attacks"] = [*whole["attacks"], *part["attacks"]]
        pairs = zip(whole["distances"], part["distances"], strict=True)
        whole["distances"] = [min((d for d in pair if d is not None), default=None) for pair in pairs]
        for cost in ("forwards", "backwards", "seconds"):
            whole[cost] += part[cost]
    return whole


def _pictures(x: Tensor, main: Mapping[str, Any]) -> list[Any]:
    """Pairs of a clean and its nearest fooling image; none where images are no pictures."""
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        return []
    distances = torch.tensor([math.inf if value is None else value for value in main["distances"]])
    rows = _striking(torch.tensor(main["clean"]), distances)
    return [[x[row].tolist(), near] for row, near in zip(rows.tolist(), main["nearest"], strict=True)]


def _checked(model: Model, x: Tensor, y: Tensor, norm: Norm, eps: float, twin: Model | None) -> Any:
    try:
        found = check(model, x, y, norm=norm, eps=eps, twin=twin)
    except UserError as error:
        return {"reason": str(error), "checks": []}
    return {
        "reason": "",
        "checks": [{"name": one.name, "passed": one.passed, "advice": one.advice} for one in found],
    }


def _distances(model: Model, x: Tensor, y: Tensor, norm: Norm, radii: list[float], steps: int) -> Any:
    """The smallest perturbation by each search, None where it found nothing; and why a search did not run."""
    found: dict[str, list[float | None]] = {}
    reasons: dict[str, str] = {}
    size = ball(norm).size
    wide = [radii[-1] * factor for factor in (0.25, 0.5, 1.0, 2.0, 4.0) if norm != "linf" or radii[-1] * factor <= 1]
    for name, names, grid in (("FMN", ("fmn",), radii), ("APGD, bisected", ("torchattacks.APGD",), wide)):
        try:
            one = evaluate(model, x, y, norm=norm, eps=grid, attacks=names)
            found[name] = [_finite(value) for value in one.distances.tolist()]
        except UserError as error:
            reasons[name] = str(error)
    for name in ("hopskipjump", "boundary"):
        try:
            result = search(name, model, x, y, norm=norm, steps=steps)
            lengths = torch.where(result.success, size(result.x_adv - x), torch.inf)
            found[name] = [_finite(value) for value in lengths.tolist()]
        except UserError as error:
            reasons[name] = str(error)
    return {"found": found, "reasons": reasons}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
