r"""Weight Map layers: a weight for every position, a fixed filter behind it (after Amer and Maul, arXiv 1905.00568).

Of the paper only the abstract could be read. This is a *reconstruction*: the family of layers that fits the name and
the abstract, with every open choice as a parameter. Of a map x of C channels and H x W positions it makes

    y_o[p] = sum_{q in N(p)} K[q - p] z_o[q],    z_o[q] = sum_c W[o, c, q] x_c[q]

with N(p) the 3x3 neighbours of p, zero outside the map. W, the *weight map*, is learned and not shared over positions;
K, the *kernel*, is fixed. There is no bias and no activation. With coupling

    own      z_o = W_o x_o      a map per channel, C x H x W weights
    all      as above           a map per pair of channels, C x C x H x W weights
    shared   z_o = W x_o        one map for all channels, H x W weights

Two consequences hold whatever is chosen: the network is tied to one image size, and the layer does not commute with
translations.

*Gain.* If the values of x have variance s^2 and any two positions of a channel the correlation r, channels being
independent, then

    Var(y_o[p]) / s^2 = (1 - r) sum_q sum_c K[q - p]^2 W[o, c, q]^2  +  r sum_c (sum_q K[q - p] W[o, c, q])^2

For W = 1 and away from the border this is `Kernel.white` = sum K^2 for independent positions (r = 0) and `Kernel.flat`
= (sum K)^2 for a constant map (r = 1). Noise is near the first, the signal of the lower layers nearer the second: a
smoothing kernel raises the ratio of signal to noise, an unsharp one lowers it, and no constant factor changes it.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bioinspired.errors import UserError

Coupling = Literal["own", "all", "shared"]
Init = Literal["ones", "normal", "uniform", "glorot"]
Learns = Literal["map", "kernel", "both", "nothing"]

DEVIATION = 0.1  # of the initial weights around 1
WATCHED = 250  # images on which the gain is followed during training
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid)


@dataclass(frozen=True)
class Kernel:
    """A 3x3 filter of the form centre * delta + around * (the eight neighbours)."""

    centre: float
    around: float

    @property
    def white(self) -> float:
        """sum K^2: the gain for independent positions, at W = 1."""
        return self.centre**2 + 8 * self.around**2

    @property
    def flat(self) -> float:
        """(sum K)^2: the gain for a constant map, at W = 1."""
        return (self.centre + 8 * self.around) ** 2

    def entries(self) -> Tensor:
        """The filter, [3, 3]."""
        entries = torch.full((3, 3), float(self.around))
        entries[1, 1] = self.centre
        return entries


KERNELS = {
    "identity": Kernel(1, 0),
    "box_mean": Kernel(1 / 9, 1 / 9),
    "box_sum": Kernel(1, 1),
    "neighbours": Kernel(0, 1),
    "unsharp": Kernel(2 - 1 / 9, -1 / 9),
    "edge": Kernel(1 - 1 / 9, -1 / 9),
    "laplacian": Kernel(8, -1),
}
"""By name: delta (the map alone), ones / 9, ones, ones without the centre, 2 delta - mean, delta - mean, and 8 / -1."""


class WeightMap(nn.Module):
    """Multiplies a map by weights of its own at every position, then filters it.

    Args:
        kernel: [3, 3] the same for all channels, or [C, 3, 3].
        weight: [1, C, H, W] (coupling "own"), [C_out, C, H, W] ("all") or [1, 1, H, W] ("shared").
        coupling: how channels are coupled.
        learns: which of the two are parameters; the rest are buffers. A kernel that is learned has an entry of its own
            for every channel.
    """

    kernel: Tensor
    weight: Tensor

    def __init__(
        self, kernel: Tensor, weight: Tensor, *, coupling: Coupling = "own", learns: Learns = "map", channels: int
    ) -> None:
        super().__init__()
        filters = kernel.detach().clone().view(-1, 1, 3, 3)
        if learns in ("kernel", "both"):
            self.kernel = nn.Parameter(filters.expand(channels, 1, 3, 3).clone())
        else:
            self.register_buffer("kernel", filters)
        if learns in ("map", "both"):
            self.weight = nn.Parameter(weight.detach().clone())
        else:
            self.register_buffer("weight", weight.detach().clone())
        self.coupling = coupling
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] to the same shape."""
        if x.shape[1] != self.channels or x.shape[2:] != self.weight.shape[2:]:
            H, W = self.weight.shape[2:]
            raise UserError(
                f"A weight map made for {self.channels}x{H}x{W} met a map of {'x'.join(map(str, x.shape[1:]))}: "
                "apply the defense with the `input_shape` of the images that the network is given."
            )
        z = torch.einsum("ochw,nchw->nohw", self.weight, x) if self.coupling == "all" else self.weight.to(x.dtype) * x
        z = z.contiguous(memory_format=torch.channels_last)  # a filter per channel is ten times slower otherwise
        return F.conv2d(z, self.kernel.expand(self.channels, 1, 3, 3), padding=1, groups=self.channels)

    def gain(self, correlation: float = 0.0) -> Tensor:
        """Var(y) / Var(x) at every neuron, [C, H, W], in closed form.

        Args:
            correlation: of any two positions of a channel, in [0, 1]; channels are independent.
        """
        maps = self.weight.detach().expand(self.channels, -1, -1, -1) if self.coupling == "all" else self._own_maps()
        filters = self.kernel.detach().expand(self.channels, 1, 3, 3)
        filters = filters.repeat_interleave(maps.shape[1], 0)
        flattened = maps.reshape(1, -1, *maps.shape[2:])

        def filtered(values: Tensor, by: Tensor) -> Tensor:
            return F.conv2d(values, by, padding=1, groups=len(by)).view_as(maps)

        white = filtered(flattened**2, filters**2).sum(1)
        flat = (filtered(flattened, filters) ** 2).sum(1)
        return (1 - correlation) * white + correlation * flat

    def extra_repr(self) -> str:
        """Shape and coupling."""
        return f"{'x'.join(map(str, self.weight.shape))}, {self.coupling}"

    def _own_maps(self) -> Tensor:
        """The map of each channel, [C, 1, H, W]."""
        return self.weight.detach().expand(1, self.channels, -1, -1).transpose(0, 1)


def draw(
    shape: Sequence[int],
    *,
    coupling: Coupling = "own",
    init: Init = "normal",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Initial weights for a map of shape (C, H, W).

    Args:
        shape: (C, H, W).
        coupling: says the shape of the result, see `WeightMap`. With "all", "ones" and "normal" start each channel with
            itself: their mean is 1 for o = c and 0 for the others.
        init: "ones"; "normal", N(1, 0.1), the default of the reconstruction; "uniform", U(-1, 1), which attenuates;
            "glorot", uniform by Glorot and Bengio's rule, as PyTorch counts fans.
        generator: where the draw comes from; None for PyTorch's global one.

    Raises:
        UserError: no coupling or no initialisation has this name.
    """
    C, H, W = shape
    shapes = {"own": (1, C, H, W), "all": (C, C, H, W), "shared": (1, 1, H, W)}
    if coupling not in shapes:
        raise UserError(f'coupling = "{coupling}" is none: choose one of {", ".join(shapes)}.')
    mean = torch.eye(C).view(C, C, 1, 1).expand(C, C, H, W) if coupling == "all" else torch.ones(shapes[coupling])
    empty = torch.empty(shapes[coupling])
    draws: dict[str, Callable[[], Tensor]] = {
        "ones": mean.clone,
        "normal": lambda: mean + DEVIATION * torch.randn(empty.shape, generator=generator),
        "uniform": lambda: empty.uniform_(-1, 1, generator=generator),
        "glorot": lambda: nn.init.xavier_uniform_(empty, generator=generator),
    }
    if init not in draws:
        raise UserError(f'init = "{init}" is none: choose one of {", ".join(draws)}.')
    return draws[init]()


def apply(
    model: nn.Module,
    *,
    kernel: str = "unsharp",
    coupling: Coupling = "own",
    init: Init = "normal",
    learns: Learns = "map",
    place: Literal["before", "after"] = "before",
    where: Literal["all", "first"] = "all",
    scale: Sequence[float] = (1.0,),
    input_shape: Sequence[int],
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Inserts Weight Map layers into a convolutional network, in place, and returns it.

    A layer follows every convolution larger than 1x1, before batch normalisation and activation, or every activation
    (`place`). The module m that it follows becomes `Sequential(layer=m, weight_map)`: load weights into the network
    before this call.

    Args:
        model: any network; it is run once, in evaluation mode, on a black image, to learn the shapes of its maps.
        kernel: one of `KERNELS`.
        coupling: "own", "all" or "shared".
        init: of the maps, see `draw`.
        learns: "map"; "kernel" (with init "ones" a depthwise convolution that starts at the kernel); "both"; "nothing"
            (with init "ones" the kernel alone; with kernel "identity" too, a constant gain of scale^2).
        place: "before" the activation or "after" it.
        where: after "all" such modules or the "first" one only.
        scale: what the initial maps are multiplied with: one number for all layers, or one for each.
        input_shape: (C, H, W) of the images.
        generator: where the maps are drawn from, in the order of the forward pass; None for the global one.

    Raises:
        UserError: a choice does not exist, there is no module to follow, one is used more than once in a forward pass
            (a map has one place), or the network cannot be run on `input_shape`.
    """
    if kernel not in KERNELS:
        raise UserError(f'kernel = "{kernel}" is none: choose one of {", ".join(KERNELS)}.')
    if learns not in ("map", "kernel", "both", "nothing"):
        raise UserError(f'learns = "{learns}" is none: choose map, kernel, both or nothing.')
    if layers(model):
        raise UserError("The network has weight maps already: apply the defense to a network without them.")
    shapes = _shapes(model, _followed(model, place), input_shape)
    names = list(shapes)[: 1 if where == "first" else None]
    if len(scale) not in (1, len(names)):
        raise UserError(f"scale has {len(scale)} numbers for {len(names)} layers: give one for each, or one for all.")
    for name, factor in zip(names, scale if len(scale) == len(names) else [scale[0]] * len(names), strict=True):
        layer = model.get_submodule(name)
        weight = factor * draw(shapes[name], coupling=coupling, init=init, generator=generator)
        entries = KERNELS[kernel].entries()
        added = WeightMap(entries, weight, coupling=coupling, learns=learns, channels=shapes[name][0])
        device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
        followed = nn.Sequential(OrderedDict(layer=layer, weight_map=added.to(device)))
        followed.training = added.training = layer.training
        model.set_submodule(name, followed)
    return model


def undecayed(model: nn.Module) -> list[nn.Parameter]:
    """The learned maps of a network: weight decay would pull them, and with them the gain, to zero."""
    return [layer.weight for layer in layers(model).values() if isinstance(layer.weight, nn.Parameter)]


class GainHistory:
    """Watches the layers' gain while a network trains: a term of the loss that is zero and keeps a history.

    Args:
        model: the network that trains.
        images: float [n, C, H, W] in [0, 1], on which the gain is measured at the end of every epoch.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self._model = model
        self._images = images

    def __call__(self, model: nn.Module) -> Tensor:
        """Zero."""
        return torch.zeros((), device=self._images.device)

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """None."""
        return ()

    def history(self) -> dict[str, float]:
        """Var(y) / Var(x) of each layer, counted from 1."""
        training = self._model.training
        before, after = deviations(self._model.eval(), self._images)
        self._model.train(training)
        gains = after.mean(1) / before.mean(1)
        return {f"gain {k}": float(gain) for k, gain in enumerate(gains, start=1)}


def regularizer(model: nn.Module, *, images: Tensor) -> GainHistory:
    """A history of the gain on the first training images, uint8 [n, C, H, W]; adds nothing to the loss."""
    return GainHistory(model, images[:WATCHED].float() / 255)


@torch.no_grad()
def deviations(model: nn.Module, images: Tensor, batch: int = 250) -> tuple[Tensor, Tensor]:
    """How far each image's map is from the mean map, before and after each Weight Map layer.

    Their means over images are the variances Var(x) and Var(y), averaged over the neurons of the layer.

    Args:
        model: a network with such layers, in evaluation mode.
        images: float [n, C, H, W] in [0, 1].
        batch: images per forward pass.

    Returns:
        Two tensors [layers, n] of mean squared deviations, before and after.
    """
    found: list[Tensor] = []

    def note(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.extend((inputs[0], output))

    def seen(part: Tensor) -> list[Tensor]:
        found.clear()
        model(part)
        return list(found)

    batches = torch.split(images, batch)
    hooks = [layer.register_forward_hook(note) for layer in layers(model).values()]
    try:
        sums = [[one.double().sum(0) for one in seen(part)] for part in batches]
        means = [torch.stack(places).sum(0) / len(images) for places in zip(*sums, strict=True)]
        squares = torch.cat([_from(means, seen(part)) for part in batches], dim=1)
    finally:
        for hook in hooks:
            hook.remove()
    return squares[0::2], squares[1::2]


def _from(means: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:
    """Mean squared deviation of every image's maps, [places, n]."""
    return torch.stack([(one - mean).square().flatten(1).mean(1) for one, mean in zip(maps, means, strict=True)])


def layers(model: nn.Module) -> dict[str, WeightMap]:
    """The Weight Map layers of a network by name, in the order of its modules."""
    return {name: module for name, module in model.named_modules() if isinstance(module, WeightMap)}


def _followed(model: nn.Module, place: str) -> list[str]:
    """Names of the modules that a layer may follow."""
    if place not in ("before", "after"):
        raise UserError(f'place = "{place}" is none: choose before or after (the activation).')

    def fits(module: nn.Module) -> bool:
        if place == "after":
            return isinstance(module, ACTIVATIONS)
        return isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1

    names = [name for name, module in model.named_modules() if name and fits(module)]
    if not names:
        kind = "activation module" if place == "after" else "convolution larger than 1x1"
        raise UserError(f"{type(model).__name__} has no {kind} inside that a weight map could follow.")
    return names


def _shapes(model: nn.Module, names: Sequence[str], input_shape: Sequence[int]) -> dict[str, tuple[int, int, int]]:
    """Shapes (C, H, W) of the outputs of those modules that give maps, in the order of the forward pass."""
    if len(input_shape) != 3:
        raise UserError(f"input_shape = {tuple(input_shape)} is not (channels, height, width): give the images' shape.")
    shapes: dict[str, tuple[int, int, int]] = {}

    def note(name: str, _module: nn.Module, _input: Any, output: Tensor) -> None:
        if output.ndim != 4:
            return
        if name in shapes:
            raise UserError(
                f'"{name}" is used more than once in a forward pass and a weight map has one place: '
                "give every use a module of its own."
            )
        shapes[name] = (output.shape[1], output.shape[2], output.shape[3])

    modules = {name: model.get_submodule(name) for name in names}
    hooks = [module.register_forward_hook(partial(note, name)) for name, module in modules.items()]
    training = {module: module.training for module in model.modules()}
    parameter = next(model.parameters(), torch.zeros(()))
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape, dtype=parameter.dtype, device=parameter.device))
    except RuntimeError as error:
        raise UserError(
            f"{type(model).__name__} cannot be run on images of shape {tuple(input_shape)} ({error}): "
            "give `input_shape` as (channels, height, width) of its images."
        ) from error
    finally:
        for module, mode in training.items():
            module.training = mode
        for hook in hooks:
            hook.remove()
    if not shapes:
        raise UserError(f"No module of {type(model).__name__} gives a map [n, C, H, W] that a weight map could follow.")
    return shapes
