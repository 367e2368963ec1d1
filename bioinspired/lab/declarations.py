"""Measurements, trials and studies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bioinspired import keys
from bioinspired.declarations import ALL, Images, Network
from bioinspired.lab.measurements.declarations import Attack, Question

Tier = Literal["core", "wide"]
Scale = Literal["smoke", "laptop", "narrow", "full"]

PAPERS_SCHEDULE = ", paper's schedule"
"""What follows a label where the network was trained by the paper's own schedule: a bridge to the short one."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One question asked of one network, or, with sources, of the network through images that fool the sources.

    With one source, adversarial examples are made on that source and shown to the network (transfer); with several,
    on the mean of their logits.
    """

    question: Question
    images: Images = ALL
    sources: tuple[Network, ...] = ()
    seed: int = 0

    @property
    def is_transfer(self) -> bool:
        """Whether the question shows the network what was made on its sources."""
        return bool(self.sources) and isinstance(self.question, Attack)

    def __canonical__(self) -> dict[str, Any]:
        plain = keys.fields(self)
        if self.sources:
            plain["sources"] = [keys.key(source) for source in self.sources]
        return plain


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A network, what the study calls it, and the measurements wanted of it.

    `label` names the row it stands in, such as "keep 0.1"; `factors` are what tables and figures select and group by.
    """

    network: Network
    label: str
    measurements: tuple[Measurement, ...] = ()
    factors: Mapping[str, str] = field(default_factory=dict)
    tier: Tier = "core"


@dataclass(frozen=True, kw_only=True)
class Study:
    """One paper's experiments at one scale: its trials, in the order in which they should be made.

    `fidelity` is "paper", "changed", "reconstruction" or "proxy" (DESIGN: other data or a narrowed network), and
    `changes` says in words what differs. `rivals` are labels of simple baselines that its defense has to beat besides
    those that every study has.
    """

    name: str
    scale: Scale
    trials: tuple[Trial, ...]
    fidelity: Literal["paper", "changed", "reconstruction", "proxy"]
    changes: str = ""
    rivals: tuple[str, ...] = ()
