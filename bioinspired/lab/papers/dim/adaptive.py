"""Attacks that know Denoised Internal Models. Each is judged at a radius, on the whole model.

latent descent      a line from the image towards what the runner-up's autoencoder makes of it, then a bisection: the
                    idea of the ABS paper's own attack
collision           the denoiser's output is driven to that of the nearest image of another class
identity backward   PGD on the margin with the identity in the place of the denoiser's gradient (BPDA)
double precision    PGD on the margin in double precision, where sigmoids still have a gradient that single precision
                    rounds to zero
nearest start       HopSkipJump, which sees answers only, from the nearest attacked image of another class
"""

from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bioinspired.attacks.bpda import bpda, identity
from bioinspired.attacks.external.entry import library
from bioinspired.attacks.external.guard import Adapter, Task, guarded
from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.norms import ball, per_image
from bioinspired.attacks.predictions import correct
from bioinspired.defenses.dim.model import DenoisedInternalModels
from bioinspired.errors import UserError
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked, Model, Outcome, bits, mean
from bioinspired.lab.papers.dim.declarations import Adaptive

BISECTIONS = 12
STEP = 0.1  # of an ascent, in units of eps
FAR = 1e9  # no ball: what is found is judged here


def ask(question: Adaptive, asked: Asked) -> Outcome:
    """Which images stand."""
    inner: Any = getattr(asked.model, "network", None)
    if not isinstance(inner, DenoisedInternalModels):
        raise UserError(f"{question.name} needs the parts of Denoised Internal Models: ask it of such a network.")
    x, y, eps = asked.images, asked.labels, number(question.eps)
    attack = _ATTACKS[question.name]
    x_adv, forwards, backwards = attack(asked, inner, question, eps)
    fits = ball(question.norm).size(x_adv - x) <= eps * (1 + 1e-5)
    standing = correct(asked.model, x, y) & ~(fits & ~correct(asked.model, x_adv, y))
    return Outcome(bits={"correct": bits(standing)}, forwards=forwards + 2, backwards=backwards)


Found = tuple[Tensor, float, float]


def _latent_descent(asked: Asked, inner: DenoisedInternalModels, question: Adaptive, eps: float) -> Found:
    model, x, y = asked.model, asked.images, asked.labels
    with torch.no_grad():
        logits = model(x)
        runner_up = logits.scatter(1, y[:, None], -torch.inf).argmax(1)
        made = inner.models(inner.prepared(x)[0])[runner_up, torch.arange(len(x), device=x.device)]
        if made.shape[1] == x[0].numel():
            goal = made.view_as(x)
        elif inner.denoiser is not None:
            goal = inner.denoiser.decode(made)
        else:
            goal = x
    fooling = torch.ones(len(x), device=x.device)
    found = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for step in range(1, question.steps + 1):
        share = torch.full_like(fooling, step / question.steps)
        new = ~found & ~correct(model, torch.lerp(x, goal, per_image(share, x)), y)
        fooling = torch.where(new, share, fooling)
        found |= new
    low, high = fooling - 1 / question.steps, fooling
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        wrong = ~correct(model, torch.lerp(x, goal, per_image(middle, x)), y)
        low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    return torch.lerp(x, goal, per_image(torch.where(found, high, 0.0), x)), question.steps + BISECTIONS + 2.0, 0.0


def _collision(asked: Asked, inner: DenoisedInternalModels, question: Adaptive, eps: float) -> Found:
    x = asked.images
    with torch.no_grad():
        wanted = inner.denoised(x)[_nearest_of_another_class(x, asked.labels)]
    sphere = ball(question.norm)
    x_adv, first = x.clone(), x.clone()
    fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(question.steps):
        point = x_adv.detach().requires_grad_()
        apart = (inner.denoised(point) - wanted).square().sum()
        (gradient,) = torch.autograd.grad(apart, point)
        x_adv = sphere.project(sphere.step(x_adv, -gradient, STEP * eps), x, eps)
        new = ~fooled & ~correct(asked.model, x_adv, asked.labels)
        first = torch.where(per_image(new, x), x_adv, first)
        fooled |= new
    return first, 2.0 * question.steps, float(question.steps)


def _nearest_of_another_class(x: Tensor, y: Tensor) -> Tensor:
    others = y[None] != y[:, None]
    if not bool(others.any(1).all()):
        raise UserError("Every image needs one of another class to go to: ask about more images.")
    return torch.cdist(x.flatten(1), x.flatten(1)).masked_fill(~others, torch.inf).argmin(1)


def _identity_backward(asked: Asked, inner: DenoisedInternalModels, question: Adaptive, eps: float) -> Found:
    if inner.denoiser is None or inner.reads != "image" or inner.target != "read":
        raise UserError("The identity can stand for the denoiser only where the internal models read its image.")
    through = bpda(inner.denoised, identity)

    def scores(images: Tensor) -> Tensor:
        u = through(images).flatten(1)
        made: Tensor = inner.models(u)
        return -inner.logit_scale * (made - u).square().mean(2).T / inner.scale

    return _ascent(scores, asked.images, asked.labels, question, eps)


def _double_precision(asked: Asked, inner: DenoisedInternalModels, question: Adaptive, eps: float) -> Found:
    model = deepcopy(inner).double()
    x_adv, forwards, backwards = _ascent(model, asked.images.double(), asked.labels, question, eps)
    return x_adv.to(asked.images), forwards, backwards


def _ascent(scores: Model, x: Tensor, y: Tensor, question: Adaptive, eps: float) -> Found:
    result = pgd(scores, x, y, norm=question.norm, eps=eps, steps=question.steps, step_size=STEP * eps, loss="margin")
    return result.x_adv, mean(result.forwards), mean(result.backwards)


def _nearest_start(asked: Asked, inner: DenoisedInternalModels, question: Adaptive, eps: float) -> Found:
    attack = partial(_hop_skip_jump, question.steps)
    result = guarded(attack, asked.model, asked.images, asked.labels, name="HopSkipJump", norm=question.norm, eps=FAR,
                     generator=asked.generator)  # fmt: skip
    return result.x_adv, mean(result.forwards), mean(result.backwards)


def _hop_skip_jump(steps: int, adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
    foolbox = library("foolbox")
    target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
    start = x[_nearest_of_another_class(x, y)]  # all are answered right, so that each start is answered wrong
    made = foolbox.attacks.HopSkipJumpAttack(steps=steps, constraint=task.norm)
    found: Tensor = made(target, x, y, starting_points=start, epsilons=None)[0]
    return found


_ATTACKS = {
    "latent descent": _latent_descent,
    "collision": _collision,
    "identity backward": _identity_backward,
    "double precision": _double_precision,
    "nearest start": _nearest_start,
}
