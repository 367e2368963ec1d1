"""Carlini and Wagner's attack with a confidence, made on other networks and shown to this one."""

from functools import partial

import torch
from torch import Tensor

from bioinspired.attacks.external.entry import library
from bioinspired.attacks.external.guard import Adapter, Task, guarded
from bioinspired.attacks.predictions import correct
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, mean, numbers
from bioinspired.lab.papers.defective_conv.declarations import ConfidentTransfer

ANY_LENGTH = 1e9  # no ball: the attack keeps perturbations small by itself
CONSTANT = 10.0  # that the search for the weight of the margin begins with
STEP = 0.1  # of Adam, in the space of arctanh


def ask(question: ConfidentTransfer, asked: Asked) -> Outcome:
    """Which images stand, which did not fool a source ("source_correct"), and how long the perturbations are.

    "length" is the Euclidean length of each perturbation; None where none was found that the sources get wrong by the
    confidence, or where they were wrong already. Such an image is shown as it is, and does not count as one that fooled
    a source.
    """
    x, y = asked.images, asked.labels

    def source(images: Tensor) -> Tensor:
        return torch.stack([model(images) for model in asked.sources]).mean(0)

    found = guarded(partial(_attack, question), source, x, y, name=question.name, norm="l2", eps=ANY_LENGTH,
                    generator=asked.generator)  # fmt: skip
    black = (found.x_adv == 0).flatten(1).all(1)  # what Foolbox returns where it finds nothing
    moved = torch.where((found.success & ~black)[:, None, None, None], found.x_adv, x)
    length = (moved - x).flatten(1).square().sum(1).sqrt()
    fooled = torch.stack([~correct(model, moved, y) for model in asked.sources]).any(0) & (length > 0)
    return Outcome(
        bits={"correct": bits(correct(asked.model, moved, y)), "source_correct": bits(~fooled)},
        values={"length": numbers(torch.where(length > 0, length, torch.inf))},
        forwards=len(asked.sources) * mean(found.forwards) + 1,
        backwards=len(asked.sources) * mean(found.backwards),
    )


def _attack(question: ConfidentTransfer, adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
    foolbox = library("foolbox")
    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=question.searches,
        steps=question.steps,
        confidence=question.confidence,
        initial_const=CONSTANT,
        stepsize=STEP,
    )
    target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
    found: Tensor = attack(target, x, y, epsilons=None)[0]
    return found
