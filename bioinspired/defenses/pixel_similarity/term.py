"""The term of the loss: draws pairs, sends them through the network, compares similarities with their targets.

One training step, as in the released code: the class images pass the network; k pairs are drawn, and their first and
their second images pass it as two further batches, all in training mode; one backward pass over the sum; one step over
the weights and the mixture's logits. So batch normalisation normalises each of the three batches by itself, and its
running averages, which are used in testing, see two pair batches for every class batch (`statistics`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from bioinspired.defenses.pixel_similarity.features import Mixture, check_layers, default_layers, features
from bioinspired.defenses.pixel_similarity.loss import Convention, pair_loss
from bioinspired.defenses.pixel_similarity.pairs import Pairs
from bioinspired.defenses.pixel_similarity.targets import Target, drawn, thresholded, unit_images
from bioinspired.errors import UserError

PADDING = 4  # pixels around an image before its one random crop


class PixelSimilarity:
    """The regularizer of one training: `loss = task + regularizer(model)`, its parameters joined to the optimizer.

    Args:
        images: the images that pairs are made of, uint8 [n, C, H, W], on the device. Any size that the network takes.
        labels: int64 [n]; only the target "label" uses them.
        layers: names of the modules whose outputs are compared.
        target: see `targets`.
        alpha: weight of the loss, at least 0. With 0 the pairs still pass the network, without gradient, and so still
            move the running averages of batch normalisation: a control.
        threshold: Th in (0, 1). second: the smaller threshold of "double".
        pairs: k, pairs drawn at a step.
        convention: see `loss`.
        statistics: "shared", the pairs move the running averages of batch normalisation as the class images do; or
            "separate", they leave them alone.
        generator: on the CPU, where the order of the pairs and the controls' draws come from.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        layers: Sequence[str],
        target: Target = "thresholded",
        alpha: float = 10.0,
        threshold: float = 0.8,
        second: float = 0.0,
        pairs: int = 16,
        convention: Convention = "code",
        statistics: Literal["shared", "separate"] = "shared",
        generator: torch.Generator,
    ) -> None:
        if not 0 < threshold < 1 or not 0 <= second <= threshold:
            raise UserError(f"threshold = {threshold}, second = {second}: give 0 < threshold < 1 and second below it.")
        if alpha < 0 or pairs < 2:
            raise UserError(f"alpha = {alpha}, pairs = {pairs}: give an alpha of at least 0 and at least two pairs.")
        self._images, self._labels = images, labels.cpu()
        self._layers = tuple(layers)
        self._target, self._threshold = target, threshold
        self._alpha, self._k = alpha, pairs
        self._convention, self._statistics = convention, statistics
        self._units = unit_images(images).cpu()
        self._pairs = Pairs(
            self._units, lambda cosine: drawn(target, cosine, threshold=threshold, second=second), generator
        )
        self._generator = generator
        self._others = torch.randperm(len(images), generator=generator)
        self._mixture = Mixture(len(self._layers)).to(images.device)
        self._begin()

    def parameters(self) -> Iterator[nn.Parameter]:
        """The logits of the mixture."""
        return self._mixture.parameters()

    def __call__(self, model: nn.Module) -> Tensor:
        """alpha * L_sim of the next pairs, a scalar; the model takes images in [0, 1]."""
        i, j = self._pairs.draw(self._k)
        target = self._wanted(i, j)
        device = self._images.device
        with torch.set_grad_enabled(self._alpha > 0), _statistics(model, self._statistics):
            first, second = (features(model, self._batch(chosen.to(device)), self._layers) for chosen in (i, j))
            with torch.autocast(device.type, enabled=False):  # similarities near 1 need their last digits
                loss = pair_loss(self._mixture(first, second), target.to(device), self._convention)
        self._sum += loss.detach()
        self._plus += int((target == 1).sum())
        self._minus += int((target == -1).sum())
        self._calls += 1
        return self._alpha * loss

    def history(self) -> dict[str, float]:
        """Of the epoch that ends: the mean of L_sim, percent of drawn pairs of target +1 and -1, and gamma by layer."""
        drawn_pairs = max(self._calls * self._k, 1)
        out = {
            "similarity_loss": float(self._sum) / max(self._calls, 1),
            "percent_plus": 100 * self._plus / drawn_pairs,
            "percent_minus": 100 * self._minus / drawn_pairs,
        }
        weights = self._mixture.weights.tolist()
        self._begin()
        return out | {f"layer_weight_{number}": weight for number, weight in enumerate(weights, start=1)}

    def _begin(self) -> None:
        self._pairs.restart()
        self._sum = torch.zeros((), device=self._images.device)
        self._plus = self._minus = self._calls = 0

    def _batch(self, chosen: Tensor) -> Tensor:
        return self._images[chosen].to(torch.float32, memory_format=torch.channels_last) / 255

    def _wanted(self, i: Tensor, j: Tensor) -> Tensor:
        """The targets [k] of pairs."""
        if self._target == "label":
            return (self._labels[i] == self._labels[j]).float()
        if self._target == "shuffled":
            i, j = self._others[i], self._others[j]
        if self._target == "random":
            i, j = self._pairs.any(len(i))
        cosine = (self._units[i] * self._units[j]).sum(1)
        return cosine if self._target == "pixel" else thresholded(cosine, self._threshold)


def regularizer(
    model: nn.Module,
    *,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    target: Target = "thresholded",
    alpha: float = 10.0,
    threshold: float = 0.8,
    second: float = 0.0,
    source: Tensor | None = None,
    count: int = 5000,
    pairs: int = 16,
    layers: Sequence[str] = (),
    crop_flip: bool = False,
    convention: Convention = "code",
    statistics: Literal["shared", "separate"] = "shared",
) -> PixelSimilarity:
    """The regularizer of a network's training; beside the arguments of `PixelSimilarity`:

    Args:
        model: the network, from images in [0, 1] to logits.
        images, labels: the training images, uint8 [n, C, H, W], of which the first `count` make the pairs.
        source: other images to make the pairs of, uint8 [n, C, H, W] of any size that the network takes.
        generator: on any device; it advances by one draw.
        count: N; all images where there are fewer.
        layers: names of modules; none for those of a residual network that the paper compares.
        crop_flip: crop (4 pixels, mirrored at the border) and flip each image once, before anything is computed.

    Raises:
        UserError: a value out of range, or a layer that the model does not have.
    """
    names = tuple(layers) or default_layers(model)
    check_layers(model, names)
    if count < 2:
        raise UserError(f"count = {count} images make no pairs: give at least 2.")
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    generator = torch.Generator().manual_seed(int(seed))  # pairs are drawn on the CPU, whatever the device
    if source is not None and target == "label":
        raise UserError('The target "label" compares labels of the training images: leave `source` out.')
    chosen = (images if source is None else source)[:count]
    if crop_flip:
        chosen = cropped(chosen, generator)
    return PixelSimilarity(
        chosen,
        labels[:count],
        layers=names,
        target=target,
        alpha=alpha,
        threshold=threshold,
        second=second,
        pairs=pairs,
        convention=convention,
        statistics=statistics,
        generator=generator,
    )


def cropped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to four pixels, its border mirrored, and every second one flipped: the same shape."""
    n, _, H, W = images.shape
    padded = nn.functional.pad(images.float(), (PADDING,) * 4, mode="reflect").to(images.dtype)
    corners = torch.randint(2 * PADDING + 1, (n, 2), generator=generator).tolist()
    flips = (torch.rand(n, generator=generator) < 0.5).tolist()
    out = [image[:, top : top + H, left : left + W] for image, (top, left) in zip(padded, corners, strict=True)]
    return torch.stack([image.flip(2) if flip else image for image, flip in zip(out, flips, strict=True)])


@contextmanager
def _statistics(model: nn.Module, kind: Literal["shared", "separate"]) -> Iterator[None]:
    """Keeps the running averages of batch normalisation as they are when "separate"."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    if kind == "shared" or not model.training:
        norms = []
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
