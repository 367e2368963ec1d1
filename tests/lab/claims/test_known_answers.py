"""The published records of the first four studies under both rules: what they were read as, and what they say now."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bioinspired.declarations import Images
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.claims.assessment import Assessment, assess
from bioinspired.lab.declarations import Measurement, Study
from bioinspired.lab.papers.dim.study import FIRST
from bioinspired.lab.papers.sleep.declarations import Distortion
from bioinspired.lab.records.store import Store

RESULTS = Path(__file__).parents[3] / "results"
FORMER = Path(__file__).parents[3] / "bioinspired/lab/claims/former_verdicts.csv"

CLAIMS = {"sleep": 7, "dim": 6}
"""How many there were where some were added since: what is known is of those, and of the networks of that time."""

# e, the former interval, the present one where it was worked out by hand, the word now. Percent points, or factors.
KNOWN = {
    "defective_conv/transfer": (30.7, 8.1, 53.2, None, "seen at small scale"),
    "defective_conv/adversarial-training": (-14.3, -60.5, 32.0, None, "exploratory: inconclusive"),
    "defective_conv/boundary": (1.35, 0.11, 16.4, None, "inconclusive"),
    "defective_conv/rm-transfer": (33.1, -43.7, 109.9, None, "inconclusive"),
    "defective_conv/rm-cost": (-0.8, -4.6, 2.9, None, "inconclusive"),
    "defective_conv/rm-top": (20.1, 4.2, 35.9, None, "inconclusive"),
    "defective_conv/rm-noise": (31.2, -14.9, 77.3, None, "inconclusive"),
    "weight_map/noise-smoothing": (-13.9, -29.5, 1.6, None, "not supported in our reconstruction"),
    "weight_map/noise-unsharp": (2.4, -1.6, 6.4, (0.3, 4.5), "supported in our reconstruction"),
    "weight_map/attack-smoothing": (-50.8, -67.4, -34.2, None, "not supported in our reconstruction"),
    "weight_map/attack-unsharp": (-30.8, -42.4, -19.1, None, "not supported in our reconstruction"),
    "weight_map/cause": (-6.5, -12.5, -0.5, None, "not supported in our reconstruction"),
    "weight_map/amplification": (2.53, 2.41, 2.65, None, "supported in our reconstruction"),
    "weight_map/accuracy-smoothing": (-0.64, -0.92, -0.36, None, "supported in our reconstruction"),
    "weight_map/accuracy-unsharp": (0.16, 0.03, 0.30, None, "supported in our reconstruction"),
    "sleep/fgsm": (-12.1, -25.6, 1.4, None, "exploratory: not reproduced"),
    "sleep/deepfool": (0.73, 0.35, 1.53, None, "exploratory: inconclusive"),
    "sleep/noise": (5.8, -0.5, 12.1, None, "exploratory: supported"),
    "sleep/blur": (14.2, 1.1, 27.2, None, "exploratory: supported"),
    "sleep/distillation": (-11.1, -25.0, 2.8, None, "exploratory: not reproduced"),
    "sleep/fine-tuning": (-17.9, -32.2, -3.6, None, "exploratory: not reproduced"),
    "sleep/cost": (-42.8, -50.5, -35.1, None, "exploratory: agrees in direction with a second-hand report"),
    "dim/l2": (36.5, 18.0, 55.0, None, "exploratory: supported in our reconstruction"),
    "dim/l0": (25.8, 12.2, 39.4, None, "exploratory: supported in our reconstruction"),
    "dim/overall-pgd": (-13.8, -24.6, -3.0, None, "exploratory: not supported in our reconstruction"),
    "dim/overall-binary": (-4.5, -11.1, 2.1, None, "exploratory: not supported in our reconstruction"),
    "dim/noise": (70.8, 45.5, 96.1, None, "exploratory: supported in our reconstruction"),
}


def as_it_was(study: Study) -> Study:
    """A study without the networks, and with the numbers of images, that came with later claims."""
    if study.name == "dim":
        kept = [trial for trial in study.trials if trial.label != "DIM" and trial.network.seed < 5]
        return replace(study, trials=tuple(replace(t, label="DIM") if t.label == FIRST else t for t in kept))
    if study.name == "sleep":
        kept = [trial for trial in study.trials if trial.network.seed < 7]
        return replace(study, trials=tuple(replace(t, measurements=tuple(map(of_few, t.measurements))) for t in kept))
    return study


def of_few(measurement: Measurement) -> Measurement:
    return replace(measurement, images=Images(n=500)) if isinstance(measurement.question, Distortion) else measurement


@cache
def assessed(name: str) -> dict[str, Assessment]:
    study = as_it_was(papers.study(name, "full", dataset="mnist"))
    return {one.headline.id: one for one in assess(study, Store(RESULTS, "full"))}


def shown(value: float, like: float) -> float:
    """A number to the last digit that a known one shows: two digits for factors and small effects, else one."""
    return round(value, 1 if round(like, 1) == like else 2)


@pytest.mark.parametrize("claim", KNOWN)
def test_verdicts_of_the_published_records(claim):
    name, _, headline = claim.partition("/")
    mean, _, _, now, word = KNOWN[claim]
    found = assessed(name)[headline].verdict
    assert found.word == word
    assert shown(found.effect, mean) == mean
    if now is not None:
        assert (round(found.low, 1), round(found.high, 1)) == now


@pytest.mark.parametrize("claim", KNOWN)
def test_the_former_rule_gave_these_intervals(claim):
    """t(k - 1) on the whole standard error, all images under every statistic, and .025 / m."""
    name, _, headline = claim.partition("/")
    _, low, high, _, _ = KNOWN[claim]
    found = former(assessed(name)[headline], m=CLAIMS.get(name, load(name).m))
    assert [shown(end, like) for end, like in zip(found, (low, high), strict=True)] == [low, high]
    with FORMER.open(newline="") as file:
        written = next(row for row in csv.DictReader(file) if f"{row['study']}/{row['claim']}" == claim)
    assert [float(written["low"]), float(written["high"])] == pytest.approx(found, rel=1e-3, abs=0.05)


def former(found: Assessment, *, m: int) -> tuple[float, float]:
    evidence, headline = found.evidence, found.headline
    metric, ratio = headline.endpoint.metric, evidence.unit == "ratio"
    defended, baseline = (np.log(arm) if ratio else np.array(arm) for arm in (evidence.defended, evidence.baseline))
    n = min(result.counted(metric) for result in found.used)
    if metric == "conditional":
        images = sum(arm.mean() * (100 - arm.mean()) for arm in (defended, baseline)) / n
    else:
        one, other = evidence.images
        images = np.var(one.mean(0) - other.mean(0), ddof=1) * evidence.inflation / n
        dead = [arm for arm in (defended, baseline) if min(arm.mean(), 100 - arm.mean()) * n < 1e-4]
        if not ratio:
            images = max(images, len(dead) * (300 / n / stats.norm.ppf(0.95)) ** 2)
    parts = [defended - baseline] if evidence.paired else [defended, baseline]
    seeds = [np.var(part, ddof=1) / len(part) for part in parts]
    freedom = [len(part) - 1 for part in parts]
    spread = sum(seed**2 / one for seed, one in zip(seeds, freedom, strict=True))
    df = sum(seeds) ** 2 / spread if spread else min(freedom)
    tail = 0.05 if headline.kind == "equivalence" else 0.025 / m
    reach = stats.t.ppf(1 - tail, df) * np.sqrt(sum(seeds) + images)
    mean = defended.mean() - baseline.mean()
    return (np.exp(mean - reach), np.exp(mean + reach)) if ratio else (mean - reach, mean + reach)


@pytest.mark.parametrize(
    ("claim", "low", "high"),
    [
        ("defective_conv/transfer", -33, -31.5),
        ("defective_conv/rm-transfer", -31.5, -29.9),
        ("sleep/fgsm", -60, -35.8),
        ("dim/l2", 0, 2),
        ("dim/l0", 0, 2),
        ("dim/overall-pgd", -6, 2),
    ],
)
def test_what_does_not_hold(claim, low, high):
    name, _, headline = claim.partition("/")
    found = assessed(name)[headline].paper_access
    assert found.word.removeprefix("exploratory: ") == "does not hold"
    assert low < found.high < high


def test_a_baseline_whose_checks_failed_is_named():
    found = assessed("dim")["l2"].paper_access
    assert "pgd-trained: square" in found.failed


def test_the_searches_that_find_shorter_perturbations_are_named():
    said = assessed("defective_conv")["boundary"].verdict.text
    assert "not the distance of record: hopskipjump" in said
    assert assessed("sleep")["deepfool"].verdict.n == 38, "right when clean, and fooled, on every network"
