"""Verification: units made again are compared with their records, and only the reproduced ones are stamped."""

from dataclasses import replace

import numpy as np
import pytest
from executors import Here

from bioinspired.cli import app
from bioinspired.declarations import Architecture, Data, Images, Network, Recipe
from bioinspired.errors import UserError
from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.declarations import Measurement, Study, Trial
from bioinspired.lab.engine import plan, verification
from bioinspired.lab.engine.run import run
from bioinspired.lab.measurements.declarations import Attack, Clean, Distance, Gallery
from bioinspired.lab.records.store import Record, Store, pack, to_json, write
from bioinspired.pages import tables

NETWORK = Network(
    data=Data(name="digits", size=8, train=64),
    architecture=Architecture(name="mlp", width=8, normalize=False),
    recipe=Recipe(epochs=1, batch=32),
    seed=0,
)
PGD = Attack(name="pgd", eps="0.2", steps=2, random_start=True)
CLEAN, ATTACKED, FAR, SHOWN = (
    Measurement(question=question, images=Images(n=60))
    for question in (Clean(), PGD, Distance(name="fmn", steps=3), Gallery(attack=PGD))
)
MEASUREMENTS = (CLEAN, ATTACKED, FAR, SHOWN)
STUDY = Study(
    name="sleep",
    scale="full",
    trials=(Trial(network=NETWORK, label="standard", measurements=MEASUREMENTS),),
    fidelity="changed",
)


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    def make(studies, store, *, device, workers):
        failures = run(studies, store, executor=Here())
        assert failures == []

    monkeypatch.setattr(verification, "make", make)


@pytest.fixture
def store(tmp_path):
    place = Store(tmp_path, "full")
    assert run([STUDY], place, executor=Here()) == []
    return place


def changed(store, change):
    record = change(store.read(key(NETWORK)))
    write(store.path(record.key), to_json(record).encode("ascii"))


def states(store):
    return {unit.key: unit.state for unit in plan.units(STUDY, store)}


def outcomes(store, **how):
    found = verification.verify(STUDY, store, verification.choose(STUDY, store, **how))
    return {verification.name_of(finding.unit): finding.outcome for finding in found}


def test_what_comes_out_the_same_is_stamped(store):
    before = store.read(key(NETWORK))
    assert set(outcomes(store).values()) == {"identical"}
    after = store.read(key(NETWORK))
    assert (after.measurements, after.training, after.cost) == (before.measurements, before.training, before.cost)
    unit = after.unit(key(CLEAN))
    assert unit["weights"] == unit["verified"]["weights"]
    assert unit["verified"]["identical"] is True
    runs = tables.provenance(str(store.root), "full")
    assert runs[["units", "verified"]].to_numpy().tolist() == [[5, 5]]


def test_what_is_stamped_is_not_chosen_unless_all_is_asked_for(store):
    assert len(outcomes(store)) == 1 + len(MEASUREMENTS)
    assert verification.choose(STUDY, store) == []
    assert len(verification.choose(STUDY, store, every=True)) == 1 + len(MEASUREMENTS)
    with pytest.raises(UserError, match='sleep has no row "lucid": its rows are standard'):
        verification.choose(STUDY, store, label="lucid")


def test_a_unit_that_comes_out_otherwise_is_not_stamped_and_the_record_stays_as_it_was(store):
    def wrong(record):
        entry = record.measurements[key(CLEAN)]
        bits = {"correct": pack(~record.bits(key(CLEAN)))}
        return replace(record, measurements=record.measurements | {key(CLEAN): entry | {"bits": bits}})

    changed(store, wrong)
    before = store.read(key(NETWORK)).measurements
    found = outcomes(store)
    assert found.pop(key(CLEAN)) == "different"
    assert set(found.values()) == {"identical"}
    assert [unit.key for unit in verification.choose(STUDY, store)] == [key(CLEAN)]
    assert store.read(key(NETWORK)).measurements == before


def test_a_stamp_survives_what_is_measured_later(store):
    outcomes(store)
    other = replace(STUDY, trials=(replace(STUDY.trials[0], measurements=(*MEASUREMENTS, later := ask_noise())),))
    assert run([other], store, executor=Here()) == []
    record = store.read(key(NETWORK))
    assert record.unit(key(later)) is not None
    assert {unit["verified"]["run"] for unit in record.provenance["units"].values() if "verified" in unit} <= set(
        record.provenance["runs"]
    )
    assert set(states(store).values()) == {"done"}


def ask_noise():
    return Measurement(question=Attack(name="fgsm", eps="0.1"), images=Images(n=20))


def two(tmp_path, **measurement):
    """Stores whose records differ in one measurement: `name` of its parts gives the two values."""
    stores = []
    for number in (0, 1):
        entry = {"config": {"question": {"kind": "clean"}}, "images": {"id": "x", "n": 100, "sha256": "0" * 64}}
        entry |= {part: values[number] for part, values in measurement.items()}
        place = Store(tmp_path / str(number), "full")
        network, name = key(NETWORK), key(CLEAN)
        record = Record(key=network, config={}, measurements={name: entry})
        stores.append((place, record))
    return stores


def compared(tmp_path, monkeypatch, **measurement):
    (ours, one), (again, other) = two(tmp_path, **measurement)
    monkeypatch.setattr(Store, "read", lambda self, network: one if self == ours else other)
    return verification.compare(ours, again, key(NETWORK), key(CLEAN))


def bits(right):
    return {"correct": pack(np.arange(100) < right)}


def few(right):
    return {"correct": pack(np.arange(4) < right)}


FOUR = {"id": "x", "n": 4, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("measurement", "outcome", "words"),
    [
        ({"bits": (bits(50), bits(50))}, "identical", ""),
        ({"bits": (bits(50), bits(52))}, "within tolerance", "correct 52.0 % instead of 50.0 %"),
        ({"bits": (bits(50), bits(57))}, "within tolerance", "correct 57.0 % instead of 50.0 %"),
        ({"bits": (bits(50), bits(61))}, "different", "correct 61.0 % instead of 50.0 %"),
        ({"bits": (bits(100), bits(90))}, "different", "correct 90.0 % instead of 100.0 %"),
        ({"bits": (few(4), few(3)), "images": (FOUR, FOUR)}, "different", "correct 75.0 % instead of 100.0 %"),
        (
            {"values": ({"v": [100.0] * 51 + [0.0] * 49}, {"v": [100.0] * 49 + [0.0] * 51})},
            "within tolerance",
            "v 49.0 % instead of 51.0 %",
        ),
        (
            {"values": ({"v": [100.0] * 51 + [0.0] * 49}, {"v": [100.0] * 99 + [0.0]})},
            "different",
            "v 99.0 % instead of 51.0 %",
        ),
        ({"values": ({"v": [1.0, 2.0]}, {"v": [1.0, 2.1]})}, "within tolerance", "median v 1.55 instead of 1.5"),
        ({"values": ({"v": [1.0, 2.0]}, {"v": [1.0, 3.0]})}, "different", "median v 2 instead of 1.5"),
        ({"values": ({"v": [1.0, 2.0]}, {"v": [1.0]})}, "different", "v: 1 values instead of 2"),
        ({"values": ({"v": [1.0, 2.0]}, {"v": [1.0, None]})}, "different", "v: 1 defined values instead of 2"),
        (
            {"checks": ([{"name": "steps", "passed": True}], [{"name": "steps", "passed": False}])},
            "different",
            "check steps",
        ),
    ],
)
def test_tolerances(tmp_path, monkeypatch, measurement, outcome, words):
    measurement = {"bits": ({}, {})} | measurement
    assert compared(tmp_path, monkeypatch, **measurement) == (outcome, words)


def test_other_images_are_never_the_same_measurement(tmp_path, monkeypatch):
    images = tuple({"id": "x", "n": 100, "sha256": digit * 64} for digit in "01")
    found = compared(tmp_path, monkeypatch, bits=(bits(50), bits(50)), images=images)
    assert found == ("different", "other images")


def training(accuracy, weights):
    unit = {"run": "r", "weights": weights * 64, "finished": "2026-01-01T00:00:00+00:00"}
    return Record(
        key=key(NETWORK),
        config={},
        training={"loss": [0.5], "test_accuracy": [0.1, accuracy]},
        provenance={"runs": {}, "units": {"training": unit}},
    )


@pytest.mark.parametrize(
    ("accuracy", "weights", "outcome"),
    [(0.9, "0", "identical"), (0.905, "1", "within tolerance"), (0.92, "1", "different")],
)
def test_trainings_that_give_other_weights_are_judged_by_their_last_epoch(
    tmp_path, monkeypatch, accuracy, weights, outcome
):
    ours, again = Store(tmp_path / "a", "full"), Store(tmp_path / "b", "full")
    records = {ours: training(0.9, "0"), again: training(accuracy, weights)}
    monkeypatch.setattr(Store, "read", lambda self, network: records[self])
    assert verification.compare(ours, again, key(NETWORK), "training")[0] == outcome


def test_the_command_says_what_came_out_and_exits_with_1_where_something_differs(store, monkeypatch):
    from typer.testing import CliRunner

    monkeypatch.setattr(papers, "study", lambda *names, **more: STUDY)
    command = ["verify", "sleep", "--store", str(store.root), "--device", "cpu"]
    found = CliRunner().invoke(app, command)
    assert (found.exit_code, found.stdout) == (0, "5 units made again: 5 identical, 0 within tolerance, 0 different.\n")

    def wrong(record):
        entry = record.measurements[key(FAR)]
        values = {which: [9.0] * len(numbers) for which, numbers in entry["values"].items()}
        return replace(record, measurements=record.measurements | {key(FAR): entry | {"values": values}})

    changed(store, wrong)
    found = CliRunner().invoke(app, [*command, "--every"])
    assert found.exit_code == 1
    assert found.stdout.startswith("different: standard, seed 0: distance, name fmn")
    assert found.stdout.endswith("5 units made again: 4 identical, 0 within tolerance, 1 different.\n")
