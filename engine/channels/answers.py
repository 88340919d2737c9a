"""Making an `Answer` out of what another machine said."""

from __future__ import annotations

import re

from engine.channels.base import Answer, Result

LONGEST_DETAIL = 300  # characters

_ADDRESS = re.compile(r"([^\s@<>\"'(),;:]{1,64})@([^\s@<>\"'(),;:]{1,255})")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")


def answer(
    result: Result,
    detail: str = "",
    *,
    provider_id: str | None = None,
    retry_after_s: float | None = None,
    of_channel: bool = False,
) -> Answer:
    """An answer whose detail is safe to store and show: one line, short, addresses masked."""
    if not detail:
        return Answer(result, provider_id, "", retry_after_s, of_channel)
    line = " ".join(_UNPRINTABLE.sub(" ", detail[: 4 * LONGEST_DETAIL]).split())
    masked = _ADDRESS.sub(lambda found: f"{found[1][0]}…@{found[2]}", line)
    return Answer(result, provider_id, masked[:LONGEST_DETAIL], retry_after_s, of_channel)
