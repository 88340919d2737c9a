"""How values look: to people in words, to programs in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from engine.errors import Problem


def count(number: int) -> str:
    """1,234."""
    return f"{number:,}"


def number_of(number: int, thing: str, things: str | None = None) -> str:
    """`1 mail`, `1,234 mails`."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def instant(moment: datetime) -> str:
    """An instant (naive UTC) as programs read it: 2026-11-22T09:00:00Z, microseconds only where there are some."""
    return moment.isoformat() + "Z"


def moment_text(moment: datetime, timezone: str) -> str:
    """An instant (naive UTC) as people in `timezone` write it: Sun 22 Nov 2026, 09:00 GMT."""
    local = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(timezone))
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M %Z}"


def day_text(day: date) -> str:
    """Sun 22 Nov 2026."""
    return f"{day:%a} {day.day} {day:%b %Y}"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits: `3 hours ago`; `in 2 days` for what is to come."""
    span = span_text(abs(now - moment))
    return f"{span} ago" if moment <= now else f"in {span}"


def span_text(span: timedelta) -> str:
    """A length of time in its largest whole unit."""
    seconds = int(span.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return number_of(seconds // size, unit)
    return number_of(seconds, "second")


def shown(value: object) -> str:
    """A customer's own value, in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def problem_document(problem: Problem) -> dict[str, object]:
    """A problem's fields, as `--format json` gives them everywhere."""
    return asdict(problem)


def json_value(value: object) -> object:
    """What `json.dumps` does not know by itself."""
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Decimal | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
