"""The benchmarks' measured files as tables: what `python -m benchmarks.attacks` left in benchmarks/results."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.records import checkout
from bioinspired.tables import NOTHING, badge, table


def files() -> list[Path]:
    """The measured files, one per kind of device; none before a benchmark has run."""
    return sorted((checkout() / "benchmarks" / "results").glob("attacks-*.json"))


def read(file: Path) -> dict[str, Any]:
    """One measured file."""
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def machine(measured: dict[str, Any]) -> str:
    """What a file was measured on, in a sentence."""
    hardware, versions = measured["hardware"], measured["versions"]
    device = hardware.get("accelerator") or f"{hardware['processor']}, {hardware['threads']} thread"
    return f"Measured on {device}, with " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."


def goals(measured: dict[str, Any]) -> Styler:
    """The goals, each by its worst case in the run, and whether it was reached."""
    rows = [
        {
            "goal": goal["goal"],
            "measured": f"{goal['measured']:.2f}",
            "outcome": badge("reached" if goal["reached"] else "not reached", ""),
        }
        for goal in measured["goals"]
    ]
    return table(pd.DataFrame(rows), "Goals and what was measured: ratios of median times within one run.")


def cases(measured: dict[str, Any]) -> list[Styler]:
    """One table a case: seconds, speed, what came out, and what it cost in passes through the network."""
    return [_case(case) for case in measured["cases"]]


def _case(case: dict[str, Any]) -> Styler:
    slowest = max(row["seconds"] for row in case["rows"])
    rows = [
        {
            "contender": row["contender"],
            "seconds": f"{row['seconds']:.3f}",
            "lowest, highest": "{:.3f}, {:.3f}".format(*row["spread"]),
            "speed": f"× {slowest / row['seconds']:.2f}",
            "robust accuracy, %": NOTHING if row["robust"] is None else f"{100 * row['robust']:.1f}",
            "passes per image": _passes(row),
            "share of the bound": NOTHING if row["bound"] is None else f"{row['bound']:.2f}",
        }
        for row in case["rows"]
    ]
    caption = f"{case['case']}: {case['attack']}; {case['images']} images, medians of {case['repetitions']} runs."
    return table(pd.DataFrame(rows), caption[0].upper() + caption[1:])


def _passes(row: dict[str, Any]) -> str:
    return NOTHING if row["forwards"] is None else f"{row['forwards']:,.0f} + {row['backwards']:,.0f}"
