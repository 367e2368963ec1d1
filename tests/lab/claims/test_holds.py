"""Every branch of the rule for holding, on made-up evidence at one strength."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import claim, paired

from bioinspired.lab.claims import Holding, holds

LEVEL = ("linf", "0.3")


def answer(*rivals, headline=None, failed=None, m=1, **changes) -> Holding:
    """Against rivals named a, b, ...; half an interval is 1.2417 at m = 1."""
    named = dict(zip("abc", rivals, strict=False))
    said = {"level": LEVEL, "primary": "the claim's ε", "access": "the paper's", "registered": True, "reason": "none"}
    return holds(headline or claim(), named, failed=failed or {}, attacks=dict.fromkeys(named, 4), m=m,
                 **{**said, **changes})  # fmt: skip


@pytest.mark.parametrize(
    ("effects", "sound", "failed"),
    [
        ((0.7,), "does not hold", "does not hold"),  # H = 1.94 < 2
        ((0.8,), "open", "unreliable"),
        ((3.2,), "open", "unreliable"),  # L = 1.96
        ((3.3,), "holds", "unreliable"),
        ((30.0, 0.7), "does not hold", "does not hold"),  # one baseline is enough against it
        ((30.0, 0.8), "open", "unreliable"),
        ((30.0, 3.3), "holds", "unreliable"),  # every one has to be beaten
    ],
)
def test_rule(effects, sound, failed):
    rivals = [paired(effect) for effect in effects]
    assert answer(*rivals).word == sound
    found = answer(*rivals, failed={"keep 0.1": [], "a": ["square", "more steps"]})
    assert found.word == failed
    assert ("(failed: a: square, more steps)" in found.text) == (failed == "unreliable")
    assert found.failed == ("a: square, more steps",)


def test_a_gain_where_the_twin_keeps_half_is_a_small_one():
    assert answer(paired(3.3), primary="the twin's ε50").word == "small gain only"
    assert answer(paired(3.3), primary="the study's ε").word == "holds"


def test_the_numbers_are_those_against_the_hardest_baseline():
    found = answer(paired(30.0), paired(3.0, base=70.0), m=5)
    half = 2.0591  # t(.995, 4) / sqrt(5)
    assert (found.rival, found.effect) == ("b", pytest.approx(3.0))
    assert (found.low, found.high) == pytest.approx((3.0 - half, 3.0 + half), abs=1e-3)
    assert found.rates == pytest.approx((73.0, 70.0))
    assert (found.k, found.n, found.attacks, found.level) == (5, 360, 4, LEVEL)


def test_nothing_measured():
    found = answer(reason="no baseline of equal clean accuracy", registered=False)
    assert found.text == "not tested (no baseline of equal clean accuracy)"
    assert (found.effect, found.rates, found.rival, found.k) == (None, None, "", 0)


def test_fewer_than_three_seeds_decide_nothing():
    few = paired(0, defended=(90.0, 91.0), baseline=(40.0, 40.0))
    found = answer(few)
    assert found.text == "open (needs 5 seeds) (provisional)"
    assert (found.effect, found.low, found.high) == (50.5, None, None)
    assert answer(few, failed={"a": ["noise"]}).word == "unreliable"
    assert answer(few, paired(0.0)).word == "does not hold", "the other baseline decides"


def test_open_answers_say_what_would_decide():
    bits = np.where(np.arange(200) < np.array([[4], [29], [50]]), 100.0, 0.0)
    nothing = np.zeros((3, 200))
    rates = tuple(bits.mean(1).tolist())
    found = answer(paired(0, defended=(0.0,) * 3, baseline=rates, n=200, images=(nothing, bits)), m=8)
    assert found.high == pytest.approx(2.84, abs=0.01)
    assert found.text == "open (needs 9 seeds or 286 images) (provisional)"


def test_what_was_not_registered_says_so():
    assert answer(paired(0.0), registered=False).text == "exploratory: does not hold"


@pytest.mark.parametrize(
    ("access", "own", "beyond"),
    [
        ("the paper's", "transfer", False),
        ("white box", "transfer", True),
        ("white box", "white box", False),
        ("white box", "decision", True),
    ],
)
def test_beyond_the_claim(access, own, beyond):
    found = answer(paired(0.0), headline=claim(access=own), access=access)
    assert found.beyond is beyond
    assert found.text == "does not hold" + " (beyond the paper's claim)" * beyond


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"fidelity": "proxy"}, " (at small scale)"),
        ({"fidelity": "reconstruction"}, " (in our reconstruction)"),
        ({"fidelity": "changed", "changes": "30 epochs"}, " (changed: 30 epochs)"),
        ({"defended": (40.0,) * 4, "baseline": (40.0,) * 4}, " (provisional)"),
    ],
)
def test_notes(fields, note):
    assert answer(paired(0.0, **fields)).text == "does not hold" + note


ORDER = ["does not hold", "open", "holds"]


@given(effects=st.lists(st.floats(-30, 30), min_size=1, max_size=3), shift=st.floats(0, 20), m=st.integers(1, 8))
def test_a_larger_gain_never_holds_less(effects, shift, m):
    less = answer(*[paired(effect) for effect in effects], m=m)
    more = answer(*[paired(effect + shift) for effect in effects], m=m)
    assert ORDER.index(more.word) >= ORDER.index(less.word)


@given(effects=st.lists(st.floats(-30, 30), min_size=1, max_size=3))
def test_no_answer_is_open_whose_interval_excludes_a_gain(effects):
    found = answer(*[paired(effect) for effect in effects])
    assert (found.high < 2) == (found.word == "does not hold")
    assert answer(*[paired(effect) for effect in effects], failed={"a": ["noise"]}).word in (
        "does not hold",
        "unreliable",
    )
