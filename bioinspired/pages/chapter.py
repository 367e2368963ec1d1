"""What a notebook opens: one paper's study, the records at hand, the claims judged by them. Imports no torch.

    page = chapter.open("defective_conv", scale=scale, store=store, dataset=dataset)

While the book is built (BIOINSPIRED_READ_ONLY is set) a notebook only reads; opened by hand, the same call first makes
what is missing at smoke or laptop scale.
"""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from bioinspired.errors import UserError
from bioinspired.evaluation.statistics import wilson
from bioinspired.lab import papers
from bioinspired.lab.claims import Endpoint
from bioinspired.lab.claims.assessment import Assessment, assess
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.worst_case import Attacks
from bioinspired.lab.declarations import Scale, Study
from bioinspired.lab.engine import plan
from bioinspired.lab.measurements.declarations import Attack, Gallery
from bioinspired.lab.records.results import Result, read, strength
from bioinspired.lab.records.store import PUBLISHED, Record, Store, open_store

READ_ONLY = "BIOINSPIRED_READ_ONLY"

SCALES = {
    "smoke": "**Scale: smoke.** A few steps on a few images show that the code runs. No number here is a result.",
    "laptop": (
        "**Scale: laptop.** Narrow networks on a small data set, made in minutes without a GPU. Such a page can show a "
        "mechanism and effects of ten points and more; it passes no verdict on the paper's own numbers, and its own "
        "verdicts say *at small scale*."
    ),
    "narrow": (
        "**Scale: narrow.** The papers' data, complete and at their own resolution; narrow networks and short "
        "schedules, made on two cores."
    ),
    "full": "The paper's data and networks, or the nearest that is stated below.",
}
FIDELITY = {
    "paper": "The protocol is the paper's.",
    "changed": "Changed against the paper: {changes}.",
    "reconstruction": "The paper's text and code were not available: the model is a reconstruction. {changes}",
    "proxy": "A proxy for the paper's experiment: {changes}.",
}


@dataclass(frozen=True)
class Chapter:
    """One paper's study and what a store holds of it; where it is a part of a study, `whole` is that study."""

    study: Study
    store: Store
    whole: Study | None = None

    def on(self, data: str = "") -> "Chapter":
        """The same chapter with the trials on one data set; "" for the study's own, that of its first trial.

        Claims are judged by the whole study's trials all the same: one may speak of another data set.
        """
        wanted = data or data_of(self.study)
        trials = tuple(trial for trial in self.study.trials if trial.network.data.name == wanted)
        return Chapter(replace(self.study, trials=trials), self.store, self.whole or self.study)

    @cached_property
    def results(self) -> list[Result]:
        """The measurements at hand, in the study's order."""
        return read(self.study, self.store)

    @cached_property
    def assessments(self) -> list[Assessment]:
        """The headline claims, judged."""
        return assess(self.whole or self.study, self.store)

    @cached_property
    def attacks(self) -> Attacks:
        """The attacks of somebody who has the network, for worst cases per image."""
        return Attacks(self.results, white=True)

    @cached_property
    def units(self) -> list[plan.Unit]:
        """Every unit of the study with its state."""
        return plan.units(self.study, self.store)

    @property
    def made(self) -> str:
        """How many of the study's units have been made, such as "12 of 1,101"."""
        return f"{sum(unit.state == 'done' for unit in self.units):,} of {len(self.units):,}"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per measurement: the network, the attack or corruption, what each metric says, the study's factors.

        Columns: study, label and seed of the network; kind, name, norm, eps (as written) and strength (the number),
        steps, loss; source and source_seed where examples were made on another network; n images; accuracy in percent
        with Wilson's 95 % interval low to high; conditional (the papers' rate, of `counted` images); distance; value;
        passes and seconds; key of the measurement.
        """
        factors = dict.fromkeys(name for trial in self.study.trials for name in trial.factors)
        rows = [{"study": self.study.name} | _row(result) for result in self.results]
        return pd.DataFrame(rows, columns=[*COLUMNS, *factors])

    def records(self) -> list[Record]:
        """The records behind the results."""
        return list({result.record.key: result.record for result in self.results}.values())

    def banner(self) -> str:
        """What made this page and what that means for its numbers, as Markdown."""
        fidelity = FIDELITY[self.study.fidelity].format(changes=self.study.changes)
        networks = f"**Networks on {data_of(self.study)}: {self.networks()}.**"
        parts = (SCALES[self.study.scale], networks, fidelity, self._elsewhere(), self.missing())
        return " ".join(part for part in parts if part)

    def networks(self) -> str:
        """The sizes and schedules of the networks that are compared."""
        here = [trial.network for trial in self.study.trials if trial.network.data.name == data_of(self.study)]
        said = dict.fromkeys(
            f"{one.architecture.name} of width {one.architecture.width}, {one.recipe.epochs} epochs" for one in here
        )
        return "; ".join(said)

    def _elsewhere(self) -> str:
        """Of published records, that the study's own data set has no records yet, where that is so."""
        own, here = papers.datasets(self.study.name, self.study.scale)[0], data_of(self.study)
        if (
            self.study.scale not in PUBLISHED
            or own == here
            or data_of(plan.recorded(self.study.name, self.store)) == own
        ):
            return ""
        return f"This page is on {here}: the study's own data set, {own}, has no records yet."

    def missing(self) -> str:
        """Which units are not there, and the command that makes them; "" when all are."""
        lacking = plan.wanted(self.units)
        if not lacking:
            return ""
        command = plan.command(self.study)
        return f"{len(lacking)} of {len(self.units)} units have not been made yet; `{command}` makes them."

    def endpoint(self, claim: str) -> Endpoint:
        """What is measured, on this chapter's data, for a headline claim."""
        return next(found.headline.endpoint for found in self.assessments if found.headline.id == claim)

    def pgd(self) -> pd.DataFrame:
        """White-box PGD in Linf, on the most images of each network and one loss: cross-entropy where it was used."""
        rows = self.frame[self.frame["norm"] == "linf"]
        rows = rows[(rows["kind"] == "attack") & (rows["source"] == "") & (rows["name"] == "pgd")]
        if (rows["loss"] == "ce").any():
            rows = rows[rows["loss"] == "ce"]
        return rows[rows["n"] == rows.groupby("label")["n"].transform("max")]

    def seeds(self, label: str) -> int:
        """How many trainings of a label the study has."""
        return sum(trial.label == label for trial in self.study.trials)

    def text(self, label: str, *, metric: str = "accuracy", **where: object) -> str:
        """What `rate` says, for prose: a percentage with one decimal, or that it was not measured."""
        found = self.rate(label, metric=metric, **where)
        return "not measured" if found is None else f"{found:.1f}"

    def rate(self, label: str, *, metric: str = "accuracy", **where: object) -> float | None:
        """The mean over the rows of a label that fit `where` (columns of `frame`); None where there are none.

        Of rows on different numbers of images only those on the most count.
        """
        rows = self.frame[self.frame["label"] == label]
        for column, value in where.items():
            rows = rows[rows[column] == value]
        rows = rows.dropna(subset=[metric])
        values = rows.loc[rows["n"] == rows["n"].max(), metric]
        return None if values.empty else float(values.mean())


def open(name: str, *, scale: Scale = "laptop", store: str = "", dataset: str = "") -> Chapter:
    """Opens a paper's study on the records at hand.

    Args:
        name: the study.
        scale: "smoke", "laptop", "narrow" or "full".
        store: folder of records; "" for BIOINSPIRED_STORE or the checkout's.
        dataset: another data set than the study's own; "" for that, or for the most faithful with published records.

    Raises:
        UserError: no such study, scale or data set, or a unit that could not be made.
    """
    place = open_store(scale, store)
    chapter = Chapter(plan.recorded(name, place, dataset=dataset), place)
    lacking = plan.wanted(chapter.units)
    if not lacking or scale in PUBLISHED or os.environ.get(READ_ONLY):
        return chapter
    # A process of its own: worker processes started from a script or a kernel would import that first.
    command = [sys.executable, "-m", "bioinspired", "run", name, "--scale", scale, "--device", "cpu"]
    command += ["--store", str(chapter.store.root)] + (["--dataset", dataset] if dataset else [])
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"{name} at scale {scale} could not be completed: see the message above.")
    return Chapter(chapter.study, chapter.store)


def open_all(*, scale: Scale = "laptop", store: str = "", dataset: str = "") -> list[Chapter]:
    """All papers' chapters, each on one data set: `dataset` where the study has it, else its own.

    Args, errors: see `open`.
    """
    chapters = []
    for name in papers.NAMES:
        own = dataset if dataset in papers.datasets(name, scale) else ""
        chapters.append(open(name, scale=scale, store=store, dataset=own).on(own))
    return chapters


COLUMNS = [
    "study", "label", "seed", "kind", "name", "norm", "eps", "strength", "steps", "loss", "source", "source_seed",
    "n", "accuracy", "low", "high", "conditional", "counted", "distance", "value", "forwards", "backwards",
    "seconds", "key",
]  # fmt: skip


def _row(result: Result) -> dict[str, object]:
    question = result.measurement.question
    attack = question.attack if isinstance(question, Gallery) else question
    spelled, accuracy = strength(result.measurement), result.rate()
    low, high = (
        (None, None) if accuracy is None else (100 * end for end in wilson(round(accuracy * result.n / 100), result.n))
    )
    return {
        "label": result.label,
        "seed": result.seed,
        "kind": question.kind,
        "name": getattr(attack, "name", ""),
        "norm": getattr(attack, "norm", ""),
        "eps": spelled,
        "strength": _number(spelled),
        "steps": getattr(attack, "steps", 0),
        "loss": attack.loss if isinstance(attack, Attack) else "",
        "source": result.source.removeprefix("source "),
        "source_seed": "+".join(str(seed) for seed in result.source_seeds),
        "n": result.n,
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "conditional": result.rate("conditional"),
        "counted": result.counted("conditional"),
        "distance": result.rate("distance"),
        "value": result.rate("value"),
        "forwards": result.cost.get("forwards"),
        "backwards": result.cost.get("backwards"),
        "seconds": result.cost["seconds"],
        "key": result.key,
        **result.trial.factors,
    }


def _number(text: str) -> float:
    from bioinspired.keys import number

    return number(text) if text else 0.0
