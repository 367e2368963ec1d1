"""Attacks on the score itself that do not depend on the scale of the logits: the worst case per image over them.

linf, l2   FMN, then PGD on the margin from random starts, then from one start towards every other class; then, where
           asked, Square, which sees scores only, on the images that still stand: where it finds what gradients did not,
           gradients were masked
l0         FMN in L0 (Foolbox'), then salt and pepper from some starts; where asked, what that finds is shortened value
           by value (Foolbox' pointwise attack; not for a network that draws random numbers, whose start may not fool
           twice)

Each norm on its own, on the same images. Where a network has thresholds or steep steps, the gradient attacks run again
with sigmoids in their backward pass (BPDA, Athalye et al., 2018, arXiv 1802.00420). Where it draws random numbers,
gradients are means over draws (EOT, the same paper), and an image that was found counts if it fools on fresh draws too.
"""

from functools import partial

import torch
from torch import Tensor

from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.external.entry import library
from bioinspired.attacks.external.guard import Adapter, Task, guarded
from bioinspired.attacks.fmn import fmn
from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.norms import ball
from bioinspired.attacks.own import square
from bioinspired.attacks.predictions import correct
from bioinspired.attacks.result import Result
from bioinspired.attacks.slices import sliced
from bioinspired.defenses.thresholds import differentiated
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Model, Outcome, bits, mean, numbers
from bioinspired.lab.papers.dim import forty_two
from bioinspired.lab.papers.dim.declarations import Direct

STEP = 0.05  # of PGD, in units of eps
MOST_IN_L0 = 100  # steps of FMN: its radius grows with them, and fails beyond the number of values


def ask(question: Direct, asked: Asked) -> Outcome:
    """Which images stand in a norm ("linf", "l2", "l0") and in all three ("correct").

    With `widths` also which stood in a norm before them ("linf identity", ...). With `last` there are values instead of
    bits: 100 where an image stands, else 0; "value" is their mean over the norms.
    """
    x, y = asked.images[-(question.last or 0) :], asked.labels[-(question.last or 0) :]
    model = sliced(asked.model, x.device)
    left: dict[str, Tensor] = {}
    forwards, backwards = torch.zeros_like(y), torch.zeros_like(y)
    for norm, eps in question.thresholds.items():
        standing = Standing(model, x, y, question.draws, asked.generator)
        _search(standing, norm, eps, question, asked.generator)
        if norm == "l0":
            _salt_and_pepper(standing, eps, question, asked.generator)
        else:
            _climb(standing, norm, eps, question, asked.generator, targeted=question.targeted)
        if question.widths:
            left[f"{norm} identity"] = standing.left.clone()
        for width in question.widths:
            with differentiated(model, number(width)):
                _search(standing, norm, eps, question, asked.generator)
                if norm != "l0":
                    _climb(standing, norm, eps, question, asked.generator, targeted=False)
        if norm != "l0" and question.queries:
            _query(standing, norm, eps, question.queries, asked.generator)
        left[norm] = standing.left
        forwards += standing.forwards + question.draws
        backwards += standing.backwards
    each = torch.stack([left[norm] for norm in question.thresholds])
    left["correct"] = each.all(0)
    values = {norm: 100.0 * left[norm].double() for norm in question.thresholds}
    values["value"] = 100.0 * each.double().mean(0)
    held_out = question.last is not None
    return Outcome(
        bits={} if held_out else {name: bits(found) for name, found in left.items()},
        values={name: numbers(found) for name, found in values.items()} if held_out else {},
        forwards=mean(forwards),
        backwards=mean(backwards),
    )


CONFIRMED = 5  # times as many draws tell whether an image falls as an attack looks at


class Standing:
    """The images that still stand, and what it cost."""

    def __init__(self, model: Model, x: Tensor, y: Tensor, draws: int, generator: torch.Generator) -> None:
        self.model: Model = model if draws == 1 else Expectation(model, draws)
        self.judge: Model = model if draws == 1 else Expectation(model, CONFIRMED * draws)
        self.draws = draws
        self.generator = generator
        self.x, self.y = x, y
        self.left = correct(self.model, x, y)
        self.forwards, self.backwards = torch.zeros_like(y), torch.zeros_like(y)

    @property
    def rows(self) -> Tensor:
        """Their indices."""
        return self.left.nonzero().squeeze(1)

    def take(self, rows: Tensor, result: Result, broken: Tensor, *, passes: int = 1) -> None:
        """Counts an attack on some rows, and which of them it broke; `passes` of the network for each counted one."""
        if self.draws > 1:
            broken = broken & self._falls(result.x_adv, self.y[rows])
        self.left[rows] &= ~broken
        self.forwards[rows] += passes * result.forwards
        self.backwards[rows] += passes * result.backwards

    def _falls(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether images are answered wrong on fresh draws: attacks leave the global generator as they found it."""
        seed = int(torch.randint(2**62, (), generator=self.generator, device=self.generator.device))
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.manual_seed(seed)
            return ~correct(self.judge, x, y)


def _search(standing: Standing, norm: str, eps: float, question: Direct, generator: torch.Generator) -> None:
    """The smallest perturbation, by FMN."""
    model, rows = standing.model, standing.rows
    if not len(rows):
        return
    x, y = standing.x[rows], standing.y[rows]
    if norm != "l0":
        found = fmn(model, x, y, norm=norm, steps=question.steps)
        standing.take(rows, found, found.success & (ball(norm).size(found.x_adv - x) <= eps))
        return
    attack = partial(_fmn_in_l0, min(question.steps, MOST_IN_L0))
    found = guarded(attack, model, x, y, name="FMN", norm="l0", eps=eps, generator=generator)
    standing.take(rows, found, found.success, passes=standing.draws)


def _climb(
    standing: Standing, norm: str, eps: float, question: Direct, generator: torch.Generator, *, targeted: bool
) -> None:
    """PGD on the margin with all restarts, then once towards each other class."""
    model = standing.model
    classes = model(standing.x[:1]).shape[1]
    for shift in range(classes if targeted else 1):
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
            restarts=1 if shift else question.restarts,
            generator=generator,
            targets=(y + shift) % classes if shift else None,
        )
        standing.take(rows, result, result.success)


def _query(standing: Standing, norm: str, eps: float, queries: int, generator: torch.Generator) -> None:
    rows = standing.rows
    if len(rows):
        result = square(standing.model, standing.x[rows], standing.y[rows], norm=norm, eps=eps, rounds=queries,
                        generator=generator)  # fmt: skip
        standing.take(rows, result, result.success)


def _salt_and_pepper(standing: Standing, eps: float, question: Direct, generator: torch.Generator) -> None:
    for _ in range(question.starts):
        rows = standing.rows
        if not len(rows):
            return
        x = standing.x[rows]
        attack = partial(salted, question.steps, question.pointwise and question.draws == 1)
        found = guarded(attack, standing.model, x, standing.y[rows], name="salt and pepper", norm="l0",
                        eps=x[0].numel(), generator=generator)  # fmt: skip
        near = forty_two.sizes(found.x_adv - x)["l0"] <= eps
        standing.take(rows, found, found.success & near, passes=standing.draws)


def salted(steps: int, pointwise: bool, adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
    """Foolbox' salt and pepper, and its pointwise attack on what that finds: as `guard.Foreign` once both are given."""
    foolbox = library("foolbox")
    target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
    start: Tensor
    _, start, fooled = foolbox.attacks.SaltAndPepperNoiseAttack(steps=steps)(target, x, y, epsilons=None)
    if pointwise and fooled.any():
        shorten = foolbox.attacks.PointwiseAttack()
        start[fooled] = shorten(target, x[fooled], y[fooled], starting_points=start[fooled], epsilons=None)[0]
    return start


def _fmn_in_l0(steps: int, adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
    foolbox = library("foolbox")
    target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
    found: Tensor = foolbox.attacks.L0FMNAttack(steps=steps)(target, x, y, epsilons=None)[0]
    return found
