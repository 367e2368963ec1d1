"""Do the undefended networks agree? Where their seeds differ by much, an effect beside them is a draw of the lot."""

from collections.abc import Sequence

import numpy as np

from bioinspired.lab.claims.assessment import Assessment
from bioinspired.lab.claims.holding import UNDEFENDED

TOLERATED = 10.0
"""Points between the best and the worst seed of the undefended network at a claim's own strength."""


def spreads(assessments: Sequence[Assessment]) -> dict[str, tuple[float, float]]:
    """The lowest and highest accuracy over undefended seeds, in percent, for each claim that compares with them.

    Claims in other units, and those of which fewer than two such seeds were measured, are left out.
    """
    return {
        found.headline.id: (min(twins), max(twins))
        for found in assessments
        if (found.headline.baseline, found.headline.unit) == (UNDEFENDED, "points")
        and len(twins := found.evidence.baseline) > 1
    }


def spread_of_twins(assessments: Sequence[Assessment]) -> str:
    """How far apart the undefended seeds lie, claim by claim, as Markdown; "" where there are not two."""
    found = spreads(assessments)
    if not found:
        return ""
    listed = "; ".join(f"{name}: {low:.1f} to {high:.1f} %" for name, (low, high) in found.items())
    far = [name for name, ends in found.items() if np.ptp(ends) > TOLERATED]
    said = f"Undefended networks, lowest to highest seed at the strength of each claim: {listed}."
    if far:
        said += f" More than {TOLERATED:g} points apart, too far to compare with one of them: {', '.join(far)}."
    return said
