"""Attacks on the score itself that do not depend on the scale of the logits: the worst case per image over them.

linf, l2   FMN, then PGD on the margin from random starts, then the same towards every other class
l0         FMN in L0 (Foolbox'), then salt and pepper with as many restarts
all        the three one after the other, each on the images that still stand
"""

from functools import partial

import torch
from torch import Tensor

from bioinspired.answers import correct
from bioinspired.attacks import forty_two
from bioinspired.attacks.entry import library
from bioinspired.attacks.fmn import fmn
from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.guard import Adapter, Task, guarded
from bioinspired.attacks.norms import ball
from bioinspired.attacks.result import Result
from bioinspired.keys import number
from bioinspired.outcome import Asked, Model, Outcome, bits, mean, numbers
from bioinspired.trials.dim import Direct

STEP = 0.05  # of PGD, in units of eps


def ask(question: Direct, asked: Asked) -> Outcome:
    """Which images stand. With `last` there are values instead of bits: 100 where an image stands, else 0."""
    x, y = asked.images[-(question.last or 0) :], asked.labels[-(question.last or 0) :]
    standing = Standing(asked.model, x, y)
    thresholds = {"linf": number(question.linf), "l2": number(question.l2), "l0": float(question.l0)}
    for norm in thresholds if question.norm == "all" else (question.norm,):
        eps = thresholds[norm]
        if norm == "l0":
            _few_values(standing, eps, question, asked.generator)
        else:
            _ball(standing, norm, eps, question, asked.generator)
    left = standing.left
    held_out = question.last is not None
    return Outcome(
        bits={} if held_out else {"correct": bits(left)},
        values={"value": numbers(100.0 * left.double())} if held_out else {},
        forwards=mean(standing.forwards) + 1,
        backwards=mean(standing.backwards),
    )


class Standing:
    """The images that still stand, and what it cost."""

    def __init__(self, model: Model, x: Tensor, y: Tensor) -> None:
        self.model, self.x, self.y = model, x, y
        self.left = correct(model, x, y)
        self.forwards, self.backwards = torch.zeros_like(y), torch.zeros_like(y)

    @property
    def rows(self) -> Tensor:
        """Their indices."""
        return self.left.nonzero().squeeze(1)

    def take(self, rows: Tensor, result: Result, broken: Tensor) -> None:
        """Counts an attack on some rows, and which of them it broke."""
        self.left[rows] &= ~broken
        self.forwards[rows] += result.forwards
        self.backwards[rows] += result.backwards


def _ball(standing: Standing, norm: str, eps: float, question: Direct, generator: torch.Generator) -> None:
    model, rows = standing.model, standing.rows
    if len(rows):
        found = fmn(model, standing.x[rows], standing.y[rows], norm=norm, steps=question.steps)
        near = ball(norm).size(found.x_adv - standing.x[rows]) <= eps
        standing.take(rows, found, found.success & near)
    classes = model(standing.x[:1]).shape[1]
    for shift in range(classes if question.targeted else 1):
        rows = standing.rows
        if not len(rows):
            return
        y = standing.y[rows]
        result = pgd(
            model,
            standing.x[rows],
            y,
            norm=norm,
            eps=eps,
            steps=question.steps,
            step_size=STEP * eps,
            loss="margin",
            random_start=True,
            restarts=question.restarts,
            generator=generator,
            targets=(y + shift) % classes if shift else None,
        )
        standing.take(rows, result, result.success)


def _few_values(standing: Standing, eps: float, question: Direct, generator: torch.Generator) -> None:
    rows = standing.rows
    if len(rows):
        attack = partial(_fmn_in_l0, question.steps)
        found = guarded(attack, standing.model, standing.x[rows], standing.y[rows], name="FMN", norm="l0", eps=eps,
                        generator=generator)  # fmt: skip
        standing.take(rows, found, found.success)
    for _ in range(question.restarts):
        rows = standing.rows
        if not len(rows):
            return
        x = standing.x[rows]
        found = forty_two.run(
            "SaltAndPepperNoise", standing.model, x, standing.y[rows], steps=question.steps, generator=generator
        )
        standing.take(rows, found, found.success & (forty_two.sizes(found.x_adv - x)["l0"] <= eps))


def _fmn_in_l0(steps: int, adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
    foolbox = library("foolbox")
    target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
    found: Tensor = foolbox.attacks.L0FMNAttack(steps=steps)(target, x, y, epsilons=None)[0]
    return found
