"""Networks by name: what is loaded, what is made again, and that measurements come out as their records say."""

import re
from dataclasses import replace

import pytest
import torch
from executors import Here
from typer.testing import CliRunner

import bioinspired
from bioinspired.cli import app
from bioinspired.data import load as read_data
from bioinspired.errors import UserError
from bioinspired.keys import key
from bioinspired.lab import papers, weights
from bioinspired.lab.engine import making
from bioinspired.lab.engine.run import run
from bioinspired.lab.records.store import Store, pack, to_json, write
from bioinspired.lab.replay import again

NAME, LABELS = "defective_conv/keep-0.1", ("standard", "keep 0.1")


def own(study):
    """The two networks of a study at smoke scale, with what is asked of them alone."""
    trials = [
        replace(trial, measurements=tuple(one for one in trial.measurements if not one.sources))
        for trial in study.trials
        if trial.label in LABELS
    ]
    return replace(study, trials=tuple(trials))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"), "smoke")
    assert run([own(papers.study("defective_conv", "smoke"))], store, executor=Here()) == []
    return store


@pytest.fixture
def store(trained, tmp_path):
    copy = Store(tmp_path / "results", "smoke")
    for path in trained.root.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            write(copy.root / path.relative_to(trained.root), path.read_bytes())
    return copy


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(making, "make", lambda studies, store, **_: run(studies, store, executor=Here()))


def load(name, store, **more):
    return bioinspired.load(name, scale="smoke", store=str(store.root), **more)


def test_a_network_is_loaded_by_one_call(store):
    model = load(NAME, store, seed=0)
    x, y = bioinspired.images(NAME, 50, scale="smoke", store=str(store.root))
    assert not model.training
    assert x.shape[0] == len(y) == 50
    assert 0 <= x.min() < x.max() <= 1
    with torch.no_grad():
        logits = model(x)
    record = store.read(key(weights.find(NAME, store).network))
    clean = next(name for name, one in record.measurements.items() if one["config"]["question"] == {"kind": "clean"})
    assert (logits.argmax(1) == y).tolist() == record.bits(clean)[:50].tolist()


def test_names_are_told_apart():
    for study in papers.NAMES:
        labels = {trial.label for trial in papers.study(study, "full").trials}
        assert len({weights.name_of(study, label) for label in labels}) == len(labels)
    assert weights.name_of("sleep", "sleep B") == "sleep/set-b"


@pytest.mark.parametrize(
    ("name", "seed", "sentence"),
    [
        ("nothing", None, "is no network: a name is a study"),
        ("defective_conv/nothing", None, "has no defective_conv/nothing: choose from .*defective_conv/standard"),
        (NAME, 99, "has the seeds 0, not 99"),
        ("defective_conv/keep-0.5", None, "bioinspired weights defective_conv"),
    ],
)
def test_mistakes_are_sentences(store, name, seed, sentence):
    with pytest.raises(UserError, match=sentence):
        load(name, store, seed=seed)


def test_what_is_recorded_comes_out_again_bit_for_bit(store):
    found = list(again(NAME, weights.find(NAME, store), store))
    assert len(found) > 2
    assert not any(one.changed for one in found)


def test_a_record_that_says_otherwise_is_found(store):
    trial = weights.find(NAME, store)
    record = store.read(key(trial.network))
    asked = next(one.measurement for one in again(NAME, trial, store))
    entry = dict(record.measurements[key(asked)])
    entry["bits"] = {name: pack(~record.bits(key(asked), name)) for name in entry["bits"]}
    forged = replace(record, measurements=record.measurements | {key(asked): entry})
    write(store.path(record.key), to_json(forged).encode())
    assert {one.changed for one in again(NAME, trial, store) if one.measurement == asked} == {entry["images"]["n"]}
    done = CliRunner().invoke(app, ["replay", NAME, "--scale", "smoke", "--store", str(store.root)])
    assert done.exit_code == 1
    assert f"{entry['images']['n']} differ" in done.output


def test_weights_that_are_gone_are_trained_again_and_no_record_changes(store, here):
    network = key(weights.find(NAME, store).network)
    before, content = store.path(network).read_bytes(), store.weights(network).read_bytes()
    store.weights(network).unlink()
    done, other = weights.make(papers.study("defective_conv", "smoke"), store)
    assert {trial.label for trial in done} == set(LABELS)
    assert other == []
    assert store.weights(network).read_bytes() == content
    assert store.path(network).read_bytes() == before
    assert not (store.root / weights.AGAIN).exists()


def test_weights_other_than_the_records_are_not_kept(store, here):
    network = key(weights.find(NAME, store).network)
    record = store.read(network)
    unit = record.provenance["units"]["training"] | {"weights": "0" * 64}
    units = record.provenance | {"units": record.provenance["units"] | {"training": unit}}
    write(store.path(network), to_json(replace(record, provenance=units)).encode())
    store.weights(network).unlink()
    done, other = weights.make(papers.study("defective_conv", "smoke"), store)
    assert [trial.label for trial in other] == ["keep 0.1"]
    assert "keep 0.1" not in {trial.label for trial in done}
    told = CliRunner().invoke(app, ["weights", "defective_conv", "--scale", "smoke", "--store", str(store.root)])
    assert told.exit_code == 1
    assert f"{NAME}, seed 0: trained here, it has other weights than its record names; not kept" in told.output
    assert re.search(r"defective_conv/standard, seed 0: \d+\.\d MiB", told.output)
    assert not store.weights(network).exists()


def test_fixed_images_stand_in_for_the_data_set(store, monkeypatch):
    data = weights.find(NAME, store).network.data
    wanted = weights.fixed(data, 40, store)
    for name, content in weights.files(store):
        write(store.root / name, content)
    assert {path.parent.name for path in store.root.rglob("*.safetensors")} >= {"weights", "images"}

    def gone(*_):
        raise UserError("there is no such data set here")

    monkeypatch.setattr("bioinspired.data.load", gone)
    assert weights.fixed(data, 40, store).sha256 == wanted.sha256
    assert read_data(data, "test").id.startswith(weights._about(data)), "the name of the file is the name of the split"
    assert not any(one.changed for one in again(NAME, weights.find(NAME, store), store))
    with pytest.raises(UserError, match="no such data set"):
        weights.fixed(replace(data, size=data.size + 1), 40, store)
