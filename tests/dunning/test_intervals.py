from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dunning.intervals import newcombe, wilson


@pytest.mark.parametrize(
    ("successes", "of", "other_successes", "other_of", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), 873-890, table II, method 10.
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0000),
        (10, 10, 0, 10, 0.6075, 1.0000),
    ],
)
def test_published_examples_of_the_hybrid_score_interval(
    successes: int, of: int, other_successes: int, other_of: int, low: float, high: float
) -> None:
    assert newcombe(successes, of, other_successes, other_of) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_of_none_and_of_all_stays_within_zero_and_one() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=5e-5)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=5e-5)


COUNTS = st.integers(1, 400).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(COUNTS, COUNTS)
def test_interval_holds_the_difference_and_turns_round_with_the_arms(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    low, high = newcombe(*one, *other)
    assert -1 - 1e-9 <= low <= one[0] / one[1] - other[0] / other[1] <= high <= 1 + 1e-9
    turned_low, turned_high = newcombe(*other, *one)
    assert (turned_low, turned_high) == pytest.approx((-high, -low))
