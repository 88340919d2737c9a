from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.channels import Answer, Result
from engine.delivery.options import DeliveryOptions
from engine.delivery.pacing import MOST_ATTEMPTS, Breaker, TokenBucket, retry_delay_s
from engine.errors import SetupError

ACCEPTED, REFUSED, DOUBT = Answer(Result.ACCEPTED), Answer(Result.REFUSED, detail="no"), Answer(Result.IN_DOUBT)
UNREACHABLE = Answer(Result.RETRY, detail="refused", of_channel=True)


def test_retries_wait_twice_as_long_each_time_up_to_an_hour() -> None:
    assert [retry_delay_s(n) for n in range(1, 10)] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert sum(retry_delay_s(n) for n in range(1, MOST_ATTEMPTS)) == 11_010  # about three hours
    assert retry_delay_s(10**9) == 3600


def test_twenty_refusals_in_a_row_open_the_breaker() -> None:
    breaker = Breaker()
    for n in range(20):
        assert breaker.open_because is None, n
        breaker.watch(REFUSED, 0)
    assert breaker.open_because is not None
    assert "20 refused" in breaker.open_because


def test_a_mail_accepted_in_between_starts_the_count_again() -> None:
    breaker = Breaker()
    for _ in range(4):
        for answer in [*[REFUSED] * 19, ACCEPTED]:
            breaker.watch(answer, 0)
    assert breaker.open_because is None


def test_more_than_one_in_twenty_refused_opens_it_from_the_hundredth_answer_on() -> None:
    breaker = Breaker()
    for n in range(99):
        breaker.watch(REFUSED if n % 15 == 0 else ACCEPTED, 0)
    assert breaker.open_because is None
    breaker.watch(ACCEPTED, 0)
    assert breaker.open_because == "7 of 100 refused or unanswered, the last one: "


def test_exactly_one_in_twenty_does_not() -> None:
    breaker = Breaker()
    for n in range(1000):
        breaker.watch(REFUSED if n % 20 == 19 else ACCEPTED, 0)
    assert breaker.open_because is None


@pytest.mark.parametrize("result", [Result.CHANNEL_DOWN, Result.SANDBOXED])
def test_a_channel_that_is_down_opens_it_at_once(result: Result) -> None:
    breaker = Breaker()
    breaker.watch(Answer(result, detail="401"), 0)
    assert breaker.open_because == "401"


def test_calls_under_way_when_the_line_breaks_count_once() -> None:
    breaker = Breaker()
    for _ in range(64):
        breaker.watch(UNREACHABLE, 10.0)
    assert (breaker.open_because, breaker.quiet_until_s) == (None, 11.0)


def test_an_unreachable_channel_is_tried_ever_less_often_and_then_given_up() -> None:
    breaker, now, pauses = Breaker(), 0.0, []
    while breaker.open_because is None:
        breaker.watch(UNREACHABLE, now)
        pauses.append(breaker.quiet_until_s - now)
        now = breaker.quiet_until_s
    assert pauses == [1, 2, 4, 8, 16, 32]


def test_a_throttled_channel_gets_the_peace_it_asks_for() -> None:
    breaker = Breaker()
    breaker.watch(Answer(Result.RETRY, retry_after_s=7.0, of_channel=True), 100.0)
    assert (breaker.open_because, breaker.quiet_until_s) == (None, 107.0)
    breaker.watch(Answer(Result.RETRY, "", "429", 61.0, of_channel=True), 200.0)
    assert breaker.open_because == "429"


@given(st.lists(st.floats(0, 2), max_size=50), st.floats(0.5, 1000))
def test_the_bucket_never_gives_more_than_the_rate_and_a_quarter_second(pauses: list[float], rate: float) -> None:
    bucket, now, given_out = TokenBucket(rate, filled_at=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        count = bucket.available(now)
        bucket.take(count)
        given_out += count
    assert given_out <= now * rate + max(1.0, rate / 4) + 1e-6


def test_the_bucket_says_how_long_to_wait() -> None:
    bucket = TokenBucket(10.0)
    bucket.take(bucket.available(0.0))
    assert bucket.wait_s == pytest.approx(0.1)
    assert bucket.available(0.1) == 1


def test_a_lease_that_a_call_could_outlast_is_refused() -> None:
    with pytest.raises(SetupError, match=r"a lease of 15 s for calls that may take 10 s.*HF702"):
        DeliveryOptions(timeout_s=10, lease_s=15)
    assert DeliveryOptions(timeout_s=10, lease_s=15.1).lease_s == 15.1
    assert DeliveryOptions(timeout_s=300).lease_s == 6000
