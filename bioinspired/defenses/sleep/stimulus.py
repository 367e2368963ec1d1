"""What a sleeping network is shown: one frame a step, made from the training images without their labels."""

from typing import Literal

import torch
from torch import Tensor

MASK = 11  # pixels a side; the later code's window is called 10 and writes 11

Source = Literal["images", "mean", "masked", "shuffled", "noise"]


def frames(images: Tensor, source: Source, begin: int, end: int, *, generator: torch.Generator) -> Tensor:
    """The frames of the steps from `begin` to before `end`, [steps, C * H * W] in [0, 1].

    Args:
        images: uint8 [n, C, H, W], in the order of the data set's file.
        source: "images": the t-th training image at step t, from the first again after the last (released code for
            this paper). "mean": the mean of all. "masked": the mean through a square window at a random place (the
            same authors' code of 2022). Two controls of equal rate: "shuffled": the images with their pixels in a new
            random order each step; "noise": every pixel at the mean of all images.
        begin, end: steps, counted from 0.
        generator: where random frames come from; on the images' device.
    """
    steps = end - begin
    if source in ("images", "shuffled"):
        turn = torch.arange(begin, end, device=images.device) % len(images)
        shown = images[turn].flatten(1).float() / 255
        if source == "images":
            return shown
        return shown.gather(1, torch.rand(shown.shape, generator=generator, device=images.device).argsort(1))
    mean = images.float().mean(0) / 255
    if source == "noise":
        mean = mean.mean().expand_as(mean)
    if source == "masked":
        H, W = mean.shape[1:]
        row = torch.randint(max(H - MASK, 0) + 1, (steps, 1), generator=generator, device=images.device)
        column = torch.randint(max(W - MASK, 0) + 1, (steps, 1), generator=generator, device=images.device)
        y, x = torch.arange(H, device=images.device) - row, torch.arange(W, device=images.device) - column
        window = ((y >= 0) & (y < MASK))[:, None, :, None] & ((x >= 0) & (x < MASK))[:, None, None, :]
        return (mean * window).flatten(1)
    return mean.flatten().expand(steps, -1)
