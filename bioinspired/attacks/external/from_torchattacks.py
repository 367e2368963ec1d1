"""The attacks of torchattacks 3.5.1, with steps that follow eps and the published numbers of iterations."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from bioinspired.attacks.external.entry import Entry, Kind, library
from bioinspired.attacks.external.guard import Adapter, Task, guarded

LIBRARY = "torchattacks 3.5.1"
_NORM = {"linf": "Linf", "l2": "L2", "l1": "L1"}

_STEP = (
    "By default its step is 2/255 whatever eps is, so that at large eps it cannot reach the border of the ball; "
    "here the step follows eps."
)
_REDUCED = "Its loss is a mean over the batch, so that gradients underflow sooner in large batches."


def _attacks(
    name: str, settings: Callable[[Task], dict[str, Any]]
) -> Callable[[Adapter, Tensor, Tensor, Task], Tensor]:
    def attack(adapter: Adapter, x: Tensor, y: Tensor, task: Task) -> Tensor:
        made = getattr(library("torchattacks"), name)(adapter, **settings(task))
        if name == "JSMA":  # its own choice of targets supposes ten classes
            made.set_mode_targeted_by_function(lambda images, labels: (labels + 1) % task.classes, quiet=True)
        found: Tensor = made(x, y)
        return found

    return attack


def _listed(
    name: str,
    norms: tuple[str, ...],
    kind: Kind,
    cost: tuple[int, int],
    budget: str,
    settings: Callable[[Task], dict[str, Any]],
    *,
    at_most: bool = False,
    minimal: bool = False,
    defects: tuple[str, ...] = (),
    instead: str | None = None,
    classes: int = 2,
    channels: int | None = None,
) -> Entry:
    full = f"torchattacks.{name}"
    return Entry(
        name=full,
        library=LIBRARY,
        norms=norms,
        kind=kind,
        budget=budget,
        forwards=cost[0],
        backwards=cost[1],
        at_most=at_most,
        minimal=minimal,
        defects=defects,
        instead=instead,
        attack=partial(guarded, _attacks(name, settings), name=full, classes=classes, channels=channels),
    )


def _iterated(name: str, kind: Kind, cost: tuple[int, int], *, more: tuple[str, ...] = (), **options: Any) -> Entry:
    """The family that takes ten signed steps; a quarter of eps is the ratio of its defaults, 2/255 to 8/255."""
    return _listed(
        name,
        ("linf",),
        kind,
        cost,
        "10 steps of eps / 4",
        lambda task: {"eps": task.eps, "alpha": task.eps / 4, "steps": 10},
        defects=(_STEP, *more),
        **options,
    )


ENTRIES = (
    _listed("FGSM", ("linf",), "white", (3, 1), "1 step of eps", lambda task: {"eps": task.eps}),
    _listed(
        "FFGSM",
        ("linf",),
        "white",
        (3, 1),
        "1 step of 1.25 eps from a random start",
        lambda task: {"eps": task.eps, "alpha": 1.25 * task.eps},
    ),
    _iterated("RFGSM", "white", (12, 10)),
    _iterated("BIM", "white", (12, 10), more=(_REDUCED,)),
    _iterated("PGD", "white", (12, 10), more=(_REDUCED,)),
    _iterated("EOTPGD", "white", (22, 20)),
    _iterated("TPGD", "white", (13, 10)),
    _iterated("UPGD", "white", (12, 10)),
    _iterated("Jitter", "white", (12, 10)),
    _iterated("PGDRS", "white", (52, 50)),
    _iterated("MIFGSM", "transfer", (12, 10)),
    _iterated("NIFGSM", "transfer", (12, 10)),
    _iterated("SINIFGSM", "transfer", (52, 50)),
    _iterated("VMIFGSM", "transfer", (62, 60)),
    _iterated("VNIFGSM", "transfer", (62, 60)),
    _iterated("DIFGSM", "transfer", (12, 10)),
    _iterated("TIFGSM", "transfer", (12, 10), channels=3, more=("It works on images of 3 channels only.",)),
    *(
        _listed(
            name,
            ("linf",),
            "transfer",
            (12, 10),
            "10 steps",
            lambda task: {"max_epsilon": task.eps, "num_iter_set": 10},
            defects=("It works on images of 3 channels only, and its default eps is twice that of the others.",),
            channels=3,
        )
        for name in ("PIFGSM", "PIFGSMPP")
    ),
    _listed(
        "PGDL2",
        ("l2",),
        "white",
        (12, 10),
        "10 steps of eps / 5",
        lambda task: {"eps": task.eps, "alpha": task.eps / 5, "steps": 10},
        defects=("The radius of its random start is uniform in [0, eps], which is not uniform in the ball.",),
    ),
    _listed(
        "PGDRSL2",
        ("l2",),
        "white",
        (52, 50),
        "10 steps of eps / 5, 5 noisy copies",
        lambda task: {"eps": task.eps, "alpha": task.eps / 5, "steps": 10},
    ),
    _listed(
        "APGD",
        ("linf", "l2"),
        "white",
        (104, 101),
        "100 steps",
        lambda task: {"norm": _NORM[task.norm], "eps": task.eps, "steps": 100},
        defects=("By default it takes 10 steps; here it takes the published 100.",),
    ),
    _listed(
        "APGDT",
        ("linf", "l2"),
        "white",
        (921, 909),
        "100 steps for each of 9 targets",
        lambda task: {"norm": _NORM[task.norm], "eps": task.eps, "steps": 100, "n_classes": task.classes},
        defects=("By default it takes 10 steps; here it takes the published 100.",),
        classes=4,
    ),
    _listed(
        "FAB",
        ("linf", "l2"),
        "white",
        (205, 1000),
        "100 steps",
        lambda task: {"norm": _NORM[task.norm], "eps": task.eps, "steps": 100, "n_classes": task.classes},
        defects=(
            "By default it takes 10 steps; here it takes the published 100.",
            "It offers L1, but ends there in an UnboundLocalError.",
        ),
    ),
    _listed(
        "AutoAttack",
        ("linf", "l2"),
        "white",
        (5338, 200),
        "four members, 10 steps each, 5000 queries",
        lambda task: {"norm": _NORM[task.norm], "eps": task.eps, "n_classes": task.classes, "seed": 0},
        defects=(
            "Its members take 10 steps where the published AutoAttack takes 100.",
            "Its Square stretches the schedule of square sizes to the number of queries; the published one does not.",
        ),
        instead="autoattack",
        classes=4,
    ),
    _listed(
        "CW",
        ("l2",),
        "white",
        (48, 46),
        "at most 50 steps at c = 1",
        lambda task: {"c": 1, "steps": 50},
        minimal=True,
        defects=(
            "It starts at an infinite variable wherever a pixel is exactly 0 or 1, and these pixels never move.",
            "It takes the label's logit out by multiplying with 0: the margin is wrong where logits are negative.",
            "It stops when the loss of the whole batch stops falling, so that an image's result depends on the others.",
        ),
        instead="foolbox.CarliniWagner",
    ),
    _listed(
        "DeepFool",
        ("l2",),
        "white",
        (52, 500),
        "at most 50 steps",
        lambda task: {"steps": 50, "overshoot": 0.02},
        at_most=True,
        minimal=True,
        defects=(
            "It lengthens each step, not the sum of steps, by 2 %, and can end a rounding error short of the boundary.",
            "It works image by image.",
        ),
        instead="foolbox.DeepFool",
    ),
    *(
        _listed(name, ("l1",), "white", (301, 149), "9 searches of 100 steps", lambda task: {}, minimal=True)
        for name in ("EADL1", "EADEN")
    ),
    _listed(
        "SparseFool",
        ("l0",),
        "white",
        (522, 5010),
        "at most 10 steps, each with 50 steps of DeepFool",
        lambda task: {},
        at_most=True,
        minimal=True,
    ),
    _listed(
        "JSMA",
        ("l0",),
        "white",
        (32, 144),
        "pairs of pixels, 10 % of them at most",
        lambda task: {},
        minimal=True,
        defects=("It is targeted, by default at the next of ten classes; here at the next of the model's classes.",),
    ),
    _listed("OnePixel", ("l0",), "score", (94, 0), "1 pixel, 10 generations", lambda task: {}, minimal=True),
    _listed("Pixle", ("l0",), "score", (18, 0), "20 restarts of 10 patches", lambda task: {}, minimal=True),
    _listed(
        "Square",
        ("linf", "l2"),
        "score",
        (5005, 0),
        "5000 queries",
        lambda task: {"norm": _NORM[task.norm], "eps": task.eps, "n_queries": 5000, "resc_schedule": False},
        defects=("By default it stretches the schedule of square sizes; here it keeps the published one.",),
    ),
    _listed(
        "SPSA",
        ("linf",),
        "score",
        (2562, 0),
        "10 steps of eps / 4, 128 differences each",
        lambda task: {"eps": task.eps, "lr": task.eps / 4, "nb_iter": 10},
        defects=("By default it takes one step of 0.01 whatever eps is; here it takes 10 that follow eps.",),
    ),
    _listed(
        "GN",
        ("l2",),
        "noise",
        (2, 0),
        "1 draw of standard deviation 0.1, brought into the ball",
        lambda task: {"std": 0.1},
        defects=("It has no eps: its noise is of one size, and is brought into the ball here.",),
    ),
)
