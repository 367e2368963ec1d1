r"""What the similarity of two images should be: S^pixel, its thresholded form and parts of that, and three controls.

S^pixel_ij is the cosine of two images after the mean image of the set is taken off (released code; the paper's text
leaves open which mean). Thresholded (equation 5):

    S^Th_ij = +1 where S^pixel_ij > Th,   -1 where S^pixel_ij < -Th,   0 otherwise.

The *parts* keep these values but leave out pairs: "low" draws only pairs of target 0, "high" only those of +-1,
"positive" those of +1 and 0, "negative" those of -1 and 0, "double" those of +-1 and those below a second, smaller
threshold. Pairs are drawn uniformly among those that are left, so a part also changes how often the rare +-1 pairs are
seen: by orders of magnitude for "high".

The controls keep what is not similarity. "shuffled": the target of two images is that of two others, always the same
two. "random": the share of +1 and -1 is kept, but each draw of a pair has its own target. "label": +1 for two images of
one class, 0 otherwise.
"""

from typing import Literal

import torch
from torch import Tensor

Target = Literal["pixel", "thresholded", "low", "high", "double", "positive", "negative", "shuffled", "random", "label"]


def unit_images(images: Tensor) -> Tensor:
    """Images ready for cosines: their channels averaged, the mean image of the set subtracted, of unit length.

    Args:
        images: [n, C, H, W], uint8 or float.

    Returns:
        float32 [n, H W]; S^pixel is this matrix times its transpose. An image equal to the mean image becomes zero.
    """
    grey = images.double().mean(1).flatten(1)
    return torch.nn.functional.normalize(grey - grey.mean(0), dim=1).float()


def thresholded(similarity: Tensor, threshold: float) -> Tensor:
    """S^Th of S^pixel, elementwise: -1, 0 or 1, inequalities strict (equation 5)."""
    return similarity.sign() * (similarity.abs() > threshold)


def drawn(target: Target, similarity: Tensor, *, threshold: float, second: float) -> Tensor:
    """Which pairs a target draws, as a mask of S^pixel; a similarity of exactly a threshold is on neither side."""
    low, positive, negative = similarity.abs() < threshold, similarity > threshold, similarity < -threshold
    match target:
        case "low":
            return low
        case "high":
            return positive | negative
        case "positive":
            return positive | low
        case "negative":
            return negative | low
        case "double":
            return positive | negative | (similarity.abs() < second)
        case _:
            return torch.ones_like(low)
