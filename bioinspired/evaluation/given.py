"""The attacks that an evaluation is given: names of the catalogue, or anybody's own functions, brought to one form."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bioinspired.attacks import catalogue
from bioinspired.attacks.external.entry import library
from bioinspired.attacks.external.guard import undisturbed
from bioinspired.attacks.norms import ball
from bioinspired.attacks.predictions import Model
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError

Run = tuple[Callable[..., Result], tuple[float, ...]]
"""An attack, and the radii at which it runs: none means the epsilons asked for."""


def runs(attacks: Sequence[str] | Mapping[str, Any], x: Tensor, norm: str) -> dict[str, Run]:
    """Every attack by its name; what can be told before the first pass is told here.

    An attack that searches the smallest perturbation needs no epsilon: it runs once, in the ball that holds [0, 1].

    Raises:
        UserError: there are none, or one is unknown, does not know the norm, or lacks its library.
    """
    if isinstance(attacks, Mapping):
        found: dict[str, Run] = {}
        for name, attack in attacks.items():
            if isinstance(attack, str):
                found[name] = runs((attack,), x, norm)[attack]
            else:
                found[name] = (_own(name, attack), ())
    else:
        everything = (float(ball(norm).size(torch.ones_like(x[:1]))),)
        found = {}
        for name in (attacks,) if isinstance(attacks, str) else attacks:
            entry = catalogue.entry(name)
            if norm not in entry.norms:
                raise UserError(f"{name} knows the norms {', '.join(entry.norms)} and not {norm}: take another attack.")
            if entry.library.split()[0].lower() in ("torchattacks", "foolbox"):
                library(entry.library.split()[0].lower())
            found[name] = (catalogue.bound(name), everything if entry.minimal else ())
    if not found:
        raise UserError("There are no attacks to evaluate with: name at least one, see `bioinspired attack --list`.")
    return found


def _own(name: str, attack: Any) -> Callable[..., Result]:
    """An attack of the caller's as one of ours; its words about success are left out, for they are not believed."""
    if not callable(attack):
        raise UserError(f'The attack "{name}" is {type(attack).__name__} and no function (model, x, y, *, norm, eps).')
    foreign = type(attack).__module__.startswith("torchattacks.")

    def run(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: torch.Generator | None) -> Result:
        given = x.clone()
        if foreign:
            with undisturbed(model, x.device, generator=generator), undisturbed(attack.model, x.device):
                found = attack(given, y.clone())
        else:
            found = _call(name, attack, model, given, y.clone(), norm=norm, eps=eps, generator=generator)
        none = torch.zeros_like(y)
        if not isinstance(found, Result):
            found = Result(found, none.bool(), none, none)
        if not isinstance(found.x_adv, Tensor) or found.x_adv.shape != x.shape:
            got = tuple(found.x_adv.shape) if isinstance(found.x_adv, Tensor) else type(found.x_adv).__name__
            raise UserError(
                f'The attack "{name}" returned {got}: it must return the perturbed images, a tensor of shape '
                f"{tuple(x.shape)}, or a bioinspired.attacks.Result."
            )
        x_adv = found.x_adv.detach().to(x)
        size = ball(norm).size
        far = int((size(x_adv - x) > eps * (1 + 1e-5) + 1e-6).sum())
        outside = int(((x_adv < -1e-6) | (x_adv > 1 + 1e-6)).flatten(1).any(1).sum())
        for count, where in ((far, f"the ball of radius {eps:.4g}"), (outside, "[0, 1]")):
            if count:
                warnings.warn(
                    f'The attack "{name}" left {where} on {count} of {len(x)} images: such a point counts as far as '
                    "it fools when clipped and pulled back, and only at the radius it then has.",
                    stacklevel=2,
                )
        return Result(x_adv, found.success, found.forwards, found.backwards)

    return run


def _call(name: str, attack: Callable[..., Any], model: Model, x: Tensor, y: Tensor, **named: Any) -> Any:
    """Calls an attack with as much of norm, eps and generator as it takes."""
    try:
        signature = inspect.signature(attack)
    except (TypeError, ValueError):
        return attack(model, x, y, **named)
    kinds = {parameter.name: parameter.kind for parameter in signature.parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds.values():
        wanted = named
    else:
        wanted = {key: value for key, value in named.items() if kinds.get(key, 0) in _BY_NAME}
    for positional, by_name in (((model, x, y), wanted), ((model, x, y, *named.values()), {})):
        try:
            signature.bind(*positional, **by_name)
        except TypeError:
            continue
        return attack(*positional, **by_name)
    raise UserError(
        f'The attack "{name}" takes {signature}: it must take (model, x, y, *, norm, eps, generator), of which it may '
        "leave out the last three."
    )


_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
