"""The chapter on pixel similarity: its study, and its tables and figures from an empty, a partial and a full store."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from filled import fill, first

from bioinspired.corruptions.common import BANDS
from bioinspired.keys import key, number
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.claims.endpoints import feeding
from bioinspired.lab.measurements.declarations import Attack, CommonCorruptions, Corruption, Distance
from bioinspired.lab.papers.pixel_similarity.declarations import (
    FeatureAttack,
    PixelSimilarity,
    RadialSpectrum,
    Similarities,
)
from bioinspired.lab.papers.pixel_similarity.settings import SETTINGS
from bioinspired.lab.papers.pixel_similarity.study import DATASETS, HEADLINE, trials
from bioinspired.lab.records.store import Record, Store, pack
from bioinspired.pages import chapter
from bioinspired.pages.figures import pixel_similarity as pictures
from bioinspired.pages.tables import pixel_similarity as printed

LAYERS = {f"layer_weight_{k}": [0.2, k / 15] for k in range(1, 6)}
CURVES = {"validation_loss": [2.0, 1.0], "validation_accuracy": [0.5, 0.9]}
PAIRS = {"similarity_loss": [3.0, 1.0], "percent_plus": [0.5, 1.5], "percent_minus": [0.0, 1.0]}


def share(trial, measurement):
    """Right answers: fewer at larger strengths, more for regularized networks."""
    question = measurement.question
    strength = getattr(question, "strength", getattr(question, "eps", "0"))
    bonus = 0.1 if trial.label == "thresholded" else 0.0
    return max(0.9 - number(strength) + bonus, 0.05)


def complete(store: Store, study) -> None:
    """Adds what this chapter's own questions keep: values, arrays, curves of training."""
    for trial in study.trials:
        name = key(trial.network)

        def change(old: Record, trial=trial, name=name) -> Record:
            measurements = {k: dict(entry) for k, entry in old.measurements.items()}
            for measurement in trial.measurements:
                entry = measurements.get(key(measurement))
                if entry is None:
                    continue
                question = measurement.question
                if isinstance(question, CommonCorruptions):
                    names = BANDS[question.band]
                    entry["bits"] = {one: pack(first(0.6, 200)) for one in names}
                    entry["values"] = {"value": [60.0]} | {f"radius of {one}": [12.0] for one in names}
                if isinstance(question, FeatureAttack):
                    entry["bits"] |= {f"layer_{k}": pack(first(k / 10, 200)) for k in range(1, 6)}
                if isinstance(question, RadialSpectrum):
                    arrays = {
                        "power": np.ones((8, 8), np.float32),
                        "radii": np.linspace(0, 1, 5, dtype=np.float32),
                        "shares": np.linspace(0.1, 1, 5, dtype=np.float32),
                    }
                    entry["values"] = {"value": [40.0], "distance": [0.1 + i / 1000 for i in range(199)] + [None]}
                    entry["artifact"] = store.save_artifact(name, key(measurement), arrays)
                if isinstance(question, Similarities):
                    arrays = {
                        "pixel": np.eye(10, dtype=np.float16),
                        "layers": np.ones((5, 10, 10), np.float16) / 2,
                        "histogram": np.full(200, 0.005, np.float32),
                    }
                    entry["artifact"] = store.save_artifact(name, key(measurement), arrays)
            curves = CURVES | (LAYERS | PAIRS if isinstance(trial.network.defense, PixelSimilarity) else {})
            return replace(old, measurements=measurements, training=curves)

        if store.read(name) is not None:
            store.update(name, change)


@pytest.fixture(autouse=True)
def read_only(monkeypatch):
    monkeypatch.setenv(chapter.READ_ONLY, "1")


def opened(tmp_path, state="complete", scale="laptop", dataset=""):
    study = papers.study("pixel_similarity", scale, dataset=dataset)
    store = Store(tmp_path, scale)
    if state != "empty":
        fill(store, study, lambda t, m: None if state == "partial" and t.label == "thresholded" else share(t, m))
        complete(store, study)
    return chapter.open("pixel_similarity", scale=scale, store=str(tmp_path), dataset=dataset)


@pytest.mark.parametrize("state", ["empty", "partial", "complete"])
def test_every_table_and_figure_renders_from_any_store(tmp_path, state):
    page = opened(tmp_path, state)
    for make in (
        printed.robustness, printed.transfer, printed.boundary, printed.bands, printed.matched, printed.drawn,
        printed.adaptive, printed.training_cost,
    ):  # fmt: skip
        text = make(page).to_html()
        assert "<caption>" in text
        assert "nan" not in text.lower()
    assert printed.cells(page, "paper").data["numbers printed"].sum() > 200
    for figure in (
        pictures.similarity(page),
        pictures.printed_curves(),
        pictures.robustness(page),
        pictures.boundary(page),
        pictures.plane(page),
        *(pictures.sweeps(page, group) for group in printed.SWEEPS),
        pictures.corruptions(page),
        pictures.spectra(page, "fmn"),
        pictures.spectra(page, "boundary"),
        pictures.layer_weights(page),
        pictures.minimum_norm(page),
        pictures.white_box(page),
    ):
        assert figure.axes
    assert not plt.get_fignums()
    assert "16 pairs a step" in printed.regularizer(page)


def test_the_first_figure_has_the_papers_curves_and_no_point_of_a_sweep(tmp_path):
    page = opened(tmp_path, "empty", scale="full")
    figure = pictures.robustness(page)
    cells = {cell.id: cell for cell in load("pixel_similarity").cells}
    stray = cells["parts/thresholded/gaussian"]
    drawn = [tuple(points.get_offsets()[0]) for points in figure.axes[0].collections]
    assert (number(stray["eps"]), stray.value) not in drawn
    assert (0.1, cells["gaussian/thresholded/cifar10/9"].value) in [(round(x, 9), y) for x, y in drawn]
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {
        "standard, the paper's",
        "thresholded, the paper's",
    }


def test_our_numbers_find_the_printed_ones(tmp_path):
    page = opened(tmp_path, scale="full")
    cells = {cell.id: cell for cell in load("pixel_similarity").cells}

    def ours(name):
        return printed.ours(page, cells[name])

    assert ours("gaussian/standard/0") == pytest.approx(90.0)
    assert ours("gaussian/standard/9") == pytest.approx(80.0)
    assert ours("gaussian/thresholded/cifar10/9") == pytest.approx(90.0)
    assert ours("gaussian/thresholded/imagenet/9") is None
    assert ours("fgsm/standard/9") == pytest.approx(88.0)
    assert ours("corruptions/high/standard") is None, "made anew, and sorted by another rule"
    assert ours("spectrum/thresholded/cifar10") == 40.0
    assert ours("boundary/standard") == pytest.approx(1000 * (0.9 * 1.45) ** 2, rel=0.02)
    assert ours("parts/high/clean") == pytest.approx(90.0)
    assert ours("mnist/standard/9") is None


def test_headline_claims_are_measured_at_full_scale():
    study = papers.study("pixel_similarity", "full")

    assert all(feeding(study, headline) for headline in load("pixel_similarity").headlines)


def test_frequencies_are_not_judged_on_digits():

    study = papers.study("pixel_similarity", "laptop")
    marked = {headline.id for headline in load("pixel_similarity").headlines if feeding(study, headline)}
    assert marked == {"gaussian", "transfer", "boundary", "threshold", "cost"}


@pytest.mark.parametrize(("scale", "dataset"), list(SETTINGS))
def test_rows_differ_and_every_headline_row_is_there(scale, dataset):
    assert dataset in DATASETS[scale]
    study = trials(scale, dataset, None)
    labels = [trial.label for trial in study.trials]
    assert len({key(trial.network) for trial in study.trials}) == len(study.trials)
    assert set(HEADLINE) <= set(labels)
    for trial in study.trials:
        assert len(set(trial.measurements)) == len(trial.measurements)
        if not trial.label.startswith(("source", "colour")):
            assert any(m.is_transfer for m in trial.measurements)


def test_full_scale_follows_the_papers_table():
    full = {trial.label: trial.network for trial in trials("full", "cifar10", (0,)).trials}
    base = full["thresholded"].defense
    assert isinstance(base, PixelSimilarity)
    assert (base.alpha, base.threshold, base.count, base.pairs, base.crop_flip) == ("10", "0.8", 5000, 16, True)
    recipe = full["thresholded"].recipe
    assert (recipe.epochs, recipe.cycle, recipe.batch, recipe.factor, recipe.decay) == (40, 20, 64, "0.3", "0")
    assert [number(text) for text in recipe.milestones] == [0.2, 0.4, 0.6, 0.8]
    assert full["thresholded"].data.gray
    assert not full["colour thresholded"].data.gray
    planes = [label for label in full if label.startswith("alpha ") and "," in label]
    assert len(planes) == 11  # 3 x 4 without the default
    mnist = {trial.label: trial.network.defense for trial in trials("full", "mnist", (0,)).trials}
    assert (mnist["thresholded"].alpha, mnist["thresholded"].threshold) == ("4", "0.2")
    assert mnist["Fashion-MNIST pairs"].source.name == "fashion_mnist"
    asked = next(trial for trial in trials("full", "cifar10", (0,)).trials if trial.label == "standard").measurements
    sigmas = [number(m.question.strength) for m in asked if isinstance(m.question, Corruption)
              and m.question.name == "gaussian_noise_own_range"]  # fmt: skip
    assert sigmas == pytest.approx(list(np.linspace(0, 0.1, 10)[1:]))
    fgsm = [number(m.question.eps) for m in asked if isinstance(m.question, Attack) and m.question.name == "fgsm"
            and m.sources[0].architecture.name == "resnet18_stem7" and m.sources[0].defense is None]  # fmt: skip
    assert fgsm == pytest.approx(list(np.linspace(0, 0.02, 10)[1:]))
    steps = [m.question.steps for m in asked if isinstance(m.question, Distance) and m.question.name == "boundary"]
    assert steps[0] == 50


def test_records_of_full_scale_stay_small(tmp_path):
    """Noise in place of answers cannot be compressed: the largest record there can be."""
    random = np.random.default_rng(0)
    study = papers.study("pixel_similarity", "full", seeds=[0])
    trial = next(trial for trial in study.trials if trial.label == "thresholded")
    size = 0
    for measurement in trial.measurements:
        n = measurement.images.n or 10_000
        sets = 5 if isinstance(measurement.question, CommonCorruptions) else 2 if measurement.sources else 1
        size += sets * len(pack(random.random(n) < 0.5)) + 700  # configuration, provenance, cost
        if isinstance(measurement.question, Distance | RadialSpectrum):
            size += 10 * n
    assert size < 256 * 1024
