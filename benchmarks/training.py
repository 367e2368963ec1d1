"""Training: this library against the usual loop, and short schedules against long ones.

    .venv/bin/python -m benchmarks.training

The usual loop is torchvision's transforms behind PyTorch's `DataLoader`: images are cropped, flipped and turned into
tensors one at a time (by eight worker processes on a GPU, by none on a CPU). Both train the same ResNet-18 on the same
number of batches of the same size. Before a time is taken, a gate must be passed: without augmentation both learn the
same from the same two batches (rounding leads them apart soon after). On a CPU one thread is used and its CPU time
counted; on a GPU it is wall-clock time between two synchronisations.

The schedules are trained by this library on equal data, several seeds each: the short one, and the released code's
steps at the same fractions of several times as many epochs. On a GPU these are the networks and images of the
literature (CIFAR-10 from the folder that BIOINSPIRED_DATA names), on a CPU narrow ones and scikit-learn's digits. The
numbers go to benchmarks/results/training-cpu.json or training-gpu.json.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.machine import hardware, keep_memory, save, timed, versions
from bioinspired import data
from bioinspired.declarations import Architecture, Data, Network, Recipe
from bioinspired.keys import number
from bioinspired.training import recipes, train

OURS, USUAL = "ours", "DataLoader and transforms"
GOAL = "at least 0.94 on CIFAR-10's test images within 60 s (one H200)"


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is trained on a kind of device, and how often."""

    network: Network
    workers: int
    repetitions: int
    long: Recipe
    seeds: int


CPU = Size(
    network=Network(
        data=Data(name="digits", size=16),
        architecture=Architecture(name="resnet18", width=16),
        recipe=recipes.SHORT["digits"],
        seed=0,
    ),
    workers=0,
    repetitions=7,
    long=replace(recipes.DEFECTIVE_CONV["cifar10"], epochs=35, batch=64, augmentation="none"),
    seeds=5,
)
GPU = Size(
    network=Network(
        data=Data(name="cifar10", size=32),
        architecture=Architecture(name="resnet18", width=64),
        recipe=recipes.SHORT["cifar10"],
        seed=0,
    ),
    workers=8,
    repetitions=3,
    long=replace(recipes.DEFECTIVE_CONV["cifar10"], epochs=105, precision="bf16"),
    seeds=2,
)


class Images(Dataset[tuple[Tensor, int]]):
    """A split as torchvision's data sets give it: one image after the other, through transforms."""

    def __init__(self, split: data.Split, augmentation: str) -> None:
        self.images, self.labels = split.images.cpu(), split.labels.tolist()
        steps: list[nn.Module] = []
        if "crop" in augmentation:
            steps.append(v2.RandomCrop(split.images.shape[-1], padding=train.PADDING))
        if "flip" in augmentation:
            steps.append(v2.RandomHorizontalFlip())
        self.transform = v2.Compose([*steps, v2.ToDtype(torch.float32, scale=True)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def usual(
    network: Network, device: torch.device, workers: int, batches: Sequence[list[int]] | None = None
) -> nn.Module:
    """The usual loop: the network after its recipe's epochs on shuffled batches, or after one on given batches.

    Given batches are for the gate: they are then laid out in memory as this library lays them out (channels last). On a
    CPU that rounds a weight's gradient otherwise, by up to half a percent.
    """
    recipe, epochs = network.recipe, 1 if batches else network.recipe.epochs
    images = Images(data.load(network.data, "train"), recipe.augmentation)
    options: dict[str, Any] = {"num_workers": workers, "pin_memory": device.type == "cuda"}
    if batches is None:
        loader = DataLoader(
            images, recipe.batch, shuffle=True, drop_last=True, persistent_workers=workers > 0, **options
        )
    else:
        loader = DataLoader(images, batch_sampler=batches, **options)
    layout = torch.channels_last if batches else torch.contiguous_format
    model = train.assemble(network, device).train().to(memory_format=layout)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=number(recipe.rate),
        momentum=number(recipe.momentum),
        nesterov=recipe.nesterov,
        weight_decay=number(recipe.decay),
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=number(recipe.smoothing))
    steps = len(loader) * epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: train.rate(recipe, min(step, steps - 1), steps) / number(recipe.rate)
    )
    for _ in range(epochs):
        for x, y in loader:
            x = x.to(device, non_blocking=True, memory_format=layout)
            y = y.to(device, non_blocking=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                logits = model(x)
            loss = criterion(logits.float(), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def gate(size: Size, device: torch.device) -> float:
    """The largest difference between both networks' weights after two equal batches, as a share of what was learnt.

    Raises:
        RuntimeError: they are not the same.
    """
    recipe = replace(size.network.recipe, epochs=1, augmentation="none", precision="fp32")
    n = 2 * recipe.batch
    network = replace(size.network, recipe=recipe, data=replace(size.network.data, train=n))
    order = torch.randperm(n, generator=train.Draws(network.seed, device).order, device=device).tolist()
    batches = [order[start : start + recipe.batch] for start in range(0, len(order), recipe.batch)]
    ours = dict(train.make(network, device).model.named_parameters())
    theirs = dict(usual(network, device, size.workers, batches).named_parameters())
    start = dict(train.assemble(network, device).named_parameters())
    moved = max(float((theirs[name] - start[name]).detach().abs().max()) for name in ours)
    apart = max(float((ours[name] - theirs[name]).detach().abs().max()) for name in ours) / moved
    if apart > 0.01:
        raise RuntimeError(f"After two batches the two loops differ by {apart:.1%} of what was learnt.")
    return apart


def side_by_side(size: Size, device: torch.device) -> dict[str, Any]:
    """Seconds of an epoch with crops and flips by both loops, in an order shuffled for every repetition."""
    network = replace(size.network, recipe=replace(size.network.recipe, epochs=1, augmentation="crop_flip"))
    contenders: dict[str, Callable[[], object]] = {
        OURS: lambda: train.make(network, device),
        USUAL: lambda: usual(network, device, size.workers),
    }
    shuffle, times = random.Random(0), {name: list[float]() for name in contenders}
    for repetition in range(1 + size.repetitions):
        for name in shuffle.sample(list(contenders), len(contenders)):
            seconds, _ = timed(contenders[name], device)
            if repetition:
                times[name].append(seconds)
    medians = {name: statistics.median(found) for name, found in times.items()}
    return {
        "repetitions": size.repetitions,
        "ratio": round(medians[USUAL] / medians[OURS], 2),
        "rows": [
            {"contender": name, "seconds": round(medians[name], 3), "spread": [min(found), max(found)]}
            for name, found in times.items()
        ],
    }


def schedules(size: Size, device: torch.device) -> list[dict[str, Any]]:
    """Seconds and test accuracy of the short and of the long schedule, seed by seed."""
    test = data.load(size.network.data, "test", device)
    rows = []
    for name, recipe in (("short", size.network.recipe), ("long", size.long)):
        seconds, accuracies = [], []
        for seed in range(size.seeds):
            network = replace(size.network, recipe=recipe, seed=seed)
            made: list[train.Trained] = []
            seconds.append(timed(partial(_into, made, network, device), device)[0])
            accuracies.append(accuracy(made[0].model, test))
        row = {"schedule": name, "epochs": recipe.epochs, "batch": recipe.batch, "seconds": seconds}
        rows.append(row | {"accuracies": accuracies, "images": len(test.labels)})
        print(
            f"{name}: {statistics.median(seconds):.1f} s, accuracy {statistics.mean(accuracies):.4f}, n = {size.seeds}"
        )
    return rows


def _into(made: list[train.Trained], network: Network, device: torch.device) -> None:
    made.append(train.make(network, device))


@torch.no_grad()
def accuracy(model: nn.Module, split: data.Split) -> float:
    """Share of the images answered right."""
    answers = torch.cat([model(images.float() / 255).argmax(1) for images in torch.split(split.images, 1000)])
    return float((answers == split.labels).float().mean())


def main() -> None:
    """Passes the gate, measures, writes and prints."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = GPU if device.type == "cuda" else CPU
    torch.set_num_threads(1)
    keep_memory()
    begun = time.perf_counter()
    apart = gate(size, device)
    loops = side_by_side(size, device)
    print(f"one epoch: {loops['ratio']} times the usual loop's speed; weights apart by {apart:.1e}")
    found = schedules(size, device)
    content = {
        "hardware": hardware(device),
        "versions": versions("torch", "torchvision"),
        "seconds": round(time.perf_counter() - begun, 1),
        "network": {"data": size.network.data.name, "size": size.network.data.size,
                    "architecture": size.network.architecture.name, "width": size.network.architecture.width},
        "apart": apart,
        "loops": loops,
        "schedules": found,
    }  # fmt: skip
    if device.type == "cuda":
        short = found[0]
        reached = statistics.mean(short["accuracies"]) >= 0.94 and statistics.median(short["seconds"]) < 60
        content["goal"] = {"goal": GOAL, "reached": reached}
    print(f"written to {save('training', device, content)}")


if __name__ == "__main__":
    main()
