import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bioinspired.lab.claims import agreement


def test_by_hand():
    found = agreement([10.0, None, 30.0, 25.0], [12.0, 99.0, 27.0, 28.0])
    assert found.n == 3
    assert found.deviation == pytest.approx((2 + 3 + 3) / 3)
    assert found.correlation == pytest.approx(0.5)  # ranks 1 3 2 against 1 2 3


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=30))
def test_correlation_is_spearmans(pairs):
    ours, theirs = zip(*pairs, strict=True)
    found = agreement(ours, theirs)
    if len(set(ours)) == 1 or len(set(theirs)) == 1:
        assert found.correlation is None
    else:
        assert found.correlation == pytest.approx(stats.spearmanr(ours, theirs).statistic)


def test_too_little_for_a_correlation():
    assert agreement([None], [1.0]).n == 0
    assert agreement([None], [1.0]).deviation is None
    assert agreement([1.0, 2.0], [1.0, 4.0]).correlation is None
    assert agreement([1.0, 2.0], [1.0, 4.0]).deviation == 1.0


def test_cells_must_pair():
    with pytest.raises(ValueError, match="zip"):
        agreement([1.0], [1.0, 2.0])
