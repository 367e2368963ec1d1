"""Behaviour is pinned by the golden store: every kind, defense and attack gives again what it gave when it was made.

Bit for bit on the processor and with the versions of the golden run, one thread each; elsewhere within the tolerances
below. What is meant to change raises the `revision` of its kind; `python tests/golden/make.py` then makes it anew.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from executors import Here
from golden.colour import NAMES as COLOUR
from golden.colour import examples
from golden.decoded import declared, kinds
from golden.make import STORE
from safetensors.torch import load_file

from bioinspired.attacks.catalogue import entries
from bioinspired.declarations import Defense
from bioinspired.keys import key
from bioinspired.lab.declarations import Study, Trial
from bioinspired.lab.engine.run import run
from bioinspired.lab.measurements.declarations import Question
from bioinspired.lab.records.provenance import of_run
from bioinspired.lab.records.store import Store, unpack

pytestmark = pytest.mark.filterwarnings("ignore:.* is known to be wrong")
OTHER_ARITHMETIC = {"ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA"}
FLIPPED = 2  # images of a measurement whose outcome differs on another processor
VALUE = 1e-3  # relative, of a value of any other image
ARRAY = 0.02  # relative, of the mean size of an array and of a loss after the first epoch
VARYING = ("training_cost",)  # memory is counted by where the allocator puts it
ENDS_BY_ROUNDING = ("torchattacks.DeepFool",)  # it stops on the boundary, and rounding says on which side
AGAIN = "run `python tests/golden/make.py` and say in the commit why it changed"

GOLDEN = declared(STORE.folder)
MEASURED = [(network, name) for network, asked in GOLDEN.items() for name in asked]
TRAININGS = [network for network, asked in GOLDEN.items() if not asked]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A store with the golden weights."""
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("golden"), "smoke")
    shutil.copytree(STORE.root / "weights", store.root / "weights")
    return store


def without_measurements(network, store):
    """Writes a record that says of a network no more than how it was trained."""
    old = STORE.read(key(network))
    bare = replace(old, measurements={}, cost={}, provenance={"runs": {}, "units": {}})
    bare = bare.with_unit("training", old.unit("training"), old.provenance["runs"])
    store.update(bare.key, lambda _: bare)


def made(store, network, *measurements):
    """The record of a network after a run that was asked for no more than this."""
    trials = [Trial(network=source, label="source") for m in measurements for source in m.sources]
    trials.append(Trial(network=network, label="golden", measurements=measurements))
    failures = run(
        [Study(name="golden", scale="smoke", trials=tuple(trials), fidelity="proxy")], store, executor=Here()
    )
    assert not failures, failures[0].why
    return store.read(key(network))


def same_machine(record, unit):
    """Whether processor and versions are those with which a unit was made, with that processor's arithmetic."""
    if not OTHER_ARITHMETIC.isdisjoint(os.environ):
        return False
    golden, here = record.provenance["runs"][record.unit(unit)["run"]], of_run("cpu")
    versions = [{**facts["versions"], "python": "", "bioinspired": ""} for facts in (golden, here)]
    return versions[0] == versions[1] and golden["hardware"]["processor"] == here["hardware"]["processor"]


def described(case):
    network, name = case
    asked = GOLDEN[network][name].question
    defense = network.defense.kind if network.defense else "undefended"
    words = (asked.kind, getattr(asked, "name", ""), getattr(asked, "norm", ""), defense, name[:6])
    return "-".join(str(word) for word in words if word)


@pytest.mark.parametrize("case", MEASURED, ids=described)
def test_a_measurement_is_what_it_was(bench, case):
    network, name = case
    measurement = GOLDEN[network][name]
    if key(measurement) != name:
        pytest.fail(f"The golden store lacks {measurement.question.kind} at its present revision: {AGAIN}.")
    for one in (network, *measurement.sources):
        without_measurements(one, bench)
    golden, again = STORE.read(key(network)), made(bench, network, measurement)
    one, other = golden.measurements[name], again.measurements[name]
    assert one["images"] == other["images"]
    if same_machine(golden, name) and measurement.question.kind not in VARYING:
        assert one == other, f"not what it was; if it is meant to differ, raise the kind's revision, then {AGAIN}"
        costs = [{**record.cost[name], "seconds": 0} for record in (golden, again)]
        assert costs[0] == costs[1]
        return
    n = one["images"]["n"]
    assert set(one) == set(other)
    assert set(one["bits"]) == set(other["bits"])
    if getattr(measurement.question, "name", "") in ENDS_BY_ROUNDING:
        return
    for which, bits in one["bits"].items():
        assert (unpack(bits, n) != unpack(other["bits"][which], n)).sum() <= FLIPPED, which
    for which, values in one.get("values", {}).items():
        assert far_apart(values, other["values"][which]) <= FLIPPED, which
    checks = [[(check["name"], check["passed"]) for check in entry.get("checks", ())] for entry in (one, other)]
    assert checks[0] == checks[1]
    if "artifact" in one:
        arrays, found = STORE.artifact(golden, name), bench.artifact(again, name)
        assert {w: (a.shape, a.dtype) for w, a in arrays.items()} == {w: (a.shape, a.dtype) for w, a in found.items()}
        for which, array in arrays.items():
            if array.dtype == np.int16:  # labels and answers
                assert (array != found[which]).sum() <= FLIPPED, which
                continue
            if array.shape[1:] == (n,):  # a value for each norm and image
                close = np.isclose(array, found[which], rtol=ARRAY, atol=1e-6)
                assert (~close.all(0)).sum() <= FLIPPED, which
                continue
            size, now = (mean_size(a) for a in (array, found[which]))
            assert now == pytest.approx(size, rel=ARRAY, abs=1e-6), which


def mean_size(array):
    """Of the finite entries, 0 where there are none."""
    sizes = np.abs(array, dtype=np.float64)[np.isfinite(array)]
    return sizes.mean() if len(sizes) else 0.0


def far_apart(one, other):
    """How many of two lists of values differ by more than the tolerance."""
    assert len(one) == len(other)
    a, b = (np.array([np.nan if value is None else value for value in values]) for values in (one, other))
    return (~np.isclose(a, b, rtol=VALUE, atol=1e-6, equal_nan=True)).sum()


@pytest.mark.parametrize("network", TRAININGS, ids=lambda n: f"{n.architecture.name}-{key(n)[:6]}")
def test_the_first_steps_of_a_training_are_what_they_were(tmp_path, network):
    torch.set_num_threads(1)
    golden, again = STORE.read(key(network)), made(Store(tmp_path, "smoke"), network)
    units = golden.unit("training"), again.unit("training")
    assert units[0]["data"] == units[1]["data"]
    if same_machine(golden, "training"):
        assert golden.training == again.training
        assert units[0]["weights"] == units[1]["weights"], f"other weights; if they are meant to differ, {AGAIN}"
        return
    for which, numbers in golden.training.items():
        assert len(again.training[which]) == len(numbers)
    # At the end of an epoch, and in the next ones, what rounding differs by has grown.
    for which in {"loss"} & set(golden.training):
        assert again.training[which][0] == pytest.approx(golden.training[which][0], rel=ARRAY), which


@pytest.mark.parametrize("name", COLOUR)
def test_an_attack_on_colour_is_what_it_was(name):
    torch.set_num_threads(1)
    golden = load_file(STORE.root / "colour.safetensors")[name]
    assert (examples(name) - golden).abs().mean() < VALUE


def missing(wanted: Iterable[str], there: Iterable[str]) -> str:
    lacking = sorted(set(wanted) - set(there))
    return f"{', '.join(lacking)}: declare it in tests/golden/extra.py, then {AGAIN}" if lacking else ""


def test_every_kind_every_defense_and_every_attack_is_in_the_golden_store():
    asked = [measurement.question for found in GOLDEN.values() for measurement in found.values()]
    assert not missing((kind.kind for kind in kinds(Question)), (question.kind for question in asked))
    defenses = [network.defense.kind for network, asked in GOLDEN.items() if network.defense and asked]
    assert not missing((kind.kind for kind in kinds(Defense)), defenses)
    attacks = [question.name for question in asked if question.kind == "attack"]
    assert not missing((entry.name for entry in entries()), [*attacks, *COLOUR])


def test_the_golden_store_is_small():
    files = [path for path in STORE.root.rglob("*") if path.suffix in (".json", ".safetensors")]
    assert sum(path.stat().st_size for path in files) < 6_000_000
