"""The whole model: a threshold or none, the denoiser, the internal models, and the rule that decides."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from bioinspired.defenses.classes import classes_of
from bioinspired.defenses.dim.denoisers import Convolutional, Dense
from bioinspired.defenses.dim.ensemble import ConvolutionalModels, InternalModels
from bioinspired.defenses.thresholds import Threshold
from bioinspired.errors import UserError


class DenoisedInternalModels(nn.Module):
    """Images [n, C, H, W] in [0, 1] to logits -s e_c, with e_c the mean squared error of class c's model.

    Attributes:
        denoiser: None leaves images as they are.
        models: the internal models.
        scale: per class, what its error is divided by (one, unless it was fitted).
    """

    scale: Tensor

    def __init__(
        self,
        denoiser: Dense | None,
        models: InternalModels,
        *,
        reads: str,
        target: str,
        threshold: Threshold | None,
        test_noise: float,
        logit_scale: float,
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.denoiser = denoiser
        self.models = models
        self.register_buffer("scale", torch.ones(models.classes))
        self.reads = reads
        self.target = target
        self.test_noise = test_noise
        self.logit_scale = logit_scale

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        if self.test_noise and not self.training:
            x = x + self.test_noise * torch.randn_like(x)  # not clipped: a clip would stop gradients
        return -self.logit_scale * self.errors(x) / self.scale

    def errors(self, x: Tensor) -> Tensor:
        """Mean squared error of every class's model, [n, classes]."""
        read, target = self.prepared(x)
        made: Tensor = self.models(read)
        return (made - target).square().mean(2).T

    def prepared(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the internal models read and what they should give, both [n, size]."""
        if self.threshold is not None:
            x = self.threshold(x)
        raw = x.flatten(1)
        if self.denoiser is None or self.reads == "raw":
            read = raw
        elif self.reads == "code":
            read = self.denoiser.encoder(x)
        else:
            read = self.denoiser(x).flatten(1)
        return read, raw if self.target == "raw" else read

    def denoised(self, x: Tensor) -> Tensor:
        """The denoiser's image, [n, C, H, W]; the image itself where there is none."""
        if self.threshold is not None:
            x = self.threshold(x)
        return x if self.denoiser is None else self.denoiser(x)


def apply(
    model: nn.Module,
    *,
    input_shape: tuple[int, int, int],
    generator: torch.Generator,
    reads: str = "image",
    target: str = "read",
    denoiser: str = "dense",
    denoiser_widths: tuple[int, ...] = (512, 64),
    models: str = "dense",
    model_widths: tuple[int, ...] = (128, 10),
    sparsity: str = "none",
    winners: int = 3,
    binarized: str = "no",
    test_noise: float = 0.0,
    logit_scale: float = 100.0,
) -> nn.Module:
    """Replaces a network by an untrained model for the same images and classes.

    Args:
        model: with the parts `normalize` and `network`; its weights are not used. Images must reach it in [0, 1]:
            where it normalises them, that part is dropped.
        input_shape: of an image, [C, H, W].
        generator: where initial weights come from.
        reads: what the internal models are given: the denoised "image", the denoiser's "code", or the "raw" image.
        target: what their error is measured against: what they "read", or the "raw" image.
        denoiser: "dense", "conv" or "none". denoiser_widths: of its encoder, the code last; "conv" uses the last only.
        models: the internal models, "dense" or "conv" (see `ensemble.ConvolutionalModels`).
        model_widths: of the internal models' encoders, the code last; "conv" uses the last only.
        sparsity: "winners" keeps the `winners` largest values of a code, "kl" gives codes in (0, 1); "l1" and "kl" act
            in training.
        binarized: "before" the denoiser at 0.5, "inside" it by a steep output, or "no".
        test_noise: standard deviation of Gaussian noise on every image in use; 0 for a deterministic model.
        logit_scale: s, which changes no answer.

    Raises:
        UserError: the choices do not fit together.
    """
    if denoiser == "none" and reads == "code":
        raise UserError("Without a denoiser there is no code to read: let the internal models read the image.")
    if denoiser == "conv" and (input_shape[1] % 4 or input_shape[2] % 4):
        raise UserError("A convolutional denoiser halves images twice: give images whose sides are divisible by 4.")
    if models == "conv" and (reads == "code" or input_shape != (1, 28, 28)):
        raise UserError(
            "Convolutional internal models read gray images of 28 x 28: give such images, and let them read the image."
        )
    if not (denoiser_widths and model_widths):
        raise UserError("Denoiser and internal models need at least one width each: that of the code.")
    classes = classes_of(model, input_shape)
    size = input_shape[0] * input_shape[1] * input_shape[2]
    read = denoiser_widths[-1] if reads == "code" else size
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        families = {"dense": Dense, "conv": Convolutional}
        first = None
        if denoiser != "none":
            first = families[denoiser](input_shape, denoiser_widths, steep=binarized == "inside")
        kinds = {"dense": InternalModels, "conv": ConvolutionalModels}
        internal = kinds[models](
            classes,
            read,
            size if target == "raw" else read,
            model_widths,
            sigmoid=reads != "code" or target == "raw",
            winners=winners if sparsity == "winners" else None,
            bounded=sparsity == "kl",
        )
    made = DenoisedInternalModels(
        first,
        internal,
        reads=reads,
        target=target,
        threshold=Threshold(0.5, training=True) if binarized == "before" else None,
        test_noise=test_noise,
        logit_scale=logit_scale,
    )
    return nn.Sequential(OrderedDict(normalize=nn.Identity(), network=made))
