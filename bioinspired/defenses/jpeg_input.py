"""The undefended network behind JPEG: a weak defense that every stronger one has to beat.

JPEG works in use only. In training images pass it, so that the weights are those of the undefended network of the same
seed. Its rounding has a derivative of zero almost everywhere; the gradient passes as through the identity, which is
what an attacker who knows of it would do (BPDA, arXiv 1802.00420).
"""

from torch import Tensor, nn

from bioinspired.corruptions.digital import jpeg
from bioinspired.defenses.front import in_front
from bioinspired.errors import UserError


class Compressed(nn.Module):
    """Images in [0, 1], grey or in colour, as JPEG at a quality leaves them; the gradient is the identity's."""

    def __init__(self, quality: int) -> None:
        super().__init__()
        self.quality = quality

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, H, W] with one channel or three, to the same shape."""
        if self.training:
            return x
        left = jpeg(x.detach().expand(-1, 3, -1, -1), self.quality, None)[:, : x.shape[1]].clamp(0, 1)
        return left + (x - x.detach())  # the difference is zero, exactly, and carries the gradient

    def extra_repr(self) -> str:
        """The quality."""
        return str(self.quality)


def apply(model: nn.Module, *, quality: int = 75) -> nn.Module:
    """Puts JPEG before the network.

    Raises:
        UserError: the quality is not from 1 to 100.
    """
    if not 1 <= quality <= 100:
        raise UserError(f"JPEG has qualities from 1 to 100, not {quality}.")
    return in_front(model, jpeg=Compressed(quality))
