"""The chapter's declarations, contrasts and tables on made-up records; nothing is trained."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filled import fill, is_clean
from scipy import stats

from bioinspired.defenses import weight_map as defense
from bioinspired.evaluation.statistics import of_seeds
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.claims.endpoints import feeding
from bioinspired.lab.declarations import Measurement, Trial
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.records.store import Store
from bioinspired.pages import figures
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.figures import weight_map as drawn
from bioinspired.pages.tables import weight_map as tables
from bioinspired.pages.tables.contrasts import Contrast, asked, contrast

NOISY = {"standard": 0.70, "smoothing": 0.30, "unsharp": 0.74}


def share(trial: Trial, measurement: Measurement) -> float | None:
    """Standard 90 % clean; noise as in NOISY with a spread over seeds; attacks halve it."""
    if is_clean(measurement):
        return 0.9
    base = NOISY.get(trial.label, 0.7) + 0.02 * (trial.network.seed % 3) * (trial.label == "unsharp")
    return base / 2 if isinstance(measurement.question, Attack) else base


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Chapter:
    study = papers.study("weight_map", "laptop", seeds=range(5))
    store = Store(tmp_path_factory.mktemp("store"), "laptop")
    fill(store, study, share)
    return Chapter(study, store)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Chapter:
    return Chapter(papers.study("weight_map", "full"), Store(tmp_path_factory.mktemp("store"), "full"))


# Declarations


@pytest.mark.parametrize(
    ("scale", "dataset"),
    [
        ("smoke", "digits"),
        ("laptop", "digits"),
        ("laptop", "mnist"),
        ("narrow", "mnist"),
        ("narrow", "cifar10"),
        ("full", "mnist"),
    ],
)
def test_every_headline_claim_is_fed_by_both_sides_of_its_contrast(scale: str, dataset: str) -> None:
    study = papers.study("weight_map", scale, dataset=dataset)
    fed = {(h.id, trial.label) for h in load("weight_map").headlines for trial, _ in feeding(study, h)}
    expected = {(h.id, label) for h in load("weight_map").headlines for label in (h.defended, h.baseline)}
    assert fed == expected


def test_no_claim_has_a_number_and_every_one_follows_from_the_abstract() -> None:
    claims = load("weight_map")
    assert not claims.cells
    assert {h.value for h in claims.headlines} == {None}
    assert {h.reliability for h in claims.headlines} == {"none available"}
    tested = {claim for tests in tables.STATEMENTS.values() for claim in tests}
    assert tested == {h.id for h in claims.headlines}
    assert len(tables.STATEMENTS) == 5


def test_full_grid_has_every_kernel_and_control_with_five_seeds() -> None:
    study = papers.study("weight_map", "full")
    core = [trial for trial in study.trials if trial.tier == "core" and trial.factors["group"] != "source"]
    seeds = {label: [t.network.seed for t in core if t.label == label] for label in {t.label for t in core}}
    assert all(found == [0, 1, 2, 3, 4] for found in seeds.values())
    kernels = {t.network.defense.kernel for t in core if t.network.defense is not None}
    assert kernels == set(defense.KERNELS)
    controls = ("kernel alone", "gain alone")
    assert {f"{v}: {c}" for v in ("smoothing", "unsharp") for c in controls} | {"map alone", "equal weights"} <= set(
        seeds
    )


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_narrow_rows_are_trained_with_three_seeds_before_any_other_seed(dataset: str) -> None:
    trials = [t for t in papers.study("weight_map", "narrow", dataset=dataset).trials if t.factors["group"] != "source"]
    seeds = [trial.network.seed for trial in trials]
    assert max(seeds[: 3 * len(seeds) // 5]) == 2
    assert sorted(seeds) == sorted([0, 1, 2, 3, 4] * (len(seeds) // 5))
    assert {"standard", "smoothing", "unsharp", "pgd-trained", "noise-trained"} <= {trial.label for trial in trials}


def test_trained_baselines_of_narrow_networks_meet_autoattack_with_every_seed() -> None:
    trials = papers.study("weight_map", "narrow").trials
    met = [t for t in trials if any(getattr(m.question, "name", "") == "autoattack" for m in t.measurements)]
    assert len(met) == 5 * 7
    trained = [t.network.recipe.adversary for t in met if t.label == "pgd-trained"]
    assert [(adversary.eps, adversary.steps) for adversary in trained if adversary is not None] == [("0.1", 7)] * 5


def test_networks_of_one_seed_share_their_recipe_but_where_the_row_says_otherwise() -> None:
    study = papers.study("weight_map", "full")
    rows = [t.network for t in study.trials if t.factors["group"] in ("variant", "control", "kernel")]
    assert len({network.recipe for network in rows}) == 1
    assert len({network.data for network in rows}) == 1


def test_equal_weights_are_equal_within_three_percent() -> None:
    for scale, dataset, size in (("laptop", "digits", 16), ("full", "mnist", 28)):
        study = papers.study("weight_map", scale, dataset=dataset)
        wide = next(t.network.architecture.width for t in study.trials if t.label == "equal weights")
        plain = next(t.network.architecture.width for t in study.trials if t.label == "standard")
        maps = plain * (size**2 + (size // 2) ** 2 + (size // 4) ** 2)
        assert small_cnn(wide, size) == pytest.approx(small_cnn(plain, size) + maps, rel=0.03)


def small_cnn(width: int, size: int) -> int:
    return 10 * width + 2 * (9 * width + 1) * width + (width * (size // 4) ** 2 + 1) * 10


def test_table_of_kernels_says_what_the_kernels_are() -> None:
    rows = {
        "map alone": "identity", "smoothing": "box_sum", "box mean": "box_mean", "neighbours": "neighbours",
        "unsharp": "unsharp", "edge": "edge", "laplacian": "laplacian",
    }  # fmt: skip
    for row, name in rows.items():
        _, white, flat = tables.KERNELS[row]
        assert (white, flat) == pytest.approx((defense.KERNELS[name].white, defense.KERNELS[name].flat), abs=1e-9)


# Contrasts


def test_contrast_is_paired_by_seed(page: Chapter) -> None:
    found = contrast(asked(page, "noise-unsharp"), "unsharp")
    assert found is not None
    assert found.differences == pytest.approx({0: 4.0, 1: 6.0, 2: 8.0, 3: 4.0, 4: 6.0})
    assert (found.n, found.mean) == (200, pytest.approx(5.6))
    # Of 200 images, 140 to 147 are gained by all five seeds, the next four by three, the next four by one.
    images = np.repeat([100.0, 60.0, 20.0, 0.0], [8, 4, 4, 184])
    spread = np.var([4, 6, 8, 4, 6], ddof=1)
    gained = 100.0 * (np.arange(200) < np.array([[8], [12], [16], [8], [12]]))
    rest = gained - gained.mean(0) - gained.mean(1, keepdims=True) + gained.mean()
    interaction = (rest**2).sum() / (4 * 199) / (5 * 200)
    of_seeds, of_images = stats.t.ppf(0.975, 4), stats.t.ppf(0.975, 199)
    reach = math.sqrt(of_seeds**2 * spread / 5 + of_images**2 * (images.var(ddof=1) / 200 - interaction))
    assert found.interval == pytest.approx((5.6 - reach, 5.6 + reach))
    assert found.deviation == pytest.approx(math.sqrt(spread))


def test_seeds_needed_are_those_that_a_simulation_finds() -> None:
    draws = np.random.default_rng(0)
    effect = contrast_of([1.0, 4.0, 7.0, 4.0])
    needed = effect.seeds_for(5)
    assert needed is not None

    def found(k: int) -> float:
        sample = 5 + math.sqrt(6) * draws.standard_normal((20_000, k))
        t = sample.mean(1) / (sample.std(1, ddof=1) / math.sqrt(k))
        return float((np.abs(t) > stats.t.ppf(0.975, k - 1)).mean())

    assert found(needed) > 0.79
    assert found(needed - 1) < 0.80
    assert effect.seeds_for(2) > needed  # type: ignore[operator]


def contrast_of(differences: list[float], image_variance: float = 0.0) -> Contrast:
    effect = replace(of_seeds(differences), image_variance=100 * image_variance, n=100 if image_variance else 0)
    return Contrast(differences=dict(enumerate(differences)), n=100, effect=effect)


def test_too_few_images_are_not_mended_by_seeds() -> None:
    assert contrast_of([1.0, 4.0, 7.0, 4.0], image_variance=4.0).seeds_for(2) is None


def test_a_single_seed_has_a_mean_and_no_interval() -> None:
    found = Contrast(differences={0: 3.0}, n=10, effect=None)
    assert (found.mean, found.deviation, found.interval) == (3.0, None, (None, None))
    assert found.detectable() is None
    assert found.seeds_for(5) is None


# Tables and figures


def test_a_statement_is_as_good_as_the_worst_of_its_tests() -> None:
    good = "supported in our reconstruction"
    assert tables.together([good, good]) == good
    assert tables.together([good, "inconclusive"]) == "inconclusive"
    assert tables.together(["inconclusive", "not tested", good]) == "not tested"
    assert (
        tables.together(["not tested", "not supported in our reconstruction"]) == "not supported in our reconstruction"
    )


def test_statements_come_from_the_verdicts_of_the_claims(page: Chapter) -> None:
    html = tables.statements(page).to_html()
    words = {found.headline.id: found.verdict.word for found in page.assessments}
    assert words["noise-smoothing"] == words["attack-smoothing"] == "not seen at small scale"
    assert words["accuracy-unsharp"] == "seen at small scale"
    assert html.count("not seen at small scale</span>") == 3  # noise, attacks, two variants
    assert "partly tested</span> (seen at small scale, of the small network; no scaled-up model here)" in html


def test_rows_that_were_not_made_are_named(page: Chapter, empty: Chapter) -> None:
    assert tables.lacking(page) == ""
    assert tables.lacking(empty).startswith("Not made yet: box mean; ")
    assert "standard, rate × 3." in tables.lacking(empty)


def test_attribution_shows_differences_to_the_twin(page: Chapter) -> None:
    frame = tables.attribution(page).data.set_index("network")
    assert frame.loc["unsharp", "uniform noise"].startswith("+5.6 [")
    assert frame.loc["smoothing", "uniform noise"].startswith("-40.0 [")
    assert frame.loc["map alone", "clean"].startswith("+0.0")
    assert set(frame["seeds"]) == {"5"}


def test_networks_with_batch_normalisation_are_compared_with_the_undefended_one_that_has_it(tmp_path: Path) -> None:
    def normalized_is_worse(trial: Trial, measurement: Measurement) -> float | None:
        worse = 0.1 * trial.label.endswith(tables.NORMALIZED)
        return share(trial, measurement) if is_clean(measurement) else 0.7 - worse

    study, store = papers.study("weight_map", "narrow", seeds=(0, 1)), Store(tmp_path, "narrow")
    fill(store, study, normalized_is_worse)
    frame = tables.sweeps(Chapter(study, store)).data.set_index("network")
    assert frame.loc["unsharp, batch normalisation", "uniform noise"].startswith("+0.0")
    assert frame.loc["standard, batch normalisation", "uniform noise"].startswith("-10.0")


def test_worst_case_is_per_image_over_the_attacks(page: Chapter) -> None:
    frame = tables.attacks(page).data.set_index("network")
    assert frame.loc["standard", "worst case"] == frame.loc["standard", "FGSM"]
    assert frame.loc["standard", "PGD-30, margin"].startswith("35.0")


def test_the_worst_case_with_autoattack_stands_beside_the_one_without_on_the_same_images(tmp_path: Path) -> None:
    study = papers.study("weight_map", "full")
    labels = ("source standard", "source smoothing", "source unsharp", "standard", "unsharp")
    shown = replace(study, trials=tuple(trial for trial in study.trials if trial.label in labels))

    def stronger(trial: Trial, measurement: Measurement) -> float | None:
        if getattr(measurement.question, "name", "") == "autoattack":
            return 0.2
        return share(trial, measurement)

    store = Store(tmp_path, "full")
    fill(store, shown, stronger, n=None)
    frame = tables.attacks(Chapter(shown, store)).data.set_index("network")
    assert frame.loc["standard", "worst case"] == "35.0 ± 0.0 (5)"
    assert frame.loc["standard", "worst case, 50 images"] == "100.0 (1)", "the first of 500 all stand"
    assert frame.loc["standard", "with AutoAttack"] == "20.0 (1)"


@pytest.mark.parametrize("name", [
    "statements", "attribution", "sweeps", "power", "kernels", "attacks", "transfer", "searches", "bands", "shifts",
])  # fmt: skip
def test_tables_render_from_full_and_empty_stores(name: str, page: Chapter, empty: Chapter) -> None:
    for chapter in (page, empty):
        assert "<table" in getattr(tables, name)(chapter).to_html()


def test_figures_render_from_full_and_empty_stores(page: Chapter, empty: Chapter) -> None:
    for chapter in (page, empty):
        drawings = [drawn.noise(chapter, "uniform_noise"), drawn.noise(chapter, "gaussian_noise")]
        drawings += [draw(chapter) for draw in
                     (drawn.white_box, drawn.attribution, drawn.training, drawn.change, drawn.spectra)]  # fmt: skip
        drawings += [drawn.maps(chapter, "smoothing"), drawn.layer()]
        assert all(figure.axes for figure in drawings)
        assert drawings[0].get_figwidth() == figures.WIDTH


def test_fidelity_is_a_reconstruction_at_full_scale_and_a_proxy_below() -> None:
    assert papers.study("weight_map", "full").fidelity == "reconstruction"
    assert papers.study("weight_map", "laptop").fidelity == "proxy"
