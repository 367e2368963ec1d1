"""The attacks of Foolbox 3.3.4, above all its searches for the smallest perturbation and its hard-label attacks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bioinspired.attacks.external.entry import Entry, Kind, library
from bioinspired.attacks.external.guard import Adapter, Task, guarded
from bioinspired.attacks.predictions import predict
from bioinspired.errors import UserError

LIBRARY = "foolbox 3.3.4"
_ALL = ("linf", "l2", "l1")
_PREFIX = {"linf": "Linf", "l2": "L2", "l1": "L1", "l0": "L0"}


def _attacks(
    name: Callable[[Task], str], settings: dict[str, Any], minimal: bool, started: bool
) -> Callable[[Adapter, Tensor, Tensor, Task], Tensor]:
    def attack(adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
        foolbox = library("foolbox")
        made = getattr(foolbox.attacks, name(task))(**_filled(settings, foolbox, task))
        model = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
        criterion: Any = y
        if name(task) == "GenAttack":
            criterion = foolbox.criteria.TargetedMisclassification((y + 1) % task.classes)
        extra = {"starting_points": _others(adapter, x, y)} if started else {}
        found: Tensor = made(model, x, criterion, epsilons=None if minimal else task.eps, **extra)[0]
        return found

    return attack


def _filled(settings: dict[str, Any], foolbox: Any, task: Task) -> dict[str, Any]:
    """The settings, with the distance and the constraint that the task's norm asks for where they are left open."""
    filled = dict(settings)
    if "distance" in filled:
        filled["distance"] = getattr(foolbox.distances, task.norm)
    if "constraint" in filled:
        filled["constraint"] = task.norm
    return filled


def _others(adapter: Adapter, x: Tensor, y: Tensor) -> Tensor:
    """For each image the nearest other one that the model answers otherwise: where a hard-label search can start."""
    answer = predict(adapter, x)
    usable = (answer[None, :] != y[:, None]) & (answer[None, :] >= 0)
    if not bool(usable.any(1).all()):
        raise UserError("A hard-label attack starts from images of other classes: give images of two classes or more.")
    apart = torch.cdist(x.flatten(1), x.flatten(1)).masked_fill(~usable, torch.inf)
    return x[apart.argmin(1)]


def _listed(
    name: str,
    norms: tuple[str, ...],
    kind: Kind,
    cost: tuple[int, int],
    budget: str,
    settings: dict[str, Any] | None = None,
    *,
    attribute: str | None = None,
    minimal: bool = False,
    started: bool = False,
    defects: tuple[str, ...] = (),
) -> Entry:
    """An entry; in `attribute`, the name of Foolbox's class, {} stands for the norm."""
    full = f"foolbox.{name}"
    pattern = attribute or f"{{}}{name}Attack"
    return Entry(
        name=full,
        library=LIBRARY,
        norms=norms,
        kind=kind,
        budget=budget,
        forwards=cost[0],
        backwards=cost[1],
        minimal=minimal,
        defects=defects,
        attack=partial(
            guarded,
            _attacks(lambda task: pattern.format(_PREFIX[task.norm]), settings or {}, minimal, started),
            name=full,
        ),
    )


ENTRIES = (
    _listed("FastGradient", _ALL, "white", (4, 1), "1 step of eps"),
    _listed("BasicIterative", _ALL, "white", (13, 10), "10 steps of eps / 5"),
    _listed(
        "ProjectedGradientDescent", _ALL, "white", (53, 50), "50 steps of eps / 40 from a random start", {"steps": 50}
    ),
    _listed("AdamProjectedGradientDescent", _ALL, "white", (53, 50), "50 steps of eps / 40", {"steps": 50}),
    _listed(
        "MomentumIterativeFastGradientMethod",
        _ALL,
        "transfer",
        (13, 10),
        "10 steps of eps / 5",
        attribute="{}MomentumIterativeFastGradientMethod",
    ),
    _listed("SparseL1Descent", ("l1",), "white", (13, 10), "10 steps of eps / 5", attribute="SparseL1DescentAttack"),
    _listed(
        "VirtualAdversarial",
        ("l2",),
        "white",
        (14, 10),
        "10 steps",
        {"steps": 10},
        attribute="VirtualAdversarialAttack",
    ),
    _listed("DDN", ("l2",), "white", (103, 100), "100 steps", attribute="DDNAttack", minimal=True),
    _listed("LinfFMN", ("linf",), "white", (103, 100), "100 steps", attribute="LInfFMNAttack", minimal=True),
    _listed("FMN", ("l2", "l1", "l0"), "white", (103, 100), "100 steps", minimal=True),
    _listed("DeepFool", ("linf", "l2"), "white", (23, 19), "at most 50 steps", minimal=True),
    _listed(
        "CarliniWagner",
        ("l2",),
        "white",
        (1002, 999),
        "9 searches of 300 steps",
        {"steps": 300},
        minimal=True,
    ),
    _listed(
        "EAD",
        ("l1",),
        "white",
        (912, 459),
        "9 searches of 300 steps",
        {"steps": 300},
        attribute="EADAttack",
        minimal=True,
    ),
    _listed("NewtonFool", ("l2",), "white", (103, 100), "100 steps", attribute="NewtonFoolAttack", minimal=True),
    _listed("GenAttack", ("linf",), "score", (1003, 0), "100 generations of 10", {"steps": 100}, attribute="GenAttack"),
    _listed(
        "Boundary",
        ("l2",),
        "decision",
        (5505, 0),
        "5000 steps from an image of another class",
        {"steps": 5000},
        attribute="BoundaryAttack",
        minimal=True,
        started=True,
    ),
    _listed(
        "HopSkipJump",
        ("linf", "l2"),
        "decision",
        (6645, 0),
        "20 steps from an image of another class",
        {"steps": 20, "constraint": None},
        attribute="HopSkipJumpAttack",
        minimal=True,
        started=True,
    ),
    _listed(
        "Pointwise",
        ("l0",),
        "decision",
        (1347, 0),
        "until no value can be put back, from an image of another class",
        attribute="PointwiseAttack",
        minimal=True,
        started=True,
    ),
    _listed("AdditiveUniformNoise", ("linf", "l2"), "noise", (3, 0), "1 draw"),
    _listed("RepeatedAdditiveUniformNoise", ("linf", "l2"), "noise", (104, 0), "100 draws"),
    _listed("RepeatedAdditiveGaussianNoise", ("l2",), "noise", (104, 0), "100 draws"),
    _listed("ContrastReduction", ("l2",), "noise", (3, 0), "contrast lowered once"),
    _listed(
        "BinarySearchContrastReduction",
        _ALL,
        "noise",
        (18, 0),
        "15 bisections",
        {"distance": None},
        attribute="BinarySearchContrastReductionAttack",
        minimal=True,
    ),
    _listed(
        "LinearSearchBlendedUniformNoise",
        _ALL,
        "noise",
        (590, 0),
        "1000 draws, 1000 blends of the one found",
        {"distance": None},
        attribute="LinearSearchBlendedUniformNoiseAttack",
        minimal=True,
    ),
    _listed(
        "SaltAndPepperNoise",
        ("l2",),
        "noise",
        (1004, 0),
        "1000 draws",
        attribute="SaltAndPepperNoiseAttack",
        minimal=True,
    ),
    _listed(
        "GaussianBlur",
        _ALL,
        "noise",
        (263, 0),
        "1000 widths",
        {"distance": None},
        attribute="GaussianBlurAttack",
        minimal=True,
    ),
    _listed(
        "Inversion",
        _ALL,
        "noise",
        (3, 0),
        "the negative image",
        {"distance": None},
        attribute="InversionAttack",
        minimal=True,
    ),
)
