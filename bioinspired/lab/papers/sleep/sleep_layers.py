"""What sleep did to a network's weights and activations, against the waking one."""

import torch
from torch import Tensor, nn

from bioinspired.defenses.sleep.scaling import activations, linear_layers
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked, Model, Outcome
from bioinspired.lab.papers.sleep.declarations import SleepLayers

EDGES = 81  # of the histograms
WIDEST = 1.0  # their range, in units of the largest waking weight
FIELDS = 8  # units whose incoming weights are kept


def ask(question: SleepLayers, asked: Asked) -> Outcome:
    """Arrays for the figures, of the slept network ("after") and its source, the waking one ("before").

    Per layer l = 1, 2, 3: "changed_l" bool [units]; "weights_l" int32 [2, bins], counts of weights before and after,
    "edges_l" [bins + 1]; and for the hidden layers "activity_l" float16 [2, units], the mean activation, and
    "correlation_l" float16 [2, classes, classes], between mean activations of classes. "fields" float16
    [2, units, H, W]: the incoming weights of the first layer's changed units that were the most active when awake.
    """
    networks = [_checked(asked.sources[0]), _checked(asked.model)]
    before, after = ([layer.weight.detach() for layer in linear_layers(network)] for network in networks)
    arrays: dict[str, Tensor] = {}
    for k, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        arrays[f"changed_{k}"] = (old != new).any(1)
        edges = torch.linspace(-WIDEST, WIDEST, EDGES, device=old.device) * 1.5 * float(old.abs().max())
        inside = [w.clamp(float(edges[0]), float(edges[-1])) for w in (old, new)]
        counts = [torch.histc(w, EDGES - 1, float(edges[0]), float(edges[-1])).int() for w in inside]
        arrays[f"weights_{k}"], arrays[f"edges_{k}"] = torch.stack(counts), edges
    seen = [activations(network, asked.images)[0] for network in networks]
    for k, pair in enumerate(zip(*seen, strict=True), start=1):
        arrays[f"activity_{k}"] = torch.stack([a.mean(0) for a in pair]).half()
        arrays[f"correlation_{k}"] = torch.stack([_correlation(a, asked.labels) for a in pair]).half()
    shape = asked.images.shape[2:]
    waking = torch.where(arrays["changed_1"], arrays["activity_1"][0].float(), -1.0)
    chosen = waking.topk(min(FIELDS, int(arrays["changed_1"].sum()))).indices
    arrays["fields"] = torch.stack([w[0][chosen].reshape(len(chosen), *shape) for w in (before, after)]).half()
    return Outcome(arrays={name: array.cpu().numpy() for name, array in arrays.items()}, forwards=2)


def _checked(model: Model) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise UserError("Layers can only be compared of networks that are modules.")
    return model


def _correlation(activations: Tensor, labels: Tensor) -> Tensor:
    """[classes, classes]: Pearson's correlation over units, between classes' mean activations; 0 where undefined."""
    classes = int(labels.max()) + 1
    means = torch.stack([activations[labels == k].mean(0) for k in range(classes)])
    return torch.corrcoef(means).nan_to_num()
