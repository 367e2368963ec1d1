"""The phase itself: sets a trained network up to sleep, lets it, and watches it from time to time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bioinspired.defenses.sleep.scaling import activations, constants, largest_activations, linear_layers
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
    parameters = Parameters(rate, inc, dec, beta1, beta2, beta3, alpha, steps, source, factor)
    layers = linear_layers(model.eval())
    sleepers, draws = _sleepers(model, images, generator, parameters)
    watch = _Watch(model, layers, images[:WATCHED], labels[:WATCHED])
    watch.glance(0, sleepers)
    for begin, end in _spans(steps):
        for shown in _shown(images, source, begin, end, draws):
            sleepers.sleep(shown)
        watch.glance(end, sleepers)
    return model, watch.curves


@dataclass(frozen=True)
class Parameters:
    """What `after` takes: the parameters of one sleep as numbers."""

    rate: float
    inc: float
    dec: float
    beta1: float
    beta2: float
    beta3: float
    alpha: float
    steps: int
    source: Source = "images"
    factor: Factor = "released"


def spikes(model: nn.Module, *, images: Tensor, generator: torch.Generator, parameters: Parameters) -> list[Tensor]:
    """How often every unit of every layer spikes in a sleep, int64 per layer; the model stays as it is.

    With the same generator it is the sleep of `after`, spike by spike.
    """
    sleepers, draws = _sleepers(model.eval(), images, generator, parameters)
    for begin, end in _spans(parameters.steps):
        for shown in _shown(images, parameters.source, begin, end, draws):
            sleepers.sleep(shown)
    return [counts[0] for counts in sleepers.counts]


def _sleepers(
    model: nn.Module, images: Tensor, generator: torch.Generator, p: Parameters
) -> tuple[Sleepers, torch.Generator]:
    """One network about to sleep, and the generator of everything random in its sleep."""
    layers = linear_layers(model)
    thresholds = [p.beta1, p.beta2, p.beta3]
    if len(layers) != len(thresholds):
        raise UserError(f"Sleep has three thresholds, the network {len(layers)} layers: use two hidden layers.")
    if min(thresholds) <= 0 or p.rate <= 0 or p.alpha <= 0 or p.steps < 1:
        raise UserError("Sleep needs a rate, thresholds and a scale above 0, and at least one step.")
    device = images.device
    weights = [layer.weight.detach() for layer in layers]
    scales = [p.alpha * c for c in constants(weights, largest_activations(model, images))]
    rate, inc, dec = (torch.tensor([value], device=device) for value in (p.rate, p.inc, p.dec))
    rule = Rule(
        rate, inc, dec, torch.tensor([thresholds], device=device), torch.tensor([scales], device=device), p.factor
    )
    draws = torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator, device=device)))
    return Sleepers([w[None] for w in weights], rule, [draws]), draws


def _shown(images: Tensor, source: Source, begin: int, end: int, draws: torch.Generator) -> Iterator[Tensor]:
    for start in range(begin, end, BATCH):
        yield frames(images, source, start, min(start + BATCH, end), generator=draws)


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
        hidden, scores = activations(self._model, self._x)
        counts = [counted[0].clone() for counted in sleepers.counts]
        point = {"step": float(step), "accuracy": float((scores.argmax(1) == self._labels).float().mean())}
        for layer, seen in enumerate(hidden, start=1):
            point[f"silent_{layer}"] = float((seen <= 0).all(0).float().mean())
        for layer, now in enumerate(counts, start=1):
            before = self._counts[layer - 1] if self._counts else torch.zeros_like(now)
            point[f"spikes_{layer}"] = float((now - before).float().mean()) / max(step - self._step, 1)
            point[f"changed_{layer}"] = float((now > 0).float().mean())
        for name, value in point.items():
            self.curves.setdefault(name, []).append(value)
        self._counts, self._step = counts, step
