"""The weights of a network of one layer, beside those of the waking one, and the images they are for."""

import torch

from bioinspired.defenses.one_layer_sleep import only_layer
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked, Model, Outcome, octets
from bioinspired.lab.papers.sleep.declarations import OneLayerWeights


def ask(question: OneLayerWeights, asked: Asked) -> Outcome:
    """Arrays: "weights" float16 [2, classes, H, W], of the source, which is the waking network, and of this one;
    "images" uint8 [n, C, H, W].
    """
    shape = asked.images.shape[2:]
    weights = [_weights(model).reshape(-1, *shape) for model in (asked.sources[0], asked.model)]
    arrays = {"weights": torch.stack(weights).half().cpu().numpy(), "images": octets(asked.images)}
    return Outcome(arrays=arrays)


def _weights(model: Model) -> torch.Tensor:
    if not isinstance(model, torch.nn.Module):
        raise UserError("Only a network that is a module has weights to show.")
    return only_layer(model).weight.detach()
