"""How fast to send, when to try again, and when to leave a channel alone."""

from __future__ import annotations

from dataclasses import dataclass

from engine.channels.base import Answer, Result

FIRST_DELAY_S = 30.0
LONGEST_DELAY_S = 3600.0
MOST_ATTEMPTS = 10

REFUSALS_IN_A_ROW = 20
REFUSED_SHARE = 0.05
SHARE_COUNTS_FROM = 100  # answers; before, one bad address would weigh too much

UNREACHABLE_IN_A_ROW = 6  # tries, spread over about half a minute
THROTTLED_IN_A_ROW = 30
SHORTEST_PATIENCE_S = 0.05  # after the first refusal for going too fast; doubled with each further one, up to a second
LONGEST_PATIENCE_S = 60.0  # a longer wait than this is left to the next delivery


def retry_delay_s(attempts: int) -> float:
    """Seconds to wait after a failed try: 30 s x 2^(attempts - 1), at most an hour.

    `attempts` counts the tries made, from 1: 30, 60, 120, 240 … seconds. After `MOST_ATTEMPTS` tries, some three hours
    in all, a message has failed.
    """
    return float(min(FIRST_DELAY_S * 2 ** min(attempts - 1, 30), LONGEST_DELAY_S))


@dataclass
class TokenBucket:
    """Lets `rate_per_s` calls begin per second, after a pause up to a quarter of a second's worth at once."""

    rate_per_s: float
    tokens: float = 1.0
    filled_at: float = 0.0

    def available(self, now_s: float) -> int:
        """How many calls may begin at this monotonic second."""
        full = max(1.0, self.rate_per_s / 4)
        self.tokens = min(full, self.tokens + (now_s - self.filled_at) * self.rate_per_s)
        self.filled_at = now_s
        return int(self.tokens)

    def take(self, count: int) -> None:
        """Calls have begun."""
        self.tokens -= count

    @property
    def wait_s(self) -> float:
        """Until the next call may begin."""
        return max(0.0, (1.0 - self.tokens) / self.rate_per_s)


@dataclass
class Breaker:
    """Watches one channel. `open_because` is set once, and then nothing more is sent there in this delivery.

    It opens at once when the channel says so itself, after 20 refusals or doubts in a row, or when they are over 5 % of
    at least 100 answers. A channel that cannot be reached is left in peace for 1, 2, 4, 8 and 16 s and given up after
    the sixth try; one that asks for peace gets what it asks for, up to a minute, and is given up if it asks for more,
    or for the thirtieth time in a row.
    """

    open_because: str | None = None
    quiet_until_s: float = 0.0  # monotonic
    _answers: int = 0
    _bad: int = 0
    _bad_in_a_row: int = 0
    _troubles: int = 0

    def watch(self, answer: Answer, now_s: float) -> None:
        """Learn from one answer."""
        if answer.result in {Result.CHANNEL_DOWN, Result.SANDBOXED}:
            self._open(answer.detail or "the channel is down")
        elif answer.of_channel:
            self._slow_down(answer, now_s)
        else:
            self._troubles = 0
            self._count(answer)

    def _count(self, answer: Answer) -> None:
        bad = answer.result in {Result.REFUSED, Result.IN_DOUBT}
        self._answers += 1
        self._bad += bad
        self._bad_in_a_row = self._bad_in_a_row + 1 if bad else 0
        if self._bad_in_a_row >= REFUSALS_IN_A_ROW:
            self._open(f"{self._bad_in_a_row} refused or unanswered in a row, the last one: {answer.detail}")
        elif self._answers >= SHARE_COUNTS_FROM and self._bad > REFUSED_SHARE * self._answers:
            self._open(f"{self._bad} of {self._answers} refused or unanswered, the last one: {answer.detail}")

    def _slow_down(self, answer: Answer, now_s: float) -> None:
        asked_s = answer.retry_after_s
        if asked_s is not None and asked_s > LONGEST_PATIENCE_S:
            self._open(answer.detail or f"it asks for {asked_s:.0f} s of peace")
        if now_s < self.quiet_until_s:
            return  # one of the calls that were under way when the trouble began
        self._troubles += 1
        if asked_s is None:
            wait_s = 2.0 ** min(self._troubles - 1, 5)
        else:
            wait_s = max(asked_s, min(SHORTEST_PATIENCE_S * 2 ** (self._troubles - 1), 1.0))
        self.quiet_until_s = now_s + wait_s
        if self._troubles >= (UNREACHABLE_IN_A_ROW if asked_s is None else THROTTLED_IN_A_ROW):
            self._open(answer.detail or "the channel cannot be reached")

    def _open(self, because: str) -> None:
        self.open_because = self.open_because or because
