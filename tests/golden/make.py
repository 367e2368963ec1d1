"""Makes what is missing of the golden store beside this file, and takes out what is no longer declared.

    python tests/golden/make.py            what `extra` declares anew, and measurements of a kind with a new `revision`
    python tests/golden/make.py --anew     everything, trainings too

What the store holds is declared by its own records: at first the smoke scale of the studies, cut down, and what `extra`
adds. A network without measurements is trained for a few steps only; the test trains it again, so its weights are kept
only where another network is attacked through it.
"""

import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from golden.colour import NAMES, examples
from golden.decoded import declared
from golden.extra import extra

from bioinspired.keys import key
from bioinspired.lab.declarations import Study, Trial
from bioinspired.lab.engine.run import Failure, run
from bioinspired.lab.engine.worker import prepare
from bioinspired.lab.records.store import Record, Store

STORE = Store(Path(__file__).resolve().parent, "smoke")


def main(*, anew: bool) -> int:
    prepare()
    found = {network: dict.fromkeys(asked.values()) for network, asked in declared(STORE.folder).items()}
    for trial in extra():
        found.setdefault(trial.network, {}).update(dict.fromkeys(trial.measurements))
    trials = [Trial(network=network, label="golden", measurements=tuple(asked)) for network, asked in found.items()]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), "smoke")
        if not anew:
            shutil.copytree(STORE.folder, store.folder)
            shutil.copytree(STORE.root / "weights", store.root / "weights")
        failures = _run([trial for trial in trials if trial.measurements], store)
        for trial in trials:
            if not trial.measurements and not store.path(key(trial.network)).exists():
                apart = Store(store.root / "apart" / key(trial.network), "smoke")  # where no other network is at hand
                failures += _run([trial], apart)
                shutil.copy(apart.path(key(trial.network)), store.folder)
        if not failures:
            _keep(store, trials)
    return bool(failures)


def _run(trials: list[Trial], store: Store) -> list[Failure]:
    with ThreadPoolExecutor(1) as executor:
        failures = run([Study(name="golden", scale="smoke", trials=tuple(trials), fidelity="proxy")], store,
                       executor=executor)  # fmt: skip
    for failure in failures:
        print(failure.why, file=sys.stderr)
    return failures


def _keep(store: Store, trials: list[Trial]) -> None:
    """Puts what is declared in the place of the golden store."""
    for part in (STORE.folder, STORE.root / "weights"):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    sources = {source for trial in trials for measurement in trial.measurements for source in measurement.sources}
    for trial in trials:
        record = store.read(key(trial.network))
        assert record is not None
        kept = _only(record, {"training", *map(key, trial.measurements)})
        STORE.update(kept.key, lambda old, kept=kept: kept)
        for name in kept.measurements:
            if "artifact" in kept.measurements[name]:
                STORE.save_artifact(kept.key, name, store.artifact(kept, name))
        if trial.measurements or trial.network in sources:
            shutil.copy(store.weights(kept.key), STORE.weights(kept.key))
    (STORE.folder / ".lock").unlink()
    save_file({name: examples(name) for name in NAMES}, STORE.root / "colour.safetensors")


def _only(record: Record, units: set[str]) -> Record:
    """The record without its other units."""
    measurements = {name: entry for name, entry in record.measurements.items() if name in units}
    cost = {name: cost for name, cost in record.cost.items() if name in units}
    bare = replace(record, measurements=measurements, cost=cost, provenance={"runs": {}, "units": {}})
    for name in units:
        bare = bare.with_unit(name, record.provenance["units"][name], record.provenance["runs"])
    return bare


if __name__ == "__main__":
    sys.exit(main(anew="--anew" in sys.argv))
