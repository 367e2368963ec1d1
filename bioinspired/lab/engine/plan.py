"""What a study wants, how it stands in a store, and the tasks that would make the rest. Nothing here computes."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bioinspired.declarations import Network
from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.declarations import Measurement, Study, Tier, Trial
from bioinspired.lab.records.store import PUBLISHED, DamagedRecordError, Record, Store

State = Literal["done", "missing", "damaged"]


@dataclass(frozen=True)
class Unit:
    """A network, or one measurement of it, as a study wants it, and its state in a store.

    done     made, on the network's present weights
    missing  not made, or made on other weights, or its artifact is lost
    damaged  the record cannot be read
    """

    study: str
    trial: Trial
    measurement: Measurement | None
    state: State

    @property
    def key(self) -> str:
        """The network's key, or the measurement's."""
        return key(self.trial.network if self.measurement is None else self.measurement)


@dataclass(frozen=True)
class Task:
    """What a worker does in one go: train a network, or answer questions that share their target or their sources."""

    network: Network | None = None
    questions: tuple[tuple[Network, Measurement], ...] = ()

    @property
    def needs(self) -> list[Network]:
        """The networks whose weights the questions read."""
        found = [network for target, question in self.questions for network in (target, *question.sources)]
        return list(dict.fromkeys(found))


def recorded(name: str, store: Store, *, dataset: str = "") -> Study:
    """A study at the store's scale, on a data set; for "" on its own.

    Where records are published, "" means the most faithful study that they have: the study's own data set before
    others, wider networks before narrower ones, then longer schedules before shorter ones, then full before narrow. Of
    those, the first with at least half of its networks, else the first with any.

    Raises:
        UserError: no such study or data set.
    """
    if store.scale not in PUBLISHED:
        return papers.study(name, store.scale, dataset=dataset)
    known = papers.datasets(name, "full") + papers.datasets(name, "narrow")
    wanted = (dataset,) if dataset else tuple(dict.fromkeys(known))
    choices = []
    for one in wanted:
        scales = [scale for scale in reversed(PUBLISHED) if one in papers.datasets(name, scale)]
        choices += sorted((papers.study(name, scale, dataset=one) for scale in scales), key=_size, reverse=True)
    if not choices:
        return papers.study(name, store.scale, dataset=dataset)
    shares = [share(study, store) for study in choices]
    best = max(shares)
    return next(study for study, its in zip(choices, shares, strict=True) if its >= min(best, 0.5))


def _size(study: Study) -> tuple[int, int]:
    """Width and epochs of a study's first network, which is the like one at every scale."""
    network = study.trials[0].network
    return network.architecture.width, network.recipe.epochs


def shown(name: str, store: Store, *, dataset: str = "") -> list[Study]:
    """A study on its own data set, and on each other one that the store has records of; with `dataset` on that only.

    Raises:
        UserError: no such study or data set.
    """
    if dataset:
        return [papers.study(name, store.scale, dataset=dataset)]
    known_sets = papers.datasets(name, store.scale)
    if not known_sets:
        return []
    own, *others = (papers.study(name, store.scale, dataset=one) for one in known_sets)
    known = {trial.network for trial in own.trials}
    return [own, *(study for study in others if share(study, store, besides=known))]


def command(study: Study) -> str:
    """The command line that makes what is missing of a study."""
    data = study.trials[0].network.data.name
    own = papers.datasets(study.name, study.scale)[0]
    return f"bioinspired run {study.name} --scale {study.scale}" + ("" if data == own else f" --dataset {data}")


def share(study: Study, store: Store, *, besides: Collection[Network] = ()) -> float:
    """The share of a study's networks, `besides` some that do not count, that the store has a record of."""
    networks = {trial.network for trial in study.trials}.difference(besides)
    return sum(store.path(key(network)).exists() for network in networks) / max(1, len(networks))


def units(study: Study, store: Store, *, tier: Tier | None = None) -> list[Unit]:
    """Every network and measurement of a study with its state, in the study's order; of one tier, or of both."""
    states = States(store)
    found = []
    for trial in study.trials:
        if tier is None or trial.tier == tier:
            found.append(Unit(study.name, trial, None, states.of_network(trial.network)))
            found += [Unit(study.name, trial, m, states.of_measurement(trial.network, m)) for m in trial.measurements]
    return found


def wanted(found: Iterable[Unit]) -> list[Unit]:
    """The units to make: missing and damaged ones."""
    return [unit for unit in found if unit.state != "done"]


def training_tasks(todo: Sequence[Unit], store: Store) -> list[Task]:
    """The networks to train: those asked for, and those whose weights a question needs and are not at hand."""
    networks = {unit.trial.network: None for unit in todo if unit.measurement is None}
    for task in measuring_tasks(todo):
        networks |= {network: None for network in task.needs if not store.weights(key(network)).exists()}
    return [Task(network=network) for network in networks]


def measuring_tasks(todo: Sequence[Unit]) -> list[Task]:
    """The questions to answer: those of a network together, and a transfer with all its targets, made once."""
    groups: dict[str, dict[tuple[Network, Measurement], None]] = {}
    for unit in todo:
        if unit.measurement is not None:
            shared = unit.measurement if unit.measurement.is_transfer else unit.trial.network
            groups.setdefault(key(shared), {})[unit.trial.network, unit.measurement] = None
    return [Task(questions=tuple(group)) for group in groups.values()]


class States:
    """The states of units in a store; every record is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[str, Record | DamagedRecordError | None] = {}

    def of_network(self, network: Network) -> State:
        """The state of a network's training."""
        record = self._record(network)
        if isinstance(record, DamagedRecordError):
            return "damaged"
        if record is None or record.unit("training") is None:
            return "missing"
        return "done"

    def of_measurement(self, network: Network, measurement: Measurement) -> State:
        """The state of a measurement."""
        record = self._record(network)
        if isinstance(record, DamagedRecordError):
            return "damaged"
        unit = record.unit(key(measurement)) if record else None
        if record is None or unit is None or unit["weights"] != self._weights(network):
            return "missing"
        if any(unit["sources"].get(key(source)) != self._weights(source) for source in measurement.sources):
            return "missing"
        return "done" if self._store.has_artifact(record, key(measurement)) else "missing"

    def _weights(self, network: Network) -> str | None:
        record = self._record(network)
        unit = record.unit("training") if isinstance(record, Record) else None
        return unit["weights"] if unit else None

    def _record(self, network: Network) -> Record | DamagedRecordError | None:
        name = key(network)
        if name not in self._records:
            try:
                self._records[name] = self._store.read(name)
            except DamagedRecordError as damage:
                self._records[name] = damage
        return self._records[name]
