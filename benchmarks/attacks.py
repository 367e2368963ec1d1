"""Attacks side by side: torchattacks, Foolbox, pyautoattack and this library, on the same weights and images.

    .venv/bin/python -m benchmarks.attacks

In one process, in an order shuffled anew for every repetition, after warm-ups, single precision, images on the device.
Before a time is taken, every contender must pass a gate: without early exit the last point is Foolbox' bit for bit and
as good as torchattacks'; with it the same images are fooled or more; AutoAttacks agree within one image in 200. On a
CPU one thread is used and its CPU time counted, so that other processes disturb little; on a GPU it is wall-clock time
between two synchronisations. The numbers go to benchmarks/results/attacks-cpu.json or attacks-gpu.json.

Freed memory stays with the process while the benchmark runs. By default glibc hands the memory of every large tensor
back to the system and asks for it again, which on a CPU takes up to a third of the time, and differently for each
contender.

The bound of a case is what its steps would take if they were nothing but forward passes and backward passes to the
input. Where a GPU is present the cases have the size of the literature (MNIST and CIFAR-10 from the folder that
BIOINSPIRED_DATA names), else that of scikit-learn's digits.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import foolbox
import pyautoattack
import torch
import torch.nn.functional as F
import torchattacks
from torch import Tensor, nn

from benchmarks.machine import hardware, keep_memory, save, timed, versions
from bioinspired.attacks import autoattack, pgd
from bioinspired.attacks.gradient import iterates
from bioinspired.data import load
from bioinspired.declarations import Data
from bioinspired.networks.resnet18 import ResNet

STEPS = 100
TORCHATTACKS, FOOLBOX, PYAUTOATTACK = "torchattacks", "Foolbox", "pyautoattack"
BOUND, OURS_OFF, OURS = "bound", "ours, exit off", "ours"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the cases are on a kind of device, and how often each is repeated."""

    digits: Data
    width: int
    training_eps: float
    images: int
    natural: Data
    resnet_width: int
    resnet_images: int
    autoattack_images: int
    epochs: int
    repetitions: int
    warm_ups: int
    autoattack_repetitions: int


CPU = Size(
    digits=Data(name="digits", size=16),
    width=16,
    training_eps=0.15,
    images=96,
    natural=Data(name="digits", size=16),
    resnet_width=8,
    resnet_images=32,
    autoattack_images=32,
    epochs=6,
    repetitions=7,
    warm_ups=1,
    autoattack_repetitions=3,
)
GPU = Size(
    digits=Data(name="mnist", size=28),
    width=32,
    training_eps=0.3,
    images=10_000,
    natural=Data(name="cifar10", size=32),
    resnet_width=64,
    resnet_images=1_000,
    autoattack_images=1_000,
    epochs=3,
    repetitions=10,
    warm_ups=3,
    autoattack_repetitions=3,
)


Contenders = dict[str, Callable[[], Tensor]]
"""By name: each runs a whole attack and returns the points it settled on."""


@dataclass(frozen=True)
class Case:
    """A network, images, an attack, who runs it on a model, and what their points must be like."""

    name: str
    attack: str
    model: nn.Module
    x: Tensor
    y: Tensor
    steps: int | None
    contenders: Callable[[nn.Module], Contenders]
    gate: Callable[["Case", dict[str, Tensor]], None]


@dataclass
class Row:
    """What was measured of one contender in one case.

    Attributes:
        forwards, backwards: images shown and differentiated, per image.
        robust: share of images not fooled.
        seconds: median over the repetitions.
        spread: shortest and longest repetition.
        image_steps: nominal images times steps per second.
        bound: share of the time that the model's own passes would take.
        memory: largest memory in bytes on a GPU.
    """

    contender: str
    forwards: float
    backwards: float
    robust: float | None = None
    seconds: float = 0.0
    spread: tuple[float, float] = (0.0, 0.0)
    image_steps: float | None = None
    bound: float | None = None
    memory: int | None = None


@dataclass
class Report:
    """All rows of a case."""

    case: str
    attack: str
    images: int
    repetitions: int
    rows: list[Row] = field(default_factory=list)

    def seconds(self, contender: str) -> float:
        return next(row.seconds for row in self.rows if row.contender == contender)


class Counting(nn.Module):
    """Counts the images shown to a model, and those that are differentiated."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.forwards = self.backwards = 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        if x.requires_grad:
            x = x.clone()
            x.register_hook(self._count)
        return self.model(x)

    def _count(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


def main() -> None:
    """Runs every case, writes the results, prints them against the goals."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = GPU if device.type == "cuda" else CPU
    torch.set_num_threads(1)
    keep_memory()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    start = time.perf_counter()
    reports = []
    for case in cases(size, device):
        slow = case.steps is None
        repetitions = size.autoattack_repetitions if slow else size.repetitions
        report = measure(case, repetitions, 0 if slow else size.warm_ups)
        reports.append(report)
        show(report)
    goals = judged(reports)
    for goal in goals:
        reached = "reached    " if goal["reached"] else "not reached"
        print(f"{reached}  {min(goal['cases'].values()):6.2f} to {max(goal['cases'].values()):.2f}  {goal['goal']}")
    content = {
        "hardware": hardware(device),
        "versions": versions("torch", "torchattacks", "foolbox", "pyautoattack"),
        "seconds": round(time.perf_counter() - start, 1),
        "goals": goals,
        "cases": [asdict(report) for report in reports],
    }
    print(f"written to {save('attacks', device, content)}")


def cases(size: Size, device: torch.device) -> list[Case]:
    """The networks, trained here in a minute or less, and what is asked of them."""
    digits, natural = images(size.digits, device), images(size.natural, device)
    undefended = trained(convolutional(size), *digits[:2], size.epochs)
    robust = trained(convolutional(size), *digits[:2], 2 * size.epochs, eps=size.training_eps)
    channels = natural[0].shape[1]
    resnet = trained(ResNet((2, 2, 2, 2), width=size.resnet_width, classes=10, channels=channels), *natural[:2], 2)
    x, y = digits[2][: size.images], digits[3][: size.images]
    few = slice(size.autoattack_images)
    some = slice(size.resnet_images)
    return [
        pgd_case("undefended CNN", undefended, x, y, "linf", 0.3, 0.01),
        pgd_case("adversarially trained CNN", robust, x, y, "linf", size.training_eps, 0.01),
        pgd_case("adversarially trained CNN", robust, x, y, "linf", size.training_eps, size.training_eps / 4),
        pgd_case("ResNet-18", resnet, natural[2][some], natural[3][some], "linf", 8 / 255, 2 / 255),
        pgd_case("ResNet-18", resnet, natural[2][some], natural[3][some], "l2", 0.5, 0.0125),
        pgd_case("two operations", two_operations(x), x[:16], y[:16], "linf", 0.1, 0.002),
        autoattack_case("undefended CNN", undefended, x[few], y[few], 0.1),
        autoattack_case("adversarially trained CNN", robust, x[few], y[few], size.training_eps),
    ]


def images(data: Data, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, test images and labels; images in [0, 1]."""
    train, test = load(data, "train", device), load(data, "test", device)
    return train.images.float() / 255, train.labels, test.images.float() / 255, test.labels


def convolutional(size: Size) -> nn.Module:
    """Two convolutions and two dense layers, as is usual for MNIST."""
    torch.manual_seed(0)
    width, side = size.width, size.digits.size // 4
    return nn.Sequential(
        nn.Conv2d(1, width, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * side**2, 8 * width),
        nn.ReLU(),
        nn.Linear(8 * width, 10),
    )


def two_operations(x: Tensor) -> nn.Module:
    """A model so small that what is measured is the attack's own work."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 10)).to(x.device).eval()


def trained(model: nn.Module, x: Tensor, y: Tensor, epochs: int, eps: float | None = None) -> nn.Module:
    """Trains with Adam; with eps, on the last points of PGD with 7 steps."""
    model = model.to(x.device)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(epochs):
        radius = None if eps is None else eps * min(1, (epoch + 1) / (epochs / 2))  # grows: 0.3 at once is too much
        for part in torch.split(torch.randperm(len(x), generator=generator).to(x.device), 64):
            shown = x[part]
            if radius is not None:
                *_, shown = iterates(
                    model, shown, y[part], norm="linf", eps=radius, steps=7, random_start=True, generator=generator
                )
            loss = F.cross_entropy(model(shown), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def pgd_case(name: str, model: nn.Module, x: Tensor, y: Tensor, norm: str, eps: float, step: float) -> Case:
    """PGD from the images themselves, with equal steps everywhere."""
    theirs = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}[norm]
    foolboxs = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]

    def on(model: nn.Module) -> Contenders:
        def bound() -> Tensor:
            model.requires_grad_(False)
            for _ in range(STEPS):
                point = x.detach().requires_grad_()
                torch.autograd.grad(F.cross_entropy(model(point), y, reduction="sum"), point)
            model.requires_grad_(True)
            return x

        def by_torchattacks() -> Tensor:
            return theirs(model, eps=eps, alpha=step, steps=STEPS, random_start=False)(x, y)

        def by_foolbox() -> Tensor:
            attack = foolboxs(abs_stepsize=step, steps=STEPS, random_start=False)
            found = attack.run(foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device), x, y, epsilon=eps)
            model.zero_grad(set_to_none=True)
            return found

        def ours(**options: Any) -> Tensor:
            return pgd(model, x, y, norm=norm, eps=eps, steps=STEPS, step_size=step, batch=len(x), **options).x_adv

        return {
            BOUND: bound,
            TORCHATTACKS: by_torchattacks,
            FOOLBOX: by_foolbox,
            OURS_OFF: lambda: ours(early_exit=False, keep="last"),
            OURS: ours,
        }

    return Case(name, f"PGD-{STEPS}, {norm}, eps {eps:.4g}, step {step:.4g}", model, x, y, STEPS, on, _pgd_gate)


def autoattack_case(name: str, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Case:
    """AutoAttack standard in Linf."""

    def on(model: nn.Module) -> Contenders:
        def theirs() -> Tensor:
            attack = pyautoattack.AutoAttack(model, norm="Linf", eps=eps, seed=0, device=x.device)
            found, _ = attack.run_standard_evaluation(x, y, batch_size=len(x))
            model.zero_grad(set_to_none=True)
            return found

        def ours() -> Tensor:
            return autoattack(model, x, y, norm="linf", eps=eps, batch=len(x)).x_adv

        return {PYAUTOATTACK: theirs, OURS: ours}

    return Case(name, f"AutoAttack standard, linf, eps {eps:.4g}", model, x, y, None, on, _autoattack_gate)


def _pgd_gate(case: Case, points: dict[str, Tensor]) -> None:
    where = f"{case.name}, {case.attack}"
    if not torch.equal(points[OURS_OFF], points[FOOLBOX]):
        raise RuntimeError(f"{where}: the last point differs from Foolbox'.")
    # torchattacks averages the loss over the batch: rounding may turn the sign of a vanishing slope.
    fooled = {name: _fooled(case, found) for name, found in points.items()}
    if abs(int(fooled[OURS_OFF].sum()) - int(fooled[TORCHATTACKS].sum())) > max(len(case.y) // 200, 1):
        raise RuntimeError(f"{where}: the last point does not fool as many as torchattacks'.")
    if bool((fooled[OURS_OFF] & ~fooled[OURS]).any()):
        raise RuntimeError(f"{where}: early exit misses images that the last point fools.")


def _autoattack_gate(case: Case, points: dict[str, Tensor]) -> None:
    robust = [int((~_fooled(case, found)).sum()) for found in points.values()]
    if max(robust) - min(robust) > max(len(case.y) // 200, 1):
        raise RuntimeError(f"{case.name}, {case.attack}: {robust} images are robust; the two do not agree.")


def _fooled(case: Case, points: Tensor) -> Tensor:
    with torch.no_grad():
        return case.model(points).argmax(1) != case.y


def measure(case: Case, repetitions: int, warm_ups: int) -> Report:
    """Counts the passes of every contender, passes the gate, then times all in shuffled order."""
    report = Report(case.name, case.attack, len(case.y), repetitions)
    points = {}
    for name in case.contenders(case.model):
        counting = Counting(case.model).eval()
        points[name] = case.contenders(counting)[name]()
        row = Row(name, forwards=counting.forwards / len(case.y), backwards=counting.backwards / len(case.y))
        row.robust = None if name == BOUND else float((~_fooled(case, points[name])).float().mean())
        report.rows.append(row)
    case.gate(case, points)
    contenders = case.contenders(case.model)
    shuffle = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    memory: dict[str, int | None] = {}
    for repetition in range(warm_ups + repetitions):
        for name in shuffle.sample(list(contenders), len(contenders)):
            seconds, memory[name] = timed(contenders[name], case.x.device)
            if repetition >= warm_ups:
                times[name].append(seconds)
    for row in report.rows:
        seconds = times[row.contender]
        row.seconds, row.spread, row.memory = (
            statistics.median(seconds),
            (min(seconds), max(seconds)),
            memory[row.contender],
        )
        if case.steps is not None:
            row.image_steps = len(case.y) * case.steps / row.seconds
            row.bound = statistics.median(times[BOUND]) / row.seconds
    return report


def judged(reports: list[Report]) -> list[dict[str, Any]]:
    """The goals as ratios within this run, case by case, and whether they are reached; the worst case counts."""
    attacks = [report for report in reports if report.attack.startswith("PGD") and report.case != "two operations"]
    ensembles = [report for report in reports if report.attack.startswith("AutoAttack")]
    goals = [
        ("PGD on an undefended network, times torchattacks' speed", 5.0, attacks[:1], TORCHATTACKS, OURS),
        ("PGD on an adversarially trained network, times torchattacks' speed", 2.0, attacks[1:3], TORCHATTACKS, OURS),
        ("PGD without early exit, times Foolbox' speed", 1.3, attacks, FOOLBOX, OURS_OFF),
        ("AutoAttack, times pyautoattack's speed", 1.5, ensembles, PYAUTOATTACK, OURS),
        ("PGD without early exit, share of the bound", 0.9, attacks, BOUND, OURS_OFF),
    ]
    judgement = []
    for what, goal, among, theirs, ours in goals:
        ratios = {
            f"{report.case}, {report.attack}": round(report.seconds(theirs) / report.seconds(ours), 2)
            for report in among
        }
        worst = min(ratios.values())
        judgement.append(
            {"goal": f"at least {goal}: {what}", "measured": worst, "reached": worst >= goal, "cases": ratios}
        )
    return judgement


def show(report: Report) -> None:
    """Prints a case as a small table."""
    print(f"\n{report.case}: {report.attack}, n = {report.images}, median of {report.repetitions}")
    slowest = max(row.seconds for row in report.rows)
    for row in report.rows:
        facts = [f"{row.seconds:9.3f} s", f"{slowest / row.seconds:6.2f}x"]
        facts.append(f"{row.forwards:8.1f} + {row.backwards:7.1f} passes an image")
        if row.robust is not None:
            facts.append(f"robust {row.robust:6.1%}")
        if row.bound is not None:
            facts.append(f"{row.bound:5.2f} of the bound")
        print(f"  {row.contender:16}", "  ".join(facts))


if __name__ == "__main__":
    main()
