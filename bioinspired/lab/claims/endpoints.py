"""Which measurements of a study answer the endpoint of a claim, and on which data."""

from collections.abc import Sequence
from dataclasses import replace

from bioinspired.keys import Strength, strength
from bioinspired.lab.claims.declarations import Endpoint, Headline
from bioinspired.lab.declarations import Measurement, Study, Trial
from bioinspired.lab.measurements.declarations import Attack, Clean, Corruption, Distance

EACH = "each"
"""The name of an endpoint that is met only if each measurement of its kind meets it, of every name that is asked."""


def data_of(study: Study) -> str:
    """The data set a study is on."""
    return study.trials[0].network.data.name


def feeding(study: Study, headline: Headline) -> list[tuple[Trial, Measurement]]:
    """The measurements of a study that answer a claim on its data, of both sides of the contrast."""
    endpoint = headline.on(data_of(study), study.scale).endpoint
    labels = {trial.network: trial.label for trial in study.trials}
    return [
        (trial, measurement)
        for trial in study.trials
        if trial.label in (headline.defended, headline.baseline)
        for measurement in trial.measurements
        if answers(endpoint, measurement, [labels[source] for source in measurement.sources])
    ]


def one_of(headline: Headline, measurement: Measurement) -> Headline:
    """A claim about each measurement of a kind as it is about those of one name, by the metric that decides these."""
    question = measurement.question
    metric = getattr(question, "decided_by", headline.endpoint.metric)
    return replace(headline, endpoint=replace(headline.endpoint, name=getattr(question, "name", ""), metric=metric))


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
    return kind == endpoint.question and endpoint.name in (EACH, getattr(measurement.question, "name", ""))


def _exact(text: Strength | None) -> Strength | None:
    return None if text is None else strength(text)
