"""AutoAttack: four attacks one after the other, each on the images that the ones before have not fooled.

Croce and Hein, 2020 (arXiv 2003.01690), and 2021 (arXiv 2103.01208) for L1, with the members, order and budgets of
the authors' implementation:

    standard   apgd-ce    100 steps                                         (L1: 5 restarts)
               apgd-t     100 steps towards each of 9 classes               (L1: of 5)
               fab-t      100 steps towards each of 9 classes
               square     5,000 proposals
    rand       apgd-ce, apgd-dlr    100 steps, 20 draws for every gradient and for every verdict

The classes are the most likely wrong ones; with fewer than 10 classes, all of them. The difference of logits ratio
(dlr) is defined from 3 classes on, targeted from 4; below that the margin takes its place.

What differs from the authors' implementation saves time and fools the same images, up to what another sequence of
random numbers does: an image leaves a batch as soon as it is fooled, several classes are aimed at together, weights get
no gradients, and Square asks nothing whose answer it knows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bioinspired.attacks import arguments, door
from bioinspired.attacks.auto_attack.apgd import apgd
from bioinspired.attacks.auto_attack.fab import fab
from bioinspired.attacks.auto_attack.square import square
from bioinspired.attacks.batches import Found, Images, remaining
from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.frozen import Model, frozen
from bioinspired.attacks.losses import verdict
from bioinspired.attacks.norms import ball
from bioinspired.attacks.queries import Queries
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError

MEMBERS = {"standard": ("apgd-ce", "apgd-t", "fab-t", "square"), "rand": ("apgd-ce", "apgd-dlr")}
"""The attacks of each version, in their order."""

STEPS = 100
PROPOSALS = 5000
TARGETS = 9
_ROOM = 128
"""Images that a CPU is shown at once when there is a choice: more gain nothing."""


@dataclass(frozen=True)
class EnsembleResult(Result):
    """The outcome of AutoAttack.

    Attributes:
        member: int64 [n], which member fooled each image: an index into `members`, -1 for an image that is wrong as it
            is, -2 for one that was not fooled.
        members: the names of the members, in order.
    """

    member: Tensor
    members: tuple[str, ...]

    def fooled_by(self, name: str) -> Tensor:
        """bool [n], the images that this member fooled; those before it had not."""
        return self.member == self.members.index(name)


def autoattack(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    eps: float,
    version: str = "standard",
    generator: torch.Generator | None = None,
    batch: int = 512,
) -> EnsembleResult:
    """The ensemble of Croce and Hein.

    Args:
        model: any callable from images [n, ...] in [0, 1] to logits [n, k], k from 2 on. A module in training mode is
            attacked in evaluation mode; mode, gradients and global random state are afterwards as before.
        x: float32 or float64 [n, ...] in [0, 1], with one to three dimensions per image.
        y: integers [n], the labels.
        norm: "linf", "l2" or "l1".
        eps: radius of the ball in the units of x.
        version: "standard", or "rand" for models that draw random numbers when they answer.
        generator: where the random numbers come from; None is a generator seeded with 0.
        batch: images shown to the model at once.

    Returns:
        For every image a point that fools the model, or the image itself; and which member found it.

    Raises:
        UserError: an argument is wrong.
    """
    model, x, y = door.enter(model, x, y)
    eps = arguments.length(eps, "eps")
    ball(norm)
    if version not in MEMBERS:
        raise UserError(f'There is no version "{version}" of AutoAttack: choose one of {", ".join(MEMBERS)}.')
    if version == "rand" and not isinstance(model, Expectation):
        model = Expectation(model)
    dice = arguments.dice(generator)
    batch = arguments.count(batch, "batch")
    members = MEMBERS[version]
    queries = Queries(model, y)
    points = x.clone()
    member = torch.full_like(y, -2)
    if not len(x):
        return EnsembleResult(points, member > -2, queries.forwards, queries.backwards, member, members)
    with frozen(model, x.device):
        logits = _answers(queries, x, batch)
        member[verdict(logits, y) >= 0] = -1
        for number, name in enumerate(members):
            part = _parts(norm, eps, logits.shape[1])[name]
            for rows in _batches(remaining(member > -2), batch):
                likely = _likely(logits[rows], y[rows], part.targets)
                runs = list(range(max(part.targets, part.restarts)))
                while runs and len(left := remaining(member[rows] > -2)):
                    # Towards several classes at once as long as the batch has room.
                    room = (batch if x.is_cuda else min(batch, _ROOM)) // len(left)
                    copies = max(min(len(runs), room), 1) if part.targets else 1
                    among = rows[left].repeat(copies)
                    targets = likely[runs[:copies]][:, left].flatten() if part.targets else None
                    runs = runs[copies:]
                    images = Images(x[among], y[among], among, member[among] > -2, targets, copies)
                    fooled, found = part.attack(queries, images, dice).by_image()
                    points[rows[left][fooled]] = found[fooled]
                    member[rows[left][fooled]] = number
        if x.is_cuda:
            # Kernels choose their algorithm by the batch's shape: the verdict is that of one shape for all.
            again = verdict(_answers(queries, points, batch), y) >= 0
            member = torch.where(again, member.clamp_min(-1), -2)
    queries.settle()
    return EnsembleResult(points, member > -2, queries.forwards, queries.backwards, member, members)


def _answers(queries: Queries, x: Tensor, batch: int) -> Tensor:
    rows = torch.arange(len(x), device=x.device)
    return torch.cat([queries.logits(x[part], part) for part in _batches(rows, batch)])


def _batches(rows: Tensor, batch: int) -> tuple[Tensor, ...]:
    """Parts of equal size, to one: the last one of a plain split could be too small."""
    return torch.tensor_split(rows, -(-len(rows) // batch)) if len(rows) else ()


@dataclass(frozen=True)
class _Part:
    """One member: its attack, run `restarts` times, or once towards each of `targets` classes."""

    attack: Callable[[Queries, Images, torch.Generator], Found]
    restarts: int = 1
    targets: int = 0


def _parts(norm: str, eps: float, classes: int) -> dict[str, _Part]:
    """All members, for a model with so many classes."""

    def climb(loss: str) -> Callable[[Queries, Images, torch.Generator], Found]:
        return lambda queries, images, generator: apgd(
            queries, images, norm=norm, eps=eps, steps=STEPS, loss=loss, generator=generator
        )

    def boundary(queries: Queries, images: Images, _: torch.Generator) -> Found:
        return fab(queries, images, norm=norm, eps=eps, steps=STEPS)

    def search(queries: Queries, images: Images, generator: torch.Generator) -> Found:
        return square(queries, images, norm=norm, eps=eps, rounds=PROPOSALS, generator=generator)

    sparse = norm == "l1"
    return {
        "apgd-ce": _Part(climb("ce"), restarts=5 if sparse else 1),
        "apgd-dlr": _Part(climb("dlr" if classes >= 3 else "margin")),
        "apgd-t": _Part(climb("dlr" if classes >= 4 else "margin"), targets=min(5 if sparse else TARGETS, classes - 1)),
        "fab-t": _Part(boundary, targets=min(TARGETS, classes - 1)),
        "square": _Part(search),
    }


def _likely(logits: Tensor, y: Tensor, targets: int) -> Tensor:
    """The most likely wrong classes of each image, best first, [targets, n]."""
    others = logits.scatter(1, y.unsqueeze(1), -torch.inf)
    return others.topk(targets, dim=1).indices.T
