"""What the records are: their cost, their state, where they come from."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.lab import papers
from bioinspired.lab.declarations import Scale, Study
from bioinspired.lab.engine import plan
from bioinspired.lab.records.store import Record, open_store
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.layout import table


def cost(chapter: Chapter) -> Styler:
    """What the study cost on the hardware that made it: units, seconds, passes through the networks."""
    rows = []
    for record in chapter.records():
        for name, entry in record.cost.items():
            unit = record.unit(name)
            if unit is not None:
                run = record.provenance["runs"][unit["run"]]
                kind = "training" if name == "training" else record.measurements[name]["config"]["question"]["kind"]
                rows.append({"what": kind, "hardware": hardware(run), "seconds": entry["seconds"]})
    frame = pd.DataFrame(rows, columns=["what", "hardware", "seconds"])
    grouped = frame.groupby(["what", "hardware"], as_index=False).agg(
        units=("seconds", "size"), seconds=("seconds", "sum")
    )
    grouped["seconds"] = grouped["seconds"].map("{:.0f}".format)
    return table(grouped, "What the records of this page cost.")


def status(store: str, scale: Scale) -> pd.DataFrame:
    """Units of every study at a scale: how many are done, missing, damaged, and what makes the missing ones.

    A study on its own data set, and on each other one that there are records of; a row for each data set in it.
    """
    place = open_store(scale, store)
    rows = []
    for name in papers.NAMES:
        for study in plan.shown(name, place):
            states: dict[str, list[str]] = defaultdict(list)
            for unit in plan.units(study, place):
                states[unit.trial.network.data.name].append(unit.state)
            rows += [_state(study, data, found) for data, found in states.items()]
    return pd.DataFrame(rows)


def _state(study: Study, data: str, states: Sequence[str]) -> dict[str, object]:
    counts = {state: states.count(state) for state in ("done", "missing", "damaged")}
    lacking = counts["missing"] + counts["damaged"]
    row = {"study": study.name, "data": data, "units": len(states)}
    return row | counts | {"to make the rest": plan.command(study) if lacking else ""}


def provenance(store: str, scale: Scale) -> pd.DataFrame:
    """Which runs made or verified the records of a scale: commit, versions, hardware, units, first and last day."""
    runs: dict[str, dict[str, Any]] = {}
    events = []
    for record in open_store(scale, store).records():
        if isinstance(record, Record):
            runs |= record.provenance["runs"]
            for unit in record.provenance["units"].values():
                events.append({"run": unit["run"], "day": unit["finished"][:10], "units": 1, "verified": 0})
                if "verified" in unit:
                    again = unit["verified"]
                    events.append({"run": again["run"], "day": again["finished"][:10], "units": 0, "verified": 1})
    columns = ["run", "commit", "hardware", "versions", "units", "verified", "first", "last"]
    if not events:
        return pd.DataFrame(columns=columns)
    grouped = pd.DataFrame(events).groupby("run", sort=False)
    made = grouped[["units", "verified"]].sum().assign(first=grouped["day"].min(), last=grouped["day"].max())
    facts = pd.DataFrame({run: _facts(runs[run]) for run in made.index}).T
    return made.join(facts).reset_index()[columns]


def _facts(run: Mapping[str, Any]) -> dict[str, str]:
    return {
        "commit": (run["commit"] or "none")[:12] + (" (changed files)" if run["dirty"] else ""),
        "hardware": hardware(run),
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(run["versions"].items())),
    }


def hardware(run: Mapping[str, Any]) -> str:
    """What a run computed on: the device, or on a CPU its processor."""
    facts = run["hardware"]
    return str(facts["processor"] if facts["device"] == "cpu" else facts["device"])
