"""A rule as it is written: its keys and how each reads. What it means is made of it in `rule_reading`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from engine.project.durations import Duration
from engine.project.expressions import Expression, parse_placed
from engine.project.faults import Fault
from engine.project.nodes import Placed
from engine.project.settings_values import GuardOrOff, QuietHoursOrOff, read_off
from engine.project.types import (
    DayCount,
    EventNames,
    FactName,
    Id,
    Ids,
    Line,
    Share,
    StepId,
    StrictModel,
    TemplateName,
    TimeOfDay,
    Window,
)

Aggregate = Literal["count", "sum", "first", "last", "distinct_days"]
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)
GOALS = ("event", "paid", "renewed", "in_service")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)


def _read_expression(value: object, validation: ValidationInfo) -> Expression:
    if isinstance(value, Expression):
        return value
    if not isinstance(value, Placed):
        raise Fault("HF122", "not a single text", "expected a condition such as plan = 'pro'")
    path = validation.context["path"] if validation.context else ""
    return parse_placed(str(value), path, value.node.runs)


def read_exit(value: object, read_event: Callable[[object], Any], validation: ValidationInfo) -> Any:
    """An expression where a text stands, else what `read_event` makes of it."""
    if not isinstance(value, str):
        return read_event(value)
    expression = _read_expression(value, validation)
    if expression.is_word:
        guess = f'"{{event: {expression.text}}}"'
        raise Fault("HF330", f'the word "{expression.text}"', "expected an event or a comparison", guess)
    return expression


def _refuse_false(value: bool | None) -> bool | None:
    if value is False:
        raise Fault("HF128", "false", "expected true; leave the key out for the opposite")
    return value


def _refuse_later(_value: object, validation: ValidationInfo) -> object:
    raise Fault("HF134", f'"{validation.field_name}" is not available in this version', "remove it")


Where = Annotated[
    Expression, PlainValidator(_read_expression), WithJsonSchema({"type": "string", "examples": ["plan = 'pro'"]})
]
Later = Annotated[object, BeforeValidator(_refuse_later), WithJsonSchema({"not": {}})]
OnlyTrue = Annotated[bool | None, AfterValidator(_refuse_false)]


class EventCondition(StrictModel):
    """One of these events has happened."""

    event: EventNames


ExitWhen = Annotated[EventCondition, WrapValidator(read_exit)]


class VariantText(StrictModel):
    """One of several sends of a step, with the share of customers who get it."""

    send: TemplateName
    share: Share


class StepText(StrictModel):
    """One rung of the ladder."""

    id: StepId | None = None
    after: Duration | None = None
    wait: Duration | None = None
    before: Duration | None = None
    send: TemplateName | None = None
    variants: Annotated[dict[Id, VariantText], Field(min_length=1)] | None = None
    where: Where | None = None
    send_at: TimeOfDay | None = None
    send_within: Duration | None = None
    channel: Id = "email"
    offer: Later = None
    survey: Later = None


class GoalText(StrictModel):
    """What counts as success, within elapsed time from the first exposure."""

    event: EventNames | None = None
    paid: OnlyTrue = None
    renewed: OnlyTrue = None
    in_service: OnlyTrue = None
    within: Window
    ends: bool = True

    @model_validator(mode="after")
    def _one(self) -> GoalText:
        _exactly_one(self, GOALS)
        return self


class FactText(StrictModel):
    """A number or instant made of a customer's events, within elapsed time before the run."""

    count: EventNames | None = None
    sum: EventNames | None = None
    first: EventNames | None = None
    last: EventNames | None = None
    distinct_days: EventNames | None = None
    within: Window | None = None

    @model_validator(mode="after")
    def _one_with_window(self) -> FactText:
        aggregate = _exactly_one(self, AGGREGATES)
        if aggregate not in {"first", "last"} and self.within is None:
            raise Fault("HF323", f"{aggregate} without a window", "expected within: 30 days, or another duration")
        return self


def _exactly_one(model: StrictModel, keys: tuple[str, ...]) -> str:
    given = [key for key in keys if getattr(model, key) is not None]
    if len(given) != 1:
        found = f"both {' and '.join(given)}" if given else "none of the conditions"
        raise Fault("HF322", found, f"expected exactly one of {', '.join(keys[:-1])} and {keys[-1]}")
    return given[0]


class RecipientsText(StrictModel):
    """Which people of an account a rule about accounts writes to, and to how many at most."""

    where: Where | None = None
    at_most: int | None = Field(default=None, ge=1)


class RuleText(StrictModel):
    """The keys of a rule. `trigger` is read by the trigger's own parameters."""

    rule: Id
    was: Ids = ()
    description: str | None = None
    owner: Line | None = None
    status: Literal["draft", "shadow", "active", "paused"] = "draft"
    class_: Literal["marketing", "service", "legal"] = Field(default="marketing", alias="class")
    ground: Literal["contract", "security", "law"] | None = None
    topic: Id | None = None
    priority: int = Field(default=50, ge=0, le=100)
    about: Literal["customer", "account"] = "customer"
    recipients: RecipientsText | None = None
    trigger: object = None
    where: Where | None = None
    steps: tuple[StepText, ...] = Field(default=(), max_length=50)
    holdout: Share = 0.0
    repeat_after: Annotated[DayCount | None, BeforeValidator(read_off)] = None
    goal: GoalText | None = None
    schedule: Id | None = None
    send_at: TimeOfDay | None = None
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    quiet_hours: QuietHoursOrOff = None
    send_within: Duration | None = None
    existing: Literal["skip", "include"] | None = None
    scope: Literal["everyone"] | None = None
    facts: dict[FactName, FactText] = Field(default_factory=dict, max_length=50)
    blocks: Ids = ()
    blocks_for: Window | None = None
    exit_when: ExitWhen | None = None
    daily_limit: int | None = Field(default=None, ge=1)
    capped: bool = True
    guard: GuardOrOff = None
    resend: int = Field(default=1, ge=1, le=1000)

    def says(self, key: str) -> bool:
        """Whether the rule has this key at all."""
        return key in self.model_fields_set
