"""The only place that asks what time it is or draws a random identity.

Instants inside the engine are naive UTC datetimes with microseconds. Everything below the commands takes its
instant as an argument, so a run can be repeated, replayed and tested.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present instant, naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def to_naive_utc(moment: datetime) -> datetime:
    """`moment` as a naive UTC instant; a naive argument is taken to be UTC already."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def new_token() -> str:
    """A fresh random identity of 128 bits, as 32 hex digits."""
    return secrets.token_hex(16)
