"""From records to verdicts: finds what was measured for each headline claim of a study and applies the rules to it."""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bioinspired.evaluation.statistics import LEVEL
from bioinspired.lab.claims import Evidence, Headline, Holding, Verdict, judge, load
from bioinspired.lab.claims.endpoints import EACH, answers, data_of, feeding, one_of
from bioinspired.lab.claims.holding import UNDEFENDED, alike, clean_accuracy, holding
from bioinspired.lab.claims.registration import registered, trained_after
from bioinspired.lab.claims.verdicts import SEEDS_FOR_A_PROVISIONAL_VERDICT
from bioinspired.lab.declarations import PAPERS_SCHEDULE, Study
from bioinspired.lab.measurements.declarations import Distance
from bioinspired.lab.records.results import Result, read
from bioinspired.lab.records.store import Store

BRIDGE_SEEDS = 2
"""The fewest trainings at the paper's own schedule that a shorter one is compared with."""


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A headline claim on a study's data: the verdict, whether the defense holds, and what was measured for both."""

    headline: Headline
    evidence: Evidence
    verdict: Verdict
    paper_access: Holding
    white_box: Holding
    clean: tuple[float | None, float | None]
    used: tuple[Result, ...]


def assess(study: Study, store: Store) -> list[Assessment]:
    """Every headline claim of a study's paper, judged by what the store holds."""
    claims, found = load(study.name), read(study, store)
    headlines = [headline.on(data_of(study), study.scale) for headline in claims.headlines]
    here = replace(claims, headlines=tuple(headlines))
    used = [[result for result in found if _feeds(headline, result)] for headline in headlines]
    evidence = [_bridged(headline, study, found) for headline in headlines]
    verdicts = judge(list(zip(headlines, evidence, strict=True)), m=claims.m)
    clean = clean_accuracy(found)
    fixed = [
        not one.tested or registered(headline, study, mine)
        for headline, one, mine in zip(headlines, evidence, used, strict=True)
    ]
    return [
        Assessment(
            headline=headline,
            evidence=one,
            verdict=verdict,
            paper_access=holding(headline, here, study, found, "the paper's", before),
            white_box=holding(headline, here, study, found, "white box", before),
            clean=(clean.get(headline.defended), clean.get(UNDEFENDED)),
            used=tuple(mine),
        )
        for headline, one, before, verdict, mine in zip(headlines, evidence, fixed, verdicts, used, strict=True)
    ]


def _bridged(headline: Headline, study: Study, found: Sequence[Result]) -> Evidence:
    """The evidence with its bridge: the effect at the paper's own schedule minus the effect at this one."""
    evidence = _evidence(headline, study, found)
    long = replace(headline, defended=headline.defended + PAPERS_SCHEDULE, baseline=headline.baseline + PAPERS_SCHEDULE)
    theirs = _evidence(long, study, found)
    if theirs.k < BRIDGE_SEEDS or not evidence.tested:
        return evidence
    return replace(evidence, bridge=theirs.mean() - evidence.mean())


def _feeds(headline: Headline, result: Result) -> bool:
    sources = [result.source] if result.source else []
    return result.label in (headline.defended, headline.baseline) and answers(
        headline.endpoint, result.measurement, sources
    )


def _confirming(headline: Headline, study: Study, used: Sequence[Result]) -> Sequence[Result]:
    """Of the measurements that feed a claim those that judge it.

    Where both sides have enough networks for a verdict that were trained after the claim was fixed, these alone: what
    had been seen before is its pilot. Else all.
    """
    after = trained_after(headline, study, used)
    seeds = [{r.seed for r in after if r.label == label} for label in (headline.defended, headline.baseline)]
    return after if min(map(len, seeds)) >= SEEDS_FOR_A_PROVISIONAL_VERDICT else used


def _evidence(headline: Headline, study: Study, found: Sequence[Result]) -> Evidence:
    if headline.endpoint.name == EACH:
        return _least(headline, study, found)
    return _of_one(headline, study, found)


def _least(headline: Headline, study: Study, found: Sequence[Result]) -> Evidence:
    """The evidence that speaks least for a claim about each measurement of a kind: the claim needs them all."""
    asked = {getattr(r.measurement.question, "name", ""): r for r in found if _feeds(headline, r)}
    each = {name: _of_one(one_of(headline, result.measurement), study, found) for name, result in asked.items()}
    tested = {name: one for name, one in each.items() if one.tested}
    if not tested:
        return _untested(headline, study, list(asked.values()))
    name = min(tested, key=lambda name: headline.sign * tested[name].mean())
    shown = sum(_is_shown(headline, one) for one in tested.values())
    return replace(tested[name], caveat=f"{shown} of {len(tested)} show it; least {name}")


def _is_shown(headline: Headline, evidence: Evidence) -> bool:
    """Whether the interval lies on the claimed side of zero, without correction."""
    if evidence.k < SEEDS_FOR_A_PROVISIONAL_VERDICT:
        return False
    low, high = evidence.effect().interval(LEVEL)
    return (low if headline.sign == 1 else -high) > 0


def _of_one(headline: Headline, study: Study, found: Sequence[Result]) -> Evidence:
    used = _confirming(headline, study, [result for result in found if _feeds(headline, result)])
    metric = headline.endpoint.metric
    arms = [_by_seed([r for r in used if r.label == label], metric) for label in (headline.defended, headline.baseline)]
    if not all(arms):
        return _untested(headline, study, used)
    unusable = _unusable(headline, used, arms)
    if unusable:
        return Evidence(unit=headline.unit, fidelity=study.fidelity, changes=study.changes, reason=unusable)
    shared = sorted(set(arms[0]) & set(arms[1]))
    paired = alike(used) and bool(shared) and len(shared) == min(len(arms[0]), len(arms[1]))
    if paired:
        arms = [{seed: arm[seed] for seed in shared} for arm in arms]
    counted = [result for result in used if not paired or result.seed in shared]
    n = min(result.counted(metric) for result in counted if result.rate(metric) is not None)
    images = _images(headline, counted, arms)
    return Evidence(
        defended=tuple(arms[0].values()),
        baseline=tuple(arms[1].values()),
        n=n if images is None or metric == "conditional" else images[0].shape[1],
        paired=paired,
        unit=headline.unit,
        registered=registered(headline, study, counted),
        fidelity=study.fidelity,
        changes=study.changes,
        images=images,
        inflation=math.pi / 2 if metric == "distance" else 1.0,
        caveat=_nearer(headline, found) if metric == "distance" else "",
    )


def _nearer(headline: Headline, found: Sequence[Result]) -> str:
    """Which other search finds shorter perturbations on most of the images that both saw; "" where none does.

    The distance of record is the minimum over all searches, image by image.
    """
    said = []
    for label in (headline.defended, headline.baseline):
        mine = [r for r in found if r.label == label and isinstance(r.measurement.question, Distance)]
        own = [r for r in mine if _feeds(headline, r)]
        shorter: dict[str, list[int]] = {}
        for one, other in itertools.product(own, mine):
            question = other.measurement.question
            a, b = one.values("distance"), other.values("distance")
            if one.seed != other.seed or one.key == other.key or a is None or b is None or one.correct is None:
                continue
            if not isinstance(question, Distance) or question.norm != headline.endpoint.norm:
                continue
            n = min(len(a), len(b))
            count = shorter.setdefault(question.name, [0, 0])
            count[0] += int((b[:n] < a[:n])[one.correct[:n]].sum())
            count[1] += int(one.correct[:n].sum())
        said += [
            f"{name} is nearer on {less} of {n} for {label}" for name, (less, n) in shorter.items() if 2 * less > n
        ]
    return f"not the distance of record: {', '.join(said)}" if said else ""


def _unusable(headline: Headline, used: Sequence[Result], arms: Sequence[dict[int, float]]) -> str:
    """Why measurements give no effect although there are some; "" where they do."""
    if headline.endpoint.metric == "distance" and any(result.rate("distance") is None for result in used):
        return "on some network less than half of the images were fooled, so that there is no median distance"
    if headline.unit == "ratio" and any(value <= 0 for arm in arms for value in arm.values()):
        return "a distance of zero has no ratio"
    return ""


def _untested(headline: Headline, study: Study, used: Sequence[Result]) -> Evidence:
    reason = f"not measured at scale {study.scale} on {data_of(study)}"
    labels = {trial.label for trial in study.trials}
    wanted = [label for label in (headline.defended, headline.baseline) if label not in labels]
    if wanted or not feeding(study, headline):
        reason = f"no such measurement in the study at scale {study.scale} on {data_of(study)}"
    elif used:
        reason = "only one side of the contrast has been measured"
    return Evidence(unit=headline.unit, fidelity=study.fidelity, changes=study.changes, reason=reason)


def _by_seed(results: Sequence[Result], metric: str) -> dict[int, float]:
    """One value per target's seed: the mean over the sources' seeds."""
    rates = defaultdict[int, list[float]](list)
    for result in results:
        rate = result.rate(metric)
        if rate is not None:
            rates[result.seed].append(rate)
    return {seed: sum(values) / len(values) for seed, values in rates.items()}


def _images(
    headline: Headline, results: Sequence[Result], arms: Sequence[dict[int, float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """What the values of both sides are made of, image by image; None where they are not made of images.

    Distances are counted where every network was right when clean and was fooled, as means over seeds: how seeds and
    images interact in a median, single distances do not tell.
    """
    metric, sides = headline.endpoint.metric, (headline.defended, headline.baseline)
    one, other = (
        np.stack([
            np.mean([found for r in results if (r.label, r.seed) == (label, seed)
                     and (found := r.images(metric)) is not None] or [np.array([np.nan])], axis=0)
            for seed in arm
        ])
        for label, arm in zip(sides, arms, strict=True)
    )  # fmt: skip
    if one.shape[1] != other.shape[1] or one.shape[1] < 2:
        return None
    if headline.unit == "ratio":
        usable = np.logical_and.reduce([((arm > 0) & np.isfinite(arm)).all(0) for arm in (one, other)])
        if usable.sum() < 2:
            return None
        logarithms = np.log(one[:, usable]), np.log(other[:, usable])
        if metric != "distance":
            return logarithms
        return logarithms[0].mean(0, keepdims=True), logarithms[1].mean(0, keepdims=True)
    return one, other
