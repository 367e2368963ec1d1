"""Does a defense hold? The worst case per image over the attacks of an access, against every simple baseline."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from bioinspired.keys import strength
from bioinspired.lab.claims import Claims, Evidence, Headline, Holding, holds
from bioinspired.lab.claims.declarations import Endpoint
from bioinspired.lab.claims.verdicts import EQUAL, Access, Primary
from bioinspired.lab.claims.worst_case import Attacks, Level, parts
from bioinspired.lab.declarations import Study
from bioinspired.lab.measurements.declarations import Clean
from bioinspired.lab.records.results import Result

UNDEFENDED = "standard"
BASELINES = (UNDEFENDED, "pgd-trained", "noise-trained")
"""Labels of the networks that every defense has to beat at equal clean accuracy; a study may name more rivals."""

HALF = 0.25, 0.75
"""The least and most that the twin may keep at a strength which counts as halving it."""


def holding(
    headline: Headline, claims: Claims, study: Study, found: Sequence[Result], access: Access, registered: bool
) -> Holding:
    """Worst case per image over the attacks of an access, at one strength.

    With the paper's access these are attacks moved from undefended networks, unless the paper's own access is white
    box; in white box they are all attacks, where one of them had the network itself.
    """
    white = access == "white box" or headline.access == "white box"
    attacks = Attacks([result for result in found if white or _is_moved(result)], white=white)
    level, primary = primary_strength(headline, claims, attacks)
    clean = _clean_accuracy(found)
    rivals = [
        label
        for label in dict.fromkeys((*BASELINES, *study.rivals))
        if label != headline.defended and clean.get(label, 0.0) >= clean.get(headline.defended, 100.0) - EQUAL
    ]
    compared = {
        rival: evidence
        for rival in rivals
        if level is not None and (evidence := against(headline.defended, rival, study, found, attacks, level))
    }
    norm = level[0] if level else "all"
    return holds(
        headline,
        compared,
        level=level,
        primary=primary,
        access=access,
        failed={label: failed_checks(found, label, norm) for label in (headline.defended, *compared)},
        attacks={rival: len(attacks.names(level, headline.defended, rival)) for rival in compared if level},
        registered=registered,
        reason="no attack with this access at this epsilon" if rivals else "no baseline at equal clean accuracy",
        m=claims.m,
    )


def primary_strength(headline: Headline, claims: Claims, attacks: Attacks) -> tuple[Level | None, Primary]:
    """The one strength at which a defense is judged, and whose it is.

    The claim's own; of a claim without one that of the study's first claim about attacks in a ball that was measured;
    else the measured one at which the undefended twin keeps nearest to one half; None where there is none.
    """
    own = ball_of(headline.endpoint)
    if own is not None:
        return own, "the claim's ε"
    data = [claim.endpoint for claim in claims.headlines]
    for level in filter(None, map(ball_of, data)):
        if attacks.worst(level, headline.defended, UNDEFENDED)[0]:
            return level, "the study's ε"
    twin = {
        level: float(np.mean([bits.mean() for bits in worst.values()]))
        for level in attacks.levels
        if level[0] != "all" and (worst := attacks.worst(level, UNDEFENDED, headline.defended)[0])
    }
    halving = {level: kept for level, kept in twin.items() if HALF[0] <= kept <= HALF[1]}
    return (min(halving, key=lambda level: abs(halving[level] - 0.5)) if halving else None), "the twin's ε50"


def ball_of(endpoint: Endpoint) -> Level | None:
    """The ball of an attack that a claim names; None where it names none."""
    if endpoint.question == "direct":
        balls = dict(parts(("all", endpoint.name)))
        return (endpoint.metric, balls[endpoint.metric]) if endpoint.metric in balls else ("all", endpoint.name)
    if endpoint.question == "attack" and endpoint.eps is not None:
        return endpoint.norm or "linf", strength(endpoint.eps)
    return None


def against(
    label: str, rival: str, study: Study, found: Sequence[Result], attacks: Attacks, level: Level
) -> Evidence | None:
    """Two networks on the same images under the attacks that both met; None where they met none.

    A rival of which nothing is random stands for all seeds.
    """
    one, other = attacks.worst(level, label, rival)
    used = [result for result in found if result.label in (label, rival)]
    if other and not any(trained(result) for result in used if result.label == rival):
        other = dict.fromkeys(one, next(iter(other.values())))
    shared = sorted(set(one) & set(other))
    if not shared:
        return None
    arms = [np.where(np.stack([arm[seed] for seed in shared]), 100.0, 0.0) for arm in (one, other)]
    return Evidence(
        defended=tuple(arms[0].mean(1).tolist()),
        baseline=tuple(arms[1].mean(1).tolist()),
        n=arms[0].shape[1],
        paired=alike(used),
        fidelity=study.fidelity,
        changes=study.changes,
        images=(arms[0], arms[1]),
    )


def failed_checks(found: Sequence[Result], label: str, norm: str) -> list[str]:
    """Names of the checks in a norm, or in "all", that failed on a network of this label.

    A norm in which nothing was checked is judged by the others.
    """
    mine = [r for r in found if r.label == label and r.checks]
    here = [r for r in mine if getattr(r.measurement.question, "norm", "linf") == norm] or mine
    failed = [check["name"] for result in here for check in result.checks if not check["passed"]]
    return list(dict.fromkeys(failed))


def _is_moved(result: Result) -> bool:
    """Whether its images were made on other networks, none of which has a defense."""
    sources = result.measurement.sources
    return bool(result.source) and all(source.defense is None for source in sources)


def alike(results: Sequence[Result]) -> bool:
    """Whether all networks of a seed start from the same weights and see the same batches: only then are they pairs."""
    defenses = [result.trial.network.defense for result in results]
    return all(defense is None or defense.trained_alike for defense in defenses)


def trained(result: Result) -> bool:
    """Whether anything about the network is random, so that seeds differ."""
    defense = result.trial.network.defense
    return defense is None or not defense.closed_form


def _clean_accuracy(found: Sequence[Result]) -> Mapping[str, float]:
    rates = defaultdict[str, list[float]](list)
    for result in found:
        if isinstance(result.measurement.question, Clean) and (rate := result.rate()) is not None:
            rates[result.label].append(rate)
    return {label: sum(values) / len(values) for label, values in rates.items()}
