"""MI-FGSM: momentum in the direction, for images that transfer from one network to another.

    g_{i+1} = decay g_i + gradient / mean |gradient|
    x_{i+1} = project(x_i + step_size * steepest(g_{i+1}))

Dong et al., 2018 (arXiv 1710.06081), equations 6 and 7 (whose L1 norm is the mean up to a factor that the sign does
not see); input diversity from Xie et al., 2019 (arXiv 1803.06978).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bioinspired.attacks import arguments, door
from bioinspired.attacks.ascent import Ascent
from bioinspired.attacks.frozen import Model, frozen
from bioinspired.attacks.gradient import joined
from bioinspired.attacks.losses import Loss, check_known, verdict
from bioinspired.attacks.norms import ball, per_image
from bioinspired.attacks.queries import Queries
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError

_SMALLEST = 0.9
"""Input diversity shrinks an image to no less than this fraction of its side."""


def mi_fgsm(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "linf",
    eps: float,
    steps: int,
    step_size: float | None = None,
    decay: float = 1.0,
    loss: str | Loss = "ce",
    diversity: float = 0.0,
    generator: torch.Generator | None = None,
    batch: int = 512,
) -> Result:
    """The momentum iterative method; returns the last point, made to be shown to other networks.

    Args:
        model: any callable from images [n, ...] in [0, 1] to logits [n, k]; the source.
        x: float32 or float64 [n, ...] in [0, 1].
        y: integers [n], the labels.
        norm: "linf", "l2" or "l1".
        eps: radius of the ball in the units of x.
        steps: number of steps.
        step_size: length of a step in the units of x; None is eps / steps, as in the paper.
        decay: how much of the last direction is kept; 0 is PGD without momentum.
        loss: as in `bioinspired.attacks.pgd`.
        diversity: probability, in each step, that the model sees the batch shrunk to a random size of 90 to 100 % and
            padded with zeros at a random place; for images [n, channels, height, width].
        generator: where the random sizes come from; None is a generator seeded with 0.
        batch: images shown to the model at once.

    Returns:
        The last points, and whether they fool the source.

    Raises:
        UserError: an argument is wrong.
    """
    model, x, y = door.enter(model, x, y)
    eps = arguments.length(eps, "eps")
    steps = arguments.count(steps, "steps")
    length = eps / steps if step_size is None else arguments.length(step_size, "step_size")
    decay = arguments.length(decay, "decay")
    diversity = arguments.length(diversity, "diversity")
    if diversity > 1:
        raise UserError(f"diversity is a probability and is {diversity:g}: choose a number from 0 to 1.")
    if diversity and x.ndim != 4:
        raise UserError(f"diversity needs images [n, channels, height, width] and they have shape {tuple(x.shape)}.")
    check_known(loss)
    dice = arguments.dice(generator)
    shown = _diverse(model, diversity, dice) if diversity else model
    parts = []
    with frozen(model, x.device):
        for images in torch.split(torch.arange(len(x), device=x.device), arguments.count(batch, "batch")):
            queries, judge = Queries(shown, y[images]), Queries(model, y[images])
            rows = torch.arange(len(images), device=x.device)
            ascent = Ascent(
                queries,
                ball(norm),
                x[images],
                y[images],
                start=x[images],
                rows=rows,
                eps=eps,
                length=length,
                loss=loss,
                direction=_Momentum(decay),
            )
            for _ in range(steps):
                ascent.step()
            success = verdict(judge.logits(ascent.current, rows), ascent.y) >= 0
            queries.settle()
            judge.settle()
            parts.append(Result(ascent.current, success, queries.forwards + judge.forwards, queries.backwards))
    return joined(parts, x)


class _Momentum:
    """Gradients of unit mean, summed up with decay."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._sum: Tensor | None = None

    def __call__(self, gradient: Tensor) -> Tensor:
        mean = gradient.flatten(1).abs().mean(1)
        unit = torch.where(per_image(mean > 0, gradient), gradient / per_image(mean, gradient), 0)
        self._sum = unit if self._sum is None else unit + self._sum * self._decay
        return self._sum


def _diverse(model: Model, probability: float, generator: torch.Generator) -> Model:
    def below(high: int) -> int:
        return int(torch.randint(high, (), generator=generator, device=generator.device))

    def shown(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if float(torch.rand((), generator=generator, device=generator.device)) >= probability:
            return model(x)
        smallest = round(_SMALLEST * height)
        h = smallest + below(height - smallest + 1)
        w = round(width * h / height)
        top, left = below(height - h + 1), below(width - w + 1)
        small = F.interpolate(x, size=(h, w), mode="bilinear", align_corners=False)
        return model(F.pad(small, (left, width - w - left, top, height - h - top)))

    return shown
