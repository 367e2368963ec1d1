"""The undefended network behind a threshold: what a two-valued image alone is worth (the ABS paper's Binary CNN).

The threshold works in use only. In training images pass it, so that the weights are those of the undefended network of
the same seed.
"""

from torch import nn

from bioinspired.defenses.front import in_front
from bioinspired.defenses.thresholds import Threshold


def apply(model: nn.Module, *, threshold: float = 0.5) -> nn.Module:
    """Puts a threshold on pixels in [0, 1] before the network."""
    return in_front(model, threshold=Threshold(threshold, training=False))
