"""The smallest change in Linf that fools a network of one layer on binary images: a formula, not a search.

With d = w_k - w_j for an image x of class k and another class j, the margin is d x, and a change of all pixels by at
most eps lowers it by eps times the sum of |d_i| over the pixels that can move in the direction that hurts: on ones down
where d_i > 0, off ones up where d_i < 0. The quotient is the distance to j, and the smallest one that to any class.

Searches by gradient (FMN, DeepFool) follow one class at a time and end up to a quarter above it.
"""

import torch

from bioinspired.attacks.predictions import correct
from bioinspired.defenses.one_layer_sleep import only_layer
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits, numbers
from bioinspired.lab.papers.sleep.declarations import OneLayerDistance


@torch.no_grad()
def ask(question: OneLayerDistance, asked: Asked) -> Outcome:
    """Values: "distance", per image; 0 where it is wrong already, None where no image in [0, 1] is answered otherwise.

    Raises:
        UserError: the network has other layers, or the images are not binary.
    """
    x, y, model = asked.images.flatten(1), asked.labels, asked.model
    if not isinstance(model, torch.nn.Module) or not ((x == 0) | (x == 1)).all():
        raise UserError("The distance of a network of one layer is a formula for binary images: ask it of patches.")
    only_layer(model)
    corners = torch.cat([torch.zeros_like(x[:1]), torch.eye(x.shape[1], device=x.device)])
    offset, *columns = model(corners.view(-1, *asked.images.shape[1:])).double()
    weights = torch.stack(columns, 1) - offset[:, None]
    slopes = weights[y][:, None] - weights  # [n, classes, pixels]
    on = x[:, None].double()
    margins = (slopes * on).sum(2) + (offset[y][:, None] - offset)
    reach = (slopes.abs() * torch.where(slopes > 0, on, 1 - on)).sum(2)
    distances = torch.where(reach > 0, margins / reach, torch.inf).scatter(1, y[:, None], torch.inf)
    nearest = distances.amin(1)
    right = correct(model, asked.images, y)
    found = torch.where(right, torch.where(nearest <= 1, nearest, torch.inf), 0.0)
    return Outcome(bits={"correct": bits(right)}, values={"distance": numbers(found)}, forwards=1)
