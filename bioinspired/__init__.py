"""Brain-inspired defenses against adversarial examples, and an evaluation that checks itself.

    from bioinspired import check, evaluate

    print(evaluate(model, x, y, norm="linf", eps=8 / 255))
    print(check(model, x, y, norm="linf", eps=8 / 255))

Importing the package does not import torch; the two names do, when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bioinspired.evaluation.checks import check
    from bioinspired.evaluation.evaluate import evaluate

__all__ = ["check", "evaluate"]

_MODULES = {"check": "evaluation.checks", "evaluate": "evaluation.evaluate"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
