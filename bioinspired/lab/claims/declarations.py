"""What a claims file declares: headline claims with their criteria, and cells. Declarations only.

A headline claim has one endpoint (what is measured), one contrast (a defended network against a baseline) and one
margin. Its criterion is the part that decides a verdict; it is hashed, and the hash is stored with the measurements
made for it, so that a criterion that was changed afterwards shows. Cells are the numbers a paper prints in its tables:
they are compared with ours, never judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bioinspired import keys
from bioinspired.keys import Strength

Reliability = Literal["quoted", "digitised", "second-hand", "none available"]
Kind = Literal["effect", "equivalence", "non-inferiority"]
Sort = Literal["robustness", "cost", "control"]
Unit = Literal["points", "ratio"]
Access = Literal["none", "transfer", "score", "decision", "white box"]
Metric = Literal["unconditional", "conditional", "distance", "value", "linf", "l2", "l0"]

MARGINS: dict[str, float] = {"points": 2.0, "ratio": 1.15}
"""The smallest difference that counts, by unit: two accuracy points, a factor 1.15 in distance."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One measurement, in the words of `bioinspired.trials`.

    Attributes:
        question: the kind of the question: "clean", "attack" (fixed budget), "distance" (smallest perturbation),
            "corruption", or one of the chapter's own.
        name: of the attack, the corruption, or whatever the kind calls its name; empty for "clean".
        eps: the attack's budget on [0, 1], or the corruption's strength; None where there is none.
        norm: the attack's norm. Distances in "l2" are RMS per pixel.
        steps: iterations of the attack.
        step_size: in units of eps; None takes the attack's default.
        source: label of the network the adversarial examples are made on; empty when the target itself is attacked.
        metric: "unconditional" is accuracy over all images. "conditional" is the paper's rate of defense: over images
            that the target gets right when clean and whose adversarial example fools its own source. "distance" is the
            median over the images that the network gets right when clean. "value" is the mean of the numbers that a
            chapter's own kind of question calls "value". A norm is accuracy over all images in that norm, of a question
            that tells norms apart.
    """

    question: str
    metric: Metric
    name: str = ""
    eps: Strength | None = None
    norm: Literal["linf", "l2", "l1"] | None = None
    steps: int = 1
    step_size: Strength | None = None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Override:
    """The endpoint on another data set than the claim's: complete, with the claim's fields filled in.

    `data` may name a scale before the data set, such as "narrow mnist". Most are proxies, for which the claim's number
    stays; where the paper prints one for these data, `value` is that one, with its `statement`, `place` and `cells`.
    """

    data: str
    endpoint: Endpoint
    statement: str = ""
    place: str = ""
    value: float | None = None
    cells: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One headline claim of a paper.

    Attributes:
        id: short name, unique within the file, stable for ever.
        statement: what is claimed, in our words. place: where the paper says it.
        source_set: the group of sources the claim and its number come from; a number of another set is never used.
        reliability: how the claim is known.
        kind: "effect" (defended differs from baseline in the direction of `sign`), "equivalence" (it does not) or
            "non-inferiority" (defended is at least as good, in that direction).
        sort: what it speaks of, counted apart: "robustness", "cost", or "control", of which nothing else is asked.
        sign: +1 when the defended network is claimed to have the larger value, -1 the smaller.
        unit: "points" for accuracies in percent, "ratio" for distances, whose effects are factors.
        defended, baseline: labels of the trials that are compared.
        access: what the attacker is claimed to have.
        endpoint: what is measured, on the paper's own data.
        margin: delta, the smallest effect that counts: points, or a factor above 1.
        value: the claimed effect, defended minus baseline with its sign, or defended over baseline; None when the
            paper states a direction only.
        reading_error: of `value`, in the same unit: rounding, or reading from a figure.
        cells: the two cells (defended, baseline) that `value` is computed from; empty when there are none.
        pilot: what had been measured before the criterion was written; empty when nothing.
        overrides: endpoints on other data sets.
    """

    id: str
    statement: str
    place: str
    source_set: str
    reliability: Reliability
    kind: Kind
    sort: Sort
    sign: Literal[1, -1]
    unit: Unit
    defended: str
    baseline: str
    access: Access
    endpoint: Endpoint
    margin: float
    value: float | None = None
    reading_error: float = 0.0
    cells: tuple[str, ...] = ()
    pilot: str = ""
    overrides: tuple[Override, ...] = ()

    def on(self, data: str, scale: str = "") -> "Headline":
        """The claim as it is tested on a data set at a scale: as its override says, where there is one."""
        here = {override.data: override for override in self.overrides}
        override = here.get(f"{scale} {data}", here.get(data))
        if override is None:
            return replace(self, overrides=())
        made = replace(self, endpoint=override.endpoint, overrides=())
        if override.value is None:
            return made
        printed = {name: getattr(override, name) for name in ("statement", "place", "value", "cells")}
        return replace(made, **printed)

    @property
    def criterion(self) -> str:
        """The sha256 of the canonical JSON of what decides a verdict: no prose, no overrides."""
        return keys.key(self)

    def __canonical__(self) -> dict[str, Any]:
        plain = keys.fields(self)
        for field in ("id", "statement", "place", "source_set", "cells", "pilot", "sort", "overrides"):
            plain.pop(field, None)
        return plain


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number that a paper prints.

    Attributes:
        id: unique within the file. same_as: the id of the first cell that prints the same measurement, else empty.
        source_set, place: where the number stands. data: the data set.
        value, unit: as printed; "%" for accuracies.
        reliability: as for headline claims. note: doubts about the number.
        columns: what else the file says of the number, by column: the network, the attack, the metric. `cell["keep"]`
            is short for one of them.
    """

    id: str
    source_set: str
    place: str
    data: str
    value: float
    unit: str
    reliability: Reliability
    same_as: str
    note: str
    columns: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.columns[column]


@dataclass(frozen=True, kw_only=True)
class Claims:
    """All claims of one study. `m`, over which intervals are corrected, is the number of headline claims."""

    study: str
    headlines: tuple[Headline, ...]
    cells: tuple[Cell, ...]

    @property
    def m(self) -> int:
        """Headline claims of the paper, tested or not: fixed before anything is measured."""
        return len(self.headlines)
