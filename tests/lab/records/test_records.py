"""Records: written whole or not at all; what is damaged, foreign or from the future is named and set aside."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioinspired.declarations import Architecture, Data, Images, Network, Recipe
from bioinspired.errors import UserError
from bioinspired.keys import canonical, key
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.measurements.declarations import Clean
from bioinspired.lab.records.store import (
    ARTIFACT_LIMIT,
    DamagedRecordError,
    Record,
    Store,
    checkout,
    from_json,
    open_store,
    pack,
    to_json,
    unpack,
    write,
)

NETWORK = Network(
    data=Data(name="digits", size=16), architecture=Architecture(name="resnet18"), recipe=Recipe(epochs=1), seed=0
)
CLEAN = Measurement(question=Clean(), images=Images(n=9))


def record(bits=(True,) * 8 + (False,)):
    sha = "0" * 64
    unit = {"run": "r", "code": sha, "weights": sha, "sources": {}, "criteria": {}, "finished": "2026-01-01T00:00:00Z"}
    entry = {
        "config": canonical(CLEAN),
        "images": {"id": "digits16-test-9", "n": 9, "sha256": sha},
        "bits": {"correct": pack(np.array(bits))},
    }
    return Record(
        key=key(NETWORK),
        config=canonical(NETWORK),
        training={"loss": [0.5]},
        measurements={key(CLEAN): entry},
        cost={"training": {"seconds": 1.0, "work": 10.0}, key(CLEAN): {"seconds": 0.1}},
        provenance={
            "runs": {
                "r": {"commit": None, "dirty": None, "versions": {"python": "3.11"}, "hardware": {"device": "cpu"}}
            },
            "units": {"training": unit, key(CLEAN): unit},
        },
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "smoke")


@given(st.lists(st.booleans(), min_size=1, max_size=10_000))
def test_bits_come_back(bits):
    assert unpack(pack(np.array(bits)), len(bits)).tolist() == bits


@pytest.mark.parametrize("text", ["", "!!", "AAAA", pack(np.ones(80, bool))])
def test_damaged_bits_and_bits_of_another_length_are_refused(text):
    with pytest.raises(ValueError, match="bits"):
        unpack(text, 9)


def test_ten_thousand_bits_stay_small():
    assert len(pack(np.random.default_rng(0).random(10_000) < 0.5)) < 1_800


def test_a_record_comes_back_as_it_was(store):
    store.update(NETWORK_KEY, lambda old: record())
    assert store.read(NETWORK_KEY) == record()
    assert store.read(NETWORK_KEY).bits(key(CLEAN)).tolist() == [True] * 8 + [False]


NETWORK_KEY = key(NETWORK)


def test_two_equal_records_are_equal_bytes():
    assert to_json(record()) == to_json(record())


def broken(change):
    content = json.loads(to_json(record()))
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (to_json(record())[:-40], "damaged or cut off"),
        ("", "damaged or cut off"),
        ('{"format": "bioinspired-record-2"}', "cannot read"),
        ('{"name": "something else"}', "no record of this project"),
        ("[1, 2]", "no record of this project"),
        (broken(lambda c: c["config"].update(seed=1)), "not the hash of its configuration"),
        (broken(lambda c: c["measurements"][key(CLEAN)]["config"].update(seed=1)), "whose key is not the hash"),
        (broken(lambda c: c["measurements"][key(CLEAN)]["bits"].update(correct="AAAA")), "damaged bits"),
        (broken(lambda c: c["measurements"][key(CLEAN)]["images"].update(n=90)), "bits for 16 images"),
        (broken(lambda c: c.update(extra=1)), "does not fit the schema"),
        (broken(lambda c: c["provenance"].pop("runs")), "does not fit the schema at provenance"),
        (broken(lambda c: c.update(key="0" * 64)), "not the hash of its configuration"),
        (broken(lambda c: c["cost"].pop(key(CLEAN))), "without its cost or its provenance"),
        (broken(lambda c: c["provenance"]["runs"].clear()), "that it does not describe"),
        ("[" * 200_000, "damaged or cut off"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_set_aside(store, text, why):
    path = store.path(NETWORK_KEY)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(DamagedRecordError, match=why) as caught:
        store.read(NETWORK_KEY)
    assert str(path) in str(caught.value)
    assert [type(found) for found in store.records()] == [DamagedRecordError]
    store.update(NETWORK_KEY, lambda old: record() if old is None else old)
    assert store.read(NETWORK_KEY) == record()
    assert (store.folder / "aside" / path.name).read_text() == text


def test_a_store_that_is_a_file_or_may_not_be_written_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(UserError, match="cannot be used as a store"):
        Store(file, "smoke").update(NETWORK_KEY, lambda old: record())
    with pytest.raises(UserError, match="cannot be used as a store"):
        Store(file, "smoke").read(NETWORK_KEY)


def test_files_set_aside_do_not_replace_one_another(store):
    for text in ("one", "two"):
        store.folder.mkdir(parents=True, exist_ok=True)
        store.path(NETWORK_KEY).write_text(text)
        store.update(NETWORK_KEY, lambda old: record())
    assert sorted(path.read_text() for path in (store.folder / "aside").iterdir()) == ["one", "two"]


def test_the_record_of_another_network_under_this_name_is_refused(store):
    store.folder.mkdir(parents=True)
    store.path("f" * 64).write_text(to_json(record()))
    with pytest.raises(DamagedRecordError, match="another network"):
        store.read("f" * 64)


def test_a_record_over_the_limit_is_refused_and_the_old_one_kept(store):
    store.update(NETWORK_KEY, lambda old: record())
    big = replace(record(), training={"loss": [0.123456789] * 30_000})
    with pytest.raises(UserError, match="over the limit of 256 KiB"):
        store.update(NETWORK_KEY, lambda old: big)
    assert store.read(NETWORK_KEY) == record()


def test_artifacts_come_back_and_are_checked(store):
    arrays = {"clean": np.arange(12, dtype=np.uint8).reshape(3, 4)}
    named = store.save_artifact(NETWORK_KEY, key(CLEAN), arrays)
    held = record()
    held.measurements[key(CLEAN)]["artifact"] = named
    assert from_json(to_json(held)) == held
    assert store.artifact(held, key(CLEAN))["clean"].tolist() == arrays["clean"].tolist()
    path = store.folder / "artifacts" / named["file"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="another sha256"):
        store.artifact(held, key(CLEAN))
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        store.artifact(held, key(CLEAN))


def test_an_artifact_over_the_limit_is_refused(store):
    with pytest.raises(UserError, match="over the limit of 200 KiB"):
        store.save_artifact(NETWORK_KEY, key(CLEAN), {"map": np.zeros(ARTIFACT_LIMIT, np.uint8)})
    assert not (store.folder / "artifacts").exists()


def count_up(store, times):
    def more(old):
        new = old or record()
        return replace(new, training={"loss": [new.training["loss"][0] + 1]})

    for _ in range(times):
        store.update(NETWORK_KEY, more)


def test_concurrent_writers_lose_nothing(store):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=count_up, args=(store, 20)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert store.read(NETWORK_KEY).training["loss"] == [0.5 + 80]


def test_a_writer_killed_at_any_moment_leaves_a_whole_record(store):
    context = multiprocessing.get_context("fork")
    for pause in (0.0, 0.01, 0.02, 0.03, 0.05):
        writer = context.Process(target=count_up, args=(store, 10_000))
        writer.start()
        before = store.read(NETWORK_KEY)
        while store.read(NETWORK_KEY) == before and writer.is_alive():
            time.sleep(0.001)  # the writer has begun
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        found = store.read(NETWORK_KEY)
        assert found is not None
        assert found.training["loss"][0] >= 1.5


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="No space left"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_where_the_store_is(tmp_path, monkeypatch):
    monkeypatch.delenv("BIOINSPIRED_STORE", raising=False)
    assert open_store("full").folder == open_store("narrow").folder == checkout() / "results" / "published"
    monkeypatch.setenv("BIOINSPIRED_STORE", str(tmp_path))
    assert open_store("laptop").folder == tmp_path / "laptop"
    assert open_store("laptop", tmp_path / "mine").folder == tmp_path / "mine" / "laptop"
    with pytest.raises(UserError, match="is no scale"):
        open_store("huge")


def test_the_published_records_are_whole_and_within_their_limit():
    published = Store(checkout() / "results", "full")
    assert not [found for found in published.records() if isinstance(found, DamagedRecordError)]
    assert sum(path.stat().st_size for path in published.folder.rglob("*") if path.is_file()) < 40 * 2**20
