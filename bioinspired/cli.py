"""The command line: `bioinspired book | bundle | run | status | verify | weights | replay | claims | ...`."""

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from bioinspired.declarations import Images, Norm
from bioinspired.errors import UserError
from bioinspired.keys import key, number, strength
from bioinspired.lab import papers
from bioinspired.lab.declarations import Scale, Study, Tier
from bioinspired.lab.engine.making import make
from bioinspired.lab.engine.plan import Unit, command, recorded, shown, units
from bioinspired.lab.records.store import PUBLISHED, SCALES, DamagedRecordError, Store, open_store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Brain-inspired defenses against adversarial examples: measure whether they hold, and build the book.",
)

ScaleOption = Annotated[
    Scale,
    typer.Option(
        help="smoke: seconds, for tests; laptop: minutes; narrow: the papers' data, narrow networks, hours; "
        "full: the papers' networks, for a GPU."
    ),
]
StoreOption = Annotated[
    str, typer.Option(help="Folder of the records; else BIOINSPIRED_STORE, else results/ of the checkout.")
]
DatasetOption = Annotated[str, typer.Option(help="Another data set than the study's own: digits, mnist, ...")]
EveryStudyArgument = Annotated[str, typer.Argument(help=f"One of {', '.join(papers.NAMES)}, or all.")]
StudyArgument = Annotated[str, typer.Argument(help=f"One of {', '.join(papers.NAMES)}.")]
TierOption = Annotated[Tier | None, typer.Option(help="core or wide; both by default.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, or auto.")]
WorkersOption = Annotated[
    int, typer.Option(min=1, max=4 * (os.cpu_count() or 1), help="Processes on a CPU, one torch thread each.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable, one list of objects.")]


@app.command()
def book(
    scale: ScaleOption = "full",
    only: Annotated[str, typer.Option(help="These chapters only, separated by commas.")] = "",
    dataset: DatasetOption = "",
    store: StoreOption = "",
    workers: WorkersOption = 2,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also as one PDF, printed by Chromium.")] = False,
) -> None:
    """Build the book from the published records; at smoke and laptop scale make what is missing first."""
    from bioinspired.pages.build import build, installed

    chosen = [name.strip() for name in only.split(",") if name.strip()] or list(papers.NAMES)
    place = open_store(scale, store)
    wanted = [recorded(name, place, dataset=dataset) for name in chosen]
    installed()
    with _stoppable():
        if scale in PUBLISHED:
            _say_what_is_missing(wanted, place)
        else:
            make(wanted, place, workers=workers)
        build(store=place, dataset=dataset, only=chosen if only else (), printed=pdf, say=_say)


@app.command()
def bundle(
    target: Annotated[Path, typer.Argument(help="The archive to write, such as book.tar.gz.")],
    scale: ScaleOption = "full",
    dataset: DatasetOption = "",
    store: StoreOption = "",
    workers: WorkersOption = 2,
    pdf: Annotated[bool, typer.Option("--pdf", help="With the book as one PDF, printed by Chromium.")] = False,
) -> None:
    """Bring the book up to date and pack it into one file: pages, notebooks, records, weights, code, checksums."""
    from bioinspired.pages.bundle import check, pack

    check(target)
    book(scale=scale, dataset=dataset, store=store, workers=workers, pdf=pdf)
    digest = pack(target, store=open_store(scale, store))
    _say(f"{target}: {target.stat().st_size / 2**20:.1f} MiB, sha256 {digest}")


@app.command()
def run(
    study: EveryStudyArgument,
    scale: ScaleOption = "laptop",
    tier: TierOption = None,
    seeds: Annotated[str, typer.Option(help='Seeds of the compared networks, such as "0,1,2" or "0-4".')] = "",
    device: DeviceOption = "auto",
    dataset: DatasetOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made and how long it would take.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="With --dry-run, list every unit.")] = False,
    workers: WorkersOption = 2,
    store: StoreOption = "",
) -> None:
    """Train the missing networks of a study, or of all, and make their missing measurements."""
    wanted = [
        papers.study(name, scale, dataset=one, seeds=_seeds(seeds))
        for name in (papers.NAMES if study == "all" else (study,))
        for one in ((dataset,) if dataset or study != "all" else papers.datasets(name, scale))
    ]
    place = open_store(scale, store)
    chosen = _device(device)
    if dry_run:
        _dry_run(wanted, place, tier=tier, device=chosen, workers=workers, verbose=verbose)
        return
    with _stoppable():
        for one in wanted:
            make([one], place, tier=tier, device=chosen, workers=workers)


@app.command()
def status(
    study: Annotated[str, typer.Option(help="One study only.")] = "",
    scale: Annotated[Scale | None, typer.Option(help="One scale only.")] = None,
    dataset: DatasetOption = "",
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """List every unit of the studies and whether it is done, missing or damaged."""
    from bioinspired.lab.records.store import SCALES

    rows: list[dict[str, Any]] = []
    damaged: list[str] = []
    for one in (scale,) if scale else SCALES:
        place = open_store(one, store)
        damaged += [str(found) for found in place.records() if isinstance(found, DamagedRecordError)]
        for name in (study,) if study else papers.NAMES:
            for wanted in shown(name, place, dataset=dataset):
                rows += [_row(one, unit) for unit in units(wanted, place)]
    for sentence in damaged:
        print(f"damaged: {sentence}", file=sys.stderr)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("study", "data", "scale", "tier", "units", "done", "missing", "damaged")
    groups = [(row["study"], row["data"], row["scale"], row["tier"]) for row in rows]
    for group in dict.fromkeys(groups):
        states = [row["state"] for row, its in zip(rows, groups, strict=True) if its == group]
        counts = [states.count(state) for state in ("done", "missing", "damaged")]
        table.add_row(*group, *map(str, (len(states), *counts)))
    _print(table)


@app.command()
def verify(
    study: StudyArgument,
    scale: ScaleOption = "full",
    tier: TierOption = None,
    label: Annotated[str, typer.Option(help='One row of the study only, such as "keep 0.1".')] = "",
    every: Annotated[bool, typer.Option("--every", help="Also what has been verified already.")] = False,
    device: DeviceOption = "auto",
    dataset: DatasetOption = "",
    workers: WorkersOption = 2,
    store: StoreOption = "",
) -> None:
    """Make units again and stamp those that come out as their records say; exit code 1 if some do not."""
    from bioinspired.lab.engine import verification

    place = open_store(scale, store)
    wanted = recorded(study, place, dataset=dataset)
    chosen = verification.choose(wanted, place, tier=tier, label=label, every=every)
    if not chosen:
        print("Nothing to verify: every unit here has been verified. `--every` takes them again.")
        return
    with _stoppable():
        found = verification.verify(wanted, place, chosen, device=_device(device), workers=workers)
    for finding in found:
        if finding.outcome != "identical":
            unit = finding.unit
            where = f"{unit.trial.label}, seed {unit.trial.network.seed}: {_what(unit)}"
            print(f"{finding.outcome}: {where}: {finding.difference}")
    counts = {
        outcome: sum(one.outcome == outcome for one in found)
        for outcome in ("identical", "within tolerance", "different")
    }
    print(f"{len(found)} units made again: " + ", ".join(f"{n} {outcome}" for outcome, n in counts.items()) + ".")
    raise typer.Exit(1 if counts["different"] else 0)


@app.command()
def weights(
    study: EveryStudyArgument,
    scale: ScaleOption = "full",
    seeds: Annotated[str, typer.Option(help='Seeds, such as "0,1"; else the first of each network.')] = "",
    device: DeviceOption = "auto",
    dataset: DatasetOption = "",
    workers: WorkersOption = 2,
    store: StoreOption = "",
) -> None:
    """Train the networks of the headline claims whose weights are not at hand; exit code 1 if some come out other."""
    from bioinspired.lab import weights as kept

    place, others = open_store(scale, store), 0
    for name in papers.NAMES if study == "all" else (study,):
        wanted = recorded(name, place, dataset=dataset)
        with _stoppable():
            here, other = kept.make(wanted, place, seeds=_seeds(seeds) or (), device=_device(device), workers=workers)
        for trial in here:
            size = place.weights(key(trial.network)).stat().st_size / 2**20
            print(f"{kept.name_of(name, trial.label)}, seed {trial.network.seed}: {size:.1f} MiB")
        for trial in other:
            named = f"{kept.name_of(name, trial.label)}, seed {trial.network.seed}"
            print(f"{named}: trained here, it has other weights than its record names; not kept")
        others += len(other)
    raise typer.Exit(1 if others else 0)


@app.command()
def replay(
    name: Annotated[str, typer.Argument(help='Study and network, such as "sleep/set-b".')],
    seed: Annotated[int | None, typer.Option(help="Of its training; else the first that has a record.")] = None,
    scale: ScaleOption = "full",
    seconds: Annotated[float, typer.Option(help="Leave out what took longer when it was recorded.")] = 60.0,
    store: StoreOption = "",
) -> None:
    """Measure a published network again on its fixed images, without training; exit code 1 if some outcome differs."""
    from bioinspired.lab.replay import again
    from bioinspired.lab.weights import find

    place = open_store(scale, store)
    trial = find(name, place, seed)
    made = changed = 0
    with _stoppable():
        for one in again(name, trial, place, seconds=seconds):
            told = "as recorded" if not one.changed else f"{one.changed} differ"
            _say(f"{_what(Unit(name, trial, one.measurement, 'done'))}: {one.n} images, {told}")
            made, changed = made + 1, changed + bool(one.changed)
    print(
        f"{name}, seed {trial.network.seed}: {made} measurements made again, {made - changed} with the record's bits."
    )
    raise typer.Exit(1 if changed or not made else 0)


@app.command()
def claims(
    study: Annotated[str, typer.Option(help="One study only.")] = "",
    scale: ScaleOption = "full",
    dataset: DatasetOption = "",
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """What the papers claim, what was measured, the verdict; and at a glance whether each defense holds."""
    from bioinspired.lab.claims.assessment import assess
    from bioinspired.lab.claims.endpoints import data_of
    from bioinspired.lab.claims.summary import as_data, counted, of_attacks, price, sentence

    place = open_store(scale, store)
    rows: list[dict[str, Any]] = []
    for name in (study,) if study else papers.NAMES:
        wanted = recorded(name, place, dataset=dataset)
        assessed = assess(wanted, place)
        rows += [as_data(wanted, found) for found in assessed]
        if as_json:
            continue
        table = Table("claim", "what", "paper", "ours", "verdict", title=f"{name}, {data_of(wanted)}")
        table.title_justify = "left"
        for row in (row for row in rows if row["study"] == name):
            ends = "" if row["interval"] is None else " [{:.2f}, {:.2f}]".format(*row["interval"])
            ours = "" if row["ours"] is None else f"{row['ours']:.2f}{ends}"
            paper = "" if row["paper"] is None else str(row["paper"])
            table.add_row(row["id"], row["statement"], paper, ours, row["verdict"])
        _print(table)
        print(f"{name}: {counted(assessed)}.")
        for one in of_attacks(assessed):
            print(f"  {price(one)} With the paper's access: {sentence(one, one.paper_access)}")
            print(f"  In white box: {sentence(one, one.white_box)}")
    if as_json:
        print(json.dumps(rows, indent=1))


@app.command()
def register() -> None:
    """Write down what is registered of every study, scale and data set; a commit of the file registers it."""
    from bioinspired.lab.claims import registration

    made = [
        papers.study(name, scale, dataset=data)
        for name in papers.NAMES
        for scale in SCALES
        for data in papers.datasets(name, scale)
    ]
    changed = registration.add(made)
    print("\n".join(changed) if changed else "Nothing has changed since the last registration.")


@app.command()
def data(
    names: Annotated[
        list[str] | None, typer.Argument(help="digits, mnist, fashion_mnist, cifar10, patches, cub200; all by default.")
    ] = None,
) -> None:
    """Say where the data sets are and whether every file of them is as published."""
    from bioinspired.data import DESCRIPTIONS, check

    table = Table("data set", "state", "")
    for name in names or DESCRIPTIONS:
        found = check(name)
        table.add_row(name, found.state, found.sentence)
    _print(table)


@app.command()
def attack(
    listing: Annotated[
        bool, typer.Option("--list", help="List the catalogue; there is nothing else to ask yet.")
    ] = True,
    study: Annotated[str, typer.Option(help="The list of one study instead: dim.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Name every attack: norm, kind of access, library, what it costs, and what is known to be wrong with it."""
    from bioinspired.attacks.catalogue import as_json as described
    from bioinspired.lab.papers.lists import of_study

    rows = of_study(study) if study else described()
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    if study:
        names = Column("name", overflow="fold", min_width=30)
        table = Table(names, "type", "norm", "passes", "optimises", "parameters", "budget", box=None)
        for row in rows:
            parameters = ", ".join(f"{name} {value}" for name, value in row["parameters"].items()) or "defaults"
            passes = f"{row['cost']['forwards']:,} + {row['cost']['backwards']:,}"
            optimises = "yes" if row["optimises"] else "no"
            table.add_row(row["name"], row["type"], row["norm"], passes, optimises, parameters, row["budget"])
        _print(table)
        return
    table = Table("name", "type", "norm", "passes", "known to be wrong: use instead", box=None)
    for row in rows:
        cost = row["cost"]
        passes = f"{'up to ' if cost['at_most'] else ''}{cost['forwards']:,} + {cost['backwards']:,}"
        instead = f"{', '.join(row['defects'])}: {row['instead'] or '-'}" if row["defects"] else ""
        table.add_row(row["name"], row["type"], " ".join(row["norm"]), passes, instead)
    _print(table)


@app.command()
def check(
    study: StudyArgument,
    label: Annotated[str, typer.Option(help='The row of the study, such as "keep 0.1".')],
    eps: Annotated[str, typer.Option(help='Radius of the ball, such as "8/255".')],
    norm: Annotated[Norm, typer.Option(help="The ball's norm.")] = "linf",
    seed: Annotated[int, typer.Option(help="Of the network.")] = 0,
    images: Annotated[int, typer.Option(min=20, help="How many test images.")] = 100,
    scale: ScaleOption = "laptop",
    dataset: DatasetOption = "",
    store: StoreOption = "",
) -> None:
    """Check whether attacks on a trained network of a study can be trusted; exit code 1 if a check fails."""
    radius = number(strength(eps))
    wanted = papers.study(study, scale, dataset=dataset)
    labels = list(dict.fromkeys(trial.label for trial in wanted.trials))
    network = next((t.network for t in wanted.trials if (t.label, t.network.seed) == (label, seed)), None)
    if network is None:
        raise UserError(f'{study} has no network "{label}" with seed {seed}: its rows are {", ".join(labels)}.')
    from bioinspired.data import load, select
    from bioinspired.evaluation.checks import check as examine
    from bioinspired.lab.engine.worker import model_of

    model = model_of(network, open_store(scale, store))
    split = select(load(network.data, "test"), Images(n=images))
    found = examine(model, split.images.float() / 255, split.labels, norm=norm, eps=radius)
    print(found)
    raise typer.Exit(0 if found.passed else 1)


@app.command()
def report(
    model: Annotated[str, typer.Argument(help="A function that builds it, such as my_model.py:build.")],
    data: Annotated[str, typer.Option(help="A data set of ours, a folder of images by class, or file.py:function.")],
    twin: Annotated[str, typer.Option(help="The same without its defense, such as my_model.py:plain.")] = "",
    norm: Annotated[Norm, typer.Option(help="The ball's norm.")] = "linf",
    eps: Annotated[str, typer.Option(help='Its radius, such as "8/255".')] = "8/255",
    budget: Annotated[str, typer.Option(help="quick, standard or thorough.")] = "quick",
    attack: Annotated[str, typer.Option(help="An attack of your own, such as my_model.py:attack.")] = "",
    target: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("report"),
) -> None:
    """Attack anybody's model, and write one page that says whether it holds."""
    from bioinspired.pages import strangers
    from bioinspired.pages.report import BUDGETS
    from bioinspired.pages.report import report as written

    if budget not in BUDGETS:
        raise UserError(f'There is no budget "{budget}": choose one of {", ".join(BUDGETS)}.')
    built = strangers.model(model)
    beside = strangers.model(twin) if twin else None
    own = {attack.rpartition(":")[2]: strangers.function(attack)} if attack else None
    x, y = strangers.images(data, BUDGETS[budget].images)
    options: dict[str, Any] = {"norm": norm, "eps": eps, "twin": beside, "budget": budget, "attacks": own}
    with _stoppable():
        _say(str(written(built, x, y, folder=target, name=model, say=_say, **options)))


def _print(table: Table) -> None:
    """As wide as a terminal; in a pipe as wide as it is, so that no name is cut."""
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


def main() -> None:
    """Runs a command; a user's mistake is one sentence and exit code 2."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a code page has no sign for
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}: see to the file, or choose another folder.", file=sys.stderr)
        sys.exit(2)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C ends a command with a sentence and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped: what had finished is kept, and the same command goes on from there.", file=sys.stderr)
        sys.exit(130)


def _dry_run(wanted: list[Study], store: Store, *, tier: Tier | None, device: str, workers: int, verbose: bool) -> None:
    """A row per study and data set: networks to train, measurements to make, time on so many workers."""
    from bioinspired.lab.engine.costs import CostModel
    from bioinspired.lab.engine.plan import measuring_tasks, training_tasks
    from bioinspired.lab.engine.plan import wanted as to_make
    from bioinspired.lab.engine.progress import duration

    model = CostModel(store, device)
    number = 1 if device == "cuda" else workers
    table = Table("study", "data", "networks to train", "measurements to make", f"time on {device}")
    sums = [0, 0, 0.0]
    for study in wanted:
        todo = to_make(units(study, store, tier=tier))
        training, measuring = training_tasks(todo, store), measuring_tasks(todo)
        time = model.total(training, number) + model.total(measuring, number)
        row = [len(training), sum(unit.measurement is not None for unit in todo), time]
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        data = ", ".join(dict.fromkeys(trial.network.data.name for trial in study.trials))
        table.add_row(study.name, data, str(row[0]), str(row[1]), duration(time))
        for unit in todo if verbose else ():
            print(f"{unit.state:8} {unit.trial.label}, seed {unit.trial.network.seed}: {_what(unit)}")
    if len(wanted) > 1:
        table.add_row("all", "", str(sums[0]), str(sums[1]), duration(sums[2]))
    _print(table)
    print(f"The estimate is {model.basis}.")


def _say_what_is_missing(wanted: list[Study], store: Store) -> None:
    for study in wanted:
        found = [unit.state for unit in units(study, store)]
        open_units = sum(state in ("missing", "damaged") for state in found)
        if open_units:
            _say(
                f"{study.name}: {open_units} of {len(found)} units are missing at scale full; "
                f"`{command(study)}` makes them."
            )


def _seeds(text: str) -> list[int] | None:
    if not text:
        return None
    out: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if last < first:
            raise UserError(f'"{text}" are no seeds: write numbers such as "0,1,2" or a range such as "0-4".')
        out += range(first, last + 1)
    return out


def _device(name: str) -> str:
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f'"{name}" is no device: choose cpu, cuda or auto.')
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("torch finds no CUDA device here: run with --device cpu, or on a machine with a GPU.")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def _row(scale: Scale, unit: Unit) -> dict[str, Any]:
    return {
        "study": unit.study,
        "data": unit.trial.network.data.name,
        "scale": scale,
        "tier": unit.trial.tier,
        "key": unit.key,
        "network": key(unit.trial.network),
        "seed": unit.trial.network.seed,
        "label": unit.trial.label,
        "unit": _what(unit),
        "state": unit.state,
    }


def _what(unit: Unit) -> str:
    if unit.measurement is None:
        return "training"
    question = asdict(unit.measurement.question)
    words = [unit.measurement.question.kind, *(f"{name} {value}" for name, value in question.items() if value)]
    sources = [f"{source.architecture.name} seed {source.seed}" for source in unit.measurement.sources]
    return ", ".join(words + ([f"from {' and '.join(sources)}"] if sources else []))


def _say(line: str) -> None:
    print(line, flush=True)
