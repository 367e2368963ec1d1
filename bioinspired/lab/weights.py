"""Trained networks by name, to attack them: weights lie in a store, fixed images beside them.

    model = bioinspired.load("sleep/set-b")              # a torch module, from images in [0, 1] to logits
    images, labels = bioinspired.images("sleep/set-b", 100)

A name is the study and what it calls the network, in small letters with hyphens. An archive of the book has the weights
of the networks that headline claims compare, with `results/images/`; `make` trains those that are not at hand.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bioinspired.declarations import Data
from bioinspired.errors import UserError
from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.reading import load as claims_of
from bioinspired.lab.declarations import Scale, Study, Trial
from bioinspired.lab.engine.plan import recorded
from bioinspired.lab.records.store import Store, known_sha256, open_store, write

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bioinspired.data import Split

SHORT = {"sleep A": "set-a", "sleep B": "set-b"}
"""Labels that a name says shorter, because the study's name is in it already."""

FIXED = 1_000
"""How many test images an archive has of a data set: the first of the fixed order that all measurements follow."""

LICENSES = {"digits": "CC BY 4.0", "mnist": "CC BY-SA 3.0", "fashion_mnist": "MIT", "patches": "CC BY 4.0"}
"""Of data sets that may be passed on; images of others come from the user's own copy."""

SEEDS = 1_000
"""More than any study has."""

AGAIN = "weights-again"
"""Beside the scales in a store's root: where networks are trained anew, so that no record changes."""


def load(
    name: str, *, seed: int | None = None, scale: Scale = "full", store: str = "", device: str = "cpu"
) -> "nn.Module":
    """A trained network: images [n, C, H, W] in [0, 1] to logits [n, classes], in evaluation mode, frozen.

    Args:
        name: study and network, such as "sleep/set-b".
        seed: of its training; None for the first that has a record.
        scale: "full" for the published networks.
        store: folder of the records and weights; "" for BIOINSPIRED_STORE, the checkout's or ./results.
        device: where it shall compute.

    Raises:
        UserError: no such network or seed, or its weights are not at hand or not those of its record.
    """
    place = open_store(scale, store)
    return model(name, find(name, place, seed), place, device)


def model(name: str, trial: Trial, store: Store, device: str = "cpu") -> "nn.Module":
    """The trained network of a trial, see `load`."""
    from bioinspired.lab.engine.worker import model_of

    if not store.weights(key(trial.network)).exists():
        raise UserError(
            f"The weights of {name}, seed {trial.network.seed}, are not in {store.root / 'weights'}: unpack an archive "
            f"of the book that has them, or train it with `bioinspired weights {name.partition('/')[0]}`."
        )
    return model_of(trial.network, store, device)


def images(name: str, n: int = 100, *, scale: Scale = "full", store: str = "") -> "tuple[Tensor, Tensor]":
    """The first n test images of a network's data, float32 [n, C, H, W] in [0, 1], and their labels, int64 [n].

    Raises:
        UserError: no such network, or the images are not at hand.
    """
    place = open_store(scale, store)
    split = fixed(find(name, place).network.data, n, place)
    return split.images.float() / 255, split.labels


def name_of(study: str, label: str) -> str:
    """The name of a study's network, such as "defective_conv/keep-0.1"."""
    return f"{study}/{SHORT.get(label) or re.sub(r'[^a-z0-9.]+', '-', label.lower()).strip('-')}"


def find(name: str, store: Store, seed: int | None = None) -> Trial:
    """The trial of a name; of several seeds the one that is asked for, else the first that has a record.

    Raises:
        UserError: no such network, or no such seed.
    """
    study = name.partition("/")[0]
    if study not in papers.NAMES:
        raise UserError(f'"{name}" is no network: a name is a study ({", ".join(papers.NAMES)}), "/" and a network.')
    trials = recorded(study, store).trials
    found = [trial for trial in trials if name_of(study, trial.label) == name]
    if not found:
        raise UserError(f"{study} has no {name}: choose from {', '.join(dict.fromkeys(_names(study, trials)))}.")
    there = [trial for trial in found if store.path(key(trial.network)).exists()] or found
    chosen = [trial for trial in there if seed in (None, trial.network.seed)]
    if not chosen:
        raise UserError(f"{name} has the seeds {', '.join(str(one.network.seed) for one in there)}, not {seed}.")
    return chosen[0]


def fixed(data: Data, n: int, store: Store) -> "Split":
    """The first n test images in their fixed order: from the store's root where they lie, else from the data set.

    Raises:
        UserError: neither is at hand, or there are fewer.
    """
    from safetensors.torch import load_file

    from bioinspired.data import Split, select
    from bioinspired.data import load as read
    from bioinspired.declarations import Images

    for path in sorted((store.root / "images").glob("*.safetensors")):
        about, _, count = path.stem.rpartition("-")
        if about == _about(data) and int(count) >= n:
            kept = load_file(path)
            return select(Split(kept["images"], kept["labels"], path.stem), Images(n=n))
    return select(read(data, "test"), Images(n=n))


def headline(study: Study, store: Store, seeds: Sequence[int] = ()) -> list[Trial]:
    """The trained networks that headline claims compare: of each the first seed with a record, or the given ones."""
    claims = [claim.on(data_of(study), study.scale) for claim in claims_of(study.name).headlines]
    labels = dict.fromkeys(label for claim in claims for label in (claim.defended, claim.baseline))
    there = [trial for trial in study.trials if store.path(key(trial.network)).exists()]
    found = []
    for label in labels:
        mine = [trial for trial in there if trial.label == label]
        found += [trial for trial in mine if trial.network.seed in seeds] if seeds else mine[:1]
    return found


def at_hand(trial: Trial, store: Store) -> bool:
    """Whether the weights that the network's record names lie in the store."""
    path, record = store.weights(key(trial.network)), store.read(key(trial.network))
    unit = record.unit("training") if record else None
    return unit is not None and path.exists() and known_sha256(path) == unit["weights"]


def make(
    study: Study, store: Store, *, seeds: Sequence[int] = (), device: str = "cpu", workers: int = 2
) -> tuple[list[Trial], list[Trial]]:
    """Trains the headline networks whose weights are not at hand, in a folder of their own.

    Returns:
        Those that are at hand now, and those that came out other than their record says, as they do on another type of
        processor: these are not kept, because the published measurements are not of them.

    Raises:
        UserError: a training failed; what had finished is kept for the next call.
    """
    from bioinspired.lab.engine.making import make as train

    chosen = headline(study, store, seeds)
    lacking = [trial for trial in chosen if not at_hand(trial, store)]
    bench = Store(store.root / AGAIN, store.scale)
    train([replace(study, trials=tuple(replace(trial, measurements=()) for trial in lacking))], bench,
          device=device, workers=workers)  # fmt: skip
    for trial in lacking:
        made, record = bench.weights(key(trial.network)), store.read(key(trial.network))
        unit = record.unit("training") if record else None
        if unit is not None and known_sha256(made) == unit["weights"]:
            write(store.weights(key(trial.network)), made.read_bytes())
    if bench.root.exists():
        shutil.rmtree(bench.root)
    return [one for one in chosen if at_hand(one, store)], [one for one in chosen if not at_hand(one, store)]


def published(store: Store) -> list[tuple[str, Trial]]:
    """The headline networks with weights, by name: of each the first seed whose weights are at hand."""
    found: dict[str, Trial] = {}
    for study in papers.NAMES:
        for trial in headline(recorded(study, store), store, seeds=range(SEEDS)):
            if name_of(study, trial.label) not in found and at_hand(trial, store):
                found[name_of(study, trial.label)] = trial
    return list(found.items())


def files(store: Store) -> Iterator[tuple[str, bytes]]:
    """The weights of `published`, and fixed images for them: names below the store's root, and contents."""
    from safetensors.torch import save

    from bioinspired.data import load as read

    sets = dict[Data, None]()
    for _, trial in published(store):
        sets[replace(trial.network.data, train=None)] = None
        path = store.weights(key(trial.network))
        yield path.relative_to(store.root).as_posix(), path.read_bytes()
    for data in sets:
        if data.name in LICENSES:
            n = min(FIXED, len(read(data, "test").labels))
            split = fixed(data, n, store)
            content = {"images": split.images.contiguous(), "labels": split.labels.contiguous()}
            yield f"images/{_about(data)}-{n}.safetensors", save(content, {"license": LICENSES[data.name]})


def _names(study: str, trials: Sequence[Trial]) -> list[str]:
    return [name_of(study, trial.label) for trial in trials]


def _about(data: Data) -> str:
    """What `data.load` calls the test images of a set, without their number."""
    overlap = "" if data.overlap is None else f"-overlap{data.overlap}"
    return f"{data.name}{'-gray' if data.gray else ''}{data.size}{overlap}-test"
