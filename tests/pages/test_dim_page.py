"""The DIM chapter's study, tables and figures: from made-up records whose numbers the test chooses."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from filled import fill, first

from bioinspired.evaluation import statistics
from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.claims.endpoints import feeding
from bioinspired.lab.measurements.declarations import Clean
from bioinspired.lab.papers.dim import study as dim
from bioinspired.lab.papers.dim.declarations import Closest, Direct, Flips, InternalErrors, LogitScale, Member
from bioinspired.lab.papers.dim.members import MEMBERS
from bioinspired.lab.records.store import Store, pack
from bioinspired.pages import chapter
from bioinspired.pages.figures import dim as figures
from bioinspired.pages.tables import dim as tables
from bioinspired.pages.tables import dim_members, dim_reconstructions

RIVALS = dim_reconstructions.RIVALS
PICTURES = ("curves", "heat", "guesses", "scales", "errors", "strip", "closest")
TABLES = (dim_members.member_table, dim_members.worst, dim_members.beside, tables.direct, tables.slopes, tables.knowing,
          tables.scales)  # fmt: skip
N = 200
STANDS = {"DIM": 0.3, "pgd-trained": 0.6, "Binary CNN": 0.3, "class PCA": 0.05, "K1 code": 0.5, "K9 noise": 0.3}


def share(trial, measurement):
    question = measurement.question
    if isinstance(question, Direct) and question.last is None:
        return STANDS.get(trial.label, 0.2)
    if isinstance(question, LogitScale):
        return 0.9 if question.factor == "100" and question.name == "pgd" else 0.25
    return 0.8


def distances(trial, name):
    """Every member finds something at 10 except DDN, which finds the first half of the images at 1."""
    found = np.full((3, N), 10.0)
    if name == "DDN":
        found[:, : N // 2] = 1.0
    if trial.label == "standard":
        found[:] = 0.0
    return found.astype(np.float16)


def complete(store, study):
    """Adds to made-up records what only this chapter's questions leave."""
    for trial in study.trials:
        more = {}
        for measurement in trial.measurements:
            question = measurement.question
            if isinstance(question, Direct) and question.last is not None:
                best = 70.0 if trial.label == "K1 code" else 40.0
                more[key(measurement)] = {"values": {"value": [best] * question.last}, "bits": {}}
            elif isinstance(question, Direct):
                bits = {name: pack(first(share(trial, measurement), N)) for name in ("correct", "linf", "l0")}
                bits["l2"] = pack(first(share(trial, measurement) + 0.1, N))
                bits |= {f"{norm} identity": pack(first(0.75, N)) for norm in tables.NORMS if question.widths}
                more[key(measurement)] = {"bits": bits}
            elif isinstance(question, Member):
                found = distances(trial, question.name)
                limits = (float(question.linf), float(question.l2), question.l0)
                bits = {norm: pack(found[i] > limits[i]) for i, norm in enumerate(("linf", "l2", "l0"))}
                bits["correct"] = pack(first(0, N))
                artifact = store.save_artifact(key(trial.network), key(measurement), {"distances": found})
                more[key(measurement)] = {"bits": bits, "artifact": artifact}
            elif isinstance(question, Flips):
                stands = {"linf": 0.3, "l2": 0.1, "l0": 0.2, "correct": 0.1}
                more[key(measurement)] = {"bits": {name: pack(first(one, N)) for name, one in stands.items()}}
            elif isinstance(question, Closest):
                images = np.zeros((3, 6, 1, 4, 4), np.uint8)
                arrays = {"clean": images[0], "adversarial": images, "size": np.full((3, 6), np.inf, np.float32),
                          "label": np.arange(6, dtype=np.int16), "answer": np.ones((3, 6), np.int16)}  # fmt: skip
                more[key(measurement)] = {"artifact": store.save_artifact(key(trial.network), key(measurement), arrays)}
            elif isinstance(question, InternalErrors):
                artifact = store.save_artifact(key(trial.network), key(measurement), _arrays())
                more[key(measurement)] = {"artifact": artifact}

        def change(record, more=more):
            entries = {name: entry | more.get(name, {}) for name, entry in record.measurements.items()}
            return dataclasses.replace(record, measurements=entries)

        store.update(key(trial.network), change)


def _arrays():
    random = np.random.default_rng(0)
    images = {name: random.integers(0, 255, (4, 1, 8, 8), np.uint8) for name in ("clean", "noisy", "denoised")}
    return images | {
        "errors": random.random((10, 10)).astype(np.float32),
        "made": random.integers(0, 255, (4, 10, 1, 8, 8), np.uint8),
        "strip_errors": random.random((4, 10)).astype(np.float32),
        "label": np.arange(4, dtype=np.int16),
    }


@pytest.fixture(scope="module")
def study():
    """Full scale with what the pages compare, one seed of each; a second DIM that images are moved from."""
    whole = dim.trials("full", "mnist", (0, 1))
    kept = [t for t in whole.trials if t.label in ("standard", *STANDS) and t.network.seed < 1]
    second = next(t for t in whole.trials if t.label == "DIM" and t.network.seed == 1)
    return dataclasses.replace(whole, trials=(*kept, dataclasses.replace(second, measurements=())))


@pytest.fixture(scope="module")
def full(tmp_path_factory, study):
    store = Store(tmp_path_factory.mktemp("full"), "full")
    fill(store, study, share, n=N)
    complete(store, study)
    return chapter.Chapter(study, store)


@pytest.fixture(scope="module")
def directly(full):
    """The same page with nothing but clean images and direct attacks."""
    trials = [
        dataclasses.replace(t, measurements=tuple(m for m in t.measurements if isinstance(m.question, Clean | Direct)))
        for t in full.study.trials
    ]
    return chapter.Chapter(dataclasses.replace(full.study, trials=tuple(trials)), full.store)


@pytest.fixture(scope="module")
def empty(tmp_path_factory, study):
    return chapter.Chapter(study, Store(tmp_path_factory.mktemp("empty"), "full"))


@pytest.mark.parametrize("name", PICTURES)
def test_figures_are_drawn_from_nothing_and_from_everything(name, full, empty):
    for page in (empty, full):
        figure = getattr(figures, name)(page)
        said = {text.get_text() for axis in figure.axes for text in axis.texts}
        assert ("not measured yet" in said) == (page is empty)


def test_tables_are_made_from_nothing(empty):
    for make in TABLES:
        assert 'tabindex="0"' in make(empty).to_html(), "the keyboard can scroll it"
    assert "Not measured yet" in dim_reconstructions.answer(empty)
    assert "Not measured yet" in tables.in_noise(empty)
    assert dim_members.run(empty) == 0
    assert dim_members.missed(empty) == dim_members.behind(empty) == ""


@pytest.mark.parametrize("rest", [0, 1])
def test_everything_is_shown_from_half_of_the_measurements(tmp_path, study, rest):
    store = Store(tmp_path, "full")

    def some(trial, measurement):
        return share(trial, measurement) if trial.measurements.index(measurement) % 2 == rest else None

    fill(store, study, some, n=N)
    complete(store, study)
    page = chapter.Chapter(study, store)
    for name in PICTURES:
        assert getattr(figures, name)(page).axes
    for make in TABLES:
        assert make(page).to_html()
    assert dim_reconstructions.answer(page)


def only(page, keep):
    """The page with those results of members that `keep` wants, and all others."""
    results = [r for r in page.results if not isinstance(r.measurement.question, Member) or keep(r)]
    made = chapter.Chapter(page.study, page.store)
    made.__dict__["results"] = results
    return made


def line(page, label, attacks):
    """A line of the table of worst cases."""
    return dim_members.worst(page).data.set_index(["network", "attacks"]).loc[(label, attacks)]


def test_the_worst_case_is_per_image_and_the_mean_flatters(full):
    """One member of 42 finds half of the images at 1, in all norms; thresholds are 0.3, 1.5, 12."""
    found = dim_members.standing(full, "DIM")
    assert found.rates == {"linf": 100, "l2": 50, "l0": 0, "all": 0}
    assert (found.attacks, found.networks, found.images) == (42, 1, N)
    in_l0 = sum(one.judged == "l0" for one in MEMBERS)
    without_norm = sum(one.judged == "" for one in MEMBERS)
    mean = f"{100 * (42 - in_l0 - without_norm - 0.5) / 42:.0f}"
    row = line(full, "DIM", "42 of the 42")
    assert (row["mean over attacks"], row["Linf"], row["L2"], row["L0"]) == (mean, "100", "50", "0")
    assert (row["all three at once"], row["least of the norms"], row["mean of the norms"]) == ("0", "0", "50")
    direct = line(full, "DIM", "direct")
    assert (direct["all three at once"], direct["networks"], direct["images"]) == ("30", 1, "200")
    assert "direct attacks: *class PCA* in Linf, 100 and 5 %;" in dim_members.missed(full)


def test_a_norm_that_no_member_was_judged_in_has_no_number(full):
    """All members change ten values at most; none of them is judged in L0 but two."""
    page = only(full, lambda r: listed(r).judged != "l0")
    found = dim_members.standing(page, "DIM")
    assert found.rates == {"linf": 100, "l2": 50}
    row = line(page, "DIM", "40 of the 42")
    assert [row[name] for name in ("L0", "all three at once", "least of the norms")] == ["–", "–", "–"]
    assert np.isinf(dim_members.smallest(page, "DIM")[0][2]).all()
    shown = dim_members.beside(page).data.set_index(["network", "norm"])
    row = shown.loc[("CNN", "L0 12")]
    assert (row["ours"], row["ours "], row["ours, direct"]) == ("–", "–", "20"), "direct attacks search in L0"
    texts = [text.get_text() for axis in figures.curves(page).axes for text in axis.texts]
    assert texts == ["no attack judged\nin this norm was run"]
    heat = figures.heat(page).axes[0]
    assert "40 of the 42 attacks, 200 images, 1 network of each kind" in heat.get_title()


def listed(result):
    return next(one for one in MEMBERS if one.name == dim_members.name_of(result))


def test_what_is_planned_is_told_from_what_is_not(full):
    page = only(full, lambda r: dim_members.name_of(r) != "DDN")
    shown = dim_members.member_table(page).data.set_index("attack")
    assert shown.loc["DDN", "DIM"] == "not yet"
    assert shown.loc["DDN", "budget"] == "own"
    study = dataclasses.replace(page.study, trials=tuple(without_ddn(trial) for trial in page.study.trials))
    shown = dim_members.member_table(chapter.Chapter(study, page.store)).data.set_index("attack")
    assert (shown.loc["DDN", "DIM"], shown.loc["DDN", "budget"]) == ("–", "–")


def without_ddn(trial):
    kept = (m for m in trial.measurements if getattr(m.question, "name", "") != "DDN")
    return dataclasses.replace(trial, measurements=tuple(kept))


def test_a_worst_case_is_over_images_that_all_members_saw(tmp_path, study):
    """DDN saw five images and found them at 0; the other members saw more and found less."""
    store = Store(tmp_path, "full")
    one = next(t for t in study.trials if t.label == "DIM")
    asked = tuple(m for m in one.measurements if isinstance(m.question, Member))
    short = dataclasses.replace(study, trials=(dataclasses.replace(one, measurements=asked),))
    fill(store, short, share, n=N)
    complete(store, short)
    page = chapter.Chapter(short, store)
    ddn = next(r for r in dim_members.of_members(page, "DIM") if r.measurement.question.name == "DDN")
    few = {"distances": np.zeros((3, 5), np.float32)}
    none = pack(np.zeros(5, np.bool_))
    entry = dict(
        ddn.record.measurements[ddn.key],
        artifact=store.save_artifact(ddn.record.key, ddn.key, few),
        images={"id": "made-up", "n": 5, "sha256": "0" * 64},
        bits=dict.fromkeys(("correct", "linf", "l2", "l0"), none),
    )

    def change(record):
        return dataclasses.replace(record, measurements=record.measurements | {ddn.key: entry})

    store.update(ddn.record.key, change)
    page = chapter.Chapter(short, store)
    assert dim_members.smallest(page, "DIM")[0].tolist() == [[0.0] * 5] * 3
    deep = dim_members.standing(page, "DIM")
    assert (deep.images, deep.attacks, deep.rates["linf"]) == (5, 42, 0)
    wide = dim_members.standing(page, "DIM", most_images=True)
    assert (wide.images, wide.attacks, wide.rates["linf"]) == (N, 41, 100)
    shown = dim_members.worst(page).data
    assert list(shown["attacks"]) == ["41 of the 42", "42 of the 42"]
    assert list(shown["images"]) == ["200", "5"]
    assert list(shown["Linf"]) == ["100", "0"]


def test_members_are_counted_alike_on_every_seed(full, monkeypatch):
    """A seed that was asked fewer members does not enter a worst case."""
    results = dim_members.of_members(full, "DIM")
    trial = results[0].trial
    second = dataclasses.replace(trial, network=dataclasses.replace(trial.network, seed=9))
    other = [dataclasses.replace(result, trial=second) for result in results[:30]]
    monkeypatch.setattr(dim_members, "of_members", lambda chapter, label: [*results, *other])
    assert {seed: len(mine) for seed, mine in dim_members.together(full, "DIM").items()} == {0: 42}


def test_as_many_members_are_not_the_same_members(full, monkeypatch):
    results = dim_members.of_members(full, "DIM")
    trial = results[0].trial
    second = dataclasses.replace(trial, network=dataclasses.replace(trial.network, seed=9))
    other = [dataclasses.replace(result, trial=second) for result in results[1:]]
    monkeypatch.setattr(dim_members, "of_members", lambda chapter, label: [*results[:-1], *other])
    assert list(dim_members.together(full, "DIM")) == [0]


def test_a_seed_with_the_same_members_counts(full, monkeypatch):
    results = dim_members.of_members(full, "DIM")
    trial = results[0].trial
    second = dataclasses.replace(trial, network=dataclasses.replace(trial.network, seed=9))
    other = [dataclasses.replace(result, trial=second) for result in results]
    monkeypatch.setattr(dim_members, "of_members", lambda chapter, label: [*results, *other])
    assert dim_members.standing(full, "DIM").networks == 2
    assert dim_members.behind(full) == "42 of the 42 attacks, 200 images, 2 networks of each kind"


def test_medians_are_in_the_norm_that_judges(full):
    ddn = next(member for member in MEMBERS if member.name == "DDN")
    assert dim_members.median_of(full, "DIM", ddn) == 1, "half of the images: a size that was found, no mean of two"
    shown = dim_members.member_table(full).data.set_index("attack")
    assert shown.loc["DDN", "DIM"] == "50 (1)"
    assert shown.loc["Spatial", "DIM"] == "0"
    assert shown.loc["EAD", "budget"] == "200 x 5"


@pytest.mark.parametrize(
    ("each", "median"), [([[128.0]], "128"), ([[0.15, 0.15], [0.3, 0.3]], "0.15"), ([[1.0, 9.0], [2.0, 9.0]], "2")]
)
def test_medians_are_over_all_seeds_and_readable(each, median):
    found = dim_members._median([np.array(one, np.float16) for one in each])
    assert dim_members._change(found) == median
    assert dim_members._median([np.array([1.0, np.inf, np.inf])]) is None


def test_a_reconstruction_is_chosen_by_held_out_images_and_compared_with_each_rival(directly):
    assert dim_reconstructions.chosen(directly) == ["K1 code"]
    text = dim_reconstructions.answer(directly)
    assert text.startswith("**No.** In all three norms at once, and in the mean over the norms too, no reconstruction ")
    assert "even the best on the test images is worse than *pgd-trained*, and *K1 code*, chosen on held-out" in text
    assert "images, is better than *Binary CNN* and *class PCA*." in text
    assert "2 reconstructions were measured" in text
    assert "*K9 noise* is left out of all this" in text
    assert "the direct ones on each of 200 test images. In all three norms at once between 30.0 %" in text
    assert "and 50.0 % stand, most for *K1 code*." in text
    assert "then by that mean on 100 of them: *K1 code*, with 70.0 % there." in text
    assert "*DIM* has 40.0 %, a difference of +30.0 points" in text
    assert "Clean images answered right: *K1 code* 80.0 %, *DIM* 80.0 %." in text
    lines = text.splitlines()
    rival = lines[lines.index("- *pgd-trained*") + 1 :]
    assert rival[0].startswith("  - 60.0 % in all three norms at once: *K1 code* is worse, -10.0 points [")
    assert rival[0].endswith("; on the test images none does better.")
    assert rival[1].startswith("  - 63.3 % in the mean over the norms: *K1 code* is worse, -10.0 points [")
    assert "30.0 % in all three norms at once: *K1 code* is better, +20.0 points" in text
    assert "- *class PCA*" in text
    assert "over images alone, because DIM was measured on one training" in text


def verdict(page, monkeypatch, words):
    """What is said where comparisons come out as in `words`, by rival."""
    monkeypatch.setattr(dim_reconstructions, "_word", lambda chapter, label, rival, which: words.get(rival, "alike"))
    return dim_reconstructions.answer(page).partition(".")[0]


def test_yes_needs_every_rival_and_no_a_better_one(directly, monkeypatch):
    assert verdict(directly, monkeypatch, dict.fromkeys(RIVALS, "better")) == "**Yes"
    assert verdict(directly, monkeypatch, {"pgd-trained": "worse", "class PCA": "better"}) == "**No"
    assert verdict(directly, monkeypatch, {"class PCA": "better"}) == "**Not shown"


def test_where_all_are_alike_none_is_called_the_best():
    assert dim_reconstructions._range({"a": 0.0, "b": 0.0}, "it") == "In it 0.0 % stand for each of them."
    assert (
        dim_reconstructions._range({"a": 0.0, "b": 1.0}, "it") == "In it between 0.0 % and 1.0 % stand, most for *b*."
    )


def test_what_loses_more_than_a_point_of_accuracy_is_not_chosen(directly, monkeypatch):
    """On held-out images K1 stands more often, 70 to 40 %."""
    rates = {"DIM": 97.0, "K1 code": 96.0}
    monkeypatch.setattr(dim_reconstructions, "_accurate", lambda page, label: rates.get(label))
    assert dim_reconstructions.chosen(directly) == ["K1 code"]
    rates["K1 code"] = 95.9
    assert dim_reconstructions.chosen(directly) == ["DIM"]


def test_ties_on_the_test_images_are_named(directly, monkeypatch):
    standing = dim_reconstructions.reconstructions(directly).assign(all=0.0)
    monkeypatch.setattr(dim_reconstructions, "reconstructions", lambda chapter: standing)
    assert "; on the test images all are alike." in dim_reconstructions.answer(directly)


def test_ties_among_reconstructions_are_named(directly, monkeypatch):
    monkeypatch.setattr(
        dim_reconstructions, "_held_out", lambda result: None if result.label in RIVALS else np.full(9, 40.0)
    )
    assert dim_reconstructions.chosen(directly) == ["DIM", "K1 code"]
    assert "of them: *DIM*, *K1 code*, with 40.0 % there." in dim_reconstructions.answer(directly)


def test_a_choice_on_few_images_is_called_noise(directly, monkeypatch):
    """K1 does better on two images of twenty."""
    each = {"K1 code": first(0.5, 20), "DIM": first(0.4, 20)}
    standing = dim_reconstructions._standing

    def of(chapter, label, which):
        return 100.0 * each[label][None] if which == "held out" and label in each else standing(chapter, label, which)

    monkeypatch.setattr(dim_reconstructions, "_standing", of)
    text = dim_reconstructions.answer(directly)
    assert "that mean on 20 of them: *K1 code*, with 50.0 % there. *DIM* has 40.0 %" in text
    assert "1 of the other 1 is not told apart from *K1 code* on so few images" in text


def test_nothing_standing_on_both_sides_leaves_what_the_rule_of_three_allows(monkeypatch, directly):
    monkeypatch.setattr(dim_reconstructions, "_standing", seeds_of({"a": [0.0], "b": [0.0]}))
    gap, low, high = dim_reconstructions.interval(directly, "a", "b", "all")
    reach = statistics.unseen(N, 0.025)
    assert (gap, low, high) == pytest.approx((0, -reach, reach))


def test_every_attack_of_the_page_counts_for_reconstructions_and_rivals(full, directly):
    """DDN finds the first half of the images at a size of 1, within the threshold of L2; all change ten values."""
    alone, all_of_them = (dim_reconstructions.reconstructions(page).set_index("label") for page in (directly, full))
    assert alone.loc["pgd-trained", ["linf", "l2", "l0", "all"]].tolist() == [60, 70, 60, 60]
    assert all_of_them.loc["pgd-trained", ["linf", "l2", "l0", "all"]].tolist() == [60, 20, 0, 0]
    assert alone.loc["K1 code", "all"] == all_of_them.loc["K1 code", "all"] == 50


def test_models_only_is_a_reconstruction_that_is_not_chosen(tmp_path):
    page = chapter.Chapter(dim.trials("full", "mnist", None), Store(tmp_path, "full"))
    labels = list(dim_reconstructions.reconstructions(page)["label"])
    assert labels[:2] == ["DIM", "models only"]
    assert labels[-3:] == list(RIVALS)
    assert len(labels) == len(set(labels))


def seeds_of(rates):
    """Standing images of rows by label, [networks, images], with the first ones standing."""
    rows = {label: np.stack([100.0 * first(rate, N) for rate in each]) for label, each in rates.items()}
    return lambda chapter, label, which: rows.get(label)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ([0.5], [0.5], "not told apart"),
        ([0.5], [0.3], "better, +20.0 points ["),
        ([0.3], [0.5], "worse, -20.0 points ["),
        ([0.03], [0.015], "not told apart"),
        ([0.3, 0.7], [0.3, 0.5], "not told apart"),
        ([0.69, 0.7, 0.71], [0.5, 0.51, 0.49], "better, +20.0 points ["),
    ],
)
def test_better_is_said_where_seeds_and_images_leave_no_doubt(monkeypatch, full, ours, theirs, said):
    monkeypatch.setattr(dim_reconstructions, "_standing", seeds_of({"a": ours, "b": theirs, "DIM": [0.5]}))
    assert dim_reconstructions._compared(full, "a", "b", "all").startswith(said)


def test_a_reconstruction_that_was_trained_once_has_the_spread_of_dim(monkeypatch, full):
    rates = {"a": [0.7], "class PCA": [0.5], "DIM": [0.3, 0.5]}
    monkeypatch.setattr(dim_reconstructions, "_standing", seeds_of(rates))
    gap, low, high = dim_reconstructions.interval(full, "a", "class PCA", "all")
    images = np.var(100.0 * first(0.7, N) - 100.0 * first(0.5, N), ddof=1) / N
    reach = (12.706**2 * np.var([30, 50], ddof=1) + 1.972**2 * images) ** 0.5  # t of 1 and 199 degrees of freedom
    assert (gap, low, high) == pytest.approx((20, max(20 - reach, -100), min(20 + reach, 100)), rel=1e-3)


def test_how_many_images_the_nearest_neighbour_keeps():
    store = Store("nowhere", "full")
    assert tables.kept(chapter.Chapter(dim.trials("full", "mnist", None), store)) == dim.MNIST.kept


def test_the_least_over_scales_counts(full):
    shown = tables.scales(full).data.set_index(["attack", "norm"])
    row = shown.loc[("PGD on the cross-entropy", "Linf")]
    assert row["× 100"] == "90"
    assert row["worst"] == "25"
    together = shown.loc[("all of these", "L2")]
    assert (together["× 100"], together["worst"]) == ("–", "25")


def test_what_slopes_find_stands_beside_what_the_identity_finds(full):
    shown = tables.slopes(full).data
    assert list(shown["norm"]) == ["Linf", "L2", "L0"]
    assert set(shown["network"]) == {"Binary CNN"}
    assert set(shown["identity"]) == {"75.0"}
    assert list(shown["direct"]) == ["30.0", "40.0", "30.0"]
    assert list(shown["flips"]) == ["30.0", "10.0", "20.0"]
    assert list(shown["worst case"]) == ["30.0", "10.0", "20.0"]


def test_our_medians_and_rates_stand_beside_the_curves(full):
    cells = {cell.id: cell for cell in load("dim").cells}
    assert dim_members._ours(full, cells["abs/madry/l2/1.5"]) == 50
    assert dim_members._ours(full, cells["abs/madry/l2/median"]) == 1
    assert dim_members._ours(full, cells["abs/cnn/linf/0.3"]) == 0
    assert dim_members._ours(full, cells["abs/abs/l2/1.5"]) is None
    shown = dim_members.beside(full).data.set_index(["network", "norm"])
    row = shown.loc[("PGD-trained (Madry et al.)", "L2 1.5")]
    assert (row["ours"], row["ours, direct"], row["ours "]) == ("50", "70", "1")
    assert (row["attacks, ours"], row["networks"], row["images"]) == ("42 of the 42", 1, "200")


CURVES = Path(papers.__file__).parent / "dim" / "cells.csv"
PRINTED = [row for row in csv.DictReader(CURVES.read_text("utf-8").splitlines()) if row["metric"] == "accuracy"]
AT_THRESHOLDS = [row for row in PRINTED if (row["norm"], row["eps"]) in (("linf", "0.3"), ("l2", "1.5"), ("l0", "12"))]


@pytest.mark.parametrize("row", AT_THRESHOLDS, ids=lambda row: row["id"])
def test_what_is_printed_is_shown_at_the_thresholds(row, empty):
    shown = dim_members.beside(empty).data.set_index(["network", "norm"])
    assert len(shown) == len(AT_THRESHOLDS) == 18
    line = shown.loc[(row["target"], f"{tables.WORDS[row['norm']]} {row['eps']}")]
    assert line["stand, %: theirs"] == row["value"]
    median = next(cell for cell in load("dim").cells if cell.id == row["id"].rpartition("/")[0] + "/median")
    assert line["median change: theirs"] == f"{median.value:g}"


def test_attacks_that_know_stand_in_one_order_and_longer_ones_do_not_count_as_ordinary(full):
    shown = tables.knowing(full).data
    assert "not measured yet" not in set(shown["stand, %"])
    assert attacks_on_dim(shown) == KNOWN
    together = shown[shown["attack"].str.startswith("worst case over all")].set_index("norm")
    assert together.loc["Linf", "stand, %"].startswith("25 "), "the least of what was made up"
    assert together.loc["L0", "stand, %"].startswith("0 "), "members count: they change ten values"
    assert set(shown[shown["attack"] == "direct, means over draws"]["network"]) == {"K9 noise"}
    assert len(tables.rates_of_direct(full)) == len({t.label for t in full.study.trials})


def test_attacks_that_are_announced_have_their_rows_before_they_are_measured(full, empty):
    shown, later = tables.knowing(empty).data, tables.knowing(full).data
    assert attacks_on_dim(shown) == KNOWN
    assert set(shown["stand, %"]) == {"not measured yet"}
    columns = ["network", "attack", "norm"]
    measured = later[~later["attack"].str.startswith("worst case over all")]
    assert shown[columns].equals(measured[columns].reset_index(drop=True))


def attacks_on_dim(shown):
    names = dict.fromkeys(shown[shown["network"] == "DIM"]["attack"])
    return [name for name in names if "worst case over all" not in name]


KNOWN = [
    "direct: margin and smallest perturbation",
    "direct: margin and smallest perturbation; 1,000 steps, 10 restarts, 10 starts in L0, untargeted",
    "PGD in double precision",
    "AutoAttack",
    "latent descent",
    "collision",
    "identity backward",
    "HopSkipJump from the nearest image of another class",
    "SPSA, which estimates gradients from scores",
    "moved from standard",
    "moved from Binary CNN",
    "moved from pgd-trained",
    "moved from DIM, another seed",
]


def test_pgd_behind_a_threshold_has_the_worst_case_beside_it(full, empty):
    beside = "*Binary CNN* keeps 80.0 % at ε = 0.3 here, 30.0 % in the worst case over all attacks."
    assert beside in tables.takes_for_identity(full)
    said = tables.takes_for_identity(empty)
    assert "looks better here than it is" in said
    assert "keeps" not in said


def test_noise_that_the_denoiser_knows_is_answered_by_simpler_networks_too(full, monkeypatch):
    assert "*DIM* 80.0 % and 80.0 %, *standard* 80.0 % and 80.0 %." in tables.in_noise(full)
    assert tables.in_noise(full).endswith("In the mean at least as right as *DIM* under noise: *standard*.")


def test_a_tie_and_a_failed_search_are_named(full, tmp_path):
    said = [axis.get_title() for axis in figures.closest(full).axes]
    assert "search failed" in said
    result = next(r for r in full.results if isinstance(r.measurement.question, Closest))
    arrays = dict(result.artifact(full.store))
    arrays |= {"size": np.full((3, 6), 128.0, np.float32), "answer": np.full((3, 6), -1, np.int16)}
    tied = only(full, lambda r: True)
    tied.__dict__["results"] = [dataclasses.replace(result)]
    tied.__dict__["results"][0].__dict__["artifact"] = lambda store: arrays
    said = [axis.get_title() for axis in figures.closest(tied).axes]
    assert "tie at 128" in said


def test_names_keep_their_capitals(full):
    assert "class PCA, nearest neighbour" in tables.direct(full).caption


# The study


def test_every_claim_is_measured_at_full_scale_on_both_sides():
    study = dim.trials("full", "mnist", None)
    for headline in load("dim").headlines:
        fed = [trial.label for trial, _ in feeding(study, headline)]
        after = [trial for trial in study.trials if trial.network.seed in dim.MNIST.later]
        later = [trial.label for trial in after if trial.label in fed]
        pgd = headline.baseline == "pgd-trained"
        assert sorted(later) == sorted([headline.defended] * 5 + [headline.baseline] * (3 if pgd else 5))


@pytest.mark.parametrize(("scale", "dataset"), dim.SETTINGS)
def test_every_scale_has_its_claims_and_no_network_twice(scale, dataset):
    study = dim.trials(scale, dataset, None)
    assert len({key(trial.network) for trial in study.trials}) == len(study.trials)
    assert all(feeding(study, headline) for headline in load("dim").headlines)


def test_every_member_is_asked_at_full_scale_and_budgets_are_of_members():
    study = dim.trials("full", "mnist", None)
    dims = [trial for trial in study.trials if trial.label == "DIM"]
    asked = [{m.question.name for m in t.measurements if isinstance(m.question, Member)} for t in dims]
    assert asked[0] == {one.name for one in MEMBERS}
    assert [len(names) for names in asked[1:]] == [42, 42, 34, 34]
    assert {name for budget in dim.BUDGETS.values() for name in budget} <= {one.name for one in MEMBERS}


def test_thresholds_and_noise_are_attacked_as_what_they_are():
    """Through other slopes, through means over draws; what a network without either is asked has neither."""
    study = dim.trials("full", "mnist", None)
    asked = {t.label: [m.question for m in t.measurements if isinstance(m.question, Direct)] for t in study.trials}
    behind = {label for label, questions in asked.items() if any(q.widths for q in questions)}
    random = {label for label, questions in asked.items() if any(q.draws > 1 for q in questions)}
    assert behind == {"Binary CNN", "binary DIM", "K7 inside"}
    assert random == {"K9 noise"}
    assert all(q.widths for label in behind for q in asked[label])
    assert all(q.queries and q.pointwise for questions in asked.values() for q in questions)
    assert all(q.draws > 1 for q in asked["K9 noise"])


def test_what_has_no_randomness_is_one_network():
    study = dim.trials("full", "mnist", None)
    seeds = {label: [t.network.seed for t in study.trials if t.label == label] for label in ("DIM", *tables.FIXED)}
    assert {label: len(found) for label, found in seeds.items()} == {"DIM": 5} | dict.fromkeys(tables.FIXED, 1)


def test_guesses_change_one_thing_each():
    for label, changed in dim.knobs(dim.SMALL).items():
        fields = [f.name for f in dataclasses.fields(changed) if getattr(changed, f.name) != getattr(dim.SMALL, f.name)]
        assert len(fields) == (2 if label in ("K1 raw", "K6 l1", "K6 kl") else 1), label
