"""Thresholds on pixels and steps that are nearly one, differentiated as if they were smoother."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from bioinspired.errors import UserError


class Threshold(nn.Module):
    """x >= threshold, as 0 or 1; the gradient passes as through the identity, or as through a sigmoid.

    The true derivative is zero almost everywhere, which stops every attack that needs one; with another in its place an
    attacker who knows of the threshold gets what the network behind it says.

    Args:
        threshold: in [0, 1].
        training: whether it works in training too, or lets the images pass.

    Attributes:
        width: of the sigmoid((x - threshold) / width) that stands for it in the backward pass; None is the identity.
    """

    def __init__(self, threshold: float, *, training: bool) -> None:
        super().__init__()
        self.threshold = threshold
        self.in_training = training
        self.width: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, ...] to the same shape."""
        if self.training and not self.in_training:
            return x
        hard = (x >= self.threshold).to(x)
        smooth = x if self.width is None else ((x - self.threshold) / self.width).sigmoid()
        return hard + (smooth - smooth.detach())  # the difference is zero, exactly, and carries the gradient

    def extra_repr(self) -> str:
        """The threshold."""
        return f"{self.threshold:g}"


class Steep(nn.Module):
    """A steep sigmoid(x / steepest): nearly a step at 0, whose gradient vanishes on both sides.

    Args:
        steepest: its width, in units of x.

    Attributes:
        width: of the sigmoid that stands for it in the backward pass; None is its own.
    """

    def __init__(self, steepest: float) -> None:
        super().__init__()
        self.steepest = steepest
        self.width: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Values [n, ...] to [0, 1], the same shape."""
        sharp = (x / self.steepest).sigmoid()
        if self.width is None:
            return sharp
        smooth = (x / self.width).sigmoid()
        return sharp.detach() + (smooth - smooth.detach())

    def extra_repr(self) -> str:
        """The width."""
        return f"{self.steepest:g}"


@contextmanager
def differentiated(model: object, width: float) -> Iterator[None]:
    """Inside, thresholds and steep steps of a model are differentiated as sigmoids of this width, in units of their x.

    Raises:
        UserError: the model has neither.
    """
    parts = model.modules() if isinstance(model, nn.Module) else ()
    found = [part for part in parts if isinstance(part, Threshold | Steep)]
    if not found:
        raise UserError("The model has no threshold whose gradient could be another: leave `widths` out.")
    before = [part.width for part in found]
    try:
        for part in found:
            part.width = width
        yield
    finally:
        for part, was in zip(found, before, strict=True):
            part.width = was
