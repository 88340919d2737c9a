"""The kinds of values settings, rules and trigger parameters are made of, each with its one way of being written.

A model derives from `StrictModel` and declares its fields with these types, or with plain `bool`, `int`, `str` and
`Literal`; the text of the YAML scalar is then read by the declared type and by nothing else.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from datetime import time
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from engine.errors import did_you_mean
from engine.project.durations import Duration
from engine.project.faults import Fault

LONGEST_NUMBER = 18  # digits; everything written fits a signed 64-bit integer


class StrictModel(BaseModel):
    """A mapping of known keys. Unknown keys are errors; `true`/`false` and whole numbers are read strictly."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_alias=True, validate_by_name=True, arbitrary_types_allowed=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _read_scalar(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str) or info.field_name is None:
            return value
        read = _READERS.get(_plain_kind(cls.model_fields[info.field_name].annotation))
        return read(value) if read else value


def _plain_kind(annotation: Any) -> Any:
    """The type itself, or X for `X | None`."""
    if get_origin(annotation) in {Union, types.UnionType}:
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else None
    return annotation


def read_whole(text: str) -> int:
    """A whole number without sign tricks, separators or leading zeros."""
    if re.fullmatch(r"0|-?[1-9][0-9]*", text) and len(text) <= LONGEST_NUMBER:
        return int(text)
    bare = text.replace("_", "").replace(",", "").lstrip("+0")
    guess = f'"{bare}"' if re.fullmatch(r"[1-9][0-9]{0,17}", bare) and bare != text else None
    raise Fault("HF123", f'"{text}" is not a whole number', "expected digits only, without leading zeros", guess)


_TRUTH_WORDS = {"true": {"true", "yes", "on", "y", "1"}, "false": {"false", "no", "off", "n", "0"}}


def read_bool(text: str) -> bool:
    """`true` or `false`; the other words YAML 1.1 took for truth are refused by name."""
    if text in {"true", "false"}:
        return text == "true"
    guess = next((word for word, others in _TRUTH_WORDS.items() if text.lower() in others), None)
    raise Fault("HF124", f'"{text}" is neither true nor false', "expected true or false", guess and f'"{guess}"')


_READERS: dict[Any, Callable[[str], object]] = {int: read_whole, bool: read_bool}


def read_number(value: object) -> object:
    """A number such as `3` or `2.5`, as float."""
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?", value):
        return float(value)
    raise Fault("HF123", f'"{value}" is not a number', 'expected a number such as "3" or "2.5"')


def read_share(value: object) -> object:
    """`12.5%` as 0.125; from 0% to 100%."""
    if not isinstance(value, str):
        return value
    shape = re.fullmatch(r"(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?\s*%", value)
    if shape is None:
        raise Fault("HF127", f'"{value}" is not a share', 'expected a percentage such as "10%"', _share_guess(value))
    share = float(value.rstrip("% ")) / 100
    if share > 1:
        raise Fault("HF129", f'"{value}" is more than the whole', "expected 0% to 100%")
    return share


def _share_guess(text: str) -> str | None:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", text):
        return None
    percent = float(text) if float(text) > 1 else float(text) * 100
    return f'"{percent:g}%"' if percent <= 100 else None


def read_time(value: object) -> time:
    """`22:00` as a time of day, from 00:00 to 23:59."""
    if isinstance(value, time):
        return value
    shape = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", str(value))
    if shape is None:
        loose = re.fullmatch(r"(\d):([0-5]\d)", str(value))
        guess = f'"0{loose[0]}"' if loose else None
        raise Fault("HF126", f'"{value}" is not a time of day', 'expected hours and minutes such as "09:00"', guess)
    return time(int(shape[1]), int(shape[2]))


def read_zone(text: str) -> str:
    """A time zone by its place name, such as Europe/London, or UTC. Abbreviations are not read: they are ambiguous."""
    if text in _zones():
        return text
    suggestion = did_you_mean(text, _zones())
    raise Fault("HF202", f'unknown time zone "{text}"', "expected a name such as Europe/London", suggestion)


@cache  # listing them walks some 600 files
def _zones() -> frozenset[str]:
    return frozenset(zone for zone in available_timezones() if "/" in zone) | {"UTC"}


def read_line(text: str) -> str:
    """A text that is not empty and keeps to one line without control characters."""
    if not text.strip():
        raise Fault("HF130", "an empty text", "write a value or remove the line")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise Fault("HF132", "a text with a line break or control character", "expected one line")
    return text


def _shaped(what: str, pattern: str, expected: str, code: str = "HF132") -> Callable[[str], str]:
    shape = re.compile(pattern)

    def read(text: str) -> str:
        if shape.fullmatch(text) is None:
            bare = re.sub(r"[^a-z0-9/]+", "-", text.lower()).strip("-/")
            astray = text.startswith("/") or ".." in text
            guess = f'"{bare}"' if not astray and bare != text and shape.fullmatch(bare) else None
            raise Fault(code, f'"{text}" is not {what}', expected, guess)
        return text

    return read


def read_list(value: object) -> object:
    """One text where a list is meant counts as a list of one."""
    return (str(value),) if isinstance(value, str) else value


def _fold_events(names: tuple[str, ...]) -> tuple[str, ...]:
    folded = tuple(name.strip().casefold() for name in names)
    if not folded or not all(folded):
        raise Fault("HF130", "an empty event name", "expected the name of an event")
    return tuple(dict.fromkeys(folded))


def _fixed_length(duration: Duration) -> Duration:
    if not duration.is_elapsed:
        expected = "a window counts elapsed time: use minutes, hours, days or weeks"
        raise Fault("HF131", f'"{duration}" has no fixed length', expected)
    return duration


def _whole_days(duration: Duration) -> Duration:
    if not duration.is_calendar:
        expected = "this counts local dates: use days, weeks, months or years"
        raise Fault("HF131", f'"{duration}" is not whole days', expected)
    return duration


def _with_seconds(value: object) -> object:
    return Duration.parse(value, seconds=True) if isinstance(value, str) else value


_SHARE_SCHEMA = {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,2})(\.[0-9]+)?\s*%$", "examples": ["10%"]}
_TIME_SCHEMA = {"type": "string", "pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["09:00"]}

Share = Annotated[float, BeforeValidator(read_share), WithJsonSchema(_SHARE_SCHEMA)]
Number = Annotated[float, BeforeValidator(read_number)]
TimeOfDay = Annotated[time, BeforeValidator(read_time), WithJsonSchema(_TIME_SCHEMA)]
Zone = Annotated[str, AfterValidator(read_zone)]
Line = Annotated[str, Field(max_length=500), AfterValidator(read_line)]

Window = Annotated[Duration, AfterValidator(_fixed_length)]
"""Elapsed time looking back: minutes to weeks."""
DayCount = Annotated[Duration, AfterValidator(_whole_days)]
"""Local dates: days to years."""
Timeout = Annotated[Duration, BeforeValidator(_with_seconds), AfterValidator(_fixed_length)]
"""Elapsed time that may be as short as `10 s`."""

EventNames = Annotated[tuple[str, ...], BeforeValidator(read_list), AfterValidator(_fold_events)]
"""One event name or a list of them, trimmed and case-folded as events are compared."""

Id = Annotated[
    str,
    AfterValidator(_shaped("an id", r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?", "expected a-z, 0-9 and -, at most 80")),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,78}[a-z0-9])?$"}),
]
Ids = Annotated[tuple[Id, ...], BeforeValidator(read_list)]
StepId = Annotated[
    str, AfterValidator(_shaped("a step id", r"[a-z0-9][a-z0-9/_-]{0,119}", "expected a-z, 0-9, /, - and _"))
]
TemplateName = Annotated[
    str,
    AfterValidator(
        _shaped("a template name", r"(?!layouts(/|\Z))[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*){0,4}",
                "expected a folder under templates/ in a-z, 0-9, - and _, such as win-back/offer", "HF133")
    ),
]  # fmt: skip
IN_RULES = "a file under rules/"
RuleFileName = Annotated[
    str,
    AfterValidator(
        _shaped(
            "a file name",
            r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*){0,4}\.[a-z]{1,8}",
            "expected a file under rules/ without .. or a leading /",
            "HF133",
        )
    ),
    IN_RULES,
]
"""A file under `rules/`, relative to that folder."""
FactName = Annotated[
    str, AfterValidator(_shaped("a fact's name", r"[a-z][a-z0-9_]{0,59}", "expected a-z, 0-9 and _, a letter first"))
]
