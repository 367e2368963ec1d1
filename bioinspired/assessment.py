"""From records to verdicts: finds what was measured for each headline claim of a study and applies the rules to it."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bioinspired.claims import Claims, Evidence, Headline, Holding, Verdict, load, verdict
from bioinspired.claims.declarations import Endpoint
from bioinspired.claims.statistics import image_deviation
from bioinspired.holding import alike, holding
from bioinspired.keys import Strength, key, strength
from bioinspired.records import Store
from bioinspired.results import Result, read
from bioinspired.trials import PAPERS_SCHEDULE, Attack, Clean, Corruption, Distance, Measurement, Study

BRIDGE_SEEDS = 2
"""The fewest trainings at the paper's own schedule that a shorter one is compared with."""


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A headline claim on a study's data: the verdict, whether the defense holds, and the measurements behind both."""

    headline: Headline
    verdict: Verdict
    paper_access: Holding
    white_box: Holding
    used: tuple[Result, ...]


def assess(study: Study, store: Store) -> list[Assessment]:
    """Every headline claim of a study's paper, judged by what the store holds."""
    claims = load(study.name)
    found = read(study, store)
    return [_assess(headline, claims, study, found) for headline in (h.on(data_of(study)) for h in claims.headlines)]


def criteria(study: Study) -> dict[tuple[str, str], dict[str, str]]:
    """For each measurement (network key, measurement key) the claims it feeds, with the hashes of their criteria."""
    out: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    labels = {trial.network: trial.label for trial in study.trials}
    for headline in (h.on(data_of(study)) for h in load(study.name).headlines):
        for trial in study.trials:
            if trial.label not in (headline.defended, headline.baseline):
                continue
            for measurement in trial.measurements:
                if answers(headline.endpoint, measurement, [labels[source] for source in measurement.sources]):
                    out[key(trial.network), key(measurement)][headline.id] = headline.criterion
    return dict(out)


def data_of(study: Study) -> str:
    """The data set a study is on."""
    return study.trials[0].network.data.name


def answers(endpoint: Endpoint, measurement: Measurement, sources: Sequence[str]) -> bool:
    """Whether a measurement, made on sources of these labels, is the one that a claim's endpoint describes."""
    source = f"source {endpoint.source}" if endpoint.source else ""
    if set(sources) != ({source} if source else set()):
        return False
    match measurement.question:
        case Clean():
            return endpoint.question == "clean"
        case Corruption(name=name, strength=sigma):
            return endpoint.question == "corruption" and (name, _exact(sigma)) == (endpoint.name, _exact(endpoint.eps))
        case Attack() as attack:
            asked = (attack.name, attack.norm, attack.steps, _exact(attack.eps), _exact(attack.step_size))
            said = (endpoint.name, endpoint.norm, endpoint.steps, _exact(endpoint.eps), _exact(endpoint.step_size))
            return endpoint.question == "attack" and asked == said
        case Distance() as search:
            searched = (search.name, search.norm, search.steps)
            return endpoint.question == "distance" and searched == (endpoint.name, endpoint.norm, endpoint.steps)
    kind = measurement.question.kind
    return kind == endpoint.question and getattr(measurement.question, "name", "") == endpoint.name


def _exact(text: Strength | None) -> Strength | None:
    return None if text is None else strength(text)


def _assess(headline: Headline, claims: Claims, study: Study, found: list[Result]) -> Assessment:
    used = [result for result in found if _feeds(headline, result)]
    evidence = _evidence(headline, study, used)
    evidence = replace(evidence, bridge=_bridge(headline, study, found, evidence))
    return Assessment(
        headline=headline,
        verdict=verdict(headline, evidence, m=claims.m),
        paper_access=holding(headline, claims, study, found, "the paper's"),
        white_box=holding(headline, claims, study, found, "white box"),
        used=tuple(used),
    )


def _bridge(headline: Headline, study: Study, found: list[Result], evidence: Evidence) -> float | None:
    """The effect at the paper's own schedule minus the effect at this one; None where there are too few of either."""
    long = replace(headline, defended=headline.defended + PAPERS_SCHEDULE, baseline=headline.baseline + PAPERS_SCHEDULE)
    theirs = _evidence(long, study, [result for result in found if _feeds(long, result)])
    return theirs.mean() - evidence.mean() if theirs.k >= BRIDGE_SEEDS and evidence.tested else None


def _feeds(headline: Headline, result: Result) -> bool:
    sources = [result.source] if result.source else []
    return result.label in (headline.defended, headline.baseline) and answers(
        headline.endpoint, result.measurement, sources
    )


def _evidence(headline: Headline, study: Study, used: Sequence[Result]) -> Evidence:
    metric = headline.endpoint.metric
    arms = [
        {
            seed: rate
            for seed, rate in _by_seed([r for r in used if r.label == label], metric).items()
            if rate is not None
        }
        for label in (headline.defended, headline.baseline)
    ]
    if not all(arms):
        return _untested(headline, study, used)
    unusable = _unusable(headline, used, arms)
    if unusable:
        return Evidence(unit=headline.unit, fidelity=study.fidelity, changes=study.changes, reason=unusable)
    shared = sorted(set(arms[0]) & set(arms[1]))
    paired = alike(used) and bool(shared) and len(shared) == min(len(arms[0]), len(arms[1]))
    defended, baseline = ([arm[s] for s in shared] if paired else list(arm.values()) for arm in arms)
    counted = [result for result in used if not paired or result.seed in shared]
    return Evidence(
        defended=tuple(defended),
        baseline=tuple(baseline),
        n=min(result.counted(metric) for result in counted if result.rate(metric) is not None),
        paired=paired,
        unit=headline.unit,
        criteria=tuple(result.unit["criteria"].get(headline.id, "") for result in counted),
        fidelity=study.fidelity,
        changes=study.changes,
        image_deviation=None if metric == "conditional" else _deviation(headline, counted),
    )


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
    if wanted or not _planned(headline, study):
        reason = f"no such measurement in the study at scale {study.scale} on {data_of(study)}"
    elif used:
        reason = "only one side of the contrast has been measured"
    return Evidence(unit=headline.unit, fidelity=study.fidelity, changes=study.changes, reason=reason)


def _planned(headline: Headline, study: Study) -> bool:
    return any(headline.id in stamped for stamped in criteria(study).values())


def _by_seed(results: Sequence[Result], metric: str) -> dict[int, float | None]:
    """One value per target's seed: the mean over the sources' seeds."""
    rates = defaultdict[int, list[float]](list)
    for result in results:
        rate = result.rate(metric)
        if rate is not None:
            rates[result.seed].append(rate)
    return {seed: sum(values) / len(values) for seed, values in rates.items()}


def _deviation(headline: Headline, results: Sequence[Result]) -> float:
    """The deviation over images of the difference between both sides, in points or logarithms.

    Of a median it is that of the mean times the square root of pi over 2, as for normal differences. A value that is
    not one per image has none: only the spread over seeds is known.
    """

    def images(label: str, of: Callable[[Result], NDArray[np.float64] | None]) -> NDArray[np.float64]:
        return np.stack([found for r in results if r.label == label and (found := of(r)) is not None])

    metric = headline.endpoint.metric
    if metric not in ("distance", "value"):
        name = "correct" if metric == "unconditional" else metric
        accuracies = [images(label, lambda r: _percent(r, name)) for label in (headline.defended, headline.baseline)]
        return image_deviation(*accuracies)
    values = [images(label, lambda r: r.values(metric)) for label in (headline.defended, headline.baseline)]
    if values[0].shape[1] != values[1].shape[1] or values[0].shape[1] < 2:
        return 0.0
    if headline.unit == "points":
        return image_deviation(*values)
    usable = np.logical_and.reduce([((arm > 0) & np.isfinite(arm)).all(0) for arm in values])
    if usable.sum() < 2:
        return 0.0
    of_mean = image_deviation(*(np.log(arm[:, usable]) for arm in values))
    return of_mean * (math.sqrt(math.pi / 2) if metric == "distance" else 1.0)


def _percent(result: Result, name: str) -> NDArray[np.float64] | None:
    bits = result.bits(name)
    return None if bits is None else np.where(bits, 100.0, 0.0)
