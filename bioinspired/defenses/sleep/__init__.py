r"""Sleep: a trained network replays noise through spiking copies of its units (Tadros et al., ICLR 2020).

After ordinary training, every ReLU becomes a leaky threshold unit on the same weights (`spiking`). The network is shown
noisy training images without labels (`stimulus`) and a local rule changes the weights of units that spike: a weight
grows where the input spiked too and shrinks where it did not. There is no loss and no gradient. Afterwards the weights,
changed in place, are those of the ReLU network again.

The paper's text was not available. What is here follows the repository that its authors released with it, whose file
`sleep/sleepnn_old.m` all result scripts call; the scales (`scaling`) follow their later repository. Points that decide
what the method is:

- *Scales.* Layer l is driven by alpha_l = c_l alpha, where c_l comes from the training images and alpha is a parameter.
- *Rate.* A pixel x spikes with probability min(1, 2 dt rate x): twice the nominal rate.
- *Factor.* A change is multiplied with 2 (1 - 1 / (1 + exp(-w / 0.001))): positive weights hardly move.
- *Size.* inc and dec are about ten times a trained weight. One spike drives the weights of a unit's silent inputs far
  below zero.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from bioinspired.defenses.sleep.scaling import constants, largest_activations, linear_layers
from bioinspired.defenses.sleep.spiking import Factor, Rule, Sleepers
from bioinspired.defenses.sleep.stimulus import Source, frames
from bioinspired.errors import UserError

BATCH = 1_024  # frames made at once
GLANCES = 24  # points of the curves
WATCHED = 1_000  # training images that the curves are taken on


def after(
    model: nn.Module,
    *,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    rate: float,
    inc: float,
    dec: float,
    beta1: float,
    beta2: float,
    beta3: float,
    alpha: float,
    steps: int,
    source: Source = "images",
    factor: Factor = "released",
) -> tuple[nn.Module, dict[str, list[float]]]:
    """Puts a trained network to sleep, in place.

    Args:
        model: images in [0, 1] to scores, three linear layers without biases.
        images: the training images, uint8 [n, C, H, W], in the order of the data set's file.
        labels: [n]; only the curves look at them.
        generator: where all randomness comes from.
        rate: nominal input rate, Hz. inc, dec: what a weight gains or loses. beta1, beta2, beta3: thresholds of the
            layers. alpha: what the layers' scales are multiplied with. steps: how long to sleep, 1 ms each.
        source: what is shown; see `stimulus.frames`.
        factor: how a change depends on the weight; see `spiking.FACTORS`.

    Returns:
        The model, and curves over sleep: "step"; "accuracy" on the first training images; "silent_1", "silent_2", the
        share of hidden units that answer none of them; "spikes_1" to "spikes_3", spikes per unit and step since the
        point before; "changed_1" to "changed_3", the share of units that have spiked.

    Raises:
        UserError: the model has other layers, or a parameter is out of range.
    """
    layers = linear_layers(model)
    thresholds = [beta1, beta2, beta3]
    if len(layers) != len(thresholds):
        raise UserError(f"Sleep has three thresholds, the network {len(layers)} layers: use two hidden layers.")
    if min(thresholds) <= 0 or rate <= 0 or alpha <= 0 or steps < 1:
        raise UserError("Sleep needs a rate, thresholds and a scale above 0, and at least one step.")
    device = images.device
    model.eval()
    scales = alpha * torch.tensor([constants(_weights(layers), largest_activations(model, images))], device=device)
    rule = Rule(
        rate=torch.tensor([rate], device=device),
        inc=torch.tensor([inc], device=device),
        dec=torch.tensor([dec], device=device),
        thresholds=torch.tensor([thresholds], device=device),
        scales=scales,
        factor=factor,
    )
    draws = torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator)))
    sleepers = Sleepers([w[None] for w in _weights(layers)], rule, [draws])
    watch = _Watch(model, layers, images[:WATCHED], labels[:WATCHED])
    watch.glance(0, sleepers)
    for begin, end in _spans(steps):
        for start in range(begin, end, BATCH):
            stop = min(start + BATCH, end)
            sleepers.sleep(frames(images, source, start, stop, generator=draws))
        watch.glance(end, sleepers)
    return model, watch.curves


def _weights(layers: Sequence[nn.Linear]) -> list[Tensor]:
    return [layer.weight.detach() for layer in layers]


def _spans(steps: int) -> list[tuple[int, int]]:
    """The steps between two glances: short ones first, because most happens early."""
    ends = sorted({max(1, round(steps ** (i / GLANCES))) for i in range(1, GLANCES + 1)})
    return list(zip([0, *ends[:-1]], ends, strict=True))


class _Watch:
    """Looks at the first replica from time to time: copies its weights into the model and tries it out."""

    def __init__(self, model: nn.Module, layers: Sequence[nn.Linear], images: Tensor, labels: Tensor) -> None:
        self._model, self._layers = model, layers
        self._x, self._labels = images.float() / 255, labels
        self._counts: list[Tensor] = []
        self._step = 0
        self.curves: dict[str, list[float]] = {}

    @torch.no_grad()
    def glance(self, step: int, sleepers: Sleepers) -> None:
        for linear, weights in zip(self._layers, sleepers.weights, strict=True):
            linear.weight.copy_(weights[0])
        silent: list[float] = []
        handles = [
            layer.register_forward_pre_hook(
                lambda _, given: silent.append(float((given[0] <= 0).all(0).float().mean()))
            )
            for layer in self._layers[1:]
        ]
        try:
            answers = cast(Tensor, self._model(self._x)).argmax(1)
        finally:
            for handle in handles:
                handle.remove()
        counts = [counted[0].clone() for counted in sleepers.counts]
        point = {"step": float(step), "accuracy": float((answers == self._labels).float().mean())}
        point |= {f"silent_{layer}": share for layer, share in enumerate(silent, start=1)}
        for layer, now in enumerate(counts, start=1):
            before = self._counts[layer - 1] if self._counts else torch.zeros_like(now)
            point[f"spikes_{layer}"] = float((now - before).float().mean()) / max(step - self._step, 1)
            point[f"changed_{layer}"] = float((now > 0).float().mean())
        for name, value in point.items():
            self.curves.setdefault(name, []).append(value)
        self._counts, self._step = counts, step


def _silent(activations: Tensor) -> float:
    """The share of units, [n, units], that answer no image."""
    return float((activations <= 0).all(0).float().mean())
