"""What would change a verdict is tried: evidence on either side of the turning point gets the words that were said."""

import math
from dataclasses import replace

import pytest
from made_up import DISTANCE, PATTERN, PLAIN, claim, paired

from bioinspired.lab.claims import Evidence, verdict
from bioinspired.lab.claims.changes import of_verdict, turning_point
from bioinspired.lab.claims.verdicts import POSITIVE

A = 0.025
NEAR = 0.02


def found(headline, evidence):
    """Whether the rule finds for a claim; None where it does not decide."""
    word = verdict(headline, evidence, a=A).word
    return None if word == "inconclusive" else word in POSITIVE


def factors(effect):
    return Evidence(
        defended=tuple(math.exp(math.log(effect) + 0.05 * step) for step in PATTERN),
        baseline=(1.0,) * 5,
        n=360,
        paired=True,
        unit="ratio",
        registered=True,
    )


@pytest.mark.parametrize("effect", [-9.0, -1.0, 0.0, 4.0, 20.0])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", ["effect", "non-inferiority", "equivalence"])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_the_verdict_turns_where_it_is_said_to(effect, sign, kind, spread):
    headline = claim(kind=kind, sign=sign)
    now = verdict(headline, paired(effect, spread=spread), a=A)
    turn = turning_point(headline, now)
    if now.word == "inconclusive":
        assert turn is None
        return
    before = found(headline, paired(effect, spread=spread))
    outward = {"above": 1, "below": -1, "outside": 1, "inside": -1}[turn.side]
    past, short = turn.effect + outward * NEAR, turn.effect - outward * NEAR
    for direction in (1, -1) if kind == "equivalence" else (1,):
        assert found(headline, paired(direction * past, spread=spread)) != before
        assert found(headline, paired(direction * short, spread=spread)) == before


@pytest.mark.parametrize("effect", [0.7, 1.0, 1.6])
def test_it_does_for_factors(effect):
    now = verdict(DISTANCE, factors(effect), a=A)
    turn = turning_point(DISTANCE, now)
    before, outward = found(DISTANCE, factors(effect)), {"above": 1.001, "below": 1 / 1.001}[turn.side]
    assert found(DISTANCE, factors(turn.effect * outward)) != before
    assert found(DISTANCE, factors(turn.effect / outward)) == before
    assert f"× {turn.effect:.2f}" in of_verdict(DISTANCE, now, "")


def test_sentences_name_what_to_do():
    missing = verdict(PLAIN, Evidence(), a=A)
    assert of_verdict(PLAIN, missing, "bioinspired run x") == "Any measurement of it: bioinspired run x."
    few = verdict(PLAIN, paired(0, defended=(90.0,), baseline=(40.0,)), a=A)
    assert of_verdict(PLAIN, few, "") == "More of the same: 5 seeds."
    there = verdict(PLAIN, paired(20.0), a=A)
    assert "18.0 points more off keep 0.1 than off standard" in of_verdict(PLAIN, there, "")
    absent = verdict(PLAIN, paired(0.0), a=A)
    assert "points more off standard than off keep 0.1" in of_verdict(PLAIN, absent, "")
    noise = replace(PLAIN, endpoint=replace(PLAIN.endpoint, question="corruption"))
    assert "an attack" not in of_verdict(noise, there, "")
