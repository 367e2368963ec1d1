"""A trained baseline that keeps PGD out and AutoAttack not is named; numbers are made up."""

from pathlib import Path

import pytest
from filled import fill

from bioinspired.lab import papers
from bioinspired.lab.claims.competence import doubts, lost
from bioinspired.lab.declarations import Measurement, Trial
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.records.results import Result, read
from bioinspired.lab.records.store import Store


def results(folder: Path, autoattack: float, n: int | None = 200) -> list[Result]:
    """PGD leaves 0.9 of the images of every network, AutoAttack less."""

    def share(trial: Trial, measurement: Measurement) -> float | None:
        asked = measurement.question
        if measurement.sources or not isinstance(asked, Attack):
            return None
        return autoattack if asked.name == "autoattack" else 0.9

    study, store = papers.study("weight_map", "narrow", seeds=(0, 1)), Store(folder, "narrow")
    fill(store, study, share, n=n)
    return read(study, store)


def test_points_that_autoattack_takes_are_counted_on_trained_networks_only(tmp_path: Path) -> None:
    assert lost(results(tmp_path, 0.86)) == {"pgd-trained": pytest.approx(4.0)}


def test_a_baseline_is_named_where_autoattack_takes_more_than_five_points(tmp_path: Path) -> None:
    assert doubts(results(tmp_path / "competent", 0.86)) == ""
    assert "pgd-trained, of which AutoAttack takes 30 points" in doubts(results(tmp_path / "masked", 0.6))


def test_only_the_images_that_autoattack_saw_are_compared(tmp_path: Path) -> None:
    # Of 1,000 made-up images the first 900 withstand PGD, so all of the 100 that AutoAttack sees.
    assert lost(results(tmp_path, 0.6, n=None)) == {"pgd-trained": pytest.approx(40.0)}
