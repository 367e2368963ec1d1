"""Attacks on any callable from images in [0, 1] to logits.

Importing this package imports nothing else of it, and no torch: the names below are loaded when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bioinspired.attacks.autoattack.ensemble import autoattack
    from bioinspired.attacks.gradient import fgsm, pgd
    from bioinspired.attacks.momentum import mi_fgsm
    from bioinspired.attacks.result import Result

__all__ = ["Result", "autoattack", "fgsm", "mi_fgsm", "pgd"]

_MODULES = {
    "Result": "result",
    "autoattack": "autoattack.ensemble",
    "fgsm": "gradient",
    "mi_fgsm": "momentum",
    "pgd": "gradient",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
