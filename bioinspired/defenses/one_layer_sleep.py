r"""Sleep of a network of one layer and a softmax: the toy task of patches.

The rule, the input spikes and the scales are those of `defenses.sleep`. Two things are simpler. There is one threshold.
And the activation that the layer's scale is taken from is a probability, because a softmax follows the layer:
c = 1 / max(largest weight, largest probability on the training images).

The authors' code of 2022 shows the mean image to such a network; for the paper of 2020 this is a reconstruction.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bioinspired.defenses.sleep.scaling import constants, linear_layers
from bioinspired.defenses.sleep.spiking import Factor, Rule, Sleepers
from bioinspired.defenses.sleep.stimulus import Source, frames
from bioinspired.errors import UserError

BATCH = 1_000  # frames shown between two points of the curves


@dataclass(frozen=True)
class Parameters:
    """The parameters of one sleep: rate in Hz, threshold beta, the rest as in `defenses.sleep`."""

    rate: float
    inc: float
    dec: float
    beta: float
    alpha: float
    steps: int
    source: Source = "mean"
    factor: Factor = "released"


def after(
    model: nn.Module,
    *,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    rate: float,
    inc: float,
    dec: float,
    beta: float,
    alpha: float,
    steps: int,
    source: Source = "mean",
    factor: Factor = "released",
) -> tuple[nn.Module, dict[str, list[float]]]:
    """Puts a trained network of one layer to sleep, in place.

    Args:
        model: images in [0, 1] to scores, one linear layer without biases.
        images: the training images, uint8 [n, C, H, W].
        labels: [n]; only the curves look at them.
        generator: where all randomness comes from.
        rate, inc, dec, beta, alpha, steps, source, factor: as in `Parameters`.

    Returns:
        The model, and curves over sleep: "step"; "accuracy" on the training images; "spikes_1", spikes per unit and
        step since the point before; "changed_1", the share of units that have spiked.

    Raises:
        UserError: the model has other layers, or a parameter is out of range.
    """
    slept, curves = asleep(
        model.eval(),
        images=images,
        labels=labels,
        generator=generator,
        parameters=Parameters(rate, inc, dec, beta, alpha, steps, source, factor),
    )
    with torch.no_grad():
        only_layer(model).weight.copy_(slept)
    return model, curves


def asleep(
    model: nn.Module, *, images: Tensor, labels: Tensor, generator: torch.Generator, parameters: Parameters
) -> tuple[Tensor, dict[str, list[float]]]:
    """The weights [classes, pixels] that `after` would give, and its curves; the model stays as it is."""
    p, weights = parameters, only_layer(model).weight.detach()
    if min(p.rate, p.beta, p.alpha) <= 0 or p.steps < 1:
        raise UserError("Sleep needs a rate, a threshold and a scale above 0, and at least one step.")
    x = images.flatten(1).float() / 255
    (constant,) = constants([weights], [float((x @ weights.T).softmax(1).max())])
    rate, inc, dec = (torch.tensor([value], device=x.device) for value in (p.rate, p.inc, p.dec))
    threshold, scale = (torch.tensor([[value]], device=x.device) for value in (p.beta, p.alpha * constant))
    draws = torch.Generator(x.device).manual_seed(int(torch.randint(2**62, (), generator=generator, device=x.device)))
    sleepers = Sleepers([weights[None]], Rule(rate, inc, dec, threshold, scale, p.factor), [draws])
    curves: dict[str, list[float]] = {name: [] for name in ("step", "accuracy", "spikes_1", "changed_1")}
    before = sleepers.counts[0].clone()
    for begin in range(-BATCH, p.steps, BATCH):  # the first point is that of the waking network
        end = min(begin + BATCH, p.steps)
        if end > 0:
            sleepers.sleep(frames(images, p.source, begin, end, generator=draws))
        counts = sleepers.counts[0].clone()
        right = (x @ sleepers.weights[0][0].T).argmax(1) == labels
        curves["step"].append(float(max(end, 0)))
        curves["accuracy"].append(float(right.float().mean()))
        curves["spikes_1"].append(float((counts - before).float().mean()) / max(end - begin, 1))
        curves["changed_1"].append(float((counts > 0).float().mean()))
        before = counts
    return sleepers.weights[0][0].clone(), curves


def only_layer(model: nn.Module) -> nn.Linear:
    """The one layer of a network.

    Raises:
        UserError: it has other layers, or biases.
    """
    layers = linear_layers(model)
    if len(layers) != 1:
        raise UserError(f'This sleep is for one layer, the network has {len(layers)}: use the architecture "linear".')
    return layers[0]
