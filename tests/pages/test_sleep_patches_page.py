"""Patches and CUB-200 in the chapter on sleep: tables and figures from made-up records, and the study behind them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from executors import Here
from filled import fill

from bioinspired.data import cub200
from bioinspired.declarations import Data, Images
from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.claims.endpoints import data_of, feeding
from bioinspired.lab.declarations import Measurement, Study, Trial
from bioinspired.lab.engine.run import run
from bioinspired.lab.measurements.declarations import Clean, Distance
from bioinspired.lab.papers.sleep import features as sleep_features
from bioinspired.lab.papers.sleep.declarations import (
    FGSMScan,
    OneLayerControl,
    OneLayerDistance,
    OneLayerSleep,
    OneLayerWeights,
    RepeatedNoise,
)
from bioinspired.lab.papers.sleep.patches import SLEEP
from bioinspired.lab.records.store import Store
from bioinspired.pages import chapter
from bioinspired.pages.figures import sleep_patches as figures
from bioinspired.pages.tables import sleep
from bioinspired.pages.tables import sleep_features as features
from bioinspired.pages.tables import sleep_patches as tables

NAMES = ("waking", "sleep", "scaled", "turned", "as much noise", "deleted")


def is_patches(trial: Trial) -> bool:
    return trial.network.data.name == "patches"


def share(trial: Trial, measurement: Measurement) -> float:
    """Sleep answers all four images right where the others answer two."""
    return 1.0 if trial.factors["row"] == "sleep" or not isinstance(measurement.question, Clean) else 0.5


def complete(store: Store, study: Study) -> None:
    """Adds what only the questions on patches leave: sleep doubles what the waking network has, seeds differ a bit."""
    for trial in study.trials:
        factor = (2.0 if trial.factors["row"] == "sleep" else 1.0) + 0.01 * trial.network.seed

        def change(record, trial=trial, factor=factor):
            measurements = dict(record.measurements)
            for asked in trial.measurements:
                question, name = asked.question, key(asked)
                if isinstance(question, FGSMScan):
                    more = {
                        "values": {"distance": [0.0, 0.1 * factor, 0.1 * factor, None], "value": [25.0 * factor] * 4}
                    }
                elif isinstance(question, Distance):
                    more = {"values": {"distance": [0.0, 0.1 * factor, 0.3 * factor, 9.0]}}
                elif isinstance(question, OneLayerDistance):
                    more = {"values": {"distance": [0.0, 0.1 * factor, 0.1 * factor, 9.0]}}
                elif isinstance(question, RepeatedNoise):
                    more = {"values": {"value": [40.0 * factor] * 4}}
                elif isinstance(question, OneLayerWeights):
                    more = {"artifact": store.save_artifact(key(trial.network), name, arrays())}
                else:
                    continue
                measurements[name] = measurements[name] | more
            return dataclasses.replace(record, measurements=measurements)

        store.update(key(trial.network), change)


def arrays() -> dict[str, np.ndarray]:
    images = np.zeros((4, 1, 10, 10), np.uint8)
    images[:, 0, 0] = 255
    for k in range(4):
        images[k, 0, k + 1] = 255
    weights = np.random.default_rng(0).normal(size=(2, 4, 10, 10)).astype(np.float16)
    return {"weights": weights, "images": images}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> chapter.Chapter:
    """The patches of the study at full scale, every measurement made up."""
    store = Store(tmp_path_factory.mktemp("full"), "full")
    study = papers.study("sleep", "full")
    toy = dataclasses.replace(study, trials=tuple(filter(is_patches, study.trials)))
    fill(store, toy, share, n=4)
    complete(store, toy)
    return chapter.Chapter(study, store).on("patches")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> chapter.Chapter:
    store = Store(tmp_path_factory.mktemp("empty"), "full")
    return chapter.Chapter(papers.study("sleep", "full"), store).on("patches")


@pytest.mark.parametrize("name", ["overlaps", "weights"])
def test_figures_are_drawn_from_nothing_and_from_everything(
    name: str, full: chapter.Chapter, empty: chapter.Chapter
) -> None:
    nowhere = chapter.Chapter(dataclasses.replace(empty.study, trials=()), empty.store)
    for page in (nowhere, empty, full):
        figure = getattr(figures, name)(page)
        assert figure.axes
        said = {text.get_text() for axis in figure.axes for text in axis.texts}
        assert ("not measured yet" in said) == (page is not full)


def test_tables_are_made_from_nothing(empty: chapter.Chapter) -> None:
    assert tables.paired(empty).to_html()
    assert len(tables.cells(empty).data) == 4
    assert tables.reading(empty) == "Not measured yet."


def test_weights_are_sorted_by_what_their_pixel_is(full: chapter.Chapter) -> None:
    """10 shared pixels, 10 own ones of each of four classes, 30 of the other images, 50 always off."""
    axis = figures.weights(full).axes[0]
    assert [len(line.get_xdata()) for line in axis.lines] == [40, 120, 40, 200] * 2


def test_differences_are_those_of_the_records_seed_by_seed(full: chapter.Chapter) -> None:
    found = tables.paired(full).data.set_index(["overlap", "sleep minus"])
    assert {overlap for overlap, _ in found.index} == {5, 15, 20, 22, 23, 24}
    assert {row for _, row in found.index} == set(NAMES) - {"sleep"}
    row = found.loc[(24, "scaled")]
    assert row["clean, %"] == "+50.0 [+50.0, +50.0]"
    assert row["smallest Linf change"] == "+0.100 [+0.100, +0.100]"
    assert row["noise, %"] == "+40.0 [+40.0, +40.0]"
    assert row["seeds"] == 5
    assert "- 24 of 25 pixels shared: waking 50 % and 0.10, sleep 100 % and 0.20, scaled" in tables.reading(full)


def test_ours_beside_the_second_hand_numbers_are_medians_over_all_images(full: chapter.Chapter) -> None:
    """Of 0, f, f and infinity the median is f; the boundary attack's root mean squares are squared, then the median."""
    found = tables.cells(full).data.set_index(["network", "what"])["ours, overlap 15"]
    assert found["waking", "fgsm, median smallest epsilon"] == "0.104"
    assert found["sleep", "fgsm, median smallest epsilon"] == "0.204"
    assert float(found["waking", "boundary, distance"]) == pytest.approx((0.1**2 + 0.3**2) / 2 * 1.04**2, rel=1e-2)


# A page of several data sets


def test_a_chapter_on_one_data_set_is_not_confused_by_another(full: chapter.Chapter) -> None:
    whole = chapter.Chapter(papers.study("sleep", "full"), full.store)
    assert data_of(whole.on().study) == "mnist"
    assert not whole.on().results
    assert len(whole.results) == len(full.results) > 0
    assert not set(whole.on().frame["label"])
    assert all(is_patches(trial) for trial in full.study.trials)
    assert set(sleep.cells(whole.on()).data["data"]) == {"mnist"}
    for page in (whole, whole.on(), full):
        tested = {found.headline.id for found in page.assessments if found.verdict.word != "not tested"}
        assert tested == {"patches"}


@pytest.mark.parametrize("scale", ["smoke", "laptop", "full"])
def test_patches_come_last_under_names_of_their_own_and_feed_their_own_claim(scale: str) -> None:
    study = papers.study("sleep", scale)
    toy = [trial for trial in study.trials if is_patches(trial)]
    assert study.trials[-len(toy) :] == tuple(toy)
    assert not {trial.label for trial in toy} & {trial.label for trial in study.trials if not is_patches(trial)}
    assert len({(trial.label, trial.network.seed) for trial in toy}) == len(toy)
    fed = {h.id for h in load("sleep").headlines for trial, _ in feeding(study, h) if trial in toy}
    assert fed == ({"patches"} if scale == "full" else set())


def test_parameters_of_patches_are_those_of_the_later_code() -> None:
    assert (SLEEP.rate, SLEEP.inc, SLEEP.dec, SLEEP.alpha, SLEEP.steps) == ("64", "0.0035", "0.0002", "4.25", 30_000)
    assert float(SLEEP.beta) == pytest.approx(0.95 * 1.1)
    slept = [
        trial for trial in papers.study("sleep", "full").trials if isinstance(trial.network.defense, OneLayerSleep)
    ]
    assert {trial.network.defense for trial in slept} == {SLEEP}
    claimed = {trial.network.seed for trial in slept if trial.factors["overlap"] == "23"}
    assert claimed == set(range(2, 14))
    assert {trial.network.seed for trial in slept if trial.factors["overlap"] != "23"} == {2, 3, 4, 5, 6}


def test_seeds_can_be_chosen() -> None:
    study = papers.study("sleep", "laptop", seeds=[7])
    assert {trial.network.seed for trial in study.trials if is_patches(trial)} == {7}


def test_patches_at_smoke_scale_are_made_and_shown(tmp_path: Path) -> None:
    store = Store(tmp_path, "smoke")
    study = papers.study("sleep", "smoke")
    toy = dataclasses.replace(study, trials=tuple(filter(is_patches, study.trials)))
    assert run([toy], store, executor=Here()) == []
    page = chapter.Chapter(study, store).on("patches")
    assert not page.missing()
    frame = tables.networks(page)
    assert set(frame["row"]) == set(NAMES)
    assert (frame["clean"] == 25 * (frame["clean"] / 25).round()).all()
    arrays = next(
        r for r in page.results if r.label == "sleep, overlap 24" and "artifact" in r.record.measurements[r.key]
    )
    weights = arrays.artifact(store)["weights"]
    assert not np.array_equal(weights[0], weights[1])
    assert isinstance(page.study.trials[-1].network.defense, OneLayerControl)


# Features


def supply(root: Path, *, d: int = 40, n: int = 400, m: int = 120, classes: int = 4) -> None:
    """Clusters that do not overlap: what a class has, no other one has."""
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", n), ("test", m)):
        labels = random.integers(0, classes, count)
        centers = np.kron(np.eye(classes), np.ones(d // classes))
        arrays[f"{split}_features"] = (centers[labels] + 0.1 * random.random((count, d))).astype(np.float32)
        arrays[f"{split}_labels"] = labels
    (root / cub200.PATH).parent.mkdir(parents=True)
    np.savez(root / cub200.PATH, **arrays)


def small(study: Study) -> Study:
    """The study with narrow networks, few steps and few rows, on seeds 0 and 1."""

    def fewer(measurement: Measurement) -> Measurement:
        question, n = measurement.question, measurement.images.n
        if isinstance(question, Distance):
            question = dataclasses.replace(question, steps=20)
        return dataclasses.replace(measurement, question=question, images=Images(n=n and min(n, 20)))

    out = []
    for trial in study.trials:
        network = dataclasses.replace(
            trial.network,
            data=Data(name="cub200", size=1, train=300),
            architecture=dataclasses.replace(trial.network.architecture, width=14),
            recipe=dataclasses.replace(trial.network.recipe, epochs=20, batch=10),
        )
        out.append(dataclasses.replace(trial, network=network, measurements=tuple(map(fewer, trial.measurements))))
    return dataclasses.replace(study, trials=tuple(out))


def test_features_go_through_the_engine_onto_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOINSPIRED_DATA", str(tmp_path))
    supply(tmp_path)
    store = Store(tmp_path / "store", "full")
    study = small(papers.study("sleep", "full", dataset="cub200", seeds=[0, 1]))
    assert run([study], store, executor=Here()) == []
    page = chapter.Chapter(study, store)
    assert len(page.results) == sum(len(trial.measurements) for trial in study.trials)
    assert page.rate("standard", kind="clean") > 95, "clusters apart can be learned"
    shown = features.cells(page).data
    assert not (shown == features.NOT_TESTED).any().any()
    ours = shown.set_index(["network", "what"])["ours, all images"]
    assert float(ours["standard", "fgsm, median smallest epsilon"].replace("∞", "inf")) > 0
    assert set(features.rows(page).data["network"]) == {
        "standard",
        "sleep",
        "delete slept",
        "delete active",
        "delete random",
    }
    assert "a reconstruction" in features.state(page)


def test_without_features_the_page_says_so(tmp_path: Path) -> None:
    for scale in ("smoke", "full"):
        whole = chapter.Chapter(papers.study("sleep", scale), Store(tmp_path, scale))
        page = features.chapter_of(whole)
        assert (page is None) == (scale == "smoke")
        assert "Not tested" in features.state(page)
        shown = features.cells(page).data
        assert len(shown) == 4
        assert (shown["ours, all images"] == features.NOT_TESTED).all()
        assert features.rows(page).to_html()


def test_cub_is_the_protocol_of_the_later_code_and_the_second_data_set() -> None:
    assert papers.datasets("sleep", "full") == ("mnist", "cub200")
    study = papers.study("sleep", "full", dataset="cub200")
    assert data_of(study) == "cub200"
    assert len(study.trials) == 5 * 5
    network = next(trial.network for trial in study.trials if trial.label == "sleep")
    assert (network.recipe.epochs, network.recipe.batch, network.recipe.loss) == (50, 100, "mse")
    assert (network.data.train, network.architecture.dropout) == (5_800, "0.25")
    asked = sleep_features.QUESTIONS
    assert not any(getattr(m.question, "process", "") == "blur" for m in asked)
    slept = dataclasses.asdict(network.defense)
    assert [slept[name] for name in ("rate", "inc", "dec", "beta1", "beta2", "beta3", "alpha", "steps", "source")] == [
        "32", "0.01", "0.001", "1", "1", "1", "1", 5_000, "mean"
    ]  # fmt: skip
