"""DeepFool and single-pixel JSMA with the particulars of the released code of the sleep paper, many images at once.

Both stand on the losses L_k, half the squared distance from the ReLU of the scores to class k (the ReLU's derivative
left out), as taken with dropout on, while the answers that end the attack are taken with dropout off.

DeepFool: towards the class k != own whose boundary seems nearest, |f| / ||w||, a step 1.05 |f| w / ||w||^2, with
f = L_own(x_0) - L_k(x_0) and w = grad L_own(x_t) - grad L_k(x_0): losses and the other class's gradient stay those of
the clean image, only the own class's gradient moves on. Up to so many steps, until the network's own answer changes;
images are not clipped to [0, 1].

JSMA: towards the runner-up class, one pixel a step: the one whose change by +-0.1 lowers the target's loss most, to
first order, among those that can still move and have moved less than seven times.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bioinspired.attacks.predictions import answers
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked, Model, Outcome, bits, numbers
from bioinspired.lab.papers.sleep.declarations import Coded
from bioinspired.networks.mlp import Thinned, rectified

OVERSHOOT = 1.05
THETA = 0.1
MOST_MOVES = 7


def ask(question: Coded, asked: Asked) -> Outcome:
    """How far each image had to go ("distance", the released code's measure: mean squared difference per pixel).

    The bits say which answers are the label at the start ("clean") and at the end ("correct"). As coded, success is
    measured against the network's own answer ("stayed": it never changed).
    """
    if not isinstance(asked.model, nn.Module):
        raise UserError("The released code's attacks need a network that is a module: they switch dropout on.")
    model, x, y = asked.model, asked.images, asked.labels
    for module in model.modules():
        if isinstance(module, Thinned):
            module.restart()
    own = answers(_scores(model, x))
    attack = _deepfool if question.name == "deepfool" else _jsma
    moved, backwards = attack(model, x, own, question.steps)
    said = answers(_scores(model, moved))
    distance = torch.where(said != own, (moved - x).flatten(1).square().mean(1), torch.inf)
    return Outcome(
        bits={"correct": bits(said == y), "clean": bits(own == y), "stayed": bits(said == own)},
        values={"distance": numbers(distance)},
        forwards=2 * backwards,
        backwards=backwards,
    )


def _deepfool(model: nn.Module, x: Tensor, own: Tensor, steps: int) -> tuple[Tensor, float]:
    with _dropout_on(model):
        losses, slopes = _losses(model, x)
    classes = losses.shape[1]
    each = torch.arange(len(x), device=x.device)
    start = own.clamp_min(0)
    f = losses[each, start, None] - losses  # [n, classes]
    current = x.clone()
    for _ in range(steps):
        rows = (answers(_scores(model, current)) == own).nonzero().flatten()
        if not len(rows):
            break
        with _dropout_on(model):
            mine = _slope(model, current[rows], start[rows])
        w = (mine[:, None] - slopes[rows]).flatten(2)
        length = w.norm(dim=2).clamp_min(1e-12)
        ratio = f[rows].abs() / length
        ratio[torch.arange(len(rows), device=x.device), start[rows]] = torch.inf
        nearest = ratio.argmin(1)
        here = torch.arange(len(rows), device=x.device)
        step = OVERSHOOT * (f[rows, nearest].abs() / length[here, nearest].square())[:, None] * w[here, nearest]
        current[rows] = current[rows] + step.view_as(x[rows])
    return current, float(classes + steps)


def _jsma(model: nn.Module, x: Tensor, own: Tensor, steps: int) -> tuple[Tensor, float]:
    runner_up = _scores(model, x).topk(2).indices[:, 1]
    current, moves = x.clone(), torch.zeros_like(x).flatten(1)
    for _ in range(steps):
        rows = (answers(_scores(model, current)) == own).nonzero().flatten()
        if not len(rows):
            break
        with _dropout_on(model):
            slope = _slope(model, current[rows], runner_up[rows]).flatten(1)
        flat = current[rows].flatten(1)
        room = torch.where(slope > 0, flat > 0, flat < 1) & (moves[rows] < MOST_MOVES)
        gain = torch.where(room, slope.abs(), -1.0)
        best, pixel = gain.max(1)
        here = (best > 0).nonzero().flatten()
        if not len(here):
            break
        at = pixel[here]
        flat[here, at] = (flat[here, at] - THETA * slope[here, at].sign()).clamp(0, 1)
        moves[rows[here], at] += 1
        current[rows] = flat.view_as(current[rows])
    return current, float(steps)


def _losses(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """L_k of every class [n, classes] and their gradients [n, classes, ...], in one draw of dropout."""
    point = x.detach().requires_grad_()
    outputs = rectified(model(point))
    wanted = torch.eye(outputs.shape[1], device=x.device)
    losses = (outputs[:, None] - wanted).square().sum(2) / 2
    slopes = [torch.autograd.grad(loss.sum(), point, retain_graph=True)[0] for loss in losses.unbind(1)]
    return losses.detach(), torch.stack(slopes, 1)


def _slope(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """The gradient of every image's own L_k, [n, ...]."""
    point = x.detach().requires_grad_()
    outputs = rectified(model(point))
    wanted = nn.functional.one_hot(classes, outputs.shape[1])
    return torch.autograd.grad((outputs - wanted).square().sum() / 2, point)[0]


@torch.no_grad()
def _scores(model: Model, x: Tensor) -> Tensor:
    return model(x)


@contextmanager
def _dropout_on(model: nn.Module) -> Iterator[None]:
    model.train()
    try:
        yield
    finally:
        model.eval()
