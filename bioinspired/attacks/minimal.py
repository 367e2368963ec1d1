"""Searches for the smallest perturbation with a chosen number of steps, by name: Foolbox' decision attacks, DeepFool.

The catalogue runs them at one listed budget; how the distance falls with the steps is a question of its own.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bioinspired.attacks.external.entry import library
from bioinspired.attacks.external.guard import Adapter, Task, guarded
from bioinspired.attacks.frozen import Model
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError

_FAR = 1e9  # no ball: the search itself decides how far it goes


def search(
    name: str,
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    steps: int,
    generator: torch.Generator | None = None,
) -> Result:
    """Runs a search.

    Args:
        name: "boundary" (arXiv 1712.04248), "hopskipjump" (arXiv 1904.02144) or "deepfool" (arXiv 1511.04599).
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], floating-point [n, ...].
        y: labels, integers [n].
        norm: "l2"; "linf" also for the last two.
        steps: of the search. The decision attacks start from Foolbox' blended uniform noise.
        generator: where the randomness comes from; None is a fixed seed.

    Returns:
        `x_adv` is the image itself where nothing was found.

    Raises:
        UserError: the search is unknown, does not know the norm, or cannot run on this model.
    """
    if name not in _SEARCHES:
        raise UserError(f'There is no search "{name}" for the smallest perturbation: choose {", ".join(_SEARCHES)}.')
    norms, attack = _SEARCHES[name]
    if norm not in norms:
        raise UserError(f"The search {name} knows the norm {' and '.join(norms)}, not {norm}.")
    return guarded(attack(steps), model, x, y, name=name, norm=norm, eps=_FAR, generator=generator)


def _started(make: Callable[[Any, Task, int], Any]) -> Callable[[int], Callable[..., Tensor]]:
    """A decision attack that starts from blended uniform noise; images without a start stay as they are."""

    def of(steps: int) -> Callable[..., Tensor]:
        def attack(adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
            foolbox = library("foolbox")
            target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
            first = foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(distance=foolbox.distances.l2, steps=50)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*failed to draw sufficient random inputs")
                _, start, found = first(target, x, y, epsilons=None)
            out = x.clone()
            if bool(found.any()):
                search = make(foolbox, task, steps)
                out[found] = search(target, x[found], y[found], epsilons=None, starting_points=start[found])[0]
            return out

        return attack

    return of


def _deepfool(steps: int) -> Callable[..., Tensor]:
    def attack(adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
        foolbox = library("foolbox")
        kind = foolbox.attacks.LinfDeepFoolAttack if task.norm == "linf" else foolbox.attacks.L2DeepFoolAttack
        target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
        found: Tensor = kind(steps=steps, candidates=task.classes)(target, x, y, epsilons=None)[0]
        return found

    return attack


_SEARCHES: dict[str, tuple[tuple[str, ...], Callable[[int], Callable[..., Tensor]]]] = {
    "boundary": (("l2",), _started(lambda foolbox, task, steps: foolbox.attacks.BoundaryAttack(steps=steps))),
    "hopskipjump": (
        ("l2", "linf"),
        _started(lambda foolbox, task, steps: foolbox.attacks.HopSkipJumpAttack(steps=steps, constraint=task.norm)),
    ),
    "deepfool": (("l2", "linf"), _deepfool),
}
