"""The baselines that the sleep paper compares with, as its released code makes them: more training of the same network.

Fine-tuning: the first 5,000 training images are replaced by changed ones, and all images are shown for two more epochs
at half the rate. "fgsm" changes them by the network's own gradient sign, every pixel by a step of its own, uniform
between 0 and `level`, clipped; "noise" by Gaussian noise of the variance `level`; "blur" by a sigma of `level` pixels.

Defensive distillation at the temperature 50, from the same weights. "distillation as coded": the code's assignment that
would switch the output layer to a softmax is mistyped, so the output stays a ReLU with a squared error and the
temperature has no effect; the targets are the network's own outputs, made with dropout on. What is left is two epochs
of self-training. "distillation": what the assignment seems to mean. Two epochs with the softmax at the temperature on
the labels, then two from there on the network's own answers, made without dropout; the error at the output is softmax
minus target, without the factor 1 / 50, as the toolbox has it for a softmax.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from bioinspired.corruptions.matlab import blurred, noisy
from bioinspired.networks.mlp import Output, rectified

MOMENTUM = 0.5
RATE, TUNING_RATE = 0.1, 0.05
TEMPERATURE = 50.0
PART = 2_000  # images per forward pass where nothing is learned

Error = Callable[[Tensor, Tensor], Tensor]
"""From scores and targets, both [n, classes], to the loss of the batch."""


def after(
    model: nn.Module,
    *,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    method: Literal["distillation as coded", "distillation", "fgsm", "noise", "blur"],
    changed: int,
    level: float,
    epochs: int,
    batch: int,
) -> tuple[nn.Module, dict[str, list[float]]]:
    """Trains a trained network further, in place.

    Args:
        model: images in [0, 1] to scores; in training mode their ReLU (`networks.mlp`).
        images, labels: the training images, uint8 [n, C, H, W], and labels [n].
        generator: where all randomness but dropout's comes from.
        method: as above.
        changed: how many of the first images fine-tuning changes.
        level: of the change; distillation has none.
        epochs: of each training; 2 as released. batch: 100 as released.

    Returns:
        The model, and "retraining_loss", a number per epoch.
    """
    model.requires_grad_(True)
    classes = model(images[:1].float() / 255).shape[1]
    wanted = nn.functional.one_hot(labels, classes).float()
    x = images.float() / 255
    training = _Training(model, x, epochs, batch, generator)
    if method == "distillation as coded":
        losses = training.run(_outputs(model.train(), x), _squared, RATE)
    elif method == "distillation":
        outputs = [module for module in model.modules() if isinstance(module, Output)]
        losses = training.run(wanted, _softened, RATE, in_use=outputs)
        answers = (_outputs(model.eval(), x) / TEMPERATURE).softmax(1)
        losses += training.run(answers, _softened, RATE, in_use=outputs)
    else:
        first = min(changed, len(x))
        x[:first] = _changed(model.eval(), x[:first], wanted[:first], method, level, generator)
        losses = training.run(wanted, _squared, TUNING_RATE)
    return model.eval(), {"retraining_loss": losses}


def fgsm_sign(model: Callable[[Tensor], Tensor], x: Tensor, wanted: Tensor) -> Tensor:
    """The sign of the gradient of the released code's loss at the images.

    That is half the squared distance from the ReLU of the scores to the target, the ReLU's derivative left out.

    Args:
        model: images to scores, in evaluation mode.
        x: images [n, ...]. wanted: one-hot targets [n, classes].
    """
    point = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad((rectified(model(point)) - wanted).square().sum() / 2, point)
    return slope.sign()


def _changed(
    model: nn.Module, x: Tensor, wanted: Tensor, method: str, level: float, generator: torch.Generator
) -> Tensor:
    if method == "noise":
        return noisy(x, level, generator)
    if method == "blur":
        return blurred(x, level)
    signs = torch.cat(
        [fgsm_sign(model, *part) for part in zip(torch.split(x, PART), torch.split(wanted, PART), strict=True)]
    )
    steps = level * torch.rand(x.shape, generator=generator, device=x.device)
    return (x + steps * signs).clamp(0, 1)


@dataclass(frozen=True)
class _Training:
    """What all trainings of one call share."""

    model: nn.Module
    x: Tensor
    epochs: int
    batch: int
    generator: torch.Generator

    def run(self, targets: Tensor, error: Error, rate: float, in_use: Sequence[nn.Module] = ()) -> list[float]:
        """Trains on; gives the mean loss of each epoch. The modules `in_use` stay in evaluation mode."""
        self.model.train()
        for module in in_use:
            module.eval()
        optimizer = torch.optim.SGD(self.model.parameters(), lr=rate, momentum=MOMENTUM)
        losses = []
        for _ in range(self.epochs):
            total, batches = 0.0, len(self.x) // self.batch
            order = torch.randperm(len(self.x), generator=self.generator, device=self.x.device)
            for chosen in torch.split(order[: batches * self.batch], self.batch):
                loss = error(self.model(self.x[chosen]), targets[chosen])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += float(loss.detach())
            losses.append(total / batches)
        return losses


@torch.no_grad()
def _outputs(model: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([model(part) for part in torch.split(x, PART)])


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum(1).mean() / 2


def _softened(outputs: Tensor, targets: Tensor) -> Tensor:
    return TEMPERATURE * nn.functional.cross_entropy(outputs / TEMPERATURE, targets)
