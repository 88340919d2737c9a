from __future__ import annotations

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from engine.sample.people import person
from engine.sample.stream import Stream
from tests.sample.rows import TODAY


def test_a_stream_is_frozen_for_good() -> None:
    # Other numbers would change every row of the sample: the tests and the documentation quote some of them.
    draws = Stream("C00001/person")
    assert [draws.below(1000) for _ in range(6)] == [468, 982, 727, 201, 180, 188]


@given(st.text(max_size=20))
def test_the_same_name_gives_the_same_draws(name: str) -> None:
    one, other = Stream(name), Stream(name)
    assert [one.below(10**6) for _ in range(300)] == [other.below(10**6) for _ in range(300)]


def test_different_names_give_different_draws() -> None:
    firsts = {Stream(f"C{number:05d}/person").below(2**60) for number in range(1000)}
    assert len(firsts) == 1000


def test_a_customers_topics_are_independent() -> None:
    somebody = person(1, TODAY)
    billing, activity = somebody.stream("billing"), somebody.stream("activity")
    assert [billing.below(10**6) for _ in range(5)] != [activity.below(10**6) for _ in range(5)]


@given(st.text(max_size=8), st.integers(-1000, 1000), st.integers(0, 1000))
def test_between_includes_both_ends_and_nothing_else(name: str, low: int, span: int) -> None:
    draws = Stream(name)
    assert all(low <= draws.between(low, low + span) <= low + span for _ in range(20))


def test_weights_are_kept() -> None:
    draws = Stream("weights")
    found = Counter(draws.weighted((("a", 1), ("b", 3), ("never", 0))) for _ in range(8000))
    assert set(found) == {"a", "b"}
    assert 1800 < found["a"] < 2200


def test_blocks_do_not_repeat() -> None:
    draws = Stream("blocks")
    assert len(set(islice((draws.below(2**62) for _ in range(1024)), 1024))) == 1024
