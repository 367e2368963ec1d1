"""Random perturbations of full length: what an attack that knows nothing achieves, the floor of every other one."""

import torch
from torch import Tensor

from bioinspired.attacks import arguments, door
from bioinspired.attacks.frozen import Model, frozen
from bioinspired.attacks.losses import verdict
from bioinspired.attacks.norms import ball, normal, per_image
from bioinspired.attacks.queries import Queries
from bioinspired.attacks.result import Result


def noise(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    eps: float,
    draws: int = 100,
    generator: torch.Generator | None = None,
) -> Result:
    """Shows the model random points on the surface of the ball, clipped to [0, 1], and keeps the worst.

    In Linf the points are corners of the ball, in L2 and L1 their directions are those of a normal variate.

    Args:
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], [n, ...].
        y: labels, integers [n].
        norm: "linf", "l2" or "l1".
        eps: radius of the ball.
        draws: points per image, those after the first fooling one left out.
        generator: where the points come from; None is a generator seeded with 0.

    Raises:
        UserError: an argument is not as described.
    """
    model, x, y = door.enter(model, x, y)
    eps = arguments.length(eps, "eps")
    dice = arguments.dice(generator)
    queries = Queries(model, y)
    everything = torch.arange(len(x), device=x.device)
    worst, margin = x.clone(), x.new_full((len(x),), -torch.inf)
    with frozen(model, x.device):
        for _ in range(arguments.count(draws, "draws")):
            if bool((margin >= 0).all()):
                break
            direction = normal(x, dice)
            direction = direction.sign() if norm == "linf" else direction
            point = (x + eps * direction / per_image(ball(norm).size(direction), x)).clamp(0, 1)
            found = verdict(queries.logits(point, everything), y)
            better = (found > margin) & (margin < 0)
            margin = torch.where(better, found, margin)
            worst = torch.where(per_image(better, x), point, worst)
        queries.settle()
    return Result(worst, margin >= 0, queries.forwards, queries.backwards)
