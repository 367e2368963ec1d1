"""What the records are: their cost, their state, where they come from."""

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired import plan, studies
from bioinspired.chapter import Chapter
from bioinspired.records import Record, open_store
from bioinspired.tables.layout import table
from bioinspired.trials import Scale


def cost(chapter: Chapter) -> Styler:
    """What the study cost on the hardware that made it: units, seconds, passes through the networks."""
    rows = []
    for record in _records(chapter):
        for name, entry in record.cost.items():
            unit = record.unit(name)
            if unit is not None:
                run = record.provenance["runs"][unit["run"]]
                kind = "training" if name == "training" else record.measurements[name]["config"]["question"]["kind"]
                rows.append({"what": kind, "hardware": _hardware(run), "seconds": entry["seconds"]})
    frame = pd.DataFrame(rows, columns=["what", "hardware", "seconds"])
    grouped = frame.groupby(["what", "hardware"], as_index=False).agg(
        units=("seconds", "size"), seconds=("seconds", "sum")
    )
    grouped["seconds"] = grouped["seconds"].map("{:.0f}".format)
    return table(grouped, "What the records of this page cost.")


def status(store: str, scale: Scale) -> pd.DataFrame:
    """Units of every study at a scale: how many are done, missing, stale, damaged, and what makes the missing ones."""
    place = open_store(scale, store)
    rows = []
    for name in studies.NAMES:
        found = [unit.state for unit in plan.units(studies.study(name, scale), place)]
        counts = {state: found.count(state) for state in ("done", "missing", "stale", "damaged")}
        command = f"bioinspired run {name} --scale {scale}" if counts["missing"] + counts["damaged"] else ""
        rows.append({"study": name, "units": len(found), **counts, "to make the rest": command})
    return pd.DataFrame(rows)


def provenance(store: str, scale: Scale) -> pd.DataFrame:
    """Which runs made the records of a scale: commit, versions, hardware, units, first and last day."""
    runs: dict[str, dict[str, object]] = {}
    for record in open_store(scale, store).records():
        if not isinstance(record, Record):
            continue
        for unit in record.provenance["units"].values():
            facts = record.provenance["runs"][unit["run"]]
            row = runs.setdefault(
                unit["run"],
                {
                    "run": unit["run"],
                    "commit": (facts["commit"] or "none")[:12] + (" (changed files)" if facts["dirty"] else ""),
                    "hardware": _hardware(facts),
                    "versions": ", ".join(f"{name} {version}" for name, version in sorted(facts["versions"].items())),
                    "units": 0,
                    "first": unit["finished"][:10],
                    "last": unit["finished"][:10],
                },
            )
            row["units"] = int(str(row["units"])) + 1
            row["first"] = min(str(row["first"]), unit["finished"][:10])
            row["last"] = max(str(row["last"]), unit["finished"][:10])
    return pd.DataFrame(runs.values(), columns=["run", "commit", "hardware", "versions", "units", "first", "last"])


def _records(chapter: Chapter) -> list[Record]:
    return list({result.record.key: result.record for result in chapter.results}.values())


def _hardware(run: dict[str, dict[str, object]]) -> str:
    hardware = run["hardware"]
    return str(hardware["processor"] if hardware["device"] == "cpu" else hardware["device"])
