"""Greedy flips: an attack on a network that puts a threshold on its image first, and so sees zeros and ones.

How far a value lies from the threshold changes nothing, and a value that has crossed it gains nothing by going on. So
the attacker moves a value just across, or not at all: which values, is a search over subsets. In every round the values
still on their side are ranked by what the gradient behind the threshold promises for a flip (in L2: for its squared
length), the best are tried one by one, and the one that did most is kept, until the image is answered wrong or the ball
allows no further flip.
"""

import torch
from torch import Tensor

from bioinspired.attacks.frozen import Model, frozen
from bioinspired.attacks.losses import evaluate, margin
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError

NORMS = ("linf", "l2", "l0")


def flips(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    eps: float,
    threshold: float = 0.5,
    tried: int = 16,
    rounds: int = 60,
    targets: Tensor | None = None,
) -> Result:
    """Moves values just across a threshold, one a round, until an image is answered wrong.

    Args:
        model: images to logits; its first layer answers x >= threshold, and passes the gradient as the identity would.
        x: images in [0, 1], [n, ...]. y: labels [n].
        norm: "linf" (flips of at most eps, however many), "l2" (of Euclidean length at most eps together) or "l0" (at
            most eps flips).
        eps: size of the ball.
        threshold: of the first layer, in (0, 1).
        tried: flips that are tried exactly in every round, the most promising ones.
        rounds: at most so many flips of an image.
        targets: a class for each image that its logit is compared with, instead of the best wrong one, [n].

    Raises:
        UserError: an unknown norm, or a threshold, eps, `tried` or `rounds` out of range.
    """
    if norm not in NORMS:
        raise UserError(f'Flips know the norms {", ".join(NORMS)}, not "{norm}".')
    if not 0 < threshold < 1 or eps < 0 or tried < 1 or rounds < 1:
        raise UserError(
            "Flips need a threshold between 0 and 1, eps of at least 0, and at least one try and one round."
        )
    search = _Search(model, x, y, norm, eps, threshold, targets)
    with frozen(model, x.device):
        for _ in range(rounds):
            if not search.flip(min(tried, x[0].numel())):
                break
        x_adv = search.current.view_as(x)
        with torch.no_grad():
            success = margin(model(x_adv), y) >= 0
    return Result(x_adv=x_adv, success=success, forwards=search.forwards + 1, backwards=search.backwards)


class _Search:
    """The images as far as they are flipped, and those that still stand and have room for a flip."""

    def __init__(
        self, model: Model, x: Tensor, y: Tensor, norm: str, eps: float, threshold: float, targets: Tensor | None
    ) -> None:
        self.model, self.norm, self.eps = model, norm, eps
        self.y, self.targets, self.shape = y, targets, x.shape[1:]
        flat = x.flatten(1)
        level = torch.tensor(threshold, dtype=x.dtype, device=x.device)
        above = flat >= level
        self.across = torch.where(above, torch.nextafter(level, torch.zeros_like(level)), level)
        self.direction = torch.where(above, -1.0, 1.0).to(x)
        self.cost = (self.across - flat).abs()
        self.current, self.flipped = flat.clone(), torch.zeros_like(above)
        self.forwards, self.backwards = torch.zeros_like(y), torch.zeros_like(y)
        self.going = torch.arange(len(x), device=x.device)

    def flip(self, tried: int) -> bool:
        """One round; whether there was anything to flip."""
        gain, before, standing = self._promises()
        allowed = self._allowed()
        open_ = standing & allowed.any(1)
        self.going, gain, before, allowed = self.going[open_], gain[open_], before[open_], allowed[open_]
        if not len(self.going):
            return False
        going = self.going
        ranked, places = gain.masked_fill(~allowed, -torch.inf).topk(tried, dim=1)
        trials = self.current[going].unsqueeze(1).repeat(1, tried, 1)
        trials.scatter_(2, places.unsqueeze(2), self.across[going].gather(1, places).unsqueeze(2))
        done = self._try(trials, tried) - before.unsqueeze(1)
        if self.norm == "l2":
            done = done / self._lengths(going).gather(1, places)
        best = places.gather(1, done.masked_fill(ranked == -torch.inf, -torch.inf).argmax(1, keepdim=True))
        self.current[going] = self.current[going].scatter(1, best, self.across[going].gather(1, best))
        self.flipped[going] = self.flipped[going].scatter(1, best, True)
        return True

    def _promises(self) -> tuple[Tensor, Tensor, Tensor]:
        """What a flip of each value promises by the gradient, the margin that is there, and whether an image stands."""
        going = self.going
        point = self.current[going].view(-1, *self.shape).requires_grad_()
        with torch.enable_grad():
            logits = self.model(point)
            climbed = evaluate("margin", logits, self.y[going], None if self.targets is None else self.targets[going])
            (gradient,) = torch.autograd.grad(climbed.sum(), point)
        self.forwards[going] += 1
        self.backwards[going] += 1
        gain = gradient.flatten(1) * self.direction[going]
        if self.norm == "l2":
            gain = gain / self._lengths(going)
        return gain, climbed.detach(), margin(logits.detach(), self.y[going]) < 0

    def _try(self, trials: Tensor, tried: int) -> Tensor:
        """The margin of each trial, infinite where the image is answered wrong, [going, tried]."""
        with torch.no_grad():
            logits = self.model(trials.view(-1, *self.shape))
        self.forwards[self.going] += tried
        labels = self.y[self.going].repeat_interleave(tried)
        wanted = None if self.targets is None else self.targets[self.going].repeat_interleave(tried)
        reached = evaluate("margin", logits, labels, wanted)
        return reached.masked_fill(margin(logits, labels) >= 0, torch.inf).view(-1, tried)

    def _allowed(self) -> Tensor:
        """Which further flips the ball has room for, [going, values]."""
        cost, flipped = self.cost[self.going], self.flipped[self.going]
        if self.norm == "linf":
            return ~flipped & (cost <= self.eps)
        if self.norm == "l0":
            return ~flipped & (flipped.sum(1, keepdim=True) + 1 <= self.eps)
        spent = (cost.square() * flipped).sum(1, keepdim=True)
        return ~flipped & (spent + cost.square() <= self.eps**2)

    def _lengths(self, going: Tensor) -> Tensor:
        return self.cost[going].square().clamp_min(1e-12)
