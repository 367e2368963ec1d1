"""Runs Foolbox' 42 attacks (`bioinspired.lab.papers.dim.members`) and judges what they return.

They run from Foolbox 3.3.4, where the step of HopSkipJump's probe is corrected and DDN takes 100 steps by default
instead of 10. The Brendel-Bethge members compile their solvers when first used in a process: half a minute each.

A member returns images; what they are worth is computed here. Searches for the smallest perturbation run without an
epsilon (given one, Foolbox stops them early and shrinks what they found); members that want an epsilon run at several,
smallest first. An image that came out black counts as a failure: C&W and EAD return black where they fail, which most
models misclassify.
"""

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bioinspired.attacks.external.entry import library
from bioinspired.attacks.external.guard import Adapter, Task, guarded
from bioinspired.attacks.frozen import Model
from bioinspired.attacks.norms import per_image
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError
from bioinspired.lab.papers.dim.members import Member, member

_FAR = 1e9  # no ball

_FLEXIBLE = (
    "Inversion",
    "BinarySearchContrastReduction",
    "LinearSearchContrastReduction",
    "GaussianBlur",
    "LinearSearchBlendedUniformNoise",
    "Dataset",
)  # take the distance that they minimise; salt and pepper has L2 of its own, and is judged by what it changed


def run(
    name: str,
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    epsilons: Sequence[float] = (),
    steps: int | None = None,
    searches: int | None = None,
    generator: torch.Generator | None = None,
) -> Result:
    """Runs a member on the images that the model answers right, and judges what it returns.

    Args:
        name: of a member.
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], [n, C, H, W].
        y: labels, integers [n].
        epsilons: of a member that wants one, in its norm, smallest first: each runs on the images that still stand.
        steps, searches: its budget; None is Foolbox' default. A member without such a parameter ignores it.
        generator: where the randomness comes from; None is a fixed seed.

    Returns:
        `x_adv` is the image itself where nothing was found that fools the model and is not black.

    Raises:
        UserError: no member has the name, it wants epsilons and there are none, or it cannot run on this model.
    """
    chosen = member(name)
    if not chosen.minimal and not epsilons:
        raise UserError(f"{name} needs an epsilon: give one or more, smallest first.")
    attack = partial(_attack, chosen, steps, searches)
    x_adv, success = x.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    forwards, backwards = torch.zeros_like(y), torch.zeros_like(y)
    for eps in (_FAR,) if chosen.minimal else epsilons:
        rows = (~success).nonzero().squeeze(1)
        if not len(rows):
            break
        norm = chosen.norm if chosen.norm in ("linf", "l2", "l1") else "l2"
        found = guarded(attack, model, x[rows], y[rows], name=name, norm=norm, eps=eps, generator=generator)
        black = (found.x_adv == 0).flatten(1).all(1) & ~(x[rows] == 0).flatten(1).all(1)
        fooled = found.success & ~black
        x_adv[rows] = torch.where(per_image(fooled, x), found.x_adv, x[rows])
        success[rows] = fooled
        forwards[rows] += found.forwards
        backwards[rows] += found.backwards
    return Result(x_adv, success, forwards, backwards)


def sizes(delta: Tensor) -> dict[str, Tensor]:
    """Perturbations [n, ...] in every norm: largest change, Euclidean, sum of changes, changed values; each [n]."""
    flat = delta.flatten(1)
    return {
        "linf": flat.abs().amax(1),
        "l2": flat.square().sum(1).sqrt(),
        "l1": flat.abs().sum(1),
        "l0": (flat.abs() > 1e-6).sum(1).to(flat),
    }


def _attack(
    chosen: Member, steps: int | None, searches: int | None, adapter: Adapter, x: Tensor, y: Tensor, task: Task
) -> Tensor:
    foolbox = library("foolbox")
    settings = dict(chosen.parameters)
    settings |= {name: value for name, value in ((chosen.steps, steps), (chosen.searches, searches)) if name and value}
    if chosen.name in _FLEXIBLE:
        settings["distance"] = foolbox.distances.l2
    made = getattr(foolbox.attacks, chosen.attribute)(**settings)
    target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
    if chosen.name == "Dataset":
        made.feed(target, x)
    extra: dict[str, Any] = {}
    rows = torch.ones(len(x), dtype=torch.bool, device=x.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*failed to draw sufficient random inputs")
        if chosen.started:
            first = foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(distance=foolbox.distances.l2, steps=50)
            _, start, rows = first(target, x, y, epsilons=None)
            extra = {"starting_points": start[rows]}
        out = x.clone()
        if bool(rows.any()):
            epsilons = None if chosen.minimal else task.eps
            out[rows] = made(target, x[rows], y[rows], epsilons=epsilons, **extra)[0]
    return out
