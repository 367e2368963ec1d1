"""This library's attacks as entries of the catalogue, at the budgets listed there."""

from collections.abc import Callable

import torch
from torch import Tensor

from bioinspired import attacks
from bioinspired.attacks import arguments, door
from bioinspired.attacks.auto_attack.ensemble import PROPOSALS
from bioinspired.attacks.auto_attack.square import square as search
from bioinspired.attacks.batches import Images
from bioinspired.attacks.external.entry import Entry, Kind
from bioinspired.attacks.external.guard import within
from bioinspired.attacks.fmn import fmn
from bioinspired.attacks.frozen import Model, frozen
from bioinspired.attacks.losses import verdict
from bioinspired.attacks.noise import noise
from bioinspired.attacks.norms import ball
from bioinspired.attacks.queries import Queries
from bioinspired.attacks.rays import rays
from bioinspired.attacks.result import Result

_ALL = ("linf", "l2", "l1")
_Dice = torch.Generator | None


def _fgsm(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: _Dice) -> Result:
    return attacks.fgsm(model, x, y, norm=norm, eps=eps)


def _pgd(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: _Dice) -> Result:
    return attacks.pgd(model, x, y, norm=norm, eps=eps, steps=50)


def _pgd_margin(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: _Dice) -> Result:
    return attacks.pgd(model, x, y, norm=norm, eps=eps, steps=50, loss="margin")


def _mi_fgsm(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: _Dice) -> Result:
    return attacks.mi_fgsm(model, x, y, norm=norm, eps=eps, steps=10)


def _autoattack(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: _Dice) -> Result:
    return attacks.autoattack(model, x, y, norm=norm, eps=eps, generator=generator)


def _fmn(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: _Dice) -> Result:
    found = fmn(model, x, y, norm=norm)
    near = found.success & (ball(norm).size(found.x_adv - x) <= eps)
    return Result(within(found.x_adv, x, norm, eps), near, found.forwards, found.backwards)


def square(
    model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, rounds: int = PROPOSALS, generator: _Dice = None
) -> Result:
    """Square (arXiv 1912.00049) on its own: random search that sees logits only.

    Args:
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], [n, ...], with one to three dimensions per image.
        y: labels, integers [n].
        norm: "linf", "l2" or "l1".
        eps: radius of the ball.
        rounds: proposals per image.
        generator: where they come from; None is a generator seeded with 0.

    Raises:
        UserError: an argument is not as described.
    """
    model, x, y = door.enter(model, x, y)
    eps = arguments.length(eps, "eps")
    ball(norm)  # refuses unknown names
    queries = Queries(model, y)
    rows = torch.arange(len(x), device=x.device)
    with frozen(model, x.device):
        wrong = verdict(queries.logits(x, rows), y) >= 0 if len(x) else y.bool()
        images = Images(x, y, rows, wrong)
        found = search(queries, images, norm=norm, eps=eps, rounds=rounds, generator=arguments.dice(generator))
    queries.settle()
    return Result(found.points, found.fooled, queries.forwards, queries.backwards)


def _rays(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: _Dice) -> Result:
    return rays(model, x, y, norm=norm, eps=eps)


def _noise(model: Model, x: Tensor, y: Tensor, *, norm: str, eps: float, generator: _Dice) -> Result:
    return noise(model, x, y, norm=norm, eps=eps, generator=generator)


def _listed(
    name: str,
    attack: Callable[..., Result],
    kind: Kind,
    cost: tuple[int, int],
    budget: str,
    *,
    at_most: bool = False,
    minimal: bool = False,
) -> Entry:
    return Entry(
        name=name,
        library="bioinspired",
        norms=_ALL,
        kind=kind,
        budget=budget,
        forwards=cost[0],
        backwards=cost[1],
        at_most=at_most,
        minimal=minimal,
        attack=attack,
    )


_BUDGET = "50 steps of eps / 20"
ENTRIES = (
    _listed("fgsm", _fgsm, "white", (2, 1), "1 step of eps"),
    _listed("pgd", _pgd, "white", (51, 50), f"{_BUDGET}, cross-entropy"),
    _listed("pgd_margin", _pgd_margin, "white", (51, 50), f"{_BUDGET}, margin", at_most=True),
    _listed("mi_fgsm", _mi_fgsm, "transfer", (11, 10), "10 steps of eps / 10 with momentum"),
    _listed("autoattack", _autoattack, "white", (7812, 1900), "100 iterations a member, 5000 queries, as published"),
    _listed("fmn", _fmn, "white", (100, 100), "100 steps", minimal=True),
    _listed("square", square, "score", (5002, 0), "5000 proposals"),
    _listed("rays", _rays, "decision", (1319, 0), "400 flips of signs"),
    _listed("noise", _noise, "noise", (100, 0), "100 draws of full length"),
)
