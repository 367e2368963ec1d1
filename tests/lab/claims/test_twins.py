"""How far undefended seeds lie apart at the strength of a claim; numbers are made up."""

from pathlib import Path

from filled import fill

from bioinspired.lab import papers
from bioinspired.lab.claims.assessment import Assessment, assess
from bioinspired.lab.claims.twins import spread_of_twins, spreads
from bioinspired.lab.declarations import Measurement, Trial
from bioinspired.lab.records.store import Store


def assessments(folder: Path, step: float) -> list[Assessment]:
    """Every seed of every network is better than the one before it."""

    def share(trial: Trial, measurement: Measurement) -> float:
        return 0.5 + step * (trial.network.seed % 100)

    study, store = papers.study("defective_conv", "laptop"), Store(folder, "laptop")
    fill(store, study, share)
    return assess(study, store)


def test_lowest_and_highest_undefended_seed_of_claims_in_points(tmp_path: Path) -> None:
    found = spreads(assessments(tmp_path, 0.1))
    assert found["transfer"] == (50.0, 70.0)
    assert "adversarial-training" not in found, "compares with another network"
    assert "boundary" not in found, "a ratio"


def test_claims_are_named_where_undefended_seeds_lie_far_apart(tmp_path: Path) -> None:
    assert "More than 10 points apart" in spread_of_twins(assessments(tmp_path / "far", 0.1))
    assert "points apart" not in spread_of_twins(assessments(tmp_path / "near", 0.01))
    assert spread_of_twins([]) == ""
