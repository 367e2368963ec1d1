"""What an attack returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Result:
    """The outcome of an attack on n images; every tensor lies on the images' device.

    Attributes:
        x_adv: [n, ...], the image the attack settled on, inside the ball and inside [0, 1].
        success: bool [n], whether the label is not the strictly largest logit at x_adv (a tie is a wrong answer).
        forwards: int64 [n], how often the model was shown each image's iterates, those that fill up a batch included,
            so that the sum is the number of images the model has seen.
        backwards: int64 [n], how many of those passes were also differentiated.
    """

    x_adv: Tensor
    success: Tensor
    forwards: Tensor
    backwards: Tensor
