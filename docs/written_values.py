"""How values of settings, rules and triggers are written, in words, told from the declared types."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from engine.project import rule_text, settings_values
from engine.project import types as kinds
from engine.project.durations import Duration
from engine.project.secret import Secret, Url
from engine.project.settings import MaxAge, TableSettings
from engine.project.settings_values import Guard, QuietHours, Sender
from engine.project.types import StrictModel, read_list
from engine.triggers.base import EventName

_WORDS: tuple[tuple[Any, str], ...] = (
    (rule_text.Where, "condition"), (rule_text.ExitWhen, "`{event: …}` or a condition"), (rule_text.OnlyTrue, "`true`"),
    (rule_text.Later, "not in this version"), (kinds.Window, "minutes to weeks"), (kinds.DayCount, "days to years"),
    (kinds.Timeout, "seconds to weeks"), (kinds.EventNames, "event, or a list of them"), (EventName, "event"),
    (kinds.Share, "percentage"), (kinds.TimeOfDay, "time of day"), (kinds.Zone, "time zone"), (kinds.Number, "number"),
    (kinds.Ids, "id, or a list of them"), (kinds.Id, "id"), (kinds.StepId, "step id"),
    (kinds.TemplateName, "template name"), (kinds.RuleFileName, "file under `rules/`"), (kinds.Line, "text"),
    (settings_values.Caps, "list of caps"), (settings_values.QuietHoursOrOff, "two times of day, or `off`"),
    (settings_values.Currency, "ISO 4217 code"), (settings_values.Country, "ISO 3166 code, or EU"),
    (settings_values.PublicUrl, "https address"), (settings_values.Network, "IP address or network"), (settings_values.Locale, "language code"),
    (settings_values.Sender.model_fields["from_"].annotation, "text"), (MaxAge, "minutes to weeks, or `off`"),
    (Duration, "minutes to years"), (Url, "database address"), (Secret, "`${VARIABLE}` or `${file:path}`"),
    (bool, "`true` or `false`"), (int, "whole number"), (float, "number"), (str, "text"),
)  # fmt: skip
"""Types with their words; the first that fits counts."""


REQUIRED = "required"


@dataclass(frozen=True)
class Key:
    """One key of a mapping, its value in words, and its default as it would be written (empty: none)."""

    name: str
    written_as: str
    default: str


@dataclass(frozen=True)
class Setting:
    """One setting of config.yaml by its whole path."""

    path: str
    written_as: str
    default: str


def keys_of(model: type[BaseModel]) -> Iterable[Key]:
    """The keys of a mapping in their order, those of later versions left out."""
    hints = get_type_hints(model, include_extras=True)
    for name, declared in model.model_fields.items():
        if hints[name] == rule_text.Later:
            continue
        default = declared.get_default(call_default_factory=True)
        written_as = _in_words(hints[name]) + _bounds(declared)
        key = declared.alias or name
        if key == "trigger":
            yield Key(key, "one of the triggers below", "")
        else:
            yield Key(key, written_as, _written(default, written_as) if default is not PydanticUndefined else REQUIRED)


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterable[Setting]:
    """All settings below a model; what stands for a name of the user's is in angle brackets."""
    hints = get_type_hints(model, include_extras=True)
    fields = {field.alias or name: name for name, field in model.model_fields.items()}
    for key in keys_of(model):
        path = f"{prefix}{key.name}"
        if path in _OF_OWN_NAMES:
            place, below = _OF_OWN_NAMES[path]
            yield from settings_of(below, f"{path}.{place}.")
        elif path in _NAMED:
            yield _NAMED[path]
        else:
            inner = _model_in(hints[fields[key.name]])
            if inner in {Guard, None}:
                yield Setting(path, key.written_as, key.default)
            if inner is not None:
                yield from settings_of(inner, f"{path}.")


_OF_OWN_NAMES: Mapping[str, tuple[str, type[StrictModel]]] = {
    "warehouse.tables": ("<table>", TableSettings),
    "sender": ("<class>", Sender),
}
"""Mappings whose keys are the user's own names, and the model of what stands below one."""

_NAMED: Mapping[str, Setting] = {
    "warehouse.max_age": Setting("warehouse.max_age.<table>", "minutes to weeks, or `off`", "events: 48 hours"),
    "schedules": Setting("schedules.<name>", "time of day", 'daily: "09:00"'),
    "caps.topics": Setting("caps.topics.<topic>", "list of caps", "payment: [1/2 days]"),
    "web.topics": Setting("web.topics.<topic>.<language>", "text", ""),
    "channels": Setting("channels.<name>.use", "kind of channel", "email: {use: outbox_dir, path: outbox}"),
}
"""The same where a plain value stands below."""


def _model_in(hint: Any) -> Any:
    """The model a hint means, through `| None` and annotations; None for a plain value."""
    if isinstance(hint, type):
        return hint if issubclass(hint, StrictModel) else None
    if get_origin(hint) is Annotated:
        return _model_in(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        return next((found for part in get_args(hint) if (found := _model_in(part))), None)
    return None


def _in_words(hint: Any) -> str:
    return next((words for kind, words in _WORDS if _is_a(hint, kind)), None) or _composed(hint)


def _is_a(hint: Any, kind: Any) -> bool:
    """Whether a hint is the known kind, perhaps with further bounds."""
    if get_origin(hint) is not Annotated:
        return bool(hint == kind)
    plain, *notes = get_args(hint)
    if get_origin(kind) is not Annotated:
        return plain == kind and kind in {int, str, float}
    known, *known_notes = get_args(kind)
    return bool(plain == known and notes[: len(known_notes)] == known_notes)


def _bounds(declared: FieldInfo) -> str:
    """The least and the largest number allowed."""
    low = next((note.ge for note in declared.metadata if hasattr(note, "ge")), None)
    high = next((note.le for note in declared.metadata if hasattr(note, "le")), None)
    if low is None:
        return f" up to {high:,}" if high is not None else ""
    return f", {low:,} to {high:,}" if high is not None else f" from {low:,} on"


def _composed(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(hint))
    if get_origin(hint) in {Union, types.UnionType}:
        return " or ".join(_in_words(part) for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Annotated:
        return _annotated(hint)
    if get_origin(hint) is tuple:
        return f"list of {_in_words(get_args(hint)[0])}"
    if get_origin(hint) is dict:
        return "mapping"
    return "mapping" if _model_in(hint) else str(hint)


def _annotated(hint: Any) -> str:
    plain, *notes = get_args(hint)
    functions = {getattr(note, "func", None) for note in notes}
    if read_list in functions:
        return f"{_in_words(get_args(plain)[0])}; one or a list"
    return _in_words(plain) + (", or `off`" if settings_values.read_off in functions else "")


def _written(value: Any, written_as: str) -> str:
    """A default as a person would write it; empty where there is none, or where something else decides."""
    match value:
        case _ if value is None or value in ((), {}, ""):
            return ""
        case bool():
            return str(value).lower()
        case time():
            return f'"{value:%H:%M}"'
        case QuietHours():
            return f'"{value.start:%H:%M}-{value.end:%H:%M}"'
        case float():
            return f"{value * 100:g}%" if written_as == "percentage" else f"{value:g}"
        case _:
            return _others_written(value)


def _others_written(value: Any) -> str:
    match value:
        case Secret():
            return value.reference
        case StrictModel():
            return "{" + ", ".join(f"{key.name}: {key.default}" for key in keys_of(type(value)) if key.default) + "}"
        case tuple():
            return "[" + ", ".join(str(part) for part in value) + "]"
        case _:
            return str(value)
