"""What the papers say, and what our measurements say about it.

claims files (TOML: headline claims, CSV: cells) -> `load` -> Claims
headline claim + Evidence -> `verdict`, `holds`               the rules, as pure functions of plain numbers
cells + our values -> `agreement`                             how far the tables agree, never a verdict
"""

from bioinspired.lab.claims.agreement import Agreement, agreement
from bioinspired.lab.claims.declarations import Cell, Claims, Endpoint, Headline, Override
from bioinspired.lab.claims.evidence import Evidence
from bioinspired.lab.claims.reading import load, studies
from bioinspired.lab.claims.verdicts import Holding, Verdict, holds, judge, verdict

__all__ = [
    "Agreement",
    "Cell",
    "Claims",
    "Endpoint",
    "Evidence",
    "Headline",
    "Holding",
    "Override",
    "Verdict",
    "agreement",
    "holds",
    "judge",
    "load",
    "studies",
    "verdict",
]
