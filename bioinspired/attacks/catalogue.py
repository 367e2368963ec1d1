"""Every attack by name: this library's own, torchattacks 3.5.1's and Foolbox 3.3.4's, all called alike.

    entries()                                              the list
    run("foolbox.DDN", model, x, y, norm="l2", eps=1.0)    one of them

Left out are attacks without a norm (spatial transformations), wrappers of several attacks, and those that need a
package which neither library installs (Brendel-Bethge needs numba).
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bioinspired.attacks.external.entry import Entry
from bioinspired.attacks.external.from_foolbox import ENTRIES as FOOLBOX
from bioinspired.attacks.external.from_torchattacks import ENTRIES as TORCHATTACKS
from bioinspired.attacks.frozen import Model
from bioinspired.attacks.own import ENTRIES as OWN
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError


def entries() -> tuple[Entry, ...]:
    """All attacks: this library's, then torchattacks', then Foolbox'. Needs neither of the two to be installed."""
    return (*OWN, *TORCHATTACKS, *FOOLBOX)


def entry(name: str) -> Entry:
    """One attack by its name.

    Raises:
        UserError: there is none of that name.
    """
    for candidate in entries():
        if candidate.name == name:
            return candidate
    raise UserError(f'There is no attack "{name}": `bioinspired attack --list` names all.')


def run(
    name: str,
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    eps: float,
    generator: torch.Generator | None = None,
) -> Result:
    """Runs an attack at its listed budget; warns where the list has a better one of the same kind.

    Args:
        name: of an entry.
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], floating-point [n, ...].
        y: labels, integers [n].
        norm: one of the entry's norms.
        eps: radius of the ball. An entry that searches the smallest perturbation succeeds where it is at most eps.
        generator: where the attack's randomness comes from; None is a fixed seed.

    Raises:
        UserError: the attack is unknown or does not know the norm, its library is missing, or it cannot run on this
            model.
    """
    chosen = entry(name)
    if norm not in chosen.norms:
        raise UserError(f"{name} knows the norms {', '.join(chosen.norms)} and not {norm}: take another attack.")
    if chosen.instead is not None:
        warnings.warn(f"{name} is known to be wrong. {chosen.defects[0]} Take {chosen.instead}.", stacklevel=2)
    return chosen.attack(model, x, y, norm=norm, eps=eps, generator=generator)


def bound(name: str) -> Callable[..., Result]:
    """`run` with the name filled in.

    Raises:
        UserError: there is no attack of that name.
    """
    return partial(run, entry(name).name)


def as_json() -> list[dict[str, Any]]:
    """The list as plain data."""
    return [
        {
            "name": one.name,
            "norm": list(one.norms),
            "type": one.kind,
            "library": one.library,
            "budget": one.budget,
            "cost": {"forwards": one.forwards, "backwards": one.backwards, "at_most": one.at_most},
            "minimal": one.minimal,
            "defects": list(one.defects),
            "instead": one.instead,
        }
        for one in entries()
    ]
