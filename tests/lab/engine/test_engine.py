"""The engine: makes what is missing, keeps what is there, survives being stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
from executors import Here, misbehave

from bioinspired.declarations import Architecture, Data, Images, Network, PGDTraining, Recipe
from bioinspired.errors import UserError
from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims import registration
from bioinspired.lab.declarations import Measurement, Study, Trial
from bioinspired.lab.engine import plan, worker
from bioinspired.lab.engine import run as engine
from bioinspired.lab.engine.run import run
from bioinspired.lab.measurements.declarations import Attack, Clean, Corruption, Gallery
from bioinspired.lab.papers.defective_conv.declarations import DefectiveConv
from bioinspired.lab.records.results import read
from bioinspired.lab.records.store import Store, write

PGD = Attack(name="pgd", eps="0.2", steps=2, random_start=True)


def network(seed, *, defense=None, **recipe):
    return Network(
        data=Data(name="digits", size=8, train=64),
        architecture=Architecture(name="resnet18", width=2),
        recipe=Recipe(epochs=1, batch=32, **recipe),
        seed=seed,
        defense=defense,
    )


def ask(question, **more):
    return Measurement(question=question, images=Images(n=12), **more)


SOURCE = network(9)
TRIALS = (
    Trial(network=SOURCE, label="source", measurements=(ask(Clean()),)),
    Trial(network=network(0), label="standard", measurements=(ask(Clean()), ask(PGD), ask(PGD, sources=(SOURCE,)))),
    Trial(
        network=network(0, defense=DefectiveConv(keep="0.5"), noise="0.1", adversary=PGDTraining(eps="0.1", steps=1)),
        label="defended",
        measurements=(
            ask(Corruption(name="gaussian_noise", strength="0.1")),
            ask(Attack(name="fgsm", eps="0.1")),
            ask(PGD, sources=(SOURCE,)),
            ask(Attack(name="mi_fgsm", eps="0.1", steps=2), sources=(SOURCE, network(0))),
            Measurement(question=Gallery(attack=PGD)),
        ),
    ),
)


class UnpicklableError(RuntimeError):
    def __reduce__(self):
        raise TypeError


STUDY = Study(name="defective_conv", scale="smoke", trials=TRIALS, fidelity="proxy", changes="tiny")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"), "smoke")
    assert run([STUDY], store, executor=Here()) == []
    return store


def copied(store, folder):
    import shutil

    shutil.copytree(store.root, folder, dirs_exist_ok=True)
    return Store(folder, store.scale)


def states(store, study=STUDY):
    return [unit.state for unit in plan.units(study, store)]


def finished(store):
    return {
        (record.key, name): unit["finished"]
        for record in store.records()
        for name, unit in record.provenance["units"].items()
    }


def test_everything_asked_for_is_made_once(made):
    assert set(states(made)) == {"done"}
    calls = []
    assert run([STUDY], made, executor=Here(), ended=calls.append) == []
    assert calls == []


def test_two_equal_runs_give_equal_measurements(made, tmp_path):
    again = Store(tmp_path, "smoke")
    run([replace(STUDY, trials=TRIALS[::-1])], again, executor=Here())
    for one, other in zip(made.records(), again.records(), strict=True):
        assert json.dumps(one.measurements, sort_keys=True) == json.dumps(other.measurements, sort_keys=True)
        assert one.training == other.training
        assert one.unit("training")["weights"] == other.unit("training")["weights"]


def test_a_transfer_keeps_source_and_target_bits(made):
    record = made.read(key(network(0)))
    entry = record.measurements[key(ask(PGD, sources=(SOURCE,)))]
    assert set(entry["bits"]) == {"correct", "source_correct"}
    assert record.unit(key(ask(PGD, sources=(SOURCE,))))["sources"] == {
        key(SOURCE): made.read(key(SOURCE)).unit("training")["weights"]
    }


def test_weights_that_are_gone_are_made_again_for_a_new_question_and_old_answers_stay(made, tmp_path):
    store = copied(made, tmp_path)
    before = finished(store)
    store.weights(key(network(0))).unlink()
    assert set(states(store)) == {"done"}
    new = replace(TRIALS[1], measurements=(*TRIALS[1].measurements, ask(Attack(name="fgsm", eps="0.3"))))
    run([replace(STUDY, trials=(TRIALS[0], new, TRIALS[2]))], store, executor=Here())
    after = finished(store)
    assert set(states(store)) == {"done"}
    assert before.items() <= after.items(), "a network keeps the day of its first training"
    assert store.read(key(network(0))).unit("training")["verified"]["identical"]


def test_measurements_made_on_other_weights_do_not_mix(made, tmp_path):
    store = copied(made, tmp_path)

    def other_weights(record):
        units = record.provenance["units"]
        changed = units | {"training": units["training"] | {"weights": "c" * 64}}
        return replace(record, provenance=record.provenance | {"units": changed})

    store.update(key(SOURCE), other_weights)
    missing = [unit for unit in plan.units(STUDY, store) if unit.state == "missing"]
    assert {unit.trial.label for unit in missing} == {"source", "standard", "defended"}
    assert all(unit.trial.label == "source" or unit.measurement.sources for unit in missing)


def test_weights_that_are_not_the_records_are_refused_in_one_sentence(made, tmp_path):
    store = copied(made, tmp_path)
    new = replace(TRIALS[1], measurements=(ask(Attack(name="fgsm", eps="0.3")),))
    path = store.weights(key(network(0)))
    path.write_bytes(store.weights(key(SOURCE)).read_bytes())
    (failure,) = run([replace(STUDY, trials=(new,))], store, executor=Here())
    assert "holds other weights than those that the network's record names" in failure.why
    path.unlink()
    assert run([replace(STUDY, trials=(new,))], store, executor=Here()) == []


def test_an_artifact_that_is_lost_or_altered_is_made_again(made, tmp_path):
    store = copied(made, tmp_path)
    (gallery,) = (store.folder / "artifacts").iterdir()
    content = gallery.read_bytes()
    for spoil in (gallery.unlink, lambda: gallery.write_bytes(content[:-1] + b"x")):
        spoil()
        missing = [unit for unit in plan.units(STUDY, store) if unit.state == "missing"]
        assert [unit.measurement.question.kind for unit in missing] == ["gallery"]
        assert not [r for r in read(STUDY, store) if r.measurement.question.kind == "gallery"]
        assert run([STUDY], store, executor=Here()) == []
        assert gallery.read_bytes() == content


def test_clean_answers_of_other_weights_are_not_counted_from(made, tmp_path):
    store = copied(made, tmp_path)

    def other(record):
        units = record.provenance["units"]
        changed = units | {key(ask(Clean())): units[key(ask(Clean()))] | {"weights": "c" * 64}}
        return replace(record, provenance=record.provenance | {"units": changed})

    moved = [r for r in read(STUDY, store) if r.source and r.label == "standard"]
    assert moved
    assert all(r.clean is not None for r in moved)
    store.update(key(network(0)), other)
    assert all(r.clean is None for r in read(STUDY, store) if r.label == "standard")


def test_data_that_changed_after_the_training_are_refused_in_one_sentence(made, tmp_path):
    store = copied(made, tmp_path)

    def other(record):
        units = record.provenance["units"]
        return replace(record, provenance=record.provenance | {"units": units | {"training": units["training"] | {
            "data": "0" * 64}}})  # fmt: skip

    store.update(key(network(0)), other)
    new = replace(TRIALS[1], measurements=(ask(Attack(name="fgsm", eps="0.3")),))
    failures = run([replace(STUDY, trials=(new,))], store, executor=Here())
    assert [failure.why.partition(" (another")[0] for failure in failures] == [
        f"The training images of digits are not those that network {key(network(0))[:12]} was trained on"
    ]


def test_a_network_that_draws_random_numbers_answers_the_same_whatever_was_asked_before(tmp_path, monkeypatch):
    store = Store(tmp_path, "smoke")
    trial = Trial(network=network(0), label="standard", measurements=(ask(Clean()),))
    monkeypatch.setattr(worker, "model_of", lambda *names: lambda x: torch.randn(len(x), 10))
    answers = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        assert run([replace(STUDY, trials=(trial,))], store, executor=Here()) == []
        answers.append(store.read(key(network(0))).bits(key(ask(Clean()))).tolist())
        store.path(key(network(0))).unlink()
    assert answers[0] == answers[1]


def test_a_damaged_record_is_set_aside_and_made_again(made, tmp_path):
    store = copied(made, tmp_path)
    path = store.path(key(network(0)))
    write(path, path.read_bytes()[:500])
    assert states(store).count("damaged") == 4
    run([STUDY], store, executor=Here())
    assert set(states(store)) == {"done"}
    assert [aside.name for aside in (store.folder / "aside").iterdir()] == [path.name]


def test_one_task_that_cannot_be_done_does_not_stop_the_others(made, tmp_path, monkeypatch):
    make = worker.train.make

    def refuse(network, *arguments, **options):
        if network.seed == 9:
            raise UserError("no such luck.")
        return make(network, *arguments, **options)

    monkeypatch.setattr(worker.train, "make", refuse)
    store = Store(tmp_path, "smoke")
    failures = run([STUDY], store, executor=Here())
    assert [failure.why for failure in failures] == ["no such luck."]
    done = [unit for unit in plan.units(STUDY, store) if unit.state == "done"]
    assert {unit.trial.label for unit in done} == {"standard", "defended"}
    assert len(done) == 1 + 2 + 1 + 3


@pytest.fixture
def interruptible():
    """Ctrl-C works, also where a shell started the tests in the background and had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_that_python_swallowed_still_stops_the_run(tmp_path, monkeypatch):
    """An exception out of a destructor is printed and dropped; so would be one that a signal raises there."""

    class Swallows:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def ended(task):
        Swallows()

    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: dropped.append(found.exc_type))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run([STUDY], Store(tmp_path, "smoke"), executor=Here(), ended=ended)
    assert dropped == [KeyboardInterrupt]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("seed", "limit", "why"),
    [(1, 600, "its worker process was ended from outside"), (2, 2, "it was not done after"), (3, 600, "SystemExit: 3")],
)
def test_a_network_that_ends_or_hangs_its_worker_is_named(tmp_path, monkeypatch, seed, limit, why):
    monkeypatch.setattr(engine, "perform", misbehave)
    tasks = [plan.Task(network=network(one)) for one in (4, seed, 5, 6)]
    order = worker.Order(Store(tmp_path, "smoke"), "cpu", {})
    ended = []

    def seconds(task):
        return limit if task.network.seed == seed else 600

    waiting, quiet = engine._Waiting(tasks, []), threading.Event()
    failures = engine._drain(engine._Processes(2), waiting, order, seconds, ended.append, quiet)
    assert [failure.task.network.seed for failure in failures] == [seed]
    assert why in failures[0].why
    assert {path.name for path in tmp_path.iterdir()} == {"4", "5", "6"}
    assert sorted(task.network.seed for task in ended) == sorted([4, seed, 5, 6])


@pytest.mark.parametrize("error", [MemoryError("no room"), SystemExit(3), UnpicklableError()])
def test_an_error_inside_a_task_is_a_sentence_that_names_the_file_of_its_traceback(tmp_path, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(worker.train, "make", fail)
    failures = run([replace(STUDY, trials=TRIALS[:1])], Store(tmp_path, "smoke"), executor=Here())
    assert len(failures) == 1
    (log,) = (tmp_path / "logs").iterdir()
    assert failures[0].why == f"{type(error).__name__}: {error} (the traceback is in {log})"
    assert "Traceback" in log.read_text()


def test_what_is_there_is_measured_before_more_is_trained(tmp_path):
    done = []
    run([STUDY], Store(tmp_path, "smoke"), executor=Here(), workers=1, ended=done.append)
    trained = [index for index, task in enumerate(done) if task.network is not None]
    assert len(trained) == 3
    assert trained[1] > trained[0] + 1, "the source was measured before the second network was trained"


def test_transfers_from_one_source_are_made_once(made):
    found = plan.units(STUDY, Store(made.root, "laptop"))
    shared = [task for task in plan.measuring_tasks(found) if task.questions[0][1] == ask(PGD, sources=(SOURCE,))]
    assert [len(task.questions) for task in shared] == [2]


PROGRAM = """
from bioinspired import cli
from bioinspired.lab import papers
from test_engine import STUDY
papers.study = lambda *names, **more: STUDY
cli.main()
"""


def begin(store):
    """`bioinspired run` on the study above, in a process of its own."""
    arguments = ["run", "defective_conv", "--scale", "smoke", "--device", "cpu", "--store", str(store)]
    paths = os.pathsep.join(filter(None, sys.path))  # the tests' own among them
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": paths},
    )


def made_so_far(store):
    return finished(Store(store, "smoke"))


def wait_for(process, store, units):
    while process.poll() is None and len(made_so_far(store)) < units:
        time.sleep(0.2)


@pytest.mark.usefixtures("interruptible")
def test_a_run_stopped_at_any_moment_goes_on_where_it_was(tmp_path):
    before = {}
    for stop, units in ((signal.SIGINT, 1), (signal.SIGKILL, 3)):
        process = begin(tmp_path)
        wait_for(process, tmp_path, len(before) + units)
        os.kill(process.pid, stop)
        errors = process.communicate(timeout=60)[1]
        if stop == signal.SIGINT:
            assert process.returncode == 130
            assert "what had finished is kept" in errors
            assert "Traceback" not in errors
        time.sleep(1.5)  # the workers notice within a second that they are alone
        after = made_so_far(tmp_path)
        assert before.items() <= after.items()
        before = after
    store = Store(tmp_path, "smoke")
    assert run([STUDY], store, executor=Here()) == []
    assert before.items() <= made_so_far(tmp_path).items()
    assert set(states(store)) == {"done"}


def test_the_longer_schedule_is_shown_as_soon_as_half_of_its_networks_are_there(tmp_path):
    store = Store(tmp_path, "full")
    store.folder.mkdir()

    def add(trials):
        for trial in trials:
            store.path(key(trial.network)).touch()

    short, long = (papers.study("weight_map", scale, dataset="mnist").trials for scale in ("full", "narrow"))
    add(short)
    add(long[: len(long) // 2 - 1])
    assert plan.recorded("weight_map", store).scale == "full"
    add(long[: len(long) // 2])
    assert plan.recorded("weight_map", store).scale == "narrow"


def test_a_network_that_is_trained_again_keeps_what_was_registered_before_its_first_training(made, tmp_path):
    store = copied(made, tmp_path)
    name = key(network(0))
    assert store.read(name).unit("training")["registered"] == registration.current("smoke", "digits")

    def earlier(record):
        unit = record.unit("training") | {"registered": {"dim": "a" * 64}, "code": "0" * 64}
        return replace(
            record, provenance={**record.provenance, "units": record.provenance["units"] | {"training": unit}}
        )

    store.update(name, earlier)
    store.weights(name).unlink()
    new = replace(TRIALS[1], measurements=(ask(Attack(name="fgsm", eps="0.3")),))
    assert run([replace(STUDY, trials=(new,))], store, executor=Here()) == []
    assert store.read(name).unit("training")["verified"]["identical"]
    assert store.read(name).unit("training")["registered"] == {"dim": "a" * 64}
