r"""Defective convolution: neurons that say the same to every image (Luo et al., arXiv 1911.08432 and 2007.14249).

A convolution's output is a map of neurons, C channels of H x W positions. Before training, choose some of them at
random, once and for all, and cut them off from the image: a *defective neuron* is a constant function. Let

    z = BN(W * x)                      the normalised pre-activation, shape C x H x W
    M in {0, 1}^(C x H x W)            the mask of the layer, drawn once, the same for every image

Then the layer computes (arXiv 2007.14249, section 2)

    y = ReLU( M (.) z )

with (.) the elementwise product. Where M = 0 the output is ReLU(0) = 0 whatever the image. With a constant c instead
of 0, the product becomes M (.) z + (1 - M) c.

Four points decide what the method is; where the text leaves one open, the authors' released code settles it:

- *The mask is fixed.* It is the same in training and in use, and nothing is rescaled, unlike dropout, which draws anew
  for each image and compensates.
- *Exact count.* With keep probability p, exactly int((1 - p) C H W) neurons of the layer are defective, drawn over the
  whole layer without replacement, so the number within one channel is hypergeometric. Weights stay shared over
  positions, but a channel's filter is now read at an irregular set of positions, other ones in each channel: the layer
  above can no longer rely on smooth local statistics (texture) and is thought to use larger structure (shape). One mask
  shared by all channels (`shared`), or channels that are defective as a whole (`channels`), are the controls for that.
- *After normalisation, before ReLU.* The statistics of batch normalisation are those of the unmasked z.
- *On the branch of a residual block.* A block computes ReLU(f(x) + s(x)). The second mask acts on the branch f before
  the addition. Where the shortcut s is a projection, its normalised output is masked too; where it is the identity it
  is not, so after the addition a "defective" position carries ReLU(s(x)) and is *not* constant. Masking the sum instead
  (`after_addition`) is a different network.

The bottom of a network means its stem and first two stages, the top the rest. In a bottleneck block only the 3x3
convolution is masked; in a VGG a stage is what lies between two poolings.
"""

from collections import OrderedDict
from collections.abc import Sequence
from fractions import Fraction
from types import UnionType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bioinspired.errors import UserError

When = Literal["always", "training", "evaluation"]

Norm = nn.BatchNorm2d | nn.SyncBatchNorm


class Defect(nn.Module):
    """Replaces the neurons where `mask` is False by a constant: z -> M (.) z + (1 - M) c.

    The mask [1, C, H, W] is a buffer: it is saved with the weights and moves with the module.

    Args:
        mask: bool [1, C, H, W]; the module keeps its own copy.
        constant: c, what a defective neuron emits.
        when: masks are on always, in training mode only, or in evaluation mode only.
        scale: what the surviving neurons are multiplied with while the mask is on.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, *, constant: float = 0.0, when: When = "always", scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("mask", mask.clone(memory_format=torch.contiguous_format))
        self.constant = constant
        self.when = when
        self.scale = scale

    def forward(self, z: Tensor) -> Tensor:
        """[n, C, H, W] to the same shape."""
        if self.when == ("evaluation" if self.training else "training"):
            return z
        if z.shape[1:] != self.mask.shape[1:]:
            raise UserError(
                f"A mask made for {_text(self.mask)} neurons met a map of {_text(z)}: "
                "apply the defense with the `input_shape` of the images that the network is given."
            )
        if self.scale != 1:
            z = z * self.scale
        return torch.where(self.mask, z, self.constant)

    def extra_repr(self) -> str:
        """Shape, defective neurons, and what departs from the defaults."""
        text = f"{_text(self.mask)}, {int((~self.mask).sum())} defective"
        text += f", constant={self.constant:g}" if self.constant else ""
        return text + (f", in {self.when} only" if self.when != "always" else "")


def draw(
    shape: Sequence[int],
    *,
    keep: float,
    shared: bool = False,
    channels: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A mask, bool [1, C, H, W], with exactly int((1 - keep) C H W) False entries, drawn without replacement.

    The same generator state gives nested masks: what survives a smaller `keep` survives a larger one.

    Args:
        shape: (C, H, W).
        keep: share of neurons that survive, in (0, 1]; read as the decimal it prints as, so 0.9 leaves out one tenth.
        shared: one mask of H x W positions for all channels, with int((1 - keep) H W) False entries.
        channels: whole channels survive or not, int((1 - keep) C) of them not.
        generator: where the draw comes from; None for PyTorch's global one.
    """
    C, H, W = shape
    positions = H * W if shared else C if channels else C * H * W
    defective = int((1 - Fraction(str(keep))) * positions)
    mask = torch.ones(positions, dtype=torch.bool)
    device = "cpu" if generator is None else generator.device
    mask[torch.randperm(positions, generator=generator, device=device)[:defective].cpu()] = False
    shape = (1, 1, H, W) if shared else (1, C, 1, 1) if channels else (1, C, H, W)
    return mask.view(shape).expand(1, C, H, W).clone()


def apply(
    model: nn.Module,
    *,
    keep: float,
    where: Literal["bottom", "top", "both"] | Sequence[str] = "bottom",
    input_shape: Sequence[int],
    shared: bool = False,
    channels: bool = False,
    constant: float = 0.0,
    after_addition: bool = False,
    train_only: bool = False,
    test_only: bool = False,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Gives a network defective neurons, in place, and returns it.

    ResNets and VGGs with batch normalisation and torchvision's module names are known by their stages; of any other
    network name the modules, for instance its `BatchNorm2d`s. A masked module m becomes `Sequential(layer=m, defect)`:
    load weights into the network before this call.

    Args:
        model: a network; it is run once, in evaluation mode, on a black image, to learn the shapes of its maps.
        keep: share of neurons that survive in each masked layer, in (0, 1].
        where: "bottom" (stem, stages 1 and 2), "top" (the later stages), "both", or names of modules whose output
            [n, C, H, W] is masked.
        input_shape: (C, H, W) of the images.
        shared: one mask for all channels of a layer.
        channels: whole channels are defective (the "channels" rows of arXiv 2007.14249, table 2).
        constant: what a defective neuron emits.
        after_addition: in each residual block mask the sum of branch and shortcut (behind its ReLU, where a defective
            neuron then emits the constant itself) instead of the branch and the projection.
        train_only: no masks in evaluation mode (a control).
        test_only: no masks in training mode; in evaluation mode what survives is multiplied by 1 / keep (a control).
        generator: where the masks are drawn from, in the order of the network's modules; None for the global one.

    Raises:
        UserError: `keep` is not in (0, 1]; the network has no stages or no batch normalisation that this function
            knows; a name is not of a module; a map is not [n, C, H, W]; the network cannot be run on `input_shape`;
            a chosen layer has a mask already; or two options exclude each other.
    """
    if not 0 < keep <= 1:
        raise UserError(f"keep = {keep} is not a share of neurons: give a number above 0 and at most 1.")
    if train_only and test_only:
        raise UserError("train_only and test_only exclude each other: without either, the masks are always on.")
    if shared and channels:
        raise UserError("shared and channels exclude each other: a mask is alike in all channels, or all of a channel.")
    names = places(model, where, after_addition) if isinstance(where, str) else _named(model, where, after_addition)
    shapes = _shapes(model, names, input_shape)
    when: When = "training" if train_only else "evaluation" if test_only else "always"
    scale = 1 / keep if test_only else 1.0
    masks = {
        name: draw(shapes[name], keep=keep, shared=shared, channels=channels, generator=generator) for name in names
    }
    for name in sorted(names, key=lambda name: -name.count(".")):  # inner modules first: outer names stay valid
        layer = model.get_submodule(name)
        defect = Defect(masks[name], constant=constant, when=when, scale=scale).to(_device(layer))
        masked = nn.Sequential(OrderedDict(layer=layer, defect=defect))
        masked.training = defect.training = layer.training
        model.set_submodule(name, masked)
    return model


def places(model: nn.Module, where: str, after_addition: bool = False) -> list[str]:
    """Names of the modules to mask in a network whose stages are known, in its own order.

    Args:
        model: a ResNet or VGG with torchvision's module names, or a network that holds one.
        where: "bottom", "top" or "both".
        after_addition: as in `apply`.

    Raises:
        UserError: another place, or a network whose stages are not known.
    """
    if where not in ("bottom", "top", "both"):
        raise UserError(f'where = "{where}" is no place: choose bottom, top, both, or give a list of module names.')
    for prefix, network in model.named_modules():
        if all(isinstance(getattr(network, f"layer{k}", None), nn.Sequential) for k in (1, 2, 3, 4)):
            bottom, top = _resnet(network, after_addition)
        elif isinstance(features := getattr(network, "features", None), nn.Sequential) and _is_plain(features):
            if after_addition:
                raise UserError("after_addition is for networks with residual blocks: this one adds nothing.")
            bottom, top = _vgg(features)
        else:
            continue
        chosen = {"bottom": bottom, "top": top, "both": bottom + top}[where]
        names = [f"{prefix}.{name}" if prefix else name for name in chosen]
        for name in names:
            is_block = after_addition and not name.endswith("bn1")
            _check(model, name, nn.Module if is_block else Norm)
        return names
    raise UserError(
        f"{type(model).__name__} has no stages that are known here (layer1 to layer4, or plain features): "
        "give `where` as a list of the modules to mask."
    )


def _resnet(network: nn.Module, after_addition: bool) -> tuple[list[str], list[str]]:
    """What to mask in the stem and stages 1 and 2; in stages 3 and 4."""
    stages = [["bn1"]]
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        names: list[str] = []
        for k, block in network.get_submodule(stage).named_children():
            bottleneck = hasattr(block, "bn3")
            if bottleneck and after_addition:
                raise UserError("after_addition is for basic blocks: a bottleneck has no mask before its addition.")
            if bottleneck:
                names.append(f"{stage}.{k}.bn2")  # the 3x3 convolution's
            elif after_addition:
                names += [f"{stage}.{k}.bn1", f"{stage}.{k}"]
            else:
                names += [f"{stage}.{k}.bn1", f"{stage}.{k}.bn2", *_projection(block, f"{stage}.{k}")]
        stages.append(names)
    return stages[0] + stages[1] + stages[2], stages[3] + stages[4]


def _projection(block: nn.Module, prefix: str) -> list[str]:
    """The normalisation that ends the shortcut, whatever the shortcut is called; none where it is the identity."""
    shortcuts = [(name, child) for name, child in block.named_children() if isinstance(child, nn.Sequential)]
    return [
        f"{prefix}.{name}.{len(child) - 1}" for name, child in shortcuts if len(child) and isinstance(child[-1], Norm)
    ]


def _is_plain(features: nn.Sequential) -> bool:
    """Whether this is a VGG's list of layers, and not a list of blocks."""
    return all(not list(layer.children()) or _is_masked(layer) for layer in features)


def _vgg(features: nn.Sequential) -> tuple[list[str], list[str]]:
    """What to mask before the second pooling; after it."""
    stages: list[list[str]] = [[]]
    for k, layer in enumerate(features):
        if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            stages.append([])
        elif isinstance(layer, nn.Conv2d):  # what follows it has to be its normalisation
            stages[-1].append(f"features.{k + 1}")
    return [name for stage in stages[:2] for name in stage], [name for stage in stages[2:] for name in stage]


def _check(model: nn.Module, name: str, kinds: type[nn.Module] | UnionType) -> None:
    """Raises UserError unless the module is there, of one of these kinds, and without a mask."""
    try:
        module = model.get_submodule(name)
    except AttributeError:
        raise UserError(
            f'{type(model).__name__} has no module "{name}": give `where` as a list of names out of `named_modules()`.'
        ) from None
    if _is_masked(module):
        raise UserError(f'"{name}" has a mask already: apply the defense to a network without it.')
    if not isinstance(module, kinds):
        raise UserError(
            f'"{name}" is a {type(module).__name__}, but the masks belong behind batch normalisation: use a variant of '
            "the network with it, or give `where` as a list of the modules to mask."
        )


def _is_masked(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and len(module) > 0 and isinstance(module[-1], Defect)


def _named(model: nn.Module, where: Sequence[str], after_addition: bool) -> list[str]:
    """The modules that the caller named."""
    names = list(where)
    if after_addition:
        raise UserError(
            'after_addition needs a `where` of "bottom", "top" or "both": named modules are masked as named.'
        )
    if not names or "" in names or len(set(names)) < len(names):
        raise UserError("`where` must name at least one module, none of them twice, and not the network itself.")
    for name in names:
        _check(model, name, nn.Module)
    return names


def _shapes(model: nn.Module, names: Sequence[str], input_shape: Sequence[int]) -> dict[str, tuple[int, int, int]]:
    """Shapes (C, H, W) of the modules' outputs."""
    if len(input_shape) != 3:
        raise UserError(f"input_shape = {tuple(input_shape)} is not (channels, height, width): give the images' shape.")
    shapes: dict[str, tuple[int, int, int]] = {}

    def note(name: str, output: Any) -> None:
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        if len(shape) != 3 or shapes.get(name, shape) != shape:
            raise UserError(f'"{name}" does not give one map [n, C, H, W]: name a convolution or its normalisation.')
        shapes[name] = shape

    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _module, _input, output, name=name: note(name, output))
        for name in names
    ]
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
    for name in names:
        if name not in shapes:
            raise UserError(f'"{name}" takes no part in the forward pass: name modules that do.')
    return shapes


def _device(layer: nn.Module) -> torch.device:
    return next((tensor.device for tensor in layer.parameters()), torch.device("cpu"))


def _text(mask: Tensor) -> str:
    return "x".join(str(length) for length in mask.shape[1:])
