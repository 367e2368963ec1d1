"""A layer in front of a network: inside the normalization of one of ours, around any other module."""

from collections import OrderedDict
from typing import Any

from torch import nn


def in_front(model: nn.Module, **layers: nn.Module) -> nn.Module:
    """The model behind these layers; parts of one of ours keep their names, so that its weights fit."""
    parts = dict(model.named_children())
    if isinstance(model, nn.Sequential) and set(parts) == {"normalize", "network"}:
        first: Any = nn.Sequential(OrderedDict(**layers, normalize=parts["normalize"]))
        made = nn.Sequential(OrderedDict(normalize=first, network=parts["network"]))
    else:
        made = nn.Sequential(OrderedDict(**layers, network=model))
    made.training = model.training
    return made
