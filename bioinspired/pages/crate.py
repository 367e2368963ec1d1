"""What an archive of the book is, as an RO-Crate: https://w3id.org/ro/crate, with the Process Run Crate profile.

Each run that made records is one action: the library at a commit was the instrument, the records are the results, and
its versions and hardware are told.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from bioinspired.lab.records.store import DamagedRecordError, Record, Store

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
MIT, CC_BY = "https://spdx.org/licenses/MIT", "https://creativecommons.org/licenses/by/4.0/"
PARTS = {
    "html/": "The rendered book",
    "notebooks/": "The executed notebooks",
    "results/": "Records, one JSON file per network, and weights of the networks that are compared",
    "code/": "The library, the claims, the lock of its environment, the notebooks' sources",
}
AUTHORS = "#authors"
UNKNOWN = "1970-01-01"
"""The date of an archive without records."""


def describe(files: Mapping[str, bytes], store: Store, run: Mapping[str, Any]) -> str:
    """The text of ro-crate-metadata.json.

    Args:
        files: everything in the archive, name to content.
        store: the records in it.
        run: what `provenance.of_run` says of the program that packs.
    """
    records = [one for one in store.records() if not isinstance(one, DamagedRecordError)]
    runs, made, finished = _runs(records)
    version = run["versions"]["bioinspired"]
    prefix = f"results/{store.folder.name}/"
    actions = [_action(name, runs[name], made[name], finished[name], prefix) for name in sorted(runs)]
    instruments = {one["instrument"]["@id"]: _software(one["instrument"]["@id"], version) for one in actions}
    loose = [name for name in files if "/" not in name]
    data = sorted({*loose, *(f"{prefix}{record.key}.json" for record in records)} & set(files))
    parts = [part for part in PARTS if any(name.startswith(part) for name in files)]
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"bioinspired {version}: the book, its records and its code, scale {store.scale}",
        "description": "Brain-inspired defenses against adversarial examples, measured; "
        f"packed at commit {run['commit'] or 'unknown'}{', with changes' if run['dirty'] else ''}.",
        "datePublished": max(finished.values(), default=UNKNOWN)[:10],
        "license": [{"@id": MIT}, {"@id": CC_BY}],
        "conformsTo": {"@id": PROFILE},
        "author": {"@id": AUTHORS},
        "publisher": {"@id": AUTHORS},
        "hasPart": _ids([*parts, *data]),
        "mentions": _ids(one["@id"] for one in actions),
    }
    about = {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"}}
    graph = [
        about | {"conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"}},
        root,
        {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {"@id": AUTHORS, "@type": "Organization", "name": "The bioinspired authors"},
        {"@id": MIT, "@type": "CreativeWork", "name": "MIT License"},
        {"@id": CC_BY, "@type": "CreativeWork", "name": "CC BY 4.0"},
        *({"@id": part, "@type": "Dataset", "name": PARTS[part], "description": PARTS[part]} for part in parts),
        *({"@id": name, "@type": "File", "name": name} | _format(name) for name in data),
        *instruments.values(),
        *actions,
    ]
    return json.dumps({"@context": CONTEXT, "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def _runs(records: Iterable[Record]) -> tuple[dict[str, Any], dict[str, set[str]], dict[str, str]]:
    """By name of a run: its facts, the networks it worked on, and when its last unit was finished."""
    facts: dict[str, Any] = {}
    made, finished = defaultdict[str, set[str]](set), defaultdict[str, str](str)
    for record in records:
        for unit in record.provenance["units"].values():
            name = unit["run"]
            facts[name] = record.provenance["runs"][name]
            made[name].add(record.key)
            finished[name] = max(finished[name], unit["finished"])
    return facts, made, finished


def _action(name: str, run: Mapping[str, Any], made: set[str], finished: str, prefix: str) -> dict[str, Any]:
    versions = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
    hardware = ", ".join(f"{part} {what}" for part, what in run["hardware"].items())
    return {
        "@id": f"#run-{name}",
        "@type": "CreateAction",
        "name": f"Run {name}: training and measuring",
        "description": f"Versions: {versions}. Hardware: {hardware}.",
        "instrument": {"@id": f"#bioinspired-{run['commit'] or 'unknown'}"},
        "agent": {"@id": AUTHORS},
        "result": _ids(f"{prefix}{key}.json" for key in sorted(made)),
        "endTime": finished,
    }


def _software(name: str, version: str) -> dict[str, Any]:
    commit = name.removeprefix("#bioinspired-")
    told = {"name": f"bioinspired at commit {commit}", "softwareVersion": commit if commit != "unknown" else version}
    return {"@id": name, "@type": "SoftwareApplication", **told}


def _format(name: str) -> dict[str, str]:
    return {"encodingFormat": "application/json"} if name.endswith(".json") else {"encodingFormat": "text/plain"}


def _ids(names: Iterable[str]) -> list[dict[str, str]] | dict[str, str]:
    """References; a single one stands without a list."""
    found = [{"@id": name} for name in names]
    return found[0] if len(found) == 1 else found
