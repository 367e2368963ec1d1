"""Fixed in advance: what of a study was written down, and committed, before its networks were trained.

`digest` hashes everything that decides the verdicts of a study on one data set: every claim with its words (so their
number too), the constants of the rules with their version, seeds and images of each contrast, fidelity, and the
strength at which each defense is judged; not what pilots had shown, which decides nothing. It hashes these declared
values, not files or source text: a module may be moved or rewritten without a claim losing its registration, and what
code does beyond its constants is held by the version, which a test pins to known verdicts.

`registrations.json` lists the digests of every study, oldest first. A commit of it registers. The worker writes the
last ones into the provenance of each training; of a network that is trained again the first ones stay, because its
results are known. A claim counts as registered where the present digest is in the training of all networks behind it,
and in the file at the commit that this training names.

Records from before this rule carry, in each measurement, the hash of the criterion of the claims that it feeds. They
prove that much: registered are those whose criterion stood in a commit before the training (`criteria` of the file says
since when) and whose study has not changed since its first digest.
"""

import functools
import hashlib
import json
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from bioinspired import keys
from bioinspired.lab.claims import Claims, Headline, load
from bioinspired.lab.claims.endpoints import data_of, feeding
from bioinspired.lab.claims.holding import BASELINES, HALF, ball_of
from bioinspired.lab.claims.verdicts import RULE
from bioinspired.lab.declarations import Scale, Study
from bioinspired.lab.records.provenance import ROOT
from bioinspired.lab.records.results import Result

FILE = "registrations.json"


def described(study: Study, claims: Claims | None = None) -> dict[str, Any]:
    """What is registered of a study on its data, as plain data."""
    claims = claims or load(study.name)
    headlines = [headline.on(data_of(study), study.scale) for headline in claims.headlines]
    return {
        "rule": {**RULE, "half": HALF, "baselines": [*BASELINES, *study.rivals]},
        "claims": {headline.id: keys.fields(replace(headline, pilot="")) for headline in headlines},
        "fidelity": study.fidelity,
        "contrasts": {headline.id: _contrast(study, headline) for headline in headlines},
        "holdings": {headline.id: list(ball_of(headline.endpoint) or ()) for headline in headlines},
    }


def digest(study: Study, claims: Claims | None = None) -> str:
    """The sha256 of what is registered of a study on its data."""
    text = json.dumps(described(study, claims), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def name_of(study: Study) -> str:
    """Under which name a study's digests are listed: study, scale, data."""
    return f"{study.name} {study.scale} {data_of(study)}"


def listed() -> dict[str, list[str]]:
    """The digests of every study, scale and data, oldest first."""
    found: dict[str, list[str]] = _file()["digests"]
    return found


def current(scale: Scale, data: str) -> dict[str, str]:
    """The last digest of every study at a scale and on a data set: what a training carries."""
    return {name.split(" ")[0]: found[-1] for name, found in listed().items() if name.split(" ")[1:] == [scale, data]}


def add(made: Iterable[Study]) -> list[str]:
    """Appends the digests of studies that have changed; returns their names. A commit of the file registers them."""
    content, changed = _file(), []
    for study in made:
        found = content["digests"].setdefault(name_of(study), [])
        if found[-1:] != [digest(study)]:
            found.append(digest(study))
            changed.append(name_of(study))
    Path(str(resources.files("bioinspired.lab.claims") / FILE)).write_text(
        json.dumps(content, indent=1, sort_keys=True) + "\n"
    )
    _file.cache_clear()
    return changed


def registered(headline: Headline, study: Study, used: Iterable[Result]) -> bool:
    """Whether a claim was fixed before the networks behind these measurements were trained."""
    results = list(used)
    return bool(results) and len(trained_after(headline, study, results)) == len(results)


def trained_after(headline: Headline, study: Study, used: Iterable[Result]) -> list[Result]:
    """Those of these measurements whose networks were trained after a claim was fixed."""
    now, first = digest(study), listed().get(name_of(study), [""])[0]
    return [result for result in used if _before(headline, study.name, result, now, first)]


def _before(headline: Headline, study: str, result: Result, now: str, first: str) -> bool:
    unit = result.record.provenance["units"]["training"]
    if "registered" in unit:
        commit = result.record.provenance["runs"][unit["run"]]["commit"]
        return unit["registered"].get(study) == now and committed(commit, now) is not False
    since = _file()["criteria"].get(headline.criterion)
    stamped = result.unit.get("criteria", {}).get(headline.id)
    if now != first or since is None or stamped != headline.criterion:
        return False
    return datetime.fromisoformat(unit["finished"]) > datetime.fromisoformat(since)


@functools.cache
def committed(commit: str | None, text: str) -> bool | None:
    """Whether a commit's registrations hold a digest; None where that cannot be known: no git, or no such commit."""
    if not commit:
        return None
    command = ["git", "-C", str(ROOT), "grep", "-q", text, commit, "--", f"*{FILE}"]
    try:
        code = subprocess.run(command, capture_output=True, timeout=30, check=False).returncode
    except (OSError, subprocess.SubprocessError):
        return None
    return {0: True, 1: False}.get(code)


def _contrast(study: Study, headline: Headline) -> dict[str, Any]:
    """Seeds and images of both sides of a claim."""
    asked = [(trial.label, trial.network.seed, one.images.n or 0) for trial, one in feeding(study, headline)]
    return {
        side: {
            "seeds": sorted({seed for label, seed, _ in asked if label == side}),
            "images": sorted({n for label, _, n in asked if label == side}),
        }
        for side in (headline.defended, headline.baseline)
    }


@functools.cache
def _file() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((resources.files("bioinspired.lab.claims") / FILE).read_text("utf-8"))
    return content
