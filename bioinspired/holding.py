"""Does a defense hold? The worst case per image over the attacks of an access, against the best simple baseline."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from bioinspired.claims import Claims, Evidence, Headline, Holding, frontier, holds
from bioinspired.claims.declarations import Endpoint
from bioinspired.claims.statistics import image_deviation
from bioinspired.keys import strength
from bioinspired.results import Result
from bioinspired.trials import Clean, Study
from bioinspired.worst_case import Attacks, Level, parts

Access = Literal["the paper's", "white box"]
UNDEFENDED = "standard"
BASELINES = (UNDEFENDED, "pgd-trained", "noise-trained")
"""Labels of the networks that every defense has to beat at equal clean accuracy; a study may name more rivals."""

HALF = 0.25, 0.75
"""The least and most that the twin may keep at a strength which counts as halving it."""


def holding(headline: Headline, claims: Claims, study: Study, found: Sequence[Result], access: Access) -> Holding:
    """Worst case per image over the attacks of an access, at the claim's level and where the twin keeps about half.

    With the paper's access these are attacks moved from undefended networks, unless the paper's own access is white
    box; in white box they are all attacks, where one of them had the network itself.
    """
    if headline.unit != "points":
        empty = Evidence(unit=headline.unit, reason="a claim of distances has no ε to be judged at")
        return holds(headline, at_eps=empty, at_eps50=empty, access=access, failed=(), m=claims.m)
    white = access == "white box" or headline.access == "white box"
    attacks = Attacks([result for result in found if white or _is_moved(result)], white=white)
    own = _own(headline.endpoint)
    twin = {
        level: float(np.mean([bits.mean() for bits in worst.values()]))
        for level in attacks.levels
        if (own is None or level[0] == own[0])
        and (worst := attacks.worst(UNDEFENDED, level))
        and attacks.worst(headline.defended, level)
    }
    halving = {level: kept for level, kept in twin.items() if HALF[0] <= kept <= HALF[1]}
    half = min(halving, key=lambda level: abs(halving[level] - 0.5)) if halving else None
    arms = [_arm(headline, study, found, attacks, level) for level in (own, half)]
    failed = failed_checks(found, headline.defended, own[0] if own else "all")
    return holds(headline, at_eps=arms[0], at_eps50=arms[1], access=access, failed=failed, m=claims.m)


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


def _own(endpoint: Endpoint) -> Level | None:
    """The ball of a claim's endpoint; None where it has none."""
    if endpoint.question == "direct":
        balls = dict(parts(endpoint.name))
        return (endpoint.metric, balls[endpoint.metric]) if endpoint.metric in balls else ("all", endpoint.name)
    if endpoint.question == "attack" and endpoint.eps is not None:
        return endpoint.norm or "linf", strength(endpoint.eps)
    return None


def _arm(headline: Headline, study: Study, found: Sequence[Result], attacks: Attacks, level: Level | None) -> Evidence:
    """Defended and best baseline in one ball; the baseline's attacks are those that the defense saw too."""
    blank = Evidence(
        fidelity=study.fidelity, changes=study.changes, reason="no attack with this access at this epsilon"
    )
    defended = {} if level is None else attacks.worst(headline.defended, level)
    clean = _clean_accuracy(found)
    if level is None or not defended or headline.defended not in clean:
        return blank
    asked = attacks.asked(headline.defended, level)
    rivals, worst = {}, {}
    for label in (*BASELINES, *study.rivals):
        if attacks.directly(label, level) < attacks.directly(headline.defended, level):
            continue
        worst[label] = attacks.worst(label, level, asked)
        if label in clean and worst[label] and label != headline.defended:
            rivals[label] = (clean[label], 100 * float(np.mean([bits.mean() for bits in worst[label].values()])))
    best = frontier(rivals, clean=clean[headline.defended])
    if best is None:
        return Evidence(fidelity=study.fidelity, changes=study.changes, reason="no baseline at equal clean accuracy")
    used = [result for result in found if result.label in (headline.defended, best)]
    if not all(trained(result) for result in used if result.label == best):
        worst[best] = dict.fromkeys(defended, next(iter(worst[best].values())))
    shared = sorted(set(defended) & set(worst[best]))
    if not shared:
        return blank
    n = min(len(arm[seed]) for arm in (defended, worst[best]) for seed in shared)
    arrays = [100.0 * np.stack([arm[seed][:n] for seed in shared]) for arm in (defended, worst[best])]
    return Evidence(
        defended=tuple(arrays[0].mean(1).tolist()),
        baseline=tuple(arrays[1].mean(1).tolist()),
        n=n,
        paired=alike(used),
        fidelity=study.fidelity,
        changes=study.changes,
        image_deviation=image_deviation(arrays[0], arrays[1]),
    )


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
