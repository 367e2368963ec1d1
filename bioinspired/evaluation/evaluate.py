"""Robust accuracy of a model under a threat model: worst case per image, with its intervals, curve, distances and cost.

    evaluate(model, x, y, norm="linf", eps=[0.05, 0.1])   one model
    compare(first, second)                                two models on the same images, paired
    across(evaluations)                                   several trainings of one model

A robust accuracy measured by attacks is an upper bound: a better attack can only lower it.
"""

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from scipy.special import stdtrit
from torch import Tensor

from bioinspired.attacks import arguments, door
from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.frozen import frozen
from bioinspired.attacks.norms import ball, per_image
from bioinspired.attacks.predictions import STEADY, Model, correct, predict, unsteadiness
from bioinspired.attacks.result import Result
from bioinspired.declarations import Norm
from bioinspired.errors import UserError
from bioinspired.evaluation.given import runs

__all__ = [
    "Attack",
    "Comparison",
    "Evaluation",
    "Seeds",
    "Share",
    "across",
    "compare",
    "correct",
    "evaluate",
    "predict",
]

NORMAL = 1.959963984540054  # the normal distribution's 97.5 % point: every interval here is a 95 % one
BISECTIONS = 10


class Attack(Protocol):
    """An attack of fixed budget, such as `bioinspired.attacks.autoattack`."""

    def __call__(
        self, model: Model, x: Tensor, y: Tensor, *, norm: Norm, eps: float, generator: torch.Generator | None
    ) -> Result: ...


@dataclass(frozen=True)
class Share:
    """How many of how many images, and the Wilson interval of the share (E. B. Wilson, JASA 22, 1927)."""

    right: int
    of: int

    @property
    def value(self) -> float:
        return self.right / self.of

    @property
    def low(self) -> float:
        return self._wilson(-1)

    @property
    def high(self) -> float:
        return self._wilson(1)

    def _wilson(self, side: Literal[-1, 1]) -> float:
        if self.right == (0 if side < 0 else self.of):
            return self.value  # exactly 0 or 1, which rounding would miss
        z2 = NORMAL**2 / self.of
        spread = NORMAL * math.sqrt((self.value * (1 - self.value) + z2 / 4) / self.of)
        return (self.value + z2 / 2 + side * spread) / (1 + z2)

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What `evaluate` found. Tensors are on the CPU; n images, epsilons in ascending order.

    Attributes:
        norm: of the threat model.
        eps: the epsilons.
        attacks: their names, in the order in which they ran.
        images: sha256 of images and labels; only evaluations on the same images can be compared.
        clean: bool [n], answered correctly without an attack.
        robust: bool [attacks, epsilons, n], still answered correctly after this attack and all before it.
        distances: [n], the smallest perturbation found, in the norm: 0 where the clean image is answered wrongly,
            infinite where nothing fooled.
        forwards, backwards: int64 [n], passes per image, those that check the attacks' results included.
        seconds: wall time.
        skipped: attacks that could not run, with the reason.
        nearest: [n, ...], the nearest fooling image, or the image itself; where `evaluate` was asked to keep it.
    """

    norm: Norm
    eps: tuple[float, ...]
    attacks: tuple[str, ...]
    images: str
    clean: Tensor
    robust: Tensor
    distances: Tensor
    forwards: Tensor
    backwards: Tensor
    seconds: float
    skipped: Mapping[str, str] = field(default_factory=dict)
    nearest: Tensor | None = None

    @property
    def n(self) -> int:
        return len(self.clean)

    @property
    def clean_accuracy(self) -> float:
        return _share(self.clean).value

    @property
    def robust_accuracy(self) -> float:
        """At the largest epsilon, worst case per image over the attacks: an upper bound."""
        return self.curve[-1].value

    @property
    def curve(self) -> tuple[Share, ...]:
        """Robust accuracy at each epsilon, worst case per image over the attacks: upper bounds."""
        return tuple(_share(bits) for bits in self.robust[-1])

    @property
    def median_distance(self) -> float:
        """Median over all images of the smallest perturbation found, an upper bound; infinite if most stood."""
        return _median(self.distances)

    @property
    def median_distance_correct(self) -> float:
        """The same over the images that are answered correctly without an attack; NaN if there are none."""
        return _median(self.distances[self.clean])

    def __str__(self) -> str:
        clean = f"clean {_share(self.clean)}"
        width = max(len("worst case"), *(len(name) for name in self.attacks))
        rows = [
            f"{name:<{width}} " + " ".join(f"{_share(bits)!s:>22}" for bits in row)
            for name, row in zip([*self.attacks[:-1], "worst case"], self.robust, strict=True)
        ]
        lines = [
            f"Accuracy on {self.n} images, {self.norm} perturbations, 95 % intervals: {clean}",
            f"{'eps':<{width}} " + " ".join(f"{eps:>22.4g}" for eps in self.eps),
            *rows,
            f"Attacks: {', '.join(self.attacks)}. A row counts what the rows above it broke too.",
            "Robust accuracies are upper bounds: a better attack can only lower them.",
            f"Smallest perturbation found, median: {self.median_distance:.4g} over all images, "
            f"{self.median_distance_correct:.4g} over those first answered correctly.",
            f"Cost per image: {float(self.forwards.double().mean()):.0f} forward and "
            f"{float(self.backwards.double().mean()):.0f} backward passes; {self.seconds:.1f} s in all.",
            *(f"Skipped: {name}. {reason}" for name, reason in self.skipped.items()),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images at one epsilon: the difference of their accuracies, first minus second.

    Attributes:
        eps: 0 stands for the clean images.
        difference: in accuracy, as a share.
        low, high: its 95 % interval for paired shares (A. Agresti and Y. Min, Statistics in Medicine 24, 2005).
        only_first, only_second: images that only one of the two answers correctly.
        p: of McNemar's exact test, two-sided: how likely so uneven a split of those images is by chance.
    """

    eps: float
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float

    def __str__(self) -> str:
        return (
            f"eps {self.eps:.4g}: {100 * self.difference:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}], "
            f"{self.only_first} images only the first, {self.only_second} only the second answers, p = {self.p:.2g}"
        )


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Mean robust accuracy over k trainings at each epsilon, with an interval from both seeds and images.

    SE^2 = s_seed^2 / k + p (1 - p) / n, and Student's t with k - 1 degrees of freedom; where every network has 0 or
    100 %, the rule of three, 3 / n. With one network the interval is that of the images alone.
    """

    k: int
    n: int
    eps: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __str__(self) -> str:
        lines = [f"Robust accuracy over {self.k} networks, {self.n} images; upper bounds, 95 % intervals"]
        for eps, mean, low, high in zip(self.eps, self.mean, self.low, self.high, strict=True):
            lines.append(f"eps {eps:<10.4g} {100 * mean:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]")
        return "\n".join(lines)


def evaluate(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: Norm,
    eps: float | str | Sequence[float | str],
    attacks: Sequence[str] | Mapping[str, Attack | str] = ("fmn", "pgd", "autoattack"),
    generator: torch.Generator | None = None,
    batch: int | None = None,
    keep: bool = False,
    say: Callable[[str], object] | None = None,
) -> Evaluation:
    """Clean and robust accuracy of a model: the worst case per image over the attacks.

    No attack's word is taken. Every perturbed image is shown to the model again, in the batches of the clean ones, and
    measured; one that fools is pulled towards the clean image as far as it still fools; and it then counts at every
    epsilon that its length allows. Every attack sees every image that the model answers correctly, so the order of
    the attacks decides nothing, another attack never raises a number, and robust accuracy never rises with epsilon.

    An attack that cannot run on this model or these images is skipped with its reason; if none can, that is an error.

    Args:
        model: any callable from images in [0, 1] to logits; a random one as `attacks.eot.Expectation`.
        x: images in [0, 1], floating-point [n, ...], on the model's device.
        y: labels, integers [n].
        norm: "linf", "l2" or "l1", over all values of one image.
        eps: one or several radii of the ball.
        attacks: names from `bioinspired attack --list`, or a mapping from names to functions
            (model, x, y, *, norm, eps, generator) that return perturbed images; cheap ones first.
        generator: where the attacks' randomness comes from; None is a fixed seed.
        batch: images shown at once; None is what fits into about 8 GiB with a large network, and at most 512.
        keep: whether the nearest fooling images are returned as well.
        say: told the name of each attack before it begins.

    Raises:
        UserError: an argument is not as described, or the model answers the same images differently twice.
    """
    model, x, y = door.enter(model, x, y)
    if not len(x):
        raise UserError("There are no images to evaluate on: give at least one.")
    epsilons = _epsilons(eps, norm)
    wanted = runs(attacks, x, norm)
    size = _fitting(x) if batch is None else arguments.count(batch, "batch")
    seed = None if generator is None else int(torch.randint(2**31, (), generator=generator, device=generator.device))
    begin = time.perf_counter()
    skipped: dict[str, str] = {}
    robust: dict[str, Tensor] = {}
    with frozen(model, x.device):
        if not isinstance(model, Expectation) and unsteadiness(model, x[:64]) > STEADY:
            raise UserError(
                "The model answers the same images differently each time, so one pass decides nothing: "
                "evaluate bioinspired.attacks.eot.Expectation(model, draws=20)."
            )
        _warn_of_probabilities(model, x[: min(size, 64)])
        found = _Found(model, x, y, norm, size)
        rows = found.clean.nonzero().flatten()
        for name, (attack, radii) in wanted.items():
            if say is not None:
                say(name)
            try:
                for radius in radii or epsilons:
                    for some in torch.split(rows, size):
                        dice = None if seed is None else torch.Generator("cpu").manual_seed(seed)
                        result = attack(model, x[some], y[some], norm=norm, eps=radius, generator=dice)
                        found.book(some, result.forwards, result.backwards)
                        found.show(some, result.x_adv.to(x))
            except UserError as error:
                if isinstance(attacks, Mapping) or len(skipped) + 1 == len(wanted):
                    raise
                skipped[name] = str(error)
                warnings.warn(f"{name} was skipped: {error}", stacklevel=2)
            last = next(reversed(robust), None) if name in skipped else name  # what it found before is kept
            if last is not None:
                robust[last] = torch.stack([found.standing(radius) for radius in epsilons]).cpu()
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return Evaluation(
        norm=norm,
        eps=epsilons,
        attacks=tuple(robust),
        images=_digest(x, y),
        clean=found.clean.cpu(),
        robust=torch.stack(list(robust.values())),
        distances=found.distances.cpu(),
        forwards=found.forwards.cpu(),
        backwards=found.backwards.cpu(),
        seconds=time.perf_counter() - begin,
        skipped=skipped,
        nearest=found.nearest.cpu() if keep else None,
    )


def compare(first: Evaluation, second: Evaluation) -> tuple[Comparison, ...]:
    """Compares two models image by image: on the clean images, then at every epsilon.

    Raises:
        UserError: the evaluations differ in images, norm or epsilons.
    """
    _demand_alike([first, second])
    pairs = [(0.0, first.clean, second.clean)]
    pairs += zip(first.eps, first.robust[-1], second.robust[-1], strict=True)
    return tuple(_paired(eps, int((a & ~b).sum()), int((b & ~a).sum()), first.n) for eps, a, b in pairs)


def across(evaluations: Sequence[Evaluation]) -> Seeds:
    """Summarises trainings that differ in their seed only.

    Raises:
        UserError: there are none, or they differ in images, norm or epsilons.
    """
    if not evaluations:
        raise UserError("There are no evaluations to summarise: give one per trained network.")
    _demand_alike(evaluations)
    k, n = len(evaluations), evaluations[0].n
    means, lows, highs = [], [], []
    for shares in zip(*(evaluation.curve for evaluation in evaluations), strict=True):
        values = [share.value for share in shares]
        mean = sum(values) / k
        if k == 1:
            low, high = shares[0].low, shares[0].high
        elif mean in (0, 1):
            low, high = mean - 3 / n * mean, mean + 3 / n * (1 - mean)
        else:
            seeds = sum((value - mean) ** 2 for value in values) / (k - 1)
            reach = float(stdtrit(k - 1, 0.975)) * math.sqrt(seeds / k + mean * (1 - mean) / n)
            low, high = mean - reach, mean + reach
        means.append(mean)
        lows.append(max(low, 0.0))
        highs.append(min(high, 1.0))
    return Seeds(k=k, n=n, eps=evaluations[0].eps, mean=tuple(means), low=tuple(lows), high=tuple(highs))


class _Found:
    """The smallest perturbation found so far for each image, and what finding it cost."""

    def __init__(self, model: Model, x: Tensor, y: Tensor, norm: Norm, batch: int) -> None:
        self._model, self._x, self._y, self._norm, self._batch = model, x, y, norm, batch
        self.clean = correct(model, x, y, batch)
        self.nearest = x.clone()
        self.distances = torch.where(self.clean, torch.inf, 0.0).to(x)
        self.forwards = torch.ones_like(y)
        self.backwards = torch.zeros_like(y)

    def standing(self, eps: float) -> Tensor:
        """bool [n], whether nothing within eps fools; a hundred-thousandth is left for rounding."""
        return self.distances > eps * (1 + 1e-5)

    def book(self, rows: Tensor, forwards: Tensor, backwards: Tensor) -> None:
        self.forwards[rows] += forwards
        self.backwards[rows] += backwards

    def show(self, rows: Tensor, x_adv: Tensor) -> None:
        """Takes account of perturbed images, [len(rows), ...], as far as they fool the model."""
        x_adv = torch.where(x_adv.isfinite(), x_adv, self._x[rows]).clamp(0, 1)
        fools = self._wrong(rows, x_adv)
        rows, x_adv = rows[fools], x_adv[fools]
        if not len(rows):
            return
        near = self._pulled(rows, x_adv)
        near = torch.where(per_image(self._wrong(rows, near), near), near, x_adv)
        length = ball(self._norm).size(near - self._x[rows])
        nearer = length < self.distances[rows]
        self.distances[rows[nearer]] = length[nearer]
        self.nearest[rows[nearer]] = near[nearer]

    def _wrong(self, rows: Tensor, x_adv: Tensor) -> Tensor:
        shown = self._x.clone()
        shown[rows] = x_adv
        self.forwards += 1
        return ~correct(self._model, shown, self._y, self._batch)[rows]

    def _pulled(self, rows: Tensor, x_adv: Tensor) -> Tensor:
        """Each image's nearest fooling point on the way to its clean one, by bisection to a thousandth."""
        x, y = self._x[rows], self._y[rows]
        low, high = torch.zeros_like(x.flatten(1)[:, 0]), torch.ones_like(x.flatten(1)[:, 0])
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            right = correct(self._model, x + per_image(middle, x) * (x_adv - x), y, self._batch)
            low, high = torch.where(right, middle, low), torch.where(right, high, middle)
        self.forwards[rows] += BISECTIONS
        return (x + per_image(high, x) * (x_adv - x)).clamp(0, 1)


def _fitting(x: Tensor) -> int:
    """Images at once: a ResNet-50 keeps about 640 bytes for each value of an image."""
    return max(1, min(512, 2**33 // (640 * x[0].numel())))


def _warn_of_probabilities(model: Model, x: Tensor) -> None:
    with torch.no_grad():
        logits = model(x)
    if bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-3).all()):
        warnings.warn(
            "The outputs are probabilities, whose gradients vanish: give the logits before the softmax, or attacks "
            "find too little.",
            stacklevel=3,
        )


def _epsilons(eps: Any, norm: str) -> tuple[float, ...]:
    single = isinstance(eps, str) or not hasattr(eps, "__iter__") or getattr(eps, "ndim", 1) == 0
    lengths = sorted({arguments.radius(value, norm) for value in ([eps] if single else eps)})
    if not lengths or lengths[0] == 0:
        raise UserError("eps must be one or several radii above 0; accuracy at 0 is the clean accuracy.")
    return tuple(lengths)


def _demand_alike(evaluations: Sequence[Evaluation]) -> None:
    for name in ("images", "norm", "eps"):
        if len({getattr(evaluation, name) for evaluation in evaluations}) > 1:
            raise UserError(f"These evaluations differ in their {name}, so they cannot be paired: evaluate both alike.")


def _paired(eps: float, only_first: int, only_second: int, n: int) -> Comparison:
    gap, odd = only_first - only_second, only_first + only_second + 1  # half an image added to each of the four cells
    centre = gap / (n + 2)
    reach = NORMAL * math.sqrt(odd - gap**2 / (n + 2)) / (n + 2)
    tail = sum(math.comb(odd - 1, i) for i in range(min(only_first, only_second) + 1))
    p = min(1.0, 2 * tail / 2 ** (odd - 1))
    return Comparison(eps, gap / n, max(centre - reach, -1.0), min(centre + reach, 1.0), only_first, only_second, p)


def _share(bits: Tensor) -> Share:
    return Share(int(bits.sum()), len(bits))


def _median(values: Tensor) -> float:
    """The middle value, or the mean of the two middle ones; NaN of nothing."""
    ordered = values.sort().values
    if not len(ordered):
        return math.nan
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


def _digest(x: Tensor, y: Tensor) -> str:
    digest = hashlib.sha256()
    for part in (x, y):
        digest.update(str((part.dtype, tuple(part.shape))).encode())
        digest.update(part.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
