"""A threshold on pixels, differentiated as if it were the identity."""

from torch import Tensor, nn


class Threshold(nn.Module):
    """x >= threshold, as 0 or 1; the gradient passes as through the identity.

    The true derivative is zero almost everywhere, which stops every attack that needs one; with the identity in its
    place an attacker who knows of the threshold gets what the network behind it says.

    Args:
        threshold: in [0, 1].
        training: whether it works in training too, or lets the images pass.
    """

    def __init__(self, threshold: float, *, training: bool) -> None:
        super().__init__()
        self.threshold = threshold
        self.in_training = training

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, ...] to the same shape."""
        if self.training and not self.in_training:
            return x
        hard = (x >= self.threshold).to(x)
        return hard + (x - x.detach())  # the difference is zero, exactly, and carries the gradient

    def extra_repr(self) -> str:
        """The threshold."""
        return f"{self.threshold:g}"
