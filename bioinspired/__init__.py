"""Brain-inspired defenses against adversarial examples, and an evaluation that checks itself.

    from bioinspired import check, evaluate, images, load

    print(evaluate(model, x, y, norm="linf", eps=8 / 255))
    print(check(model, x, y, norm="linf", eps=8 / 255))

    report(model, x, y, eps="8/255")     # all of it on one page

    model = load("sleep/set-b")          # a published network, and images to attack
    x, y = images("sleep/set-b")

Importing the package does not import torch; the names do, when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bioinspired.evaluation.checks import check
    from bioinspired.evaluation.evaluate import evaluate
    from bioinspired.lab.weights import images, load
    from bioinspired.pages.report import report

__all__ = ["check", "evaluate", "images", "load", "report"]

_MODULES = {
    "check": "evaluation.checks",
    "evaluate": "evaluation.evaluate",
    "images": "lab.weights",
    "load": "lab.weights",
    "report": "pages.report",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
