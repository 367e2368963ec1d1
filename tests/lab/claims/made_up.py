"""Made-up claims and evidence whose intervals can be worked out by hand."""

from dataclasses import replace
from typing import Any

from bioinspired.lab.claims import Endpoint, Evidence, Headline

PATTERN = (-1.0, -1.0, 0.0, 1.0, 1.0)
"""Five numbers of mean 0 and standard deviation 1: half an interval at m = 1 is 2.7764 / sqrt(5) = 1.2417."""

PLAIN = Headline(
    id="made-up",
    statement="Made up.",
    place="nowhere",
    source_set="tests",
    reliability="quoted",
    kind="effect",
    sort="robustness",
    sign=1,
    unit="points",
    defended="keep 0.1",
    baseline="standard",
    access="transfer",
    endpoint=Endpoint(question="attack", name="pgd", eps="16/255", norm="linf", metric="unconditional", source="vgg"),
    margin=2.0,
)

WANDERING = (0.5, -1.0, 0.0, 1.5, -1.0)
"""How the baseline moves from seed to seed, mean 0; pairs move together, so it must not count."""

DISTANCE = replace(
    PLAIN,
    unit="ratio",
    margin=1.15,
    access="decision",
    endpoint=Endpoint(question="distance", name="boundary", norm="l2", metric="distance"),
)


def claim(**changes: Any) -> Headline:
    return replace(PLAIN, **changes)


def paired(effect: float, *, spread: float = 1.0, base: float = 40.0, **more: Any) -> Evidence:
    """Five pairs whose differences have this mean and standard deviation, without any error from images."""
    baseline = tuple(base + step for step in WANDERING)
    differences = [effect + spread * step for step in PATTERN]
    fields: dict[str, Any] = {
        "defended": tuple(start + difference for start, difference in zip(baseline, differences, strict=True)),
        "baseline": baseline,
        "n": 360,
        "paired": True,
        "registered": True,
    }
    return Evidence(**{**fields, **more})
