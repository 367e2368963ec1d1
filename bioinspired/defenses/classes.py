"""How many classes a network tells apart."""

import torch
from torch import Tensor, nn


def classes_of(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """How many logits a network gives for images [n, *shape]."""
    training = model.training
    with torch.no_grad():
        logits: Tensor = model.eval()(torch.zeros(1, *shape))
    model.train(training)
    return logits.shape[1]
