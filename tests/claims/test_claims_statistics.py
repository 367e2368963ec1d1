"""Intervals against scipy's own tests, published values and simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bioinspired.claims import statistics
from bioinspired.claims.statistics import Effect, Group

DEFENDED = (61.2, 64.9, 58.3, 66.1, 63.0)
BASELINE = (20.5, 22.8, 21.9, 27.7, 18.4)


def test_paired_interval_is_that_of_the_paired_t_test():
    effect = statistics.paired([one - other for one, other in zip(DEFENDED, BASELINE, strict=True)])
    expected = stats.ttest_rel(DEFENDED, BASELINE).confidence_interval(0.95)
    assert effect.interval(0.025) == pytest.approx((expected.low, expected.high))
    assert effect.k == 5
    assert effect.freedom == pytest.approx(4)


def test_unpaired_interval_is_welchs_also_for_unequal_groups():
    effect = statistics.welch(DEFENDED, BASELINE[:3])
    expected = stats.ttest_ind(DEFENDED, BASELINE[:3], equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert effect.interval(0.05) == pytest.approx((interval.low, interval.high))
    assert effect.freedom == pytest.approx(expected.df)
    assert effect.k == 3


def test_images_bring_their_own_freedom_where_they_may():
    seeds = statistics.paired((9.0, 10.0, 11.0), image_variance=25.0)
    assert seeds.freedom == 2, "the verdicts' rule: that of the seeds"
    both = replace(seeds, image_freedom=99)
    parts = 1.0 / 3, 25.0
    assert both.freedom == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 99))
    assert both.error == seeds.error
    alike = statistics.paired((10.0, 10.0, 10.0), image_variance=4.0)
    assert replace(alike, image_freedom=99).freedom == pytest.approx(99), "nothing varies but the images"


def test_groups_without_spread_have_the_freedom_of_the_smaller_one():
    assert statistics.welch((50.0,) * 5, (40.0,) * 3).freedom == 2


def test_images_add_to_the_seeds():
    alone = statistics.paired((1.0, 2.0, 3.0))
    both = statistics.paired((1.0, 2.0, 3.0), image_variance=4.0)
    assert alone.error == pytest.approx(math.sqrt(1 / 3))
    assert both.error == pytest.approx(math.sqrt(1 / 3 + 4))


def test_one_seed_has_no_spread():
    with pytest.raises(ValueError, match="two"):
        statistics.paired((1.0,))
    with pytest.raises(ValueError, match="two"):
        statistics.welch((1.0, 2.0), (1.0,))


def test_bonferroni_quantile_of_a_printed_table():
    # t table: two-sided 1 %, 4 degrees of freedom, is 4.604; five claims at 5 % leave 1 % each.
    effect = Effect(mean=0.0, groups=(Group(variance=5.0, k=5),), image_variance=0.0)
    assert effect.reach(0.025 / 5) == pytest.approx(4.604, abs=5e-4)


def test_accuracy_variance_is_binomial_inside():
    assert statistics.accuracy_variance(30.0, 360) == pytest.approx(0.3 * 0.7 / 360 * 1e4)


@pytest.mark.parametrize("percent", [0.0, 100.0])
def test_rule_of_three_at_the_ends(percent):
    # 0 of 300: the true rate is below 3 / 300 = 1 point with 95 % confidence, 1.645 standard errors.
    error = math.sqrt(statistics.accuracy_variance(percent, 300))
    assert 1.6449 * error == pytest.approx(1.0, abs=1e-4)
    assert abs(0.99**300 - 0.05) < 2e-3


def test_rule_of_three_is_never_more_than_everything():
    assert math.sqrt(statistics.accuracy_variance(0.0, 1)) * 1.6449 == pytest.approx(100.0, abs=0.01)


def test_image_deviation_of_shared_images():
    defended = [[100, 100, 0, 100], [100, 0, 0, 100]]
    baseline = [[100, 0, 0, 0]]
    # mean differences by image: 0, 50, 0, 100
    assert statistics.image_deviation(defended, baseline) == pytest.approx(np.std([0, 50, 0, 100], ddof=1))


@pytest.mark.parametrize(("one", "other"), [([[1, 0]], [[1, 0, 1]]), ([1, 0], [1, 0]), ([[1]], [[0]])])
def test_image_deviation_wants_the_same_images(one, other):
    with pytest.raises(ValueError, match="same two or more images"):
        statistics.image_deviation(one, other)


@pytest.mark.parametrize(("k", "deviations"), [(3, 3.3), (5, 1.7), (10, 1.0)])
def test_detectable_effect_of_the_design(k, deviations):
    assert round(statistics.detectable_deviations(k), 1) == deviations


def test_detectable_effect_is_found_four_times_in_five():
    generator = np.random.default_rng(0)
    shift = statistics.detectable_deviations(5)
    samples = generator.normal(shift, 1.0, size=(20_000, 5))
    found = stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


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


def test_seeds_needed_by_hand():
    # s = 1, gap = 1: t(.975, 5) / sqrt(6) = 1.049 is too much, t(.975, 6) / sqrt(7) = 0.925 is not.
    effect = Effect(mean=0.0, groups=(Group(variance=1.0, k=5),), image_variance=0.0)
    assert statistics.seeds_needed(effect, gap=1.0, tail=0.025) == 7


def test_seeds_do_not_replace_images():
    effect = Effect(mean=0.0, groups=(Group(variance=1.0, k=5),), image_variance=1.0)
    assert statistics.seeds_needed(effect, gap=1.0, tail=0.025) is None
    assert statistics.seeds_needed(effect, gap=1.5, tail=0.025) is None
    assert statistics.seeds_needed(effect, gap=3.0, tail=0.025) is not None
    assert statistics.seeds_needed(effect, gap=0.0, tail=0.025) is None


@given(
    variances=st.lists(st.floats(0.01, 100), min_size=1, max_size=2),
    k=st.integers(3, 9),
    image=st.floats(0, 5),
    gap=st.floats(0.2, 30),
    m=st.integers(1, 8),
)
def test_seeds_needed_are_enough_and_not_too_many(variances, k, image, gap, m):
    def with_seeds(number):
        groups = tuple(Group(variance=variance, k=max(number, k)) for variance in variances)
        return Effect(mean=0.0, groups=groups, image_variance=image)

    tail = 0.025 / m
    needed = statistics.seeds_needed(with_seeds(k), gap=gap, tail=tail)
    if needed is None:
        assert with_seeds(statistics.MOST_SEEDS).reach(tail) >= gap
    else:
        assert with_seeds(needed).reach(tail) < gap
        assert needed == 5 or with_seeds(needed - 1).reach(tail) >= gap


@given(values=st.lists(st.floats(-50, 50), min_size=2, max_size=8), image=st.floats(0, 10), more=st.floats(0.1, 10))
def test_more_claims_and_worse_images_widen(values, image, more):
    narrow = statistics.paired(values, image_variance=image)
    wide = statistics.paired(values, image_variance=image + more)
    assert wide.reach(0.025) > narrow.reach(0.025)
    assert wide.reach(0.025 / 8) > wide.reach(0.025)
