"""Foolbox' 42 attacks: those that its versions 3.1 to 3.3.1 export and that run untargeted on an ordinary model.

From August 2020 to February 2021 Foolbox exported 44 attacks. Two of them are left out: GenAttack is targeted only,
and BinarizationRefinement needs a model that binarises. Whether these are the 42 of arXiv 2111.10844 is not known: they
match its count. They run here from Foolbox 3.3.4, where the step of HopSkipJump's probe is corrected and DDN takes 100
steps by default instead of 10.

The Brendel-Bethge members compile their solvers when first used in a process: half a minute for each norm.

A member returns images; what they are worth is computed here. Searches for the smallest perturbation run without an
epsilon (given one, Foolbox stops them early and shrinks what they found); members that want an epsilon run at several,
smallest first. An image that came out black counts as a failure: C&W and EAD return black where they fail, which most
models misclassify.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from bioinspired.attacks.entry import library
from bioinspired.attacks.frozen import Model
from bioinspired.attacks.guard import Adapter, Task, guarded
from bioinspired.attacks.norms import per_image
from bioinspired.attacks.result import Result
from bioinspired.errors import UserError

_FAR = 1e9  # no ball

Type = Literal["gradient", "decision", "gradient and decision", "corruption"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One of the 42.

    Attributes:
        name: of Foolbox's class, without "Attack".
        norm: the one it minimises or keeps to; "any" where it is to be chosen (here "l2"), "none" where there is none.
        type: what it uses of the model. A corruption does not optimise against it: it knows its answers at most.
        forwards, backwards: passes per image at Foolbox' defaults, on a small network and images that stand to the end.
        minimal: it searches the smallest perturbation and takes no epsilon.
        parameters: where not Foolbox' defaults, or without one.
        steps, searches: the parameters that its cost is proportional to, where it has them.
        started: it starts from an image that fools the model.
    """

    name: str
    norm: Literal["linf", "l2", "l1", "l0", "any", "none"]
    type: Type
    forwards: int
    backwards: int = 0
    minimal: bool = True
    parameters: dict[str, Any] = field(default_factory=dict)
    steps: str = ""
    searches: str = ""
    started: bool = False

    @property
    def optimises(self) -> bool:
        """Whether it optimises against the model."""
        return self.type != "corruption"

    @property
    def attribute(self) -> str:
        """The name of Foolbox's class."""
        return f"{self.name}Attack"


def _noise(name: str, norm: Literal["linf", "l2"], forwards: int) -> Member:
    steps = "repeats" if "Repeated" in name else ""
    return Member(name=name, norm=norm, type="corruption", forwards=forwards, minimal=False, steps=steps)


def _ascent(
    name: str, norm: Literal["linf", "l2", "l1"], forwards: int, backwards: int, steps: str = "steps"
) -> Member:
    return Member(
        name=name, norm=norm, type="gradient", forwards=forwards, backwards=backwards, minimal=False, steps=steps
    )


def _search(name: str, norm: Literal["linf", "l2", "l1", "any"], forwards: int, backwards: int, **more: Any) -> Member:
    kind: Type = "gradient" if backwards else "corruption"
    return Member(name=name, norm=norm, type=kind, forwards=forwards, backwards=backwards, **{"steps": "steps"} | more)


def _brendel_bethge(name: str, norm: Literal["linf", "l2", "l1", "l0"]) -> Member:
    return Member(
        name=f"{name}BrendelBethge",
        norm=norm,
        type="gradient and decision",
        forwards=2_000,
        backwards=1_000,
        steps="steps",
        started=True,
    )


MEMBERS = (
    Member(name="L2ContrastReduction", norm="l2", type="corruption", forwards=1, minimal=False),
    Member(
        name="VirtualAdversarial",
        norm="l2",
        type="gradient",
        forwards=12,
        backwards=10,
        minimal=False,
        parameters={"steps": 10},
        steps="steps",
    ),
    _search("DDN", "l2", 101, 100),
    _ascent("L1ProjectedGradientDescent", "l1", 51, 50),
    _ascent("L2ProjectedGradientDescent", "l2", 51, 50),
    _ascent("LinfProjectedGradientDescent", "linf", 41, 40),
    _ascent("L1BasicIterative", "l1", 11, 10),
    _ascent("L2BasicIterative", "l2", 11, 10),
    _ascent("LinfBasicIterative", "linf", 11, 10),
    _ascent("L1FastGradient", "l1", 2, 1, steps=""),
    _ascent("L2FastGradient", "l2", 2, 1, steps=""),
    _ascent("LinfFastGradient", "linf", 2, 1, steps=""),
    _noise("L2AdditiveGaussianNoise", "l2", 1),
    _noise("L2AdditiveUniformNoise", "l2", 1),
    _noise("L2ClippingAwareAdditiveGaussianNoise", "l2", 1),
    _noise("L2ClippingAwareAdditiveUniformNoise", "l2", 1),
    _noise("LinfAdditiveUniformNoise", "linf", 1),
    _noise("L2RepeatedAdditiveGaussianNoise", "l2", 102),
    _noise("L2RepeatedAdditiveUniformNoise", "l2", 102),
    _noise("L2ClippingAwareRepeatedAdditiveGaussianNoise", "l2", 102),
    _noise("L2ClippingAwareRepeatedAdditiveUniformNoise", "l2", 102),
    _noise("LinfRepeatedAdditiveUniformNoise", "linf", 102),
    _ascent("SparseL1Descent", "l1", 11, 10),
    _search("Inversion", "any", 1, 0, steps=""),
    _search("BinarySearchContrastReduction", "any", 16, 0, steps="binary_search_steps"),
    _search("LinearSearchContrastReduction", "any", 1_001, 0),
    _search("L2CarliniWagner", "l2", 90_000, 90_000, searches="binary_search_steps"),
    _search("NewtonFool", "l2", 101, 100),
    _search("EAD", "l1", 180_000, 90_000, searches="binary_search_steps"),
    _search("GaussianBlur", "any", 1_001, 0),
    Member(name="Spatial", norm="none", type="corruption", forwards=126),
    _search("L2DeepFool", "l2", 57, 56),
    _search("LinfDeepFool", "linf", 57, 56),
    _search("SaltAndPepperNoise", "any", 1_001, 0),
    _search("LinearSearchBlendedUniformNoise", "any", 1_001, 0),
    _search("Dataset", "any", 1, 0, steps=""),
    Member(name="Boundary", norm="l2", type="decision", forwards=27_553, steps="steps", started=True),
    Member(name="HopSkipJump", norm="l2", type="decision", forwards=35_706, steps="steps", started=True),
    _brendel_bethge("L0", "l0"),
    _brendel_bethge("L1", "l1"),
    _brendel_bethge("L2", "l2"),
    _brendel_bethge("Linfinity", "linf"),
)
NAMES = tuple(member.name for member in MEMBERS)

_FLEXIBLE = (
    "Inversion",
    "BinarySearchContrastReduction",
    "LinearSearchContrastReduction",
    "GaussianBlur",
    "LinearSearchBlendedUniformNoise",
    "Dataset",
)  # take the distance that they minimise; salt and pepper has L2 of its own, and is judged by what it changed


def member(name: str) -> Member:
    """One of the 42 by its name.

    Raises:
        UserError: none has it.
    """
    if name not in NAMES:
        raise UserError(f'"{name}" is none of the 42: `bioinspired attack --list --study dim` names them.')
    return MEMBERS[NAMES.index(name)]


def run(
    name: str,
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    epsilons: Sequence[float] = (),
    steps: int | None = None,
    searches: int | None = None,
    generator: torch.Generator | None = None,
) -> Result:
    """Runs a member on the images that the model answers right, and judges what it returns.

    Args:
        name: of a member.
        model: any callable from images in [0, 1] to logits.
        x: images in [0, 1], [n, C, H, W].
        y: labels, integers [n].
        epsilons: of a member that wants one, in its norm, smallest first: each runs on the images that still stand.
        steps, searches: its budget; None is Foolbox' default. A member without such a parameter ignores it.
        generator: where the randomness comes from; None is a fixed seed.

    Returns:
        `x_adv` is the image itself where nothing was found that fools the model and is not black.

    Raises:
        UserError: no member has the name, it wants epsilons and there are none, or it cannot run on this model.
    """
    chosen = member(name)
    if not chosen.minimal and not epsilons:
        raise UserError(f"{name} needs an epsilon: give one or more, smallest first.")
    attack = partial(_attack, chosen, steps, searches)
    x_adv, success = x.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    forwards, backwards = torch.zeros_like(y), torch.zeros_like(y)
    for eps in (_FAR,) if chosen.minimal else epsilons:
        rows = (~success).nonzero().squeeze(1)
        if not len(rows):
            break
        norm = chosen.norm if chosen.norm in ("linf", "l2", "l1") else "l2"
        found = guarded(attack, model, x[rows], y[rows], name=name, norm=norm, eps=eps, generator=generator)
        black = (found.x_adv == 0).flatten(1).all(1) & ~(x[rows] == 0).flatten(1).all(1)
        fooled = found.success & ~black
        x_adv[rows] = torch.where(per_image(fooled, x), found.x_adv, x[rows])
        success[rows] = fooled
        forwards[rows] += found.forwards
        backwards[rows] += found.backwards
    return Result(x_adv, success, forwards, backwards)


def sizes(delta: Tensor) -> dict[str, Tensor]:
    """Perturbations [n, ...] in every norm: largest change, Euclidean, sum of changes, changed values; each [n]."""
    flat = delta.flatten(1)
    return {
        "linf": flat.abs().amax(1),
        "l2": flat.square().sum(1).sqrt(),
        "l1": flat.abs().sum(1),
        "l0": (flat.abs() > 1e-6).sum(1).to(flat),
    }


def as_json() -> list[dict[str, Any]]:
    """The list as plain data."""
    return [
        {
            "name": f"foolbox.{one.name}",
            "norm": one.norm,
            "type": one.type,
            "parameters": one.parameters,
            "budget": " x ".join(name for name in (one.searches, one.steps) if name),
            "cost": {"forwards": one.forwards, "backwards": one.backwards},
            "minimal": one.minimal,
            "optimises": one.optimises,
        }
        for one in MEMBERS
    ]


def _attack(
    chosen: Member, steps: int | None, searches: int | None, adapter: Adapter, x: Tensor, y: Tensor, task: Task
) -> Tensor:
    foolbox = library("foolbox")
    settings = dict(chosen.parameters)
    settings |= {name: value for name, value in ((chosen.steps, steps), (chosen.searches, searches)) if name and value}
    if chosen.name in _FLEXIBLE:
        settings["distance"] = foolbox.distances.l2
    made = getattr(foolbox.attacks, chosen.attribute)(**settings)
    target = foolbox.PyTorchModel(adapter, bounds=(0, 1), device=x.device)
    if chosen.name == "Dataset":
        made.feed(target, x)
    extra: dict[str, Any] = {}
    rows = torch.ones(len(x), dtype=torch.bool, device=x.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*failed to draw sufficient random inputs")
        if chosen.started:
            first = foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(distance=foolbox.distances.l2, steps=50)
            _, start, rows = first(target, x, y, epsilons=None)
            extra = {"starting_points": start[rows]}
        out = x.clone()
        if bool(rows.any()):
            epsilons = None if chosen.minimal else task.eps
            out[rows] = made(target, x[rows], y[rows], epsilons=epsilons, **extra)[0]
    return out
