"""How much an attack gains on a CPU from slices of a batch (`bioinspired.attacks.slices`).

    .venv/bin/python -m benchmarks.slices

Foolbox' iterated gradients, PGD and repeated noise, as among the 42, on a thousand random images of MNIST's size: with
the network as it is and with the same network in slices, in one process, in an order shuffled anew for every
repetition, one thread, CPU time. The gate: both find the same images fooled, by changes of the same size within a
thousandth. The numbers go to benchmarks/results/slices-cpu.json.
"""

import random
import statistics
from functools import partial

import torch

from benchmarks.machine import hardware, save, timed, versions
from bioinspired.attacks.predictions import predict
from bioinspired.attacks.result import Result
from bioinspired.attacks.slices import SLICE, sliced
from bioinspired.declarations import Architecture
from bioinspired.lab.papers.dim.forty_two import run, sizes
from bioinspired.networks.small_cnn import build

IMAGES = 1_000
REPETITIONS = 3
WIDTH = 16
CASES: dict[str, tuple[float, ...]] = {
    "L2BasicIterative": (1.5,),
    "LinfProjectedGradientDescent": (0.3,),
    "L2RepeatedAdditiveUniformNoise": (1.5,),
}
CPU = torch.device("cpu")


def main() -> None:
    """Measures and writes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    architecture = Architecture(name="small_cnn", width=WIDTH, normalize=False)
    whole = build(architecture, classes=10, channels=1, size=28).eval().requires_grad_(False)
    models = {"whole": whole, "slices": sliced(whole, CPU)}
    x = torch.rand(IMAGES, 1, 28, 28)
    y = predict(whole, x)
    cases = {}
    for name, epsilons in CASES.items():
        attacks = {which: partial(run, name, model, x, y, epsilons=epsilons) for which, model in models.items()}
        _gate(name, x, *(attack() for attack in attacks.values()))
        seconds: dict[str, list[float]] = {which: [] for which in models}
        for _ in range(REPETITIONS):
            for which in random.sample(list(models), len(models)):
                seconds[which].append(timed(attacks[which], CPU)[0])
        medians = {which: statistics.median(found) for which, found in seconds.items()}
        cases[name] = {"seconds": seconds, "median": medians, "ratio": medians["whole"] / medians["slices"]}
        print(f"{name}: whole {medians['whole']:.2f} s, slices {medians['slices']:.2f} s, {cases[name]['ratio']:.1f} x")
    content = {"images": IMAGES, "slice": SLICE, "width": WIDTH, "cases": cases}
    print(save("slices", CPU, content | {"hardware": hardware(CPU), "versions": versions("torch", "foolbox")}))


def _gate(name: str, x: torch.Tensor, one: Result, other: Result) -> None:
    lengths = [sizes(found.x_adv - x)["l2"][one.success].double().mean() for found in (one, other)]
    if not torch.equal(one.success, other.success) or abs(lengths[0] / lengths[1] - 1) > 1e-3:
        raise SystemExit(f"{name} finds other images in slices: no time is taken.")


if __name__ == "__main__":
    main()
