"""The maps that Weight Map layers have learned."""

import numpy as np
from torch import nn

from bioinspired.defenses.weight_map import WeightMap
from bioinspired.lab.measurements.outcome import Asked, Outcome
from bioinspired.lab.papers.weight_map.declarations import Maps

CHANNELS = 4  # of every layer, the first ones
LAYERS = 3  # the first ones
BINS = np.linspace(-1, 3, 81)  # of the histogram of all weights


def ask(question: Maps, asked: Asked) -> Outcome:
    """Arrays by layer, counted from 1: "map 1" float16 [channels, H, W]; "weights 1", a histogram over BINS."""
    assert isinstance(asked.model, nn.Module)
    arrays = {}
    found = [module for module in asked.model.modules() if isinstance(module, WeightMap)]
    for k, layer in enumerate(found[:LAYERS], start=1):
        weight = layer.weight.detach().cpu().numpy()
        arrays[f"map {k}"] = weight.reshape(-1, *weight.shape[2:])[:CHANNELS].astype(np.float16)
        arrays[f"weights {k}"] = np.histogram(weight, BINS)[0].astype(np.int32)
    return Outcome(arrays=arrays)
