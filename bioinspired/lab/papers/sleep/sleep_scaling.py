"""A control for sleep: homeostasis without spikes. The most active units are turned down, none is silenced.

Synaptic homeostasis is what sleep is thought to be for: units that were busy by day are scaled down. Here that alone:
the incoming weights of a hidden unit whose mean activation a exceeds its layer's mean m are multiplied with (m / a)^p.
"""

import torch
from torch import Tensor, nn

from bioinspired.defenses.sleep.scaling import linear_layers
from bioinspired.lab.papers.sleep.sleep_deletion import WATCHED, mean_activity


def after(model: nn.Module, *, images: Tensor, power: float) -> tuple[nn.Module, dict[str, list[float]]]:
    """Scales hidden units down in place, layer by layer, on activities of the network as it was.

    Args:
        model: three linear layers without biases.
        images: the training images, uint8 [n, C, H, W].
        power: p; 0 changes nothing, 1 brings every busy unit to its layer's mean.

    Returns:
        The model and no curves.
    """
    activity = mean_activity(model.eval(), images[:WATCHED])
    with torch.no_grad():
        for layer, mean in zip(linear_layers(model)[:-1], activity, strict=True):
            layer.weight.mul_((mean.mean() / mean.clamp_min(mean.mean())).pow(power)[:, None])
    return model, {}
