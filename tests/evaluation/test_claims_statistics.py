"""Intervals against scipy's own tests, values worked out by hand, published ones, and simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from bioinspired.evaluation import statistics
from bioinspired.evaluation.statistics import Effect, Group

DEFENDED = (61.2, 64.9, 58.3, 66.1, 63.0)
BASELINE = (20.5, 22.8, 21.9, 27.7, 18.4)


def test_paired_seeds_alone_are_the_paired_t_test():
    effect = statistics.effect(DEFENDED, BASELINE, paired=True)
    expected = stats.ttest_rel(DEFENDED, BASELINE).confidence_interval(0.95)
    assert effect.interval(0.025) == pytest.approx((expected.low, expected.high))
    assert effect.k == 5


def test_each_unpaired_arm_keeps_its_own_quantile():
    effect = statistics.effect(DEFENDED, BASELINE[:3], paired=False)
    parts = [
        (stats.t.ppf(0.975, len(arm) - 1) * np.std(arm, ddof=1)) ** 2 / len(arm) for arm in (DEFENDED, BASELINE[:3])
    ]
    assert effect.reach(0.025) == pytest.approx(math.sqrt(sum(parts)))
    assert effect.k == 3


def test_the_parts_of_a_table_by_hand():
    """Differences of two seeds on four images: 100, 100, 0, 0 and 100, 0, 0, -100."""
    one, other = np.array([[100, 100, 0, 0], [100, 0, 0, 0]]), np.array([[0, 0, 0, 0], [0, 0, 0, 100]])
    effect = statistics.of_bits(one, other, paired=True)
    assert effect.mean == 25
    assert effect.groups[0].variance == pytest.approx(1250), "50 and 0"
    assert effect.image_variance == pytest.approx(12500 / 3), "100, 50, 0, -50"
    assert effect.groups[0].interaction == pytest.approx(5000 / 3), "rests of 25 and -25"
    t = stats.t.ppf(0.975, [1, 3])
    raw = max(t[1] ** 2 * 12500 / 3 / 4, statistics.unseen(4, 0.025) ** 2)
    expected = math.sqrt(t[0] ** 2 * 1250 / 2 + raw - t[1] ** 2 * 5000 / 3 / (2 * 4))
    assert effect.reach(0.025) == pytest.approx(expected)


def test_all_images_alike_leave_the_rule_of_three():
    nothing = np.zeros((5, 200))
    effect = statistics.of_bits(nothing, nothing, paired=True)
    assert effect.interval(0.025) == pytest.approx((-1.828, 1.828), abs=1e-3)
    assert effect.reach(0.025) == pytest.approx(100 * (1 - 0.025 ** (1 / 200)))
    assert abs(statistics.unseen(300, 0.05) - 1) < 0.01, "0 of 300: below one in a hundred, with 95 % confidence"
    almost = nothing.copy()
    almost[0, 0] = 100.0
    other = statistics.of_bits(almost, nothing, paired=True)
    assert other.reach(0.025) == pytest.approx(effect.reach(0.025), rel=0.02), "a term of the sum, no cliff"


def test_nothing_left_bounds_what_a_defense_can_gain():
    """0 of 200 against 13.8 % on three seeds that differ widely: at one claim of eight at most 2.8 points are left."""
    defended = np.zeros((3, 200))
    baseline = np.where(np.arange(200) < np.array([[4], [29], [50]]), 100.0, 0.0)
    effect = statistics.of_bits(defended, baseline, paired=True)
    low, high = effect.interval(0.025 / 8)
    assert high == pytest.approx(2.84, abs=0.005)
    assert low < -40
    assert statistics.needed(effect, lambda more: more.interval(0.025 / 8)[1] < 2) == (9, 286)


def test_points_end_at_a_hundred_and_logarithms_do_not():
    assert statistics.effect((99, 0, 50), (0, 0, 0), paired=True).interval(0.001) == (-100, 100)
    assert statistics.effect((99, 0, 50), (0, 0, 0), paired=True, points=False).interval(0.001)[1] > 100


def test_a_conditional_rate_counts_its_own_images():
    images = (np.tile([100.0, 0.0], (3, 500)), np.zeros((3, 1000)))
    few = statistics.effect((50, 50, 50), (0, 0, 0), paired=True, images=images, n=250)
    many = statistics.effect((50, 50, 50), (0, 0, 0), paired=True, images=images)
    assert few.n == 250
    assert few.reach(0.025) / many.reach(0.025) == pytest.approx(1, abs=0.01), "linearised over all: the same variance"
    assert few.at(3, 1000).reach(0.025) < few.reach(0.025) / 1.9


@pytest.mark.parametrize("shapes", [((1, 2), (1, 3)), ((2,), (2,)), ((1, 1), (1, 1))])
def test_both_arms_want_the_same_images(shapes):
    with pytest.raises(ValueError, match="same two or more images"):
        statistics.effect((1, 2), (1, 2), paired=True, images=tuple(np.zeros(shape) for shape in shapes))


def test_one_seed_has_no_spread():
    with pytest.raises(ValueError, match="two"):
        statistics.of_seeds((1.0,))
    with pytest.raises(ValueError, match="two"):
        statistics.effect((1.0, 2.0), (1.0,), paired=False)
    with pytest.raises(ValueError, match="match"):
        statistics.effect((1.0, 2.0), (1.0,), paired=True)


def test_quantile_of_a_printed_table():
    # t table: two-sided 1 %, 4 degrees of freedom, is 4.604; five claims at 5 % leave 1 % each.
    assert Effect(mean=0.0, groups=(Group(variance=5.0, k=5),)).reach(0.025 / 5) == pytest.approx(4.604, abs=5e-4)


def test_holm():
    assert statistics.holm([0.001, 0.02, 0.004], 3) == pytest.approx([0.025 / 3, 0.025, 0.0125])
    assert statistics.holm([0.001, math.inf, 0.004], 5) == pytest.approx([0.025 / 5, 0.025 / 3, 0.025 / 4])
    left = statistics.holm([0.02, 0.024], 2)
    assert left == pytest.approx([0.0125, 0.0125]), "the first that stays open keeps all after it at its level"


@given(st.floats(1e-9, 0.024))
def test_the_smallest_level_is_found(level):
    assert statistics.smallest_level(lambda a: a >= level) == pytest.approx(level, rel=1e-4)
    assert statistics.smallest_level(lambda a: False) == math.inf


@pytest.mark.parametrize(("k", "deviations"), [(3, 3.3), (5, 1.7), (10, 1.0)])
def test_detectable_effect_of_the_design(k, deviations):
    effect = Effect(mean=0.0, groups=(Group(variance=1.0, k=k),))
    assert round(effect.detectable(), 1) == deviations


def test_detectable_effect_is_found_four_times_in_five():
    shift = Effect(mean=0.0, groups=(Group(variance=1.0, k=5),)).detectable()
    samples = np.random.default_rng(0).normal(shift, 1.0, size=(20_000, 5))
    assert (stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (81, 263), (360, 360)])
def test_wilson_is_scipys(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert statistics.wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("n", range(1, 60))
def test_wilson_ends_at_the_ends(n):
    assert statistics.wilson(0, n)[0] == 0.0
    assert statistics.wilson(n, n)[1] == 1.0


def test_wilson_of_newcombe():
    # Newcombe 1998, table I: 81 of 263, method 3.
    assert [round(end, 4) for end in statistics.wilson(81, 263)] == [0.2553, 0.3662]


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_wilson_refuses_what_is_no_proportion(successes, n):
    with pytest.raises(ValueError, match="no proportion"):
        statistics.wilson(successes, n)


def narrower(gap):
    return lambda effect: effect.reach(0.025) < gap


def test_what_would_decide_by_hand():
    # s = 1, gap = 1: t(.975, 5) / sqrt(6) = 1.049 is too much, t(.975, 6) / sqrt(7) = 0.925 is not.
    effect = Effect(mean=0.0, groups=(Group(variance=1.0, k=5),))
    assert statistics.needed(effect, narrower(1.0)) == (7, None)
    images = replace(effect, image_variance=100.0, n=100, points=False)
    assert statistics.needed(images, narrower(3.0)) == (5, 100), "it is decided"
    few = replace(effect, image_variance=900.0, n=100, points=False)  # 3 points from images alone, times 1.98
    seeds, n = statistics.needed(few, narrower(3.0))
    assert seeds is None
    assert few.at(5, n).reach(0.025) < 3 <= few.at(5, n - 1).reach(0.025)
    assert statistics.needed(few, narrower(1.0)) == (None, None)


@given(
    variances=st.lists(st.floats(0.01, 100), min_size=1, max_size=2), k=st.integers(3, 9), image=st.floats(0, 5),
    gap=st.floats(0.2, 30),
)  # fmt: skip
def test_what_is_needed_is_enough_and_not_too_much(variances, k, image, gap):
    groups = tuple(Group(variance=variance, k=k) for variance in variances)
    effect = Effect(mean=0.0, groups=groups, image_variance=100 * image, n=100, points=False)
    seeds, n = statistics.needed(effect, narrower(gap))
    if seeds is None:
        assert effect.at(statistics.MOST_SEEDS, 100).reach(0.025) >= gap
    else:
        assert effect.at(seeds, 100).reach(0.025) < gap
        assert seeds == max(5, k) or effect.at(seeds - 1, 100).reach(0.025) >= gap
    if n is None:
        assert effect.at(k, statistics.MOST_IMAGES).reach(0.025) >= gap
    else:
        assert effect.at(k, n).reach(0.025) < gap
        assert n == 100 or effect.at(k, n - 1).reach(0.025) >= gap


@given(values=st.lists(st.floats(-50, 50), min_size=2, max_size=8), image=st.floats(0, 10), more=st.floats(0.1, 10))
def test_more_claims_and_worse_images_widen(values, image, more):
    seeds = replace(statistics.of_seeds(values), n=100, points=False)
    narrow, wide = (replace(seeds, image_variance=100 * variance) for variance in (image, image + more))
    assert wide.reach(0.025) > narrow.reach(0.025)
    assert wide.reach(0.025 / 8) > wide.reach(0.025)


# --- simulations: networks and images crossed, as the records are


def simulated(generator, repetitions, k, n, seed_spread, gain, rate=50.0):
    """Effects of a two-way probit model: images' difficulty, seeds' skill on the whole and per image, in points.

    Returns:
        The effects, and the true one, of networks and images without end.
    """
    base, image, cell = special.ndtri(rate / 100), 1.0, 0.7
    whole = math.hypot(1.0, image, cell)
    slope = 100 * stats.norm.pdf(base) / whole
    seed = seed_spread / slope / math.sqrt(2)
    shift = 0.0 if gain == 0 else special.ndtri(min(rate + gain, 99.9) / 100) - base
    found = []
    for _ in range(repetitions):
        difficulty = image * generator.standard_normal(n)
        scores = [
            whole * (base + add) + difficulty + seed * generator.standard_normal((k, 1))
            + cell * generator.standard_normal((k, n)) + generator.standard_normal((k, n))
            for add in (0.0, shift)
        ]  # fmt: skip
        one, other = (np.where(score > 0, 100.0, 0.0) for score in reversed(scores))
        found.append(statistics.of_bits(one, other, paired=True))
    return found


def true_gain(seed_spread, gain, rate=50.0):
    whole = math.hypot(1.0, 1.0, 0.7)
    slope = 100 * stats.norm.pdf(special.ndtri(rate / 100)) / whole
    wide = math.hypot(whole, seed_spread / slope / math.sqrt(2))
    base, shifted = special.ndtri(rate / 100), special.ndtri((rate + gain) / 100)
    return 100 * (stats.norm.cdf(whole * shifted / wide) - stats.norm.cdf(whole * base / wide))


@pytest.mark.parametrize(
    ("k", "n", "spread", "power"),
    [(3, 500, 3.0, 14), (5, 200, 2.5, 48), (5, 500, 3.0, 62), (5, 400, 3.0, None), (5, 300, 4.0, None),
     (10, 200, 3.0, None)],
)  # fmt: skip
def test_coverage_is_at_least_nominal_and_power_is_what_five_seeds_give(k, n, spread, power):
    generator = np.random.default_rng(k * n)
    effects = simulated(generator, 2000, k, n, spread, 10.0)
    truth = true_gain(spread, 10.0)
    for level, least in ((0.025, 94.0), (0.025 / 8, 98.4)):
        inside = [low <= truth <= high for low, high in (effect.interval(level) for effect in effects)]
        assert 100 * np.mean(inside) >= least
    if power is not None:
        found = 100 * np.mean([effect.interval(0.025 / 8)[0] > 0 for effect in effects])
        assert found == pytest.approx(power, abs=20)


def test_the_family_error_is_below_five_percent():
    """Eight true nulls: how often Holm calls any of them a difference."""
    generator = np.random.default_rng(8)
    effects = simulated(generator, 8 * 150, 5, 300, 3.0, 0.0)
    wrong = 0
    for family in range(150):
        mine = effects[8 * family : 8 * family + 8]
        smallest = [
            statistics.smallest_level(lambda a, one=one: one.interval(a)[0] > 0 or one.interval(a)[1] < 0)
            for one in mine
        ]
        wrong += any(p <= a for p, a in zip(smallest, statistics.holm(smallest, 8), strict=True))
    assert wrong / 150 <= 0.05
