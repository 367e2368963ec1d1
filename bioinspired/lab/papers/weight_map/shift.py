"""Images moved by a few pixels: a layer that has a weight for every position does not move with them."""

import torch.nn.functional as F
from torch import Tensor

from bioinspired.attacks.predictions import correct
from bioinspired.lab.measurements.outcome import Asked, Outcome, bits
from bioinspired.lab.papers.weight_map.declarations import Shift


def ask(question: Shift, asked: Asked) -> Outcome:
    """Which images are right in each direction; "correct" where in all four."""
    k = question.pixels
    moves = {"up": (0, -k), "down": (0, k), "left": (-k, 0), "right": (k, 0)}
    right = {name: correct(asked.model, moved(asked.images, *by), asked.labels) for name, by in moves.items()}
    everywhere = right["up"] & right["down"] & right["left"] & right["right"]
    return Outcome(bits={"correct": bits(everywhere)} | {name: bits(one) for name, one in right.items()}, forwards=4)


def moved(images: Tensor, across: int, down: int) -> Tensor:
    """Images [n, C, H, W] moved right by `across` and down by `down` pixels; what comes in is black."""
    return F.pad(images, (across, -across, down, -down))
