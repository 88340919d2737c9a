"""What a trigger tells the rule language about itself. The triggers live in their own room and are passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

from engine.project.durations import Duration
from engine.project.types import StrictModel

ColumnType = Literal["text", "number", "bool", "instant", "date"]
Catalog = Mapping[str, Mapping[str, ColumnType]]
"""The columns an expression may name, by namespace: "" the customer's or, in a rule about accounts, the account's;
"account", "subscription", "fact"."""


class TriggerParams(StrictModel):
    """Base of every trigger's parameters, as written under its name in a rule."""


@dataclass(frozen=True)
class RuleDefaults:
    """What a rule gets where it says nothing, for one trigger with given parameters.

    `anchored_on_date`: the anchor is a date that may lie ahead, so each step must say `before` or `after` it, and only
    then may a step say `before`. `holds_for`: how long after its anchor a candidate can exist at most; a step later
    than that could never be sent and is refused. None: no such limit. `begins_with_step`: the anchor is the day of the
    run until the first step is settled, so a first step some time after it could never be sent either.
    """

    repeat_after: Duration | None = None
    existing: Literal["skip", "include"] = "skip"
    anchored_on_date: bool = False
    holds_for: timedelta | None = None
    begins_with_step: bool = False


class TriggerSpec(Protocol):
    """One kind of condition, as the rule language sees it."""

    @property
    def name(self) -> str:
        """The word under `trigger:`."""
        ...

    @property
    def params(self) -> type[TriggerParams]:
        """The model of its parameters."""
        ...

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """The facts every candidate carries, with their types."""
        ...

    def defaults(self, params: Any) -> RuleDefaults:
        """What a rule with these parameters gets where it says nothing."""
        ...
