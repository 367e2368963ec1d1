"""A search of parameters, for sleep and for two controls with the same budget: the released one is undocumented.

The optimizer is SciPy's differential evolution over parameters in logarithms; each generation is scored at once, the
networks of all candidates side by side. A candidate's score is the mean over the given networks of the percentage of
held-out training images that are answered right: over five lengths of the FGSM scan ("fgsm"), or over noise of variance
0.3 and blur of 2.5 pixels ("distortion"). No test image is used.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import differential_evolution
from torch import Tensor, nn
from torch.func import functional_call

from bioinspired.attacks.predictions import correct
from bioinspired.corruptions.matlab import blurred, noisy
from bioinspired.defenses.sleep.scaling import constants, largest_activations, linear_layers
from bioinspired.defenses.sleep.spiking import Rule, all_asleep
from bioinspired.defenses.sleep.stimulus import frames
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked, Outcome
from bioinspired.lab.papers.sleep.declarations import SleepSearch
from bioinspired.lab.papers.sleep.sleep_deletion import WATCHED, mean_activity
from bioinspired.lab.papers.sleep.sleep_noise import noisy as with_noise
from bioinspired.lab.papers.sleep.sleep_retraining import fgsm_sign

ETAS = (0.05, 0.1, 0.15, 0.2, 0.25)
VARIANCE, SIGMA = 0.3, 2.5
PIECE = 1_024  # frames made at once
DIGITS = 4  # significant, of every parameter, so that a study can name them exactly

BOUNDS = {
    "sleep": {
        "rate": (20.0, 600.0),
        "inc": (0.005, 0.2),
        "dec": (0.005, 0.2),
        "beta1": (5.0, 60.0),
        "beta2": (5.0, 60.0),
        "beta3": (5.0, 60.0),
        "alpha": (1.0, 60.0),
    },
    "deletion": {"first": (0.001, 0.9), "second": (0.001, 0.9)},
    "noise": {"first": (0.01, 10.0), "second": (0.01, 10.0), "third": (0.01, 10.0)},
}
"""The ranges; for sleep they contain both released sets."""


def ask(question: SleepSearch, asked: Asked) -> Outcome:
    """Values: "best", the best parameters in the order of BOUNDS; "score", theirs; "start", the networks' own score;
    "course", the best score after each generation; "candidates", how many were scored."""
    networks = [_Network(model, question, asked) for model in (asked.model, *asked.sources)]
    bounds = list(BOUNDS[question.name].values())
    best: tuple[float, list[float]] = (-np.inf, [])
    course: list[float | None] = []
    tried = 0

    def scores(points: NDArray[np.float64]) -> NDArray[np.float64]:
        nonlocal best, tried
        candidates = [[_rounded(float(np.exp(value))) for value in point] for point in points.T]
        found = np.mean([network.scores(candidates) for network in networks], axis=0)
        top = int(found.argmax())
        if found[top] > best[0]:
            best = (float(found[top]), candidates[top])
        tried += len(candidates)
        course.append(round(best[0], 4))
        return np.asarray(-found)

    start = np.random.default_rng(0).random((question.candidates, len(bounds)))
    low, high = np.log(np.array(bounds)).T
    differential_evolution(
        scores,
        list(zip(low, high, strict=True)),
        init=low + start * (high - low),
        maxiter=question.generations,
        vectorized=True,
        updating="deferred",
        polish=False,
        tol=0,
        rng=np.random.default_rng(1),
    )
    own = float(np.mean([network.own for network in networks]))
    return Outcome(
        values={
            "best": [*best[1]],
            "score": [round(best[0], 4)],
            "start": [round(own, 4)],
            "course": course,
            "candidates": [float(tried)],
        }
    )


class _Network:
    """One network, what candidates need to know of it, and the images that they are scored on."""

    def __init__(self, model: object, question: SleepSearch, asked: Asked) -> None:
        if not isinstance(model, nn.Module):
            raise UserError("A search changes weights: it needs networks that are modules.")
        if not 0 < question.scored <= question.held < len(asked.labels):
            raise UserError("A search needs images that were held out, and others: correct `held` and `scored`.")
        self._model, self._question = model, question
        seen = asked.images[: -question.held]
        self._x = asked.images[-question.held :][: question.scored]
        self._y = asked.labels[-question.held :][: question.scored]
        self._names = [f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        self._weights = [layer.weight.detach() for layer in linear_layers(model)]
        octets = (255 * seen).round().to(torch.uint8)
        if question.name == "sleep":
            self._constants = constants(self._weights, largest_activations(model, octets))
            self._shown = [
                frames(octets, "images", begin, min(begin + PIECE, question.steps), generator=asked.generator)
                for begin in range(0, question.steps, PIECE)
            ]
        elif question.name == "deletion":
            self._order = [mean.argsort(descending=True) for mean in mean_activity(model, octets[:WATCHED])]
        noise = torch.Generator(self._x.device).manual_seed(0)
        self._distorted = torch.cat([noisy(self._x, VARIANCE, noise), blurred(self._x, SIGMA)])
        self.own = self._score(self._weights)

    def scores(self, candidates: Sequence[Sequence[float]]) -> list[float]:
        """The score of each candidate."""
        if self._question.name == "sleep":
            stacked = self._asleep(candidates)
            return [self._score([layer[r] for layer in stacked]) for r in range(len(candidates))]
        change = self._deleted if self._question.name == "deletion" else self._noisy
        return [self._score(change(candidate)) for candidate in candidates]

    def _asleep(self, candidates: Sequence[Sequence[float]]) -> list[Tensor]:
        table = torch.tensor(candidates, device=self._x.device)
        scales = table[:, 6, None] * torch.tensor(self._constants, device=table.device)
        rule = Rule(table[:, 0], table[:, 1], table[:, 2], table[:, 3:6], scales)
        dice = [torch.Generator(table.device).manual_seed(r) for r in range(len(candidates))]
        weights = [w.expand(len(candidates), *w.shape) for w in self._weights]
        return all_asleep(weights, rule, dice, self._shown)[0]

    def _deleted(self, shares: Sequence[float]) -> list[Tensor]:
        weights = [w.clone() for w in self._weights]
        for w, order, share in zip(weights, self._order, shares, strict=False):
            w[order[: round(share * len(order))]] = 0
        return weights

    def _noisy(self, sizes: Sequence[float]) -> list[Tensor]:
        dice = torch.Generator(self._x.device).manual_seed(0)
        return [with_noise(w, size, dice) for w, size in zip(self._weights, sizes, strict=True)]

    def _score(self, weights: Sequence[Tensor]) -> float:
        """Percent of the scored images answered right."""
        given = dict(zip(self._names, weights, strict=True))

        def model(x: Tensor) -> Tensor:
            out: Tensor = functional_call(self._model, given, (x,))
            return out

        if self._question.objective == "distortion":
            return 100 * float(correct(model, self._distorted, self._y.repeat(2)).double().mean())
        wanted = nn.functional.one_hot(self._y, len(weights[-1])).to(self._x.dtype)
        signs = fgsm_sign(model, self._x, wanted)
        right = [correct(model, (self._x + eta * signs).clamp(0, 1), self._y) for eta in ETAS]
        return 100 * float(torch.stack(right).double().mean())


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
