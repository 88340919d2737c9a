"""Lengths of time as people write them: `30 days`, `48 hours`, `1 month`."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, get_args

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from engine.errors import did_you_mean
from engine.project.faults import Fault

Unit = Literal["seconds", "minutes", "hours", "days", "weeks", "months", "years"]

UNITS: tuple[Unit, ...] = get_args(Unit)
SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 7 * 86_400}
LONGEST_DAYS = 36_525  # a century: beyond it dates run out, and a longer wait is a slip of the finger
LONGEST = {"months": 1200, "years": 100} | {unit: LONGEST_DAYS * 86_400 // size for unit, size in SECONDS.items()}
SHORT_UNITS = {"s": "seconds", "sec": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days",
               "w": "weeks", "mo": "months", "y": "years"}  # fmt: skip

_SHAPE = re.compile(r"(\d+)(\s*)([a-z]+)", re.IGNORECASE | re.ASCII)
PATTERN = r"^(0|[1-9][0-9]*) (minute|hour|day|week|month|year)s?$"


@dataclass(frozen=True, slots=True)
class Duration:
    """`n` units, n ≥ 0 and at most a century. Two durations are equal when they are written with the same unit."""

    n: int
    unit: Unit

    @classmethod
    def parse(cls, text: str, *, seconds: bool = False) -> Duration:
        """Read `30 days` or `1 day`; `10 s` only with `seconds`. Raises `Fault` HF125 for anything else."""
        shape = _SHAPE.fullmatch(text.strip())
        if shape is None:
            raise Fault("HF125", f'"{text}" is not a duration', _expected(seconds))
        digits, gap, word = shape.groups()
        unit = _unit(word, seconds)
        if unit is None or not gap or (len(digits) > 1 and digits[0] == "0"):
            raise Fault("HF125", f'"{text}" is not a duration', _expected(seconds), _guess(digits, word, seconds))
        n = int(digits) if len(digits) < 12 else LONGEST[unit] + 1
        if n > LONGEST[unit]:
            raise Fault("HF129", f'"{text}" is longer than a century', "a shorter duration is expected")
        return cls(n, unit)

    @property
    def elapsed(self) -> timedelta:
        """The fixed length of minutes to weeks (a day is 24 hours). Months and years have none: ValueError."""
        if self.unit not in SECONDS:
            raise ValueError(f"{self} has no fixed length")
        return timedelta(seconds=self.n * SECONDS[self.unit])

    def after(self, day: date) -> date:
        """The local date so much later; months and years end on the month's last day where it is shorter. Days and up."""
        if self.unit in {"days", "weeks"}:
            return day + self.elapsed
        months = day.year * 12 + day.month - 1 + self.n * (12 if self.unit == "years" else 1)
        year, month = divmod(months, 12)
        return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))

    @property
    def is_calendar(self) -> bool:
        """Whether ladders count it in local dates (days and longer) and not in elapsed time."""
        return self.unit not in {"seconds", "minutes", "hours"}

    @property
    def is_elapsed(self) -> bool:
        """Whether it has a fixed length; all but months and years."""
        return self.unit in SECONDS

    def __str__(self) -> str:
        return f"{self.n} {self.unit[:-1] if self.n == 1 else self.unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._of, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": PATTERN, "examples": ["30 days", "48 hours"]}

    @classmethod
    def _of(cls, value: object) -> Duration:
        if isinstance(value, Duration):
            return value
        if not isinstance(value, str):
            raise Fault("HF122", "a duration is a single text", _expected(seconds=False))
        return cls.parse(value)


def _unit(word: str, seconds: bool) -> Unit | None:
    lower = word.lower()
    if seconds and lower in {"s", "second", "seconds"}:
        return "seconds"
    plural = lower if lower.endswith("s") else f"{lower}s"
    return next((unit for unit in UNITS[1:] if unit == plural), None)


def _expected(seconds: bool) -> str:
    if seconds:
        return 'expected a number and a unit, such as "10 s" or "5 minutes"'
    return 'expected a number, a space and minutes, hours, days, weeks, months or years, such as "30 days"'


def _guess(digits: str, word: str, seconds: bool) -> str | None:
    close = SHORT_UNITS.get(word.lower()) or (did_you_mean(word, UNITS) or "").strip('"')
    unit = next((unit for unit in UNITS if unit == close and (seconds or unit != "seconds")), None)
    return f'"{Duration(int(digits[:9]), unit)}"' if unit else None
