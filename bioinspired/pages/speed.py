"""The benchmarks' measured files as tables: what `python -m benchmarks.NAME` left in benchmarks/results."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab.records.store import checkout
from bioinspired.pages.tables import NOTHING, badge, table


def files(name: str) -> list[Path]:
    """The measured files of a benchmark, one per kind of device; none before it has run."""
    return sorted((checkout() / "benchmarks" / "results").glob(f"{name}-*.json"))


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


def loops(measured: dict[str, Any]) -> Styler:
    """An epoch of training by this library and by the usual loop."""
    found = measured["loops"]
    rows = [
        {
            "contender": row["contender"],
            "seconds": f"{row['seconds']:.3f}",
            "lowest, highest": "{:.3f}, {:.3f}".format(*row["spread"]),
            "speed": f"× {max(r['seconds'] for r in found['rows']) / row['seconds']:.2f}",
        }
        for row in found["rows"]
    ]
    caption = f"One epoch with crops and flips: {_trained(measured)}, medians of {found['repetitions']} runs."
    return table(pd.DataFrame(rows), caption)


def slices(measured: dict[str, Any]) -> Styler:
    """Attacks on a batch at once and in slices."""
    rows = [
        {
            "attack": name,
            "at once, s": f"{case['median']['whole']:.2f}",
            "in slices, s": f"{case['median']['slices']:.2f}",
            "speed": f"× {case['ratio']:.1f}",
        }
        for name, case in measured["cases"].items()
    ]
    repetitions = min(len(each) for case in measured["cases"].values() for each in case["seconds"].values())
    caption = (
        f"Foolbox' attacks on {measured['images']:,} random images of MNIST's size, a small CNN of width "
        f"{measured['width']}, at once and in slices of {measured['slice']}: medians of {repetitions} runs."
    )
    return table(pd.DataFrame(rows), caption)


def schedules(measured: dict[str, Any]) -> Styler:
    """Seconds and accuracy of a short and of a long schedule on equal data."""
    rows = []
    for row in measured["schedules"]:
        accuracies = pd.Series(row["accuracies"]) * 100
        rows.append(
            {
                "schedule": row["schedule"],
                "epochs": row["epochs"],
                "batch": row["batch"],
                "seconds": f"{pd.Series(row['seconds']).median():.1f}",
                "accuracy, %": f"{accuracies.mean():.2f} ± {accuracies.std(ddof=1):.2f}",
                "seeds, test images": f"{len(accuracies)}, {row['images']:,}",
            }
        )
    caption = f"Schedules on equal data: {_trained(measured)}. Mean over seeds ± standard deviation."
    return table(pd.DataFrame(rows), caption)


def _trained(measured: dict[str, Any]) -> str:
    network = measured["network"]
    return f"{network['architecture']} of width {network['width']} on {network['data']}, {network['size']} pixels"


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
