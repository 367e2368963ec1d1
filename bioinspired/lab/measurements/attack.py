"""Attacks within a ball, on the network itself; what is made on other networks is `measuring`'s part."""

from typing import Any

import torch
from torch import Tensor

from bioinspired.attacks.result import Result
from bioinspired.keys import number
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.measurements.outcome import Asked, Model, Outcome, bits, mean


def ask(question: Attack, asked: Asked) -> Outcome:
    """Which images held out."""
    result = run(question, asked.model, asked.images, asked.labels, asked.generator)
    return Outcome(
        bits={"correct": bits(~result.success)}, forwards=mean(result.forwards), backwards=mean(result.backwards)
    )


def run(
    attack: Attack, model: Model, x: Tensor, y: Tensor, generator: torch.Generator, *, last: bool = False
) -> Result:
    """Runs an attack; `last` asks for the last iterate of the whole run instead of the best of one that stops early.

    Only "pgd" knows the difference: "fgsm" and "mi_fgsm" always run to their end, the others to their best.
    """
    common: dict[str, Any] = {"norm": attack.norm, "eps": number(attack.eps)}
    step_size = None if attack.step_size is None else number(attack.step_size) * number(attack.eps)
    if attack.name == "autoattack":
        from bioinspired.attacks.autoattack.ensemble import autoattack

        return autoattack(model, x, y, **common, generator=generator)
    if attack.name not in ("fgsm", "pgd", "mi_fgsm"):
        from bioinspired.attacks import catalogue

        return catalogue.run(attack.name, model, x, y, **common, generator=generator)
    common |= {"loss": attack.loss}
    if attack.name == "mi_fgsm":
        from bioinspired.attacks.momentum import mi_fgsm

        common |= {"steps": attack.steps, "step_size": step_size, "diversity": number(attack.diversity)}
        return mi_fgsm(model, x, y, **common, generator=generator)
    from bioinspired.attacks.gradient import fgsm, pgd

    if attack.name == "fgsm":
        return fgsm(model, x, y, **common)
    common |= {"steps": attack.steps, "step_size": step_size, "random_start": attack.random_start}
    if last:
        return pgd(model, x, y, **common, early_exit=False, keep="last", generator=generator)
    return pgd(model, x, y, **common, restarts=attack.restarts, generator=generator)
