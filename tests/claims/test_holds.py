"""Every branch of the rule for holding, and the frontier that a defense is measured against."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import DISTANCE, PLAIN, claim, paired

from bioinspired.claims import Evidence, frontier, holds

WIDE = 8.0  # half an interval of 9.9 points


def answer(at_eps: Evidence, at_eps50: Evidence, headline=PLAIN, access="the paper's", failed=(), m=1):
    return holds(headline, at_eps=at_eps, at_eps50=at_eps50, access=access, failed=failed, m=m)


# Half an interval is 1.2417: below delta = 2 means an effect below 0.76, above it one over 3.24.
@pytest.mark.parametrize(
    ("at_eps", "at_eps50", "sound", "failed"),
    [
        (0.7, 0.7, "does not hold", "does not hold"),
        (-30.0, 0.0, "does not hold", "does not hold"),
        (0.8, 0.7, "unclear", "unreliable"),
        (0.7, 0.8, "unclear", "unreliable"),
        (0.7, 3.3, "small gain only", "unreliable"),
        (2.0, 3.3, "small gain only", "unreliable"),
        (3.2, 3.2, "unclear", "unreliable"),
        (3.3, 0.0, "holds", "unreliable"),
        (3.3, 3.3, "holds", "unreliable"),
    ],
)
def test_rule(at_eps, at_eps50, sound, failed):
    assert answer(paired(at_eps), paired(at_eps50)).word == sound
    found = answer(paired(at_eps), paired(at_eps50), failed=("unbounded attack", "more steps"))
    assert found.word == failed
    assert ("(failed: unbounded attack, more steps)" in found.text) == (failed == "unreliable")


def test_nothing_measured():
    found = answer(Evidence(reason="no baseline of equal clean accuracy"), Evidence(), failed=("noise",))
    assert found.text == "not tested (no baseline of equal clean accuracy)"
    assert (found.at_eps, found.at_eps50, found.k) == (None, None, 0)


def test_one_epsilon_cannot_refute():
    assert answer(paired(-30.0), Evidence()).word == "unclear"
    assert answer(Evidence(), paired(-30.0)).word == "unclear"
    assert answer(paired(30.0), Evidence()).word == "holds"
    assert answer(Evidence(), paired(30.0)).word == "small gain only"


def test_fewer_than_three_seeds_decide_nothing():
    few = paired(0, defended=(90.0, 91.0), baseline=(40.0, 40.0))
    found = answer(few, few)
    assert found.text == "unclear (provisional)"
    assert found.at_eps == (50.5, None, None)
    assert answer(few, few, failed=("noise",)).word == "unreliable"


def test_intervals_are_corrected_for_the_claims():
    found = answer(paired(3.3), paired(0.0), m=5)
    assert found.word == "unclear"  # t(.995, 4) / sqrt(5) = 2.06
    assert found.at_eps == pytest.approx((3.3, 3.3 - 2.059, 3.3 + 2.059), abs=1e-3)


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
    found = answer(paired(0.0), paired(0.0), headline=claim(access=own), access=access)
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
    evidence = paired(0.0, **fields)
    assert answer(evidence, evidence).text == "does not hold" + note


def test_distances():
    evidence = Evidence(defended=(2.0,) * 5, baseline=(1.0,) * 5, n=100, paired=True, unit="ratio", image_deviation=0.1)
    found = answer(evidence, evidence, headline=DISTANCE)
    assert found.word == "holds"
    assert found.at_eps[0] == pytest.approx(2.0)
    with pytest.raises(ValueError, match="points"):
        answer(evidence, evidence)


ORDER = ["does not hold", "unclear", "small gain only", "holds"]


@given(low=st.floats(-30, 30), low50=st.floats(-30, 30), shift=st.floats(0, 20), m=st.integers(1, 8))
def test_a_larger_gain_never_holds_less(low, low50, shift, m):
    less = answer(paired(low), paired(low50), m=m)
    more = answer(paired(low + shift), paired(low50 + shift), m=m)
    assert ORDER.index(more.word) >= ORDER.index(less.word)


@given(effect=st.floats(-30, 30), effect50=st.floats(-30, 30))
def test_failed_checks_never_help(effect, effect50):
    found = answer(paired(effect), paired(effect50), failed=("noise",))
    assert found.word in ("does not hold", "unreliable")


BASELINES = {"standard": (98.0, 5.0), "pgd-trained": (94.0, 60.0), "noise-trained": (96.5, 30.0)}


@pytest.mark.parametrize(
    ("clean", "label"),
    [
        (95.0, "pgd-trained"),  # exactly one point less is equal
        (95.1, "noise-trained"),
        (90.0, "pgd-trained"),
        (98.5, "standard"),
        (99.1, None),
    ],
)
def test_frontier(clean, label):
    assert frontier(BASELINES, clean=clean) == label
