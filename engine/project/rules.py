"""A rule as the engine knows it: every default filled in, every name resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Literal

from engine.project.durations import Duration
from engine.project.expressions import Expression
from engine.project.rule_text import Aggregate, EventCondition
from engine.project.settings_values import Guard, QuietHours
from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams

__all__ = ["EventCondition", "FactSpec", "Goal", "Recipients", "Rule", "Step", "TriggerUse", "Variant"]


@dataclass(frozen=True)
class TriggerUse:
    """A trigger with its parameters, what it gives the rule by default, and the facts it gives candidates."""

    name: str
    params: TriggerParams
    defaults: RuleDefaults = field(default_factory=RuleDefaults)
    facts: Mapping[str, ColumnType] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """One of several sends of a step; `share` is 0 to 1 of the customers."""

    send: str
    share: float


@dataclass(frozen=True)
class Step:
    """One rung; `no` counts from 0. At most one of `after`, `wait` and `before` is set, and one of `send` and
    `variants` is empty. None of the three: due at the anchor."""

    id: str
    no: int
    after: Duration | None
    wait: Duration | None
    before: Duration | None
    send: str | None
    variants: Mapping[str, Variant]
    where: Expression | None
    send_at: time | None
    send_within: Duration | None
    channel: str

    @property
    def templates(self) -> tuple[str, ...]:
        """All templates it may send."""
        return (self.send,) if self.send else tuple(variant.send for variant in self.variants.values())


@dataclass(frozen=True)
class Goal:
    """What counts as success within `within` of the first exposure: one of the four; it ends the ladder if `ends`."""

    event: tuple[str, ...]
    paid: bool
    renewed: bool
    in_service: bool
    within: Duration
    ends: bool


@dataclass(frozen=True)
class FactSpec:
    """An aggregate over the customer's events of these names within the last `within` (None: all there are).

    `sum` adds `value_minor`; `first` and `last` are instants.
    """

    aggregate: Aggregate
    event: tuple[str, ...]
    within: Duration | None


@dataclass(frozen=True)
class Recipients:
    """Which people of an account are written to: those for whom `where` holds (None: all), at most so many of them."""

    where: Expression | None = None
    at_most: int | None = None


@dataclass(frozen=True)
class Rule:
    """One rule of the project.

    `send_at`, `quiet_hours` and `guard` are None where the workspace's hold; `send_within` None: the planner's default
    for the step. `repeat_after` and `existing` already hold the trigger's default. `days` counts from 0 = Monday.
    `text` is the rule's own stretch of its file, which begins at `line`.
    """

    id: str
    was: tuple[str, ...]
    description: str
    owner: str | None
    status: Literal["draft", "shadow", "active", "paused"]
    class_: Literal["marketing", "service", "legal"]
    ground: Literal["contract", "security", "law"] | None
    topic: str
    priority: int
    trigger: TriggerUse
    where: Expression | None
    steps: tuple[Step, ...]
    holdout: float
    repeat_after: Duration | None
    goal: Goal | None
    schedule: str
    send_at: time | None
    days: frozenset[int]
    quiet_hours: QuietHours | Literal["off"] | None
    send_within: Duration | None
    existing: Literal["skip", "include"]
    scope: Literal["everyone"] | None
    facts: Mapping[str, FactSpec]
    blocks: tuple[str, ...]
    blocks_for: Duration | None
    exit_when: EventCondition | Expression | None
    daily_limit: int | None
    capped: bool
    guard: Guard | Literal["off"] | None
    resend: int
    path: str
    line: int
    text: str
    about: Literal["customer", "account"] = "customer"
    recipients: Recipients = field(default_factory=Recipients)

    @property
    def by_account(self) -> bool:
        """Whether its subject is the account, and its recipients are people of it."""
        return self.about == "account"

    @property
    def origin(self) -> str:
        """The first name it ever had: message keys and holdout draws hang on it and outlive a renaming."""
        return self.was[0] if self.was else self.id

    @property
    def memory_names(self) -> tuple[str, ...]:
        """The names under which the state remembers its settled steps: its own and former ones.

        A shadow also knows what it settled as a shadow, which is kept apart, so that promotion forgets it. A higher
        `resend` begins with an empty memory.
        """
        own = tuple(f"{name}{self._resent}" for name in (self.id, *self.was))
        return (*own, self.memory_name) if self.status == "shadow" else own

    @property
    def memory_name(self) -> str:
        """The name it settles steps under; no rule can be called by one with a mark in it."""
        return f"{self.id}{self._resent}{'~shadow' if self.status == 'shadow' else ''}"

    @property
    def _resent(self) -> str:
        return f"#{self.resend}" if self.resend > 1 else ""

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Every condition about its subject: `where`, those of its steps, and `exit_when`."""
        own = (self.where, *(step.where for step in self.steps), self.exit_when)
        return tuple(expression for expression in own if isinstance(expression, Expression))

    @property
    def templates(self) -> tuple[str, ...]:
        """All templates it may send."""
        return tuple(template for step in self.steps for template in step.templates)
