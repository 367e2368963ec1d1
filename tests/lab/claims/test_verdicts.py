"""Every branch of the rule for verdicts, on made-up evidence, and what must hold for all of it."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import DISTANCE, PATTERN, PLAIN, claim, paired
from scipy import stats

from bioinspired.lab.claims import Evidence, Verdict, judge, verdict
from bioinspired.lab.claims.verdicts import RULE

HALF = 2.7764 / math.sqrt(5)
"""Half the interval of made-up evidence of spread 1 at a level of .025."""


def decide(evidence: Evidence, headline=PLAIN, a: float = 0.025) -> Verdict:
    return verdict(headline, evidence, a=a)


def test_no_records():
    found = decide(Evidence(reason="needs shuffled images"))
    assert (found.word, found.text) == ("not tested", "not tested (needs shuffled images)")
    assert (found.effect, found.low, found.detectable, found.k) == (None, None, None, 0)


def test_one_group_is_no_contrast():
    assert decide(Evidence(defended=(90.0,) * 5, n=360, reason="no baseline")).text == "not tested (no baseline)"


def test_what_was_not_registered_says_so_before_its_words():
    found = decide(paired(30.0, registered=False, fidelity="proxy"))
    assert found.word == found.text == "exploratory: seen at small scale"
    assert found.low == pytest.approx(30.0 - HALF, abs=1e-3)
    few = decide(paired(0, defended=(90.0,), baseline=(40.0,), registered=False))
    assert (few.text, few.effect, few.low) == ("exploratory: inconclusive (needs 5 seeds)", 50.0, None)


@pytest.mark.parametrize("k", [1, 2])
def test_fewer_than_three_seeds(k):
    found = decide(paired(0, defended=(90.0,) * k, baseline=(40.0,) * k, fidelity="proxy"))
    assert (found.text, found.needed) == ("inconclusive (needs 5 seeds)", (5, None))
    assert (found.effect, found.low, found.high) == (50.0, None, None)


# Half the interval is 1.2417 x spread, the one-sided reach at 95 % 2.1318 / sqrt(5) = 0.9534 x spread.
@pytest.mark.parametrize(
    ("effect", "spread", "value", "word"),
    [
        (-4.0, 1.0, None, "contradicted"),  # H = -2.76
        (-3.3, 1.0, None, "contradicted"),  # H = -2.06
        (-3.2, 1.0, None, "not reproduced"),  # H = -1.96
        (0.7, 1.0, None, "not reproduced"),  # H = 1.94
        (0.8, 1.0, None, "inconclusive"),  # H = 2.04, L < 0
        (1.9, 1.0, None, "inconclusive"),  # L = 0.66, but e < delta
        (3.0, 3.0, None, "inconclusive"),  # e > delta, but L = -0.73
        (1.9, 0.01, None, "not reproduced"),  # certain, and too small to count
        (2.0, 1.0, None, "supported"),  # L = 0.76, e = delta: a direction alone is supported
        (35.0, 1.0, None, "supported"),
        (10.0, 1.0, 10.0, "reproduced"),  # 0.95 <= tau = 2.5
        (8.5, 1.0, 10.0, "reproduced"),  # 1.5 + 0.95 <= 2.5
        (8.4, 1.0, 10.0, "direction only"),  # 2.55 > 2.5 > 1.6 - 0.95
        (6.6, 1.0, 10.0, "direction only"),  # 3.4 - 0.95 <= 2.5
        (6.5, 1.0, 10.0, "smaller"),  # 3.5 - 0.95 > 2.5
        (13.4, 1.0, 10.0, "direction only"),
        (13.5, 1.0, 10.0, "larger"),
        (3.0, 1.0, 4.0, "reproduced"),  # 1.95 <= tau = delta = 2
        (2.9, 1.0, 4.0, "direction only"),  # 2.05
    ],
)
def test_rule(effect, spread, value, word):
    assert decide(paired(effect, spread=spread), claim(value=value)).word == word
    mirrored = claim(value=None if value is None else -value, sign=-1)
    assert decide(paired(-effect, spread=spread), mirrored).word == word


def test_reading_error_widens_tau():
    headline = claim(value=10.0, reading_error=1.0)  # tau = 3
    found = decide(paired(8.4), headline)
    assert (found.word, found.tau) == ("reproduced", 3.0)
    assert decide(paired(7.9), headline).word == "direction only"  # 2.1 + 0.95


def test_numbers_beside_the_word():
    found = decide(paired(-8.0), claim(value=-20.0, sign=-1), a=0.005)
    half = stats.t.ppf(1 - 0.005, 4) / math.sqrt(5)
    assert found.text == "smaller (0.40 of the claimed effect)"
    assert (found.effect, found.low, found.high) == pytest.approx((-8.0, -8.0 - half, -8.0 + half))
    assert (found.claimed, found.tau, found.share, found.k, found.n) == (-20.0, 5.0, pytest.approx(0.4), 5, 360)
    assert found.needed is None


def test_detectable_effect_beside_a_null():
    assert round(decide(paired(0.0)).detectable, 1) == 1.7  # five seeds, in standard deviations of the difference
    three = paired(0.0, defended=(39.0, 40.0, 41.0), baseline=(40.0,) * 3)
    assert round(decide(three).detectable, 1) == 3.3


def test_inconclusive_names_what_would_decide():
    found = decide(paired(1.05))
    # H must fall below delta = 2, 0.95 above the mean: t(.975, 5) / sqrt(6) = 1.049, t(.975, 6) / sqrt(7) = 0.925
    assert (found.text, found.needed) == ("inconclusive (needs 7 seeds)", (7, None))
    assert decide(paired(0.9)).needed == (6, None)
    found = decide(paired(3.0, spread=3.0))
    # L must rise above 0, 3 points below the mean: the same in units of 3
    assert found.text == "inconclusive (needs 7 seeds)"
    wide = np.where(np.arange(100) < 50, 20.0, -14.0)  # images differ by 17 either way: 17 x 1.98 / 10 > 3
    images = (np.tile(40.0 + wide, (5, 1)), np.full((5, 100), 40.0))
    few_images = paired(3.0, spread=0.1, n=100, images=images)
    assert few_images.effect().interval(0.025)[0] < 0
    seeds, n = decide(few_images).needed
    assert (seeds, 120 < n < 150) == (None, True), "1.98 x 17 / sqrt(n) < 3"
    assert decide(few_images).text == f"inconclusive (needs {n} images)"


@pytest.mark.parametrize(
    ("effect", "spread", "text"),
    [
        (0.0, 1.0, "reproduced"),  # [-0.95, 0.95]
        (-1.0, 1.0, "reproduced"),  # [-1.95, -0.05]
        (1.1, 1.0, "inconclusive (needs 6 seeds)"),  # [0.15, 2.05]; t(.95, 5) / sqrt(6) = 0.823 < 0.9
        (3.0, 1.0, "inconclusive (needs 11 seeds)"),  # at the level .005: t(.995, 10) / sqrt(11) = 0.956 < 1
        (4.1, 1.0, "not reproduced"),  # 4.1 - 2.06 > 2
        (-4.1, 1.0, "not reproduced"),
        (2.0, 1.0, "inconclusive (neither more seeds nor more images alone would decide)"),
    ],
)
def test_equivalence_is_refuted_at_the_corrected_level_alone(effect, spread, text):
    for headline in (claim(kind="equivalence"), claim(kind="equivalence", sign=-1, value=0.3)):
        found = decide(paired(effect, spread=spread), headline, a=0.005)
        assert found.text == text
        assert found.share is None
    reach = 0.9534 if text == "reproduced" else 2.0591
    assert found.low == pytest.approx(effect - reach * spread, abs=1e-3)


@pytest.mark.parametrize(
    ("effect", "word"),
    [(-0.7, "supported"), (5.0, "supported"), (-0.8, "inconclusive"), (-3.2, "inconclusive"), (-3.3, "not reproduced")],
)
def test_at_least_as_well_is_judged_as_that(effect, word):
    for headline, found in ((claim(kind="non-inferiority"), effect), (claim(kind="non-inferiority", sign=-1), -effect)):
        assert decide(paired(found), headline).word == word


BASES = {"contradicted": -4.0, "not reproduced": 0.0, "inconclusive": 1.0, "reproduced": 10.0, "smaller": 5.0,
         "direction only": 8.0}  # fmt: skip
POSITIVE = ("reproduced", "smaller", "direction only")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("fidelity", ["paper", "changed", "reconstruction", "proxy"])
@pytest.mark.parametrize("second_hand", [False, True])
@pytest.mark.parametrize("k", [4, 5])
def test_qualifications(base, fidelity, second_hand, k):
    headline = claim(value=10.0, reliability="second-hand" if second_hand else "quoted")
    evidence = paired(BASES[base], fidelity=fidelity, changes="short schedule" if fidelity == "changed" else "")
    if k == 4:  # the pattern without its middle has a larger spread and fewer seeds: half an interval of 1.84
        middle = [i for i, step in enumerate(PATTERN) if step]
        defended = tuple(evidence.defended[i] for i in middle)
        evidence = replace(evidence, defended=defended, baseline=tuple(evidence.baseline[i] for i in middle))
    seen = "" if base in POSITIVE else "not "
    if base == "inconclusive":
        word = "inconclusive"
    elif fidelity == "reconstruction":
        word = f"{seen}supported in our reconstruction"
    elif fidelity == "proxy":
        word = f"{seen}seen at small scale"
    elif base in POSITIVE:
        word = "agrees in direction with a second-hand report" if second_hand else base
    elif base == "contradicted" and (second_hand or fidelity == "changed"):
        word = "not reproduced"
    else:
        word = base
    found = decide(evidence, headline)
    assert found.word == word
    assert ("0.50 of the claimed effect" in found.text) == (word == "smaller")
    assert ("(changed: short schedule)" in found.text) == (fidelity == "changed")
    assert found.text.endswith("(provisional)") == (k == 4)


def test_bridge():
    headline = claim(value=10.0)
    held = paired(10.0, fidelity="changed", changes="30 epochs", bridge=-2.4)
    assert decide(held, headline).text == "reproduced (changed: 30 epochs)"
    expected = "inconclusive (the paper's own schedule gives another effect) (changed: 30 epochs)"
    assert decide(replace(held, bridge=-2.6), headline).text == expected
    assert decide(replace(paired(1.0), bridge=2.6), headline).needed is None


def test_a_search_that_another_one_beats_is_not_the_distance_of_record():
    evidence = distances(
        [math.log(2.0) + 0.01 * step for step in PATTERN], caveat="not the distance of record: hopskipjump is nearer"
    )
    assert decide(evidence, DISTANCE).text == "supported (not the distance of record: hopskipjump is nearer)"


def distances(logarithms, **more):
    fields = {"defended": tuple(0.1 * math.exp(step) for step in logarithms), "baseline": (0.1,) * 5, "n": 100}
    return Evidence(**{**fields, "paired": True, "unit": "ratio", "registered": True, **more})


def test_distances_are_factors():
    headline = replace(DISTANCE, value=2.0)
    spread = np.where(np.arange(100) < 50, 0.2, -0.2)[None]
    logarithms = [math.log(2.0) + 0.01 * step for step in PATTERN]
    evidence = distances(logarithms, images=(spread, np.zeros((1, 100))))
    found = decide(evidence, headline)
    reach = math.hypot(2.7764 * 0.01 / math.sqrt(5), stats.t.ppf(0.975, 99) * 0.2 * math.sqrt(1 / 99))
    assert found.word == "reproduced"
    assert found.effect == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((2.0 * math.exp(-reach), 2.0 * math.exp(reach)), rel=1e-4)
    assert found.tau == pytest.approx(2.0**0.25)
    assert found.share == pytest.approx(1.0)
    # 25 % of ln 3 is more than the margin: |ln 2 - ln 3| = 0.405, and the reach at 95 % is .035; ln(3) / 4 = .275
    assert decide(evidence, replace(DISTANCE, value=3.0)).text == "smaller (0.63 of the claimed effect)"


@pytest.mark.parametrize(("factor", "word"), [(1.10, "not reproduced"), (1.2, "supported"), (0.8, "contradicted")])
def test_margin_of_distances(factor, word):
    assert decide(distances([math.log(factor) + 0.001 * step for step in PATTERN]), DISTANCE).word == word


def test_reading_error_of_distances():
    headline = replace(DISTANCE, value=1.2, reading_error=0.1)
    assert decide(Evidence(unit="ratio"), headline).tau == pytest.approx((1.3 / 1.2) ** 3)


def test_hopeless_distances_have_unbounded_intervals():
    evidence = Evidence(defended=(1e-300, 1.0, 1e300), baseline=(1.0,) * 3, n=100, unit="ratio", registered=True)
    found = decide(evidence, DISTANCE)
    assert (found.word, found.low, found.high) == ("inconclusive", 0.0, math.inf)


def test_holm_gives_the_plainest_claim_the_strictest_level():
    plain, fair, null = paired(20.0), paired(3.0, spread=1.5), paired(1.0)
    found = judge([(PLAIN, fair), (PLAIN, plain), (PLAIN, null)], m=3)
    reach = [(one.high - one.low) / 2 for one in found]
    t = [stats.t.ppf(1 - 0.025 / r, 4) / math.sqrt(5) for r in (3, 2, 1)]
    assert reach == pytest.approx([1.5 * t[1], t[0], t[2]], rel=1e-4)
    assert [one.word for one in found] == ["supported", "supported", "inconclusive"]


@pytest.mark.parametrize(
    "fields",
    [
        {"defended": (math.nan,) * 5},
        {"defended": (101.0,) * 5},
        {"defended": (-1.0,) * 5},
        {"defended": (50.0,) * 4},
        {"n": 0},
        {"fidelity": "changed"},
        {"unit": "ratio", "defended": (0.0,) * 5},
    ],
)
def test_impossible_evidence(fields):
    with pytest.raises(ValueError, match=r"\w"):
        paired(0.0, **fields)


def test_units_must_agree():
    with pytest.raises(ValueError, match="points"):
        decide(Evidence(unit="ratio"))


def test_what_the_rule_says_has_a_version():
    """Whoever changes a verdict on this evidence raises the version in `RULE` and notes the new digest here."""
    values = (None, 4.0, 10.0)
    claims = [claim(kind=kind, value=value, sign=sign) for kind in ("effect", "equivalence", "non-inferiority")
              for value in (values if kind == "effect" else (None,)) for sign in (1, -1)
              if value is None or sign == 1]  # fmt: skip
    said = [
        decide(paired(effect / 4, spread=spread, fidelity=fidelity, changes="c"), headline, a=a).text
        for headline in claims
        for effect in range(-24, 60, 3)
        for spread in (0.3, 1.0, 4.0)
        for fidelity in ("paper", "changed", "proxy")
        for a in (0.025, 0.004)
    ]
    digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]
    assert (RULE["version"], digest) == (2, "7766dae266d0")


RANK = {"contradicted": 0, "not reproduced": 1, "inconclusive": 2, "supported": 3}
differences = st.lists(st.floats(-20, 20), min_size=3, max_size=7)


def evidence_of(values: list[float], n: int = 360) -> Evidence:
    defended = tuple(50.0 + value for value in values)
    images = (np.tile(np.where(np.arange(n) % 2 > 0, 55.0, 45.0), (1, 1)), np.full((1, n), 50.0))
    base = (50.0,) * len(values)
    return Evidence(defended=defended, baseline=base, n=n, paired=True, registered=True, images=images)


@given(values=differences, shift=st.floats(0, 25), m=st.integers(1, 8))
def test_a_larger_effect_is_never_a_worse_verdict(values, shift, m):
    less = decide(evidence_of(values), a=0.025 / m)
    more = decide(evidence_of([value + shift for value in values]), a=0.025 / m)
    assert RANK[more.word] >= RANK[less.word]


@given(values=differences, m=st.integers(1, 7))
def test_more_claims_never_make_a_stronger_verdict(values, m):
    few, many = (decide(evidence_of(values), a=0.025 / count) for count in (m, m + 1))
    weaker = {
        "contradicted": {"contradicted", "not reproduced", "inconclusive"},
        "not reproduced": {"not reproduced", "inconclusive"},
        "inconclusive": {"inconclusive"},
        "supported": {"supported", "inconclusive"},
    }
    assert many.word in weaker[few.word]


@given(values=differences, m=st.integers(1, 8), value=st.none() | st.floats(2.5, 20))
def test_sides_and_sign_exchange(values, m, value):
    headline, mirrored = claim(value=value), claim(value=None if value is None else -value, sign=-1)
    one = decide(evidence_of(values), headline, 0.025 / m)
    other = decide(evidence_of([-value for value in values]), mirrored, 0.025 / m)
    assert one.text == other.text
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@given(values=differences, n=st.integers(10, 1000))
def test_the_verdict_follows_from_its_numbers(values, n):
    found = decide(evidence_of(values, n=n))
    expected = "inconclusive"
    if found.high < 2:
        expected = "contradicted" if found.high < -2 else "not reproduced"
    elif found.low > 0 and found.effect >= 2:
        expected = "supported"
    assert found.word == expected
