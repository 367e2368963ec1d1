"""What is fixed in advance: every kind of change after the training shows."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from filled import fill, is_clean

from bioinspired.keys import key
from bioinspired.lab import papers
from bioinspired.lab.claims import load, registration, verdicts
from bioinspired.lab.claims.assessment import assess
from bioinspired.lab.records.store import SCALES, Store

SEEDS = (0, 1, 2, 3, 4)


def study(**changes):
    return replace(papers.study("defective_conv", "laptop", seeds=SEEDS), **changes)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Records of networks whose training carries what was registered before it."""
    made = Store(tmp_path_factory.mktemp("store"), "laptop")
    fill(made, study(), lambda trial, asked: 1.0 if is_clean(asked) else 0.6 if trial.label == "keep 0.1" else 0.3)
    return made


def texts(store, made=None):
    return {one.headline.id: one.verdict.text for one in assess(made or study(), store)}


def exploratory(store, made=None):
    said = [text for text in texts(store, made).values() if not text.startswith("not tested")]
    assert said
    return {text.startswith("exploratory: ") for text in said} == {True}


def with_claims(monkeypatch, change):
    claims = change(load("defective_conv"))
    monkeypatch.setattr("bioinspired.lab.claims.assessment.load", lambda name: claims)
    monkeypatch.setattr("bioinspired.lab.claims.registration.load", lambda name: claims)


def with_first(claims, **changes):
    return replace(claims, headlines=(replace(claims.headlines[0], **changes), *claims.headlines[1:]))


def test_unchanged_records_are_registered(store):
    assert not exploratory(store)
    assert texts(store)["transfer"] == "seen at small scale"
    holdings = [one.paper_access.text for one in assess(study(), store)]
    assert not any(text.startswith("exploratory") for text in holdings)


def test_a_deleted_claim_shows(store, monkeypatch):
    with_claims(monkeypatch, lambda claims: replace(claims, headlines=claims.headlines[:-1]))
    assert exploratory(store)


def test_other_words_show(store, monkeypatch):
    with_claims(monkeypatch, lambda claims: with_first(claims, statement="They resist a little better."))
    assert exploratory(store)


def test_another_margin_or_strength_shows_in_verdicts_and_holdings(store, monkeypatch):
    endpoint = load("defective_conv").headlines[0].on("digits").endpoint
    with_claims(monkeypatch, lambda claims: with_first(claims, endpoint=replace(endpoint, eps="0.1"), overrides=()))
    assert exploratory(store)
    held = next(one for one in assess(study(), store) if one.headline.id == "rm-transfer").paper_access
    assert held.text.startswith("exploratory: ")


@pytest.mark.parametrize("change", [{"level": 0.05}, {"size": 0.1}, {"equal": 2.0}, {"version": 99}])
def test_another_tail_of_the_rule_shows(store, monkeypatch, change):
    monkeypatch.setattr(registration, "RULE", {**verdicts.RULE, **change})
    assert exploratory(store)


def test_another_fidelity_shows(store):
    assert exploratory(store, study(fidelity="paper"))


def test_other_seeds_show(store):
    fewer = papers.study("defective_conv", "laptop", seeds=SEEDS[:4])
    assert exploratory(store, fewer)


def test_other_numbers_of_images_show(store):
    """Asked on as many images as one likes: that measurement is missing, and with it the registration of the rest."""
    halved = tuple(
        replace(trial, measurements=tuple(replace(m, images=replace(m.images, n=50)) for m in trial.measurements
                                          if m.is_transfer) + trial.measurements)
        for trial in study().trials
    )  # fmt: skip
    assert registration.digest(study(trials=halved)) != registration.digest(study())


def test_a_hash_that_was_edited_by_hand_shows(store, monkeypatch):
    """The commit that a training names has to hold the digest; where git does not know the commit nothing is known."""
    monkeypatch.setattr(registration, "committed", lambda commit, text: False)
    assert exploratory(store)
    monkeypatch.setattr(registration, "committed", lambda commit, text: None)
    assert not exploratory(store)


def test_git_says_what_a_commit_had_registered(tmp_path, monkeypatch):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "anywhere").mkdir()
    file = tmp_path / "anywhere" / registration.FILE
    commits = []
    for digest in ("a" * 64, "b" * 64):
        file.write_text(json.dumps({"digests": digest}))
        git("add", "-A")
        git("commit", "-qm", digest)
        commits.append(git("rev-parse", "HEAD"))
    monkeypatch.setattr(registration, "ROOT", tmp_path)
    assert registration.committed(commits[1], "b" * 64) is True
    assert registration.committed(commits[0], "b" * 64) is False
    assert registration.committed("0" * 40, "b" * 64) is None
    assert registration.committed(None, "b" * 64) is None


def test_records_without_a_stamp_need_a_criterion_from_before_their_training(store, tmp_path):
    """As they were made before this rule: the hash of the criterion in each measurement, and none in the training."""
    store = Store(Path(shutil.copytree(store.root, tmp_path / "copy")), "laptop")
    claims = {h.id: h.on("digits").criterion for h in load("defective_conv").headlines}
    since = registration._file()["criteria"]
    known = {name for name, criterion in claims.items() if criterion in since}
    assert "transfer" in known
    assert "adversarial-training" not in known, "its kind was changed after results were seen"
    for trial in study().trials:

        def former(record, finished="2026-12-01T00:00:00+00:00"):
            units = {name: {**unit, "criteria": claims, "finished": finished}
                     for name, unit in record.provenance["units"].items()}  # fmt: skip
            units["training"].pop("registered", None)
            return replace(record, provenance={**record.provenance, "units": units})

        store.update(key(trial.network), former)
    first = {**registration._file()["digests"], registration.name_of(study()): [registration.digest(study())]}
    content = registration._file() | {"digests": first}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registration, "_file", lambda: content)
        patch.setattr(registration, "committed", lambda commit, text: None)
        said = texts(store)
        assert said["transfer"] == "seen at small scale"
        assert said["adversarial-training"].startswith("exploratory: ")
        for trial in study().trials:
            store.update(key(trial.network), lambda record: former(record, "2026-11-20T00:00:00+00:00"))
        assert exploratory(store), "trained before the criterion was written"


def test_what_is_registered_stands_in_the_file():
    """After a change of claims, studies or rule: `bioinspired claims --register`, before anything is trained."""
    listed = registration.listed()
    for name in papers.NAMES:
        for scale in SCALES:
            for data in papers.datasets(name, scale):
                made = papers.study(name, scale, dataset=data)
                assert listed[registration.name_of(made)][-1] == registration.digest(made)


def test_a_training_carries_what_is_registered_at_its_scale_and_data():
    found = registration.current("full", "mnist")
    assert set(found) == set(papers.NAMES)
    assert found["dim"] == registration.listed()["dim full mnist"][-1]
