"""Is an evaluation to be trusted? Signs that attacks fail for reasons that are not robustness.

    print(check(model, x, y, norm="linf", eps=8 / 255))

Most checks compare what white-box attacks fool with what something weaker fools: noise, one step, fewer steps, a
smaller ball, an attack that sees only logits or only answers, images made on another network. Whoever knows the model
should do no worse. After Carlini et al. 2019 (arXiv 1902.06705), Athalye et al. 2018 (arXiv 1802.00420), Pintor et al.
2022 (arXiv 2106.09947) and Zimmermann et al. 2022 (arXiv 2206.13991).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bioinspired.attacks import arguments, door
from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.frozen import frozen
from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.losses import ce, margin
from bioinspired.attacks.momentum import mi_fgsm
from bioinspired.attacks.noise import noise
from bioinspired.attacks.norms import ball, normal, per_image
from bioinspired.attacks.own import square
from bioinspired.attacks.predictions import STEADY, Model, correct, unsteadiness
from bioinspired.attacks.rays import rays
from bioinspired.attacks.reached import roots
from bioinspired.declarations import Norm
from bioinspired.errors import UserError

STEPS = 50  # of every white-box run
LENGTH = 0.1  # of a step, in units of eps: the same in every run, so that runs can be compared
RESTARTS = 3
DRAWS = 20  # of a random model
QUERIES = 1000  # of Square
HARD_LABELS = 100  # images for the hard-label attack
INSIDE, CORNERS = 50, 10  # points per image that the planted examples are told from, and chosen among

WIDE = 80.0  # gap between the two largest logits at which exp underflows in single precision
UNDERFLOW = 0.05  # share of images whose cross-entropy may have no gradient: saturated, and the margin still has one
DEAD = 0.001  # the same for the margin, which does not saturate
FOUND = 0.95  # of the adversarial examples that were planted


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: of the check.
        passed: whether nothing suspicious was seen.
        value: what was measured, in the unit that `advice` names.
        advice: what the value means, and what to do next.
    """

    name: str
    passed: bool
    value: float
    advice: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'}  {self.name:<20} {self.advice}"


@dataclass(frozen=True)
class Checks:
    """All outcomes, in order; iterable."""

    results: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(result.passed for result in self.results)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(result.name for result in self.results if not result.passed)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, name: str) -> Check:
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(name)

    def __str__(self) -> str:
        failed = len(self.failed)
        verdict = (
            f"{failed} of {len(self)} checks failed: do not trust robust accuracies yet" if failed else "all passed"
        )
        return "\n".join([*(str(result) for result in self.results), verdict])


def check(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: Norm,
    eps: float,
    twin: Model | None = None,
    generator: torch.Generator | None = None,
) -> Checks:
    """Looks for signs that gradient attacks on this model fail for other reasons than robustness.

    Takes some hundred forward and backward passes per image, and some thousand forward passes. 100 to 200 images are
    enough; only those that the model answers correctly are used.

    Args:
        model: any callable from images in [0, 1] to logits. A random model is given as an
            `attacks.eot.Expectation` over 20 draws or more.
        x: images in [0, 1], floating-point [n, ...].
        y: labels, integers [n].
        norm: "linf", "l2" or "l1".
        eps: radius of the ball of the evaluation that is to be trusted.
        twin: the same network without its defense; adds the transfer check.
        generator: where all randomness comes from; None is a fixed seed.

    Raises:
        UserError: an argument is not as described, or the model answers fewer than 20 images correctly.
    """
    model, x, y = door.enter(model, x, y)
    eps = arguments.radius(eps, norm)
    if not eps:
        raise UserError("eps is 0, where there is nothing to attack and so nothing to check: give a radius above 0.")
    twin = None if twin is None else door.enter(twin, x, y)[0]
    with frozen(model, x.device):
        right = correct(model, x, y)
        if int(right.sum()) < 20:
            raise UserError(
                f"The model answers {int(right.sum())} images correctly and checks need 20: give more images."
            )
        examination = _Examination(model, x[right], y[right], norm, eps, arguments.dice(generator))
        return Checks(tuple(examination.results(twin)))


class _Examination:
    """One model, its correctly answered images, and the checks."""

    def __init__(self, model: Model, x: Tensor, y: Tensor, norm: Norm, eps: float, dice: torch.Generator) -> None:
        self.random = not isinstance(model, Expectation) and unsteadiness(model, x[:64]) > STEADY
        self.given = model
        self.model = _differentiable(model, x)
        self.x, self.y, self.norm, self.eps, self.dice = x, y, norm, eps, dice
        self.n = len(x)
        self.tolerance = max(3, math.ceil(0.005 * self.n))
        self.classes = _logits(model, x[:1]).shape[1]

    def results(self, twin: Model | None) -> Iterator[Check]:
        """Every check, in order."""
        yield self.randomness()
        yield self.logits()
        yield self.gradients("ce_gradients", ce, UNDERFLOW)
        yield self.gradients("margin_gradients", margin, DEAD)
        yield self.unbounded()
        plain = self.fooled(steps=STEPS)
        yield self.inclusion(
            "one_step",
            self.fooled(steps=1, length=self.eps),
            plain,
            f"one step fools {{}} images that {STEPS} steps do not",
            "the gradient misleads: sweep step sizes and losses, and look for a part that hides the gradient",
        )
        longer = self.fooled(steps=2 * STEPS)
        yield self.inclusion(
            "more_steps",
            longer,
            plain,
            f"{2 * STEPS} steps fool {{}} images that {STEPS} do not",
            "the attack has not converged: take more steps, until doubling them changes nothing",
        )
        yield self.monotone(plain)
        known = longer | self.fooled(steps=2 * STEPS, loss="margin") | self.restarted()
        again = self.restarted()
        yield self.inclusion(
            "restarts",
            again,
            known,
            f"{2 * RESTARTS} random starts fool {{}} images that {RESTARTS} do not",
            "the loss is rugged: take more restarts, until doubling them changes nothing",
        )
        known = known | again
        drawn = noise(self.model, self.x, self.y, norm=self.norm, eps=self.eps, generator=self.dice)
        yield self.inclusion(
            "noise",
            drawn.success,
            known,
            "random noise of the same size fools {} images that white-box attacks do not",
            "the gradient misleads: attack through a smooth surrogate (`attacks.bpda`)",
        )
        scored = square(self.model, self.x, self.y, norm=self.norm, eps=self.eps, rounds=QUERIES, generator=self.dice)
        yield self.inclusion(
            "square",
            scored.success,
            known,
            "an attack that sees only logits fools {} images that white-box attacks do not",
            "gradients are masked: attack through a smooth surrogate (`attacks.bpda`), and report Square beside it",
        )
        yield self.hard_label(known)
        if twin is not None:
            yield self.transfer(twin, known)
        yield self.planted()

    def fooled(
        self,
        *,
        steps: int,
        eps: float | None = None,
        length: float | None = None,
        loss: str = "ce",
    ) -> Tensor:
        """bool [n], the images that PGD fools, with steps of one absolute length unless told otherwise."""
        result = pgd(
            self.model,
            self.x,
            self.y,
            norm=self.norm,
            eps=self.eps if eps is None else eps,
            steps=steps,
            step_size=LENGTH * self.eps if length is None else length,
            loss=loss,
        )
        return result.success

    def restarted(self) -> Tensor:
        """bool [n], the images that PGD fools from a few random starts, by either loss."""
        runs = [
            pgd(
                self.model,
                self.x,
                self.y,
                norm=self.norm,
                eps=self.eps,
                steps=STEPS,
                step_size=LENGTH * self.eps,
                loss=loss,
                random_start=True,
                restarts=RESTARTS,
                generator=self.dice,
            )
            for loss in ("ce", "margin")
        ]
        return runs[0].success | runs[1].success

    def inclusion(self, name: str, weak: Tensor, strong: Tensor, fact: str, remedy: str) -> Check:
        """Passes where the weaker attack fools next to nothing that the stronger one does not."""
        extra = int((weak & ~strong).sum())
        passed = extra <= self.tolerance
        of = f"{fact.format(extra)} (of {len(weak)}; up to {self.tolerance} is chance)"
        return Check(name, passed, float(extra), of if passed else f"{of}: {remedy}")

    def randomness(self) -> Check:
        if isinstance(self.given, Expectation):
            draws = self.given.draws
            fact = f"answers are means over {draws} draws"
            remedy = f"take {DRAWS} draws or more"
            return Check("randomness", draws >= DRAWS, float(draws), fact if draws >= DRAWS else f"{fact}: {remedy}")
        spread = unsteadiness(self.given, self.x[:64])
        fact = f"two passes differ by {spread:.2g} standard deviations of the logits"
        remedy = f"attack and judge its expectation, `attacks.eot.Expectation(model, draws={DRAWS})`"
        return Check("randomness", not self.random, spread, f"{fact}: {remedy}" if self.random else fact)

    def logits(self) -> Check:
        logits = _logits(self.given, self.x)
        if not bool(logits.isfinite().all()):
            share = 1 - float(logits.isfinite().double().mean())
            return Check(
                "logits", False, math.nan, f"{100 * share:.2g} % of the logits are not finite: repair the model"
            )
        top = logits.topk(2, dim=1).values
        gap = float((top[:, 0] - top[:, 1]).median())
        if bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-3).all()):
            return Check("logits", False, gap, "the outputs are probabilities: give the logits before the softmax")
        fact = f"the two largest logits are {gap:.3g} apart (median)"
        remedy = f"beyond {WIDE:.0f} cross-entropy loses its gradient: attack the margin, or divide the logits"
        return Check("logits", gap <= WIDE, gap, fact if gap <= WIDE else f"{fact}: {remedy}")

    def gradients(self, name: str, loss: Callable[[Tensor, Tensor], Tensor], tolerated: float) -> Check:
        dead = torch.zeros_like(self.y, dtype=torch.bool)
        for point in (self.x, ball(self.norm).start(self.x, self.eps, self.dice)):
            point = point.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(self.model(point), self.y).sum(), point)
            flat = gradient.flatten(1)
            dead |= ~flat.isfinite().all(1) | (flat == 0).all(1)
        share = float(dead.double().mean())
        fact = f"the gradient is zero or not finite on {100 * share:.3g} % of the images"
        remedy = (
            "attack the margin instead" if name == "ce_gradients" else "attack through a surrogate (`attacks.bpda`)"
        )
        return Check(name, share <= tolerated, share, f"{fact}: {remedy}" if share > tolerated else fact)

    def unbounded(self) -> Check:
        values = self.x[0].numel()
        everything = {"linf": 1.0, "l2": math.sqrt(values), "l1": float(values)}[self.norm]
        free = partial(self.fooled, steps=2 * STEPS, eps=everything, length=LENGTH * everything)
        stood = ~(free() | free(loss="margin"))
        share = float(stood.double().mean())
        passed = share <= 1 / self.classes
        fact = f"without a bound on the perturbation, {100 * share:.3g} % are still answered correctly"
        remedy = "the attack fails, not the model: repair its gradients before measuring anything"
        return Check("unbounded", passed, share, fact if passed else f"{fact}: {remedy}")

    def monotone(self, plain: Tensor) -> Check:
        half, double = self.fooled(steps=STEPS, eps=self.eps / 2), self.fooled(steps=STEPS, eps=2 * self.eps)
        lost = (half & ~plain) | (plain & ~double)
        return self.inclusion(
            "monotone",
            lost,
            torch.zeros_like(lost),
            "{} images are fooled in a smaller ball and not in a ball twice as large",
            "the gradient misleads: take more steps and restarts, and count what fools in a smaller ball",
        )

    def hard_label(self, known: Tensor) -> Check:
        few = slice(HARD_LABELS)
        found = rays(self.model, self.x[few], self.y[few], norm=self.norm, eps=self.eps)
        return self.inclusion(
            "hard_label",
            found.success,
            known[few],
            "an attack that sees only answers fools {} images that white-box attacks do not",
            "gradients are masked: attack through a smooth surrogate (`attacks.bpda`), and report RayS beside it",
        )

    def transfer(self, twin: Model, known: Tensor) -> Check:
        made = mi_fgsm(twin, self.x, self.y, norm=self.norm, eps=self.eps, steps=10)
        return self.inclusion(
            "transfer",
            ~correct(self.given, made.x_adv, self.y),
            known,
            "images made on the undefended twin fool {} times where white-box attacks do not",
            "gradients are masked: attack through the twin's gradients as well",
        )

    def planted(self) -> Check:
        """The binarization test (arXiv 2206.13991): does PGD find adversarial examples that certainly exist?

        Per image, a linear readout of the features is fitted that tells one corner of the ball from everything drawn
        inside, and PGD has to reach as far as that readout's threshold, half way to the corner.
        """
        n = min(self.n, HARD_LABELS)
        x, y = self.x[:n], torch.zeros_like(self.y[:n])
        readout = _Readout(_features(self.given, self.x), x, self.norm, self.eps, self.dice)
        result = pgd(
            readout,
            x[readout.usable],
            y[readout.usable],
            norm=self.norm,
            eps=self.eps,
            steps=2 * STEPS,
            step_size=LENGTH * self.eps,
            loss="margin",
            early_exit=False,  # the readouts belong to the rows
        )
        if not len(result.success):
            fact = "no corner of the ball can be told apart, so nothing can be planted: this check cannot be made"
            return Check("binarization", False, math.nan, fact)
        share = float(result.success.double().mean())
        passed = share >= FOUND
        fact = f"PGD finds {100 * share:.3g} % of {len(result.success)} planted adversarial examples"
        remedy = "it misses what is there: no robust accuracy that this attack measures means anything"
        return Check("binarization", passed, share, fact if passed else f"{fact}: {remedy}")


class _Readout:
    """Two-class logits on a model's features, one linear readout per image: 0, and what only a corner reaches.

    Attributes:
        usable: bool [n], images with a corner that can be told apart; the readout expects these images, in order.
    """

    def __init__(
        self, features: Callable[[Tensor], Tensor], x: Tensor, norm: Norm, eps: float, dice: torch.Generator
    ) -> None:
        self._features = features
        start = ball(norm).start
        with torch.no_grad():
            inside = torch.stack([features(x), *(features(start(x, 0.9 * eps, dice)) for _ in range(INSIDE))], 1)
            corners = torch.stack([features(_corner(x, norm, eps, dice)) for _ in range(CORNERS)], 1)
        centre = inside.mean(1, keepdim=True)
        inside, corners = inside - centre, corners - centre
        scores, farthest = corners.square().sum(2), (inside @ corners.mT).amax(1)
        best = (scores / farthest.clamp_min(1e-12)).argmax(1, keepdim=True)
        score, inner = scores.gather(1, best).squeeze(1), farthest.gather(1, best).squeeze(1)
        self.usable = score > inner * (1 + 1e-3)
        chosen = corners[torch.arange(len(x), device=x.device), best.squeeze(1)]
        self._centre, self._readout = centre.squeeze(1)[self.usable], chosen[self.usable]
        self._threshold = ((score + inner) / 2)[self.usable]

    def __call__(self, x: Tensor) -> Tensor:
        rows = slice(len(x))
        reached = ((self._features(x) - self._centre[rows]) * self._readout[rows]).sum(1) / self._threshold[rows] - 1
        reached = reached + 0 * x.flatten(1).sum(1)  # as in `_differentiable`
        return torch.stack([torch.zeros_like(reached), reached], 1)


def _corner(x: Tensor, norm: Norm, eps: float, dice: torch.Generator) -> Tensor:
    direction = normal(x, dice)
    direction = direction.sign() if norm == "linf" else direction
    return (x + eps * direction / per_image(ball(norm).size(direction), x)).clamp(0, 1)


def _features(model: Model, x: Tensor) -> Callable[[Tensor], Tensor]:
    """What the last linear layer reads, [n, features]; the logits where the model does not end in such a layer."""
    layers = [layer for root in roots(model) for layer in root.modules() if isinstance(layer, nn.Linear)]

    def read(images: Tensor) -> Tensor:
        seen: list[tuple[Tensor, Tensor]] = []
        hooks = [layer.register_forward_hook(lambda _, given, out: seen.append((given[0], out))) for layer in layers]
        try:
            logits = model(images)
        finally:
            for hook in hooks:
                hook.remove()
        if seen and seen[-1][1] is logits:
            return seen[-1][0].flatten(1)
        return logits

    return read


def _logits(model: Model, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x)


def _differentiable(model: Model, x: Tensor) -> Model:
    """The model; one that cuts the graph between input and logits gets a gradient of zero, as it deserves."""
    point = x[:1].clone().requires_grad_()
    logits = model(point)
    if logits.requires_grad and torch.autograd.grad(logits.sum(), point, allow_unused=True)[0] is not None:
        return model
    return lambda images: model(images) + 0 * images.flatten(1).sum(1, keepdim=True)
