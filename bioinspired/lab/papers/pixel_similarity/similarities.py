"""How alike images are, by their pixels and by the features of the network."""

import torch
from torch import Tensor

from bioinspired.defenses.pixel_similarity.features import channel_mean, default_layers, features
from bioinspired.defenses.pixel_similarity.pairs import similarities
from bioinspired.defenses.pixel_similarity.targets import unit_images
from bioinspired.lab.measurements.outcome import Asked, Outcome
from bioinspired.lab.papers.pixel_similarity.declarations import Similarities

SHOWN = 100  # images whose matrices are kept
BINS = 200  # of the histogram, from -1 to 1


def ask(question: Similarities, asked: Asked) -> Outcome:
    """Arrays, all float32 or smaller: "pixel" [100, 100]; "layers" [5, 100, 100]; "histogram" [200] over all pairs.

    The mean image is that of all images asked about, the mean of the features per channel that of the first 100. The
    histogram has the share of pairs in each of 200 equal bins from -1 to 1.
    """
    units = unit_images(asked.images).cpu()
    counts = torch.zeros(BINS)
    for _, _, cosine in similarities(units):
        counts += torch.histc(cosine.clamp(-1, 1), bins=BINS, min=-1, max=1)
    shown = asked.images[:SHOWN]
    layers = [_cosines(map) for map in _maps(asked.model, shown)]
    return Outcome(
        arrays={
            "pixel": (units[:SHOWN] @ units[:SHOWN].T).half().numpy(),
            "layers": torch.stack(layers).half().cpu().numpy(),
            "histogram": (counts / counts.sum()).numpy(),
        },
        forwards=len(shown) / len(asked.images),
    )


def _maps(model: object, images: Tensor) -> list[Tensor]:
    assert isinstance(model, torch.nn.Module)
    with torch.no_grad():
        return features(model, images, default_layers(model))


def _cosines(map: Tensor) -> Tensor:
    """Cosines between all images of features [n, C, H, W] centred per channel: [n, n]."""
    centred = (map - channel_mean(map).view(1, -1, 1, 1)).flatten(1)
    unit = torch.nn.functional.normalize(centred, dim=1)
    return unit @ unit.T
