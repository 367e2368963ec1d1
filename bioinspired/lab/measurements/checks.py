"""The checks of the evaluation itself."""

import math

from bioinspired.evaluation.checks import check
from bioinspired.keys import number
from bioinspired.lab.measurements.declarations import Checked
from bioinspired.lab.measurements.outcome import Asked, Outcome


def ask(question: Checked, asked: Asked) -> Outcome:
    """Whether each check passed; a source is the undefended twin."""
    found = check(
        asked.model,
        asked.images,
        asked.labels,
        norm=question.norm,
        eps=number(question.eps),
        twin=asked.sources[0] if asked.sources else None,
        generator=asked.generator,
    )
    return Outcome(
        checks=[
            {
                "name": result.name,
                "passed": result.passed,
                "value": float(f"{result.value:.6g}") if math.isfinite(result.value) else None,
                "advice": result.advice,
            }
            for result in found
        ]
    )
