"""Sleep: replica-steps per second, against the same rule written densely in NumPy and against one replica at a time.

    .venv/bin/python -m benchmarks.sleep

The network is the paper's, 784-1200-1200-10, with weights as large as trained ones and both released parameter sets; on
MNIST's images where BIOINSPIRED_DATA names them, else on random ones. In one process, in an order shuffled anew for
every repetition. Before a time is taken, every contender must pass a gate: on equal input spikes, the same spikes and
the same weights as NumPy's. On a CPU one thread is used and its CPU time counted; on a GPU it is wall-clock time
between two synchronisations. The numbers go to benchmarks/results/sleep-cpu.json or sleep-gpu.json.
"""

import random
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.machine import hardware, keep_memory, save, timed, versions
from bioinspired.data import load
from bioinspired.declarations import Data
from bioinspired.defenses.sleep.spiking import Rule, Sleepers, all_asleep
from bioinspired.errors import UserError

LAYERS = ((1200, 784), (1200, 1200), (10, 1200))
SETS = {
    "A": {
        "rate": 39.037119,
        "inc": 0.063997,
        "dec": 0.06922,
        "thresholds": (36.186585, 23.362736, 36.384713),
        "alpha": 2.193698,
    },
    "B": {
        "rate": 455.364521,
        "inc": 0.066056,
        "dec": 0.054991,
        "thresholds": (22.6874, 48.092672, 18.983305),
        "alpha": 34.65787,
    },
}
CONSTANTS = (1.2, 1.6, 0.4)  # c of trained networks
GATE = 200  # steps
NUMPY = "dense NumPy, one replica"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured on a kind of device."""

    steps: int
    dense_steps: int
    replicas: tuple[int, ...]
    repetitions: int


CPU = Size(steps=3_000, dense_steps=100, replicas=(1, 8, 32), repetitions=3)
GPU = Size(steps=2_000, dense_steps=100, replicas=(1, 8, 64), repetitions=5)


@dataclass
class Row:
    """What was measured of one contender: `speed` in replica-steps per second; `spread`, slowest and fastest run."""

    contender: str
    replicas: int
    steps: int
    speed: float
    spread: tuple[float, float]


def main() -> None:
    """Measures both parameter sets, writes the results, prints them against the goals."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = GPU if device.type == "cuda" else CPU
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    keep_memory()
    shown = images(size.steps, device)
    cases = {}
    for name in SETS:
        gate(name, shown[:GATE])
        cases[name] = measure(name, size, shown)
        for row in cases[name]:
            print(f"set {name}  {row.contender:28} {row.speed:12,.0f} replica-steps/s")
    goals = judged(cases, device)
    for goal in goals:
        print("reached    " if goal["reached"] else "not reached", goal["cases"], goal["goal"])
    content = {
        "hardware": hardware(device),
        "versions": versions("torch", "numpy"),
        "goals": goals,
        "cases": {name: [asdict(row) for row in rows] for name, rows in cases.items()},
    }
    print(f"written to {save('sleep', device, content)}")


def images(steps: int, device: torch.device) -> Tensor:
    """Frames [steps, 784]: MNIST's training images, or random ones with as many dark pixels."""
    try:
        return load(Data(name="mnist", size=28), "train", device).images[:steps].flatten(1).float() / 255
    except UserError:
        dice = torch.rand(2, steps, 784, generator=torch.Generator().manual_seed(9))
        return (dice[0] * (dice[1] < 0.2)).to(device)


def networks(replicas: int, device: torch.device) -> list[Tensor]:
    """Weights as large as trained ones, leaning to the positive enough for some units to spike."""
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(replicas, *shape, generator=generator) * 0.0057 + 0.0008).to(device) for shape in LAYERS]


def rule(name: str, replicas: int, device: torch.device) -> Rule:
    """A released parameter set, for so many replicas."""
    values: dict[str, Any] = SETS[name]

    def each(value: object) -> Tensor:
        return torch.tensor([value] * replicas, device=device)

    scales = [values["alpha"] * c for c in CONSTANTS]
    return Rule(
        each(values["rate"]), each(values["inc"]), each(values["dec"]), each(values["thresholds"]), each(scales)
    )


def generators(replicas: int, device: torch.device) -> list[torch.Generator]:
    """One generator a replica."""
    return [torch.Generator(device).manual_seed(1_000 + r) for r in range(replicas)]


def dense(weights: list[NDArray[np.float32]], name: str, spikes: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The rule as it is written down, every weight in every step; changes the weights, returns spikes per unit."""
    values: dict[str, Any] = SETS[name]
    membranes = [np.zeros(len(w), np.float32) for w in weights]
    counts = [np.zeros(len(w), np.int64) for w in weights]
    for below in spikes:
        for layer, w in enumerate(weights):
            scale = np.float32(values["alpha"] * CONSTANTS[layer])
            membranes[layer] = np.float32(0.999) * membranes[layer] + scale * (w @ below.astype(np.float32))
            fired = membranes[layer] >= values["thresholds"][layer]
            factor = 2 / (1 + np.exp(np.clip(w / np.float32(0.001), -80, 80)))
            change = np.where(below, np.float32(values["inc"]), -np.float32(values["dec"]))
            w += fired[:, None] * (change * factor)
            membranes[layer][fired] = 0
            counts[layer] += fired
            below = fired
    return counts


def gate(name: str, shown: Tensor) -> None:
    """Equal input spikes must lead to NumPy's spikes and weights.

    Raises:
        RuntimeError: they do not.
    """
    device = shown.device
    sleepers = Sleepers(networks(2, device), rule(name, 2, device), generators(2, device))
    spikes = sleepers._drawn(shown)
    sleepers.step_through(spikes)
    for replica in range(2):
        weights = [w[replica].cpu().numpy() for w in networks(2, device)]
        counts = dense(weights, name, spikes[:, replica].cpu().numpy())
        for layer, (w, count) in enumerate(zip(weights, counts, strict=True)):
            if not np.array_equal(sleepers.counts[layer][replica].cpu().numpy(), count):
                raise RuntimeError(f"set {name}, layer {layer + 1}: other spikes than NumPy's.")
            if not np.allclose(sleepers.weights[layer][replica].cpu().numpy(), w, atol=1e-4):
                raise RuntimeError(f"set {name}, layer {layer + 1}: other weights than NumPy's.")


def measure(name: str, size: Size, shown: Tensor) -> list[Row]:
    """Times all contenders in shuffled order."""
    device = shown.device
    single = Sleepers(networks(1, device), rule(name, 1, device), generators(1, device))
    spikes = single._drawn(shown[: size.dense_steps])[:, 0].cpu().numpy()

    def by_numpy() -> None:
        dense([w[0].cpu().numpy() for w in networks(1, torch.device("cpu"))], name, spikes)

    def by_us(replicas: int) -> Callable[[], object]:
        weights, parameters = networks(replicas, device), rule(name, replicas, device)
        return lambda: all_asleep(weights, parameters, generators(replicas, device), [shown])

    runs: dict[str, tuple[int, int, Callable[[], object]]] = {NUMPY: (1, size.dense_steps, by_numpy)} | {
        f"ours, {r} replica{'s' if r > 1 else ''}": (r, size.steps, by_us(r)) for r in size.replicas
    }
    speeds: dict[str, list[float]] = {contender: [] for contender in runs}
    shuffle = random.Random(0)
    for repetition in range(1 + size.repetitions):
        for contender in shuffle.sample(list(runs), len(runs)):
            replicas, steps, run = runs[contender]
            seconds, _ = timed(run, device)
            if repetition:
                speeds[contender].append(replicas * steps / seconds)
    return [
        Row(contender, replicas, steps, statistics.median(speeds[contender]),
            (min(speeds[contender]), max(speeds[contender])))
        for contender, (replicas, steps, _) in runs.items()
    ]  # fmt: skip


def judged(cases: dict[str, list[Row]], device: torch.device) -> list[dict[str, Any]]:
    """The goals as ratios within this run, and whether they are reached; the worse parameter set counts."""
    goals = [("one replica, times dense NumPy's speed", 5.0, NUMPY, "ours, 1 replica")]
    if device.type == "cuda":
        goals.append(("64 replicas, times the speed of one", 20.0, "ours, 1 replica", "ours, 64 replicas"))
    judgement = []
    for what, goal, base, ours in goals:
        ratios = {}
        for name, rows in cases.items():
            speed = {row.contender: row.speed for row in rows}
            ratios[f"set {name}"] = round(speed[ours] / speed[base], 2)
        worst = min(ratios.values())
        judgement.append(
            {"goal": f"at least {goal}: {what}", "measured": worst, "reached": worst >= goal, "cases": ratios}
        )
    return judgement


if __name__ == "__main__":
    main()
