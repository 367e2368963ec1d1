"""The list of Foolbox' 42 attacks: what each is and what it costs. Data only; `forty_two` runs them.

From August 2020 to February 2021 Foolbox exported 44 attacks. Two of them are left out: GenAttack is targeted only,
and BinarizationRefinement needs a model that binarises. Whether these are the 42 of arXiv 2111.10844 is not known: they
match its count.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from bioinspired.errors import UserError

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
        budget: how many steps and searches the passes above are of; 1 where there is no such parameter.
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
    budget: tuple[int, int] = (1, 1)
    started: bool = False

    @property
    def judged(self) -> Literal["linf", "l2", "l0", ""]:
        """The norm at whose threshold it is judged: its own; L2 for L1 and for a free choice; "" for no norm."""
        if self.name == "SaltAndPepperNoise":
            return "l0"
        own: dict[str, Literal["linf", "l0", ""]] = {"linf": "linf", "l0": "l0", "none": ""}
        return own.get(self.norm, "l2")

    @property
    def optimises(self) -> bool:
        """Whether it optimises against the model."""
        return self.type != "corruption"

    @property
    def attribute(self) -> str:
        """The name of Foolbox's class."""
        return f"{self.name}Attack"


def _noise(name: str, norm: Literal["linf", "l2"], forwards: int) -> Member:
    repeated = "Repeated" in name
    return Member(
        name=name,
        norm=norm,
        type="corruption",
        forwards=forwards,
        minimal=False,
        steps="repeats" if repeated else "",
        budget=(100 if repeated else 1, 1),
    )


def _ascent(
    name: str, norm: Literal["linf", "l2", "l1"], forwards: int, backwards: int, steps: str = "steps"
) -> Member:
    return Member(
        name=name,
        norm=norm,
        type="gradient",
        forwards=forwards,
        backwards=backwards,
        minimal=False,
        steps=steps,
        budget=(backwards, 1),
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
        budget=(1_000, 1),
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
        budget=(10, 1),
    ),
    _search("DDN", "l2", 101, 100, budget=(100, 1)),
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
    _search("BinarySearchContrastReduction", "any", 16, 0, steps="binary_search_steps", budget=(15, 1)),
    _search("LinearSearchContrastReduction", "any", 1_001, 0, budget=(1_000, 1)),
    _search("L2CarliniWagner", "l2", 90_000, 90_000, searches="binary_search_steps", budget=(10_000, 9)),
    _search("NewtonFool", "l2", 101, 100, budget=(100, 1)),
    _search("EAD", "l1", 180_000, 90_000, searches="binary_search_steps", budget=(10_000, 9)),
    _search("GaussianBlur", "any", 1_001, 0, budget=(1_000, 1)),
    Member(name="Spatial", norm="none", type="corruption", forwards=126),
    _search("L2DeepFool", "l2", 57, 56, budget=(50, 1)),
    _search("LinfDeepFool", "linf", 57, 56, budget=(50, 1)),
    _search("SaltAndPepperNoise", "any", 1_001, 0, budget=(1_000, 1)),
    _search("LinearSearchBlendedUniformNoise", "any", 1_001, 0, budget=(1_000, 1)),
    _search("Dataset", "any", 1, 0, steps=""),
    Member(
        name="Boundary",
        norm="l2",
        type="decision",
        forwards=27_553,
        steps="steps",
        budget=(25_000, 1),
        started=True,
    ),
    Member(
        name="HopSkipJump", norm="l2", type="decision", forwards=35_706, steps="steps", budget=(64, 1), started=True
    ),
    _brendel_bethge("L0", "l0"),
    _brendel_bethge("L1", "l1"),
    _brendel_bethge("L2", "l2"),
    _brendel_bethge("Linfinity", "linf"),
)
NAMES = tuple(member.name for member in MEMBERS)


def member(name: str) -> Member:
    """One of the 42 by its name.

    Raises:
        UserError: none has it.
    """
    if name not in NAMES:
        raise UserError(f'"{name}" is none of the 42: `bioinspired attack --list --study dim` names them.')
    return MEMBERS[NAMES.index(name)]


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
