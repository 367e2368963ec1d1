"""A chapter from an empty, a partial and a complete store; studies; the cost model; the command line."""

import json
import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from filled import fill, first, is_clean

from bioinspired import cli
from bioinspired.errors import UserError
from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.engine.costs import CostModel, measuring_passes, training_work
from bioinspired.lab.engine.plan import command as command_of
from bioinspired.lab.engine.plan import measuring_tasks, training_tasks, units
from bioinspired.lab.measurements.declarations import Attack, Clean, Gallery
from bioinspired.lab.papers.dim.declarations import Direct, Member
from bioinspired.lab.records.store import Store, pack
from bioinspired.pages import chapter, figures, tables
from bioinspired.pages.figures import defective_conv as pictures
from bioinspired.pages.tables import defective_conv as printed

PAPERS = papers.NAMES


def half(trial, measurement):
    return 1.0 if is_clean(measurement) else 0.5


def partly(trial, measurement):
    return None if trial.label == "keep 0.1" or isinstance(measurement.question, Attack) else half(trial, measurement)


@pytest.fixture(autouse=True)
def read_only(monkeypatch):
    monkeypatch.setenv(chapter.READ_ONLY, "1")


@pytest.fixture(params=["empty", "partial", "complete"])
def page(request, tmp_path):
    study = papers.study("defective_conv", "laptop")
    if request.param != "empty":
        fill(Store(tmp_path, "laptop"), study, partly if request.param == "partial" else half)
    return chapter.open("defective_conv", scale="laptop", store=str(tmp_path))


def test_every_table_and_figure_renders_from_any_store(page):
    made = [
        tables.verdicts(page, "defective_conv"),
        tables.verdicts(page, "random_mask"),
        tables.holdings(page),
        tables.accuracies(page),
        tables.transfer(page, eps="0.2"),
        tables.transfer(page, eps="0.2", metric="conditional"),
        tables.white_box(page),
        tables.autoattack(page),
        tables.noise(page),
        tables.checks(page),
        printed.cells(page, "random_mask"),
        printed.distances(page),
        printed.confident(page),
        printed.controls(page, eps="0.2", source="vgg"),
        printed.epochs(page),
        tables.cost(page),
    ]
    for table in made:
        assert "<caption>" in table.to_html()
        assert "nan" not in table.to_html().lower().replace("domina", "")
    for figure in (
        pictures.masks(),
        pictures.tradeoff(page, eps="0.2"),
        pictures.white_box(page, ["standard", "keep 0.1"]),
        pictures.noise(page, ["standard", "keep 0.1"]),
        pictures.surrogates(page),
        pictures.steps(page),
        pictures.gradients(page),
        pictures.learning(page),
        figures.gallery(page, ["standard", "keep 0.1", "pgd-trained"]),
    ):
        assert figure.axes
    assert not plt.get_fignums()


def test_the_banner_names_what_is_missing_and_what_makes_it(tmp_path):
    page = chapter.open("defective_conv", scale="full", store=str(tmp_path), dataset="mnist")
    total = len(page.units)
    assert f"{total} of {total} units have not been made yet" in page.banner()
    assert f"`{command_of(page.study)}`" in page.banner()
    fill(page.store, page.study, half)
    page = chapter.open("defective_conv", scale="full", store=str(tmp_path), dataset="mnist")
    assert "have not been made" not in page.banner()


def test_a_rate_is_that_of_the_rows_on_the_most_images_that_have_one(tmp_path):
    page = chapter.open("defective_conv", scale="laptop", store=str(tmp_path))
    rows = [("pgd", 100, 50.0), ("pgd", 200, 30.0), ("pgd", 200, 40.0), ("pgd", 10_000, None), ("fgsm", 5_000, 90.0)]
    frame = pd.DataFrame(rows, columns=["name", "n", "accuracy"]).assign(label="standard")
    page.__dict__["frame"] = frame
    assert page.rate("standard", name="pgd") == 35.0
    assert page.rate("standard", name="square") is None


def test_a_table_shows_mean_deviation_and_number_of_seeds(tmp_path):
    study = papers.study("defective_conv", "laptop")
    fill(Store(tmp_path, "laptop"), study, lambda trial, m: 0.5 + 0.1 * (trial.network.seed % 100))
    page = chapter.open("defective_conv", scale="laptop", store=str(tmp_path))
    shown = tables.accuracies(page).data.set_index("network")["clean accuracy, %"]
    assert shown["keep 0.1"] == "60.0 ± 10.0 (3)"
    assert shown["keep 0.5"] == "50.0 (1)"
    assert page.text("keep 0.1", kind="clean") == "60.0"
    assert page.text("keep 0.9", kind="clean") == "not measured"
    assert page.seeds("source vgg") == 3


@pytest.mark.parametrize(("dataset", "place", "least"), [("mnist", "RM T5", 9), ("cifar10", "RM T2", 5)])
def test_narrow_networks_on_the_papers_data_stand_beside_its_numbers(tmp_path, dataset, place, least):
    study = papers.study("defective_conv", "narrow", dataset=dataset)
    fill(Store(tmp_path, "narrow"), study, lambda trial, m: 0.5)
    page = chapter.Chapter(study, Store(tmp_path, "narrow"))
    measured = printed.cells(page, "random_mask").data.set_index("place")["measured here"]
    assert measured[place] >= least


def test_status_and_provenance_of_a_store(tmp_path):
    fill(Store(tmp_path, "laptop"), papers.study("defective_conv", "laptop"), partly)
    row = tables.status(str(tmp_path), "laptop").set_index("study").loc["defective_conv"]
    found = [unit.state for unit in units(papers.study("defective_conv", "laptop"), Store(tmp_path, "laptop"))]
    assert (row["units"], row["done"], row["missing"]) == (len(found), found.count("done"), found.count("missing"))
    assert row["to make the rest"] == "bioinspired run defective_conv --scale laptop"
    assert "mnist" not in set(tables.status(str(tmp_path), "laptop")["data"])
    fill(Store(tmp_path, "laptop"), papers.study("defective_conv", "laptop", dataset="mnist"), partly)
    rows = tables.status(str(tmp_path), "laptop").set_index(["study", "data"])
    assert rows.loc[("defective_conv", "mnist"), "to make the rest"].endswith("--dataset mnist")
    assert list(rows.loc["sleep"].index) == ["digits", "patches"], "a row for each data set"
    assert rows.loc["sleep", "units"].sum() == len(units(papers.study("sleep", "laptop"), Store(tmp_path, "laptop")))
    made = tables.provenance(str(tmp_path), "laptop")
    assert list(made["units"]) == [rows.loc["defective_conv", "done"].sum()]
    assert list(made["last"]) == ["2026-01-02"]
    assert tables.provenance(str(tmp_path), "smoke").empty


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("scale", ["smoke", "laptop", "full"])
def test_every_source_is_a_trial_and_what_is_called_one_is_no_target(name, scale):
    for dataset in ("", *papers.datasets(name, scale)):
        study = papers.study(name, scale, dataset=dataset)
        made = {trial.network for trial in study.trials}
        assert len({key(network) for network in made}) == len(study.trials)
        for trial in study.trials:
            if trial.label.startswith("source"):
                assert not any(m.is_transfer for m in trial.measurements)
            assert made.issuperset(s for m in trial.measurements for s in m.sources)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "dreams", "scale": "laptop"}, '"dreams" is no study'),
        ({"name": "defective_conv", "scale": "huge"}, '"huge" is no scale'),
        ({"name": "defective_conv", "scale": "full", "dataset": "digits"}, 'not on "digits"'),
        ({"name": "defective_conv", "scale": "laptop", "seeds": [100]}, "those above are the sources'"),
        ({"name": "defective_conv", "scale": "laptop", "seeds": []}, "are numbers from 0"),
    ],
)
def test_what_no_study_can_be_is_said_in_a_sentence(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        papers.study(**arguments)


def test_costs_are_learned_from_records(tmp_path):
    store = Store(tmp_path, "laptop")
    study = papers.study("defective_conv", "laptop")
    todo = units(study, store)
    guess = CostModel(store, "cpu")
    assert guess.basis.startswith("a first guess")
    fill(store, study, half)
    learned = CostModel(store, "cpu")
    assert learned.basis == f"learned from {len(study.trials)} records"
    task = next(
        t for t in training_tasks(todo, Store(tmp_path / "x", "laptop")) if t.network and not t.network.recipe.adversary
    )
    assert learned.seconds(task) == pytest.approx(0.05 + training_work(task.network) * 1.0 / 100.0)
    assert CostModel(store, "cuda").basis.startswith("a first guess")
    assert learned.total(measuring_tasks(todo), 2) > 0


def test_passes_of_a_measurement():
    assert measuring_passes(Measurement(question=Clean())) == 1
    pgd = Attack(name="pgd", eps="0.1", steps=20, restarts=2)
    assert measuring_passes(Measurement(question=pgd)) == 81
    assert measuring_passes(Measurement(question=Gallery(attack=pgd))) == 81


@pytest.mark.parametrize(
    ("question", "passes"),
    [
        (Member(name="L2CarliniWagner"), 180_000),
        (Member(name="L2CarliniWagner", steps=200, searches=5), 2_000),
        (Member(name="Boundary", steps=5_000), 27_553 / 5),
        (Member(name="LinfProjectedGradientDescent", steps=20), 2 * 81 / 2),
        (Member(name="LinfAdditiveUniformNoise", grid=("1",), steps=7), 1),
        (Direct(steps=100, starts=2), 2 * 200 * 1.5 + 200 + 200),
        (Direct(steps=100, targeted=True, queries=50, widths=("0.1",), draws=2), 2 * (2 * 200 * 7 + 50 + 300)),
    ],
)
def test_passes_of_the_42_and_of_direct_attacks(question, passes):
    assert measuring_passes(Measurement(question=question)) == pytest.approx(passes)


def command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["bioinspired", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_at_full_scale_a_page_shows_the_data_set_that_has_records(tmp_path):
    store = Store(tmp_path, "full")
    page = chapter.open("defective_conv", scale="full", store=str(tmp_path))
    assert page.study == papers.study("defective_conv", "full")
    assert "no records yet" not in page.banner()
    fill(store, papers.study("defective_conv", "full", dataset="mnist"), half)
    page = chapter.open("defective_conv", scale="full", store=str(tmp_path))
    assert page.study == papers.study("defective_conv", "full", dataset="mnist")
    assert "This page is on mnist: the study's own data set, cifar10, has no records yet." in page.banner()
    fill(store, papers.study("defective_conv", "full"), half)
    assert (
        chapter.open("defective_conv", scale="full", store=str(tmp_path)).study.trials[0].network.data.name == "cifar10"
    )
    asked = chapter.open("defective_conv", scale="full", store=str(tmp_path), dataset="mnist")
    assert "no records yet" not in asked.banner()


def test_labels_of_a_figure_differ_in_hue_or_marker(page):
    axis = pictures.tradeoff(page, eps="0.2").axes[1]
    drawn = [
        (tuple(points.get_facecolor()[0]), points.get_paths()[0].vertices.tobytes()) for points in axis.collections
    ]
    assert len(set(drawn)) == len(drawn)
    assert len({pictures.colours(page)[label] for label in ("standard", "keep 0.3", "keep 0.1", "keep 0.3 top")}) == 4
    ours, theirs = (axis.get_ylim() for axis in pictures.tradeoff(page, eps="0.2").axes)
    assert ours == theirs


def found_by(name, label):
    """Made-up shares: HopSkipJump comes nearer to keep 0.1 than to standard, AutoAttack breaks the trained network."""
    if name == "hopskipjump":
        return 0.25 if label == "keep 0.1" else 0.5
    if name == "boundary":
        return 0.75 if label == "keep 0.1" else 0.5
    return 0.1 if name == "autoattack" and label == "pgd-trained" else 0.4


def attacked(trial, measurement):
    name = getattr(measurement.question, "name", "")
    return 1.0 if is_clean(measurement) else found_by(name, trial.label)


def test_a_page_says_which_way_a_stronger_attack_turns_a_claim(tmp_path):
    study = papers.study("defective_conv", "full", dataset="mnist")
    page = chapter.Chapter(study, Store(tmp_path, "full"))
    assert printed.decisions(page) == ""
    assert printed.stronger(page) == "No attack that may be stronger than PGD was asked on this page."
    fill(page.store, study, attacked)
    page = chapter.Chapter(study, page.store)
    said = printed.decisions(page)
    assert "*keep 0.1*: 0.281 (0.842)" in said
    assert "1.35 times as long as *standard*, by HopSkipJump 0.45 times" in said
    assert "*keep 0.1* is easier to reach, the opposite of what is claimed" in said
    assert "had not converged: its medians are 1.0 to 3.0 times as long" in said
    said = printed.stronger(page)
    assert said.count("*pgd-trained*") == said.count("instead of") == len(auto_strengths(study))
    assert (
        "10 % instead of 40 % by AutoAttack (200 images, seeds: 3). The table has 40.0 %, on all its images and seeds."
        in said
    )


def auto_strengths(study):
    asked = [m.question for t in study.trials if t.label == "pgd-trained" for m in t.measurements]
    return {q.eps for q in asked if isinstance(q, Attack) and q.name == "autoattack"}


def test_a_page_says_what_other_pages_of_the_study_have(tmp_path):
    for scale, dataset, lines in (("laptop", "digits", 3), ("full", "mnist", 2), ("full", "cifar10", 0)):
        study = papers.study("defective_conv", scale, dataset=dataset)
        assert printed.absent(chapter.Chapter(study, Store(tmp_path, scale))).count("- ") == lines
    page = chapter.Chapter(papers.study("defective_conv", "full", dataset="mnist"), Store(tmp_path, "full"))
    assert printed.shown(page) == "PGD with 20 steps, ε = 0.3"
    assert printed.clean_images(page) == "the first 1,000 test images"
    assert "Accuracy on the 10,000 test images watched in training" in printed.epochs(page).caption


def test_status_lists_every_unit(tmp_path, monkeypatch, capsys):
    store = Store(tmp_path, "laptop")
    study = papers.study("defective_conv", "laptop")
    for name in PAPERS:
        fill(store, papers.study(name, "laptop"), half)
    victim = store.path(key(next(trial.network for trial in study.trials if trial.label == "JPEG")))
    victim.write_text(victim.read_text()[:100])
    code, out, err = command(monkeypatch, capsys, "status", "--json", "--scale", "laptop", "--store", str(tmp_path))
    rows = json.loads(out)
    assert code in (0, None)
    assert {"study", "data", "scale", "tier", "key", "seed", "state"} <= set(rows[0])
    assert len(rows) == sum(len(units(papers.study(name, "laptop"), store)) for name in PAPERS)
    assert {row["state"] for row in rows} == {"done", "damaged"}
    assert str(victim) in err


def test_status_and_verify_speak_of_the_data_that_were_recorded(tmp_path, monkeypatch, capsys):
    store = Store(tmp_path, "full")
    fill(store, papers.study("defective_conv", "full", dataset="mnist"), half)
    options = ("--scale", "full", "--store", str(tmp_path))
    _, out, _ = command(monkeypatch, capsys, "status", "--json", "--study", "defective_conv", *options)
    done = {(row["data"], row["state"]) for row in json.loads(out)}
    assert done == {("cifar10", "missing"), ("mnist", "done")}
    code, _, err = command(monkeypatch, capsys, "verify", "defective_conv", "--label", "colour", *options)
    assert (code, "JPEG" in err) == (2, True)


def test_claims_lists_every_claim(tmp_path, monkeypatch, capsys):
    fill(Store(tmp_path, "laptop"), papers.study("defective_conv", "laptop"), half)
    code, out, _ = command(monkeypatch, capsys, "claims", "--json", "--scale", "laptop", "--store", str(tmp_path))
    rows = json.loads(out)
    assert code in (0, None)
    assert len(rows) == sum(len(load(name).headlines) for name in PAPERS)
    expected = {"study", "id", "place", "reliability", "paper", "ours", "interval", "n", "verdict"}
    assert all(expected <= set(row) for row in rows)
    assert {row["ours"] for row in rows if (row["study"], row["id"]) == ("defective_conv", "transfer")} == {0.0}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "dreams"], '"dreams" is no study'),
        (["run", "defective_conv", "--seeds", "a"], "are no seeds"),
        (["run", "defective_conv", "--seeds", "1-"], "are no seeds"),
        (["run", "defective_conv", "--seeds", "٣"], "are no seeds"),
        (["run", "defective_conv", "--seeds", "0-9999999999"], "are no seeds"),
        (["check", "dim", "--label", "standard", "--eps", "1e400"], "is too large for a strength"),
        (["run", "defective_conv", "--device", "tpu"], "is no device"),
        (["claims", "--dataset", "imagenet"], 'not on "imagenet"'),
        (["data", "imagenet"], "imagenet"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments, sentence, monkeypatch, capsys):
    code, _, err = command(monkeypatch, capsys, *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert sentence in err
    assert "Traceback" not in err


def test_a_dry_run_makes_nothing(tmp_path, monkeypatch, capsys):
    code, out, _ = command(
        monkeypatch, capsys, "run", "defective_conv", "--dry-run", "--device", "cpu", "--store", str(tmp_path)
    )
    study = papers.study("defective_conv", "laptop")
    assert code in (0, None)
    questions = sum(len(trial.measurements) for trial in study.trials)
    row = out.splitlines()[-3].split("│")[3:5]
    assert [int(cell) for cell in row] == [len(study.trials), questions]
    assert not list(tmp_path.iterdir())


def test_a_rate_is_of_the_rows_on_the_most_images(tmp_path):
    """The white-box curve over steps is on fewer images than the curve over epsilon: they must not be mixed."""
    study = papers.study("defective_conv", "laptop")
    store = Store(tmp_path, "laptop")
    few = study.trials[0].measurements[0].images.n

    def share(trial, measurement):
        return 0.25 if measurement.images.n == few else 0.75

    fill(store, study, share)
    record = store.read(key(next(t.network for t in study.trials if t.label == "standard")))
    trimmed = {
        name: entry | {"images": entry["images"] | {"n": 40}, "bits": {"correct": pack(first(0.75, 40))}}
        for name, entry in record.measurements.items()
        if entry["config"].get("images", {}).get("n") and entry["config"]["question"]["kind"] == "attack"
    }
    store.update(record.key, lambda old: replace(old, measurements=old.measurements | trimmed))
    page = chapter.open("defective_conv", store=str(tmp_path))
    assert page.rate("standard", name="pgd", source="", eps="0.2") == pytest.approx(25.0)
    assert set(page.pgd()["loss"]) == {"ce"}
    assert set(page.pgd().loc[page.pgd()["label"] == "standard", "n"]) == {200}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "defective_conv",
            ["*pgd-trained* on PGD examples (Linf, ε = ", "*noise-trained* on images with Gaussian noise"],
        ),
        ("sleep", ["*pgd-trained*", "*noise-trained*"]),
    ],
)
def test_a_page_says_with_what_its_baselines_were_trained(tmp_path, name, said):
    study = papers.study(name, "laptop")
    text = tables.baselines(chapter.Chapter(study, Store(tmp_path, "laptop")))
    assert all(part in text for part in said)
    undefended = [trial for trial in study.trials if trial.label == "standard"]
    few = replace(study, trials=tuple(undefended))
    assert tables.baselines(chapter.Chapter(few, Store(tmp_path, "laptop"))) == ""


def test_numbers_of_narrow_networks_are_not_set_beside_the_papers(tmp_path):
    cell = next(cell for cell in load("defective_conv").cells if cell["target"] == "resnet18" and not cell["variant"])
    for dataset, wide in (("mnist", False), ("cifar10", True)):
        study = papers.study("defective_conv", "full", dataset=dataset)
        page = chapter.Chapter(study, Store(tmp_path, "full"))
        assert (page.study.trials[0].network.architecture.width >= printed.LEAST_WIDTH) == wide
        if not wide:
            fill(page.store, study, half)
            assert printed.ours(page, cell) is None
