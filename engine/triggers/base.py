"""What a trigger is: a few lines of SQL over the person table or over rows of one other table.

A trigger states facts and conditions; it never loops over customers and never looks at the clock. All conditions of
a trigger are named, so that `explain` can show, one by one, which held for a customer and with which values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from engine.project.billing_settings import Dunning
from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.warehouse.facts import Fact, FactSet
from engine.warehouse.sql import Bindable, Bound, quote

EventName = Annotated[str, AfterValidator(lambda name: name.strip().casefold()), Field(min_length=1)]
"""One event name, folded as names in the data are."""

Survives = Literal["past", "near_date", "opened", "none"]


@dataclass(frozen=True)
class Condition:
    """One thing that must hold, in words and in SQL, with the values worth showing beside it."""

    text: str
    sql: str
    shows: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    """In one word, why a mail that was planned is not sent any more when this no longer holds."""


@dataclass(frozen=True)
class Found:
    """What a trigger finds: the rows it looks at, and how a candidate is made of one.

    `rows` is a FROM clause in which `p` is the person table; further tables are joined to it. The SQL texts may name
    columns of any alias in `rows`. `rests_at` is the instant in the past an occurrence rests on: corrected history
    must not make it new. Facts are worked out only when somebody uses them.
    """

    rows: str
    conditions: tuple[Condition, ...]
    occurrence: str
    anchor: str
    facts: Mapping[str, Callable[[], str]]
    rests_at: str = "CAST(NULL AS TIMESTAMP)"
    repeats: bool = False
    """Whether several rows may share an occurrence; the one with the earliest anchor is the candidate."""


@dataclass(frozen=True)
class Needs:
    """Tables and columns a trigger cannot do without, and those it uses when they are there."""

    required: Mapping[str, Sequence[str]] = field(default_factory=dict)
    optional: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dates: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Instants whose date on the customer's calendar is wanted beside them, as `<column>_on`."""
    cases: bool = False
    """Whether it asks what the state remembers about failed payments: `case_hold`, `case_mail`, `refused_address`."""


class Shared:
    """Relations that several rules look at: each distinct SELECT becomes one table, made before the rules run."""

    def __init__(self) -> None:
        self.tables: dict[str, str] = {}
        """The SELECT of each table, by its name."""

    def __call__(self, select: str) -> str:
        """The name of the table that holds the rows of `select`, which may read `person` and the staged tables."""
        known = (name for name, text in self.tables.items() if text == select)
        name = next(known, f"shared_{len(self.tables)}")
        self.tables[name] = select
        return name


class Lookup:
    """What a trigger may ask for while it writes its SQL."""

    def __init__(
        self, as_of: datetime, bound: Bound, facts: FactSet, shared: Shared, columns: Mapping[str, frozenset[str]],
        number: int = 0, dunning: Dunning | None = None, first_run_at: datetime | None = None,
    ) -> None:  # fmt: skip
        self.as_of, self._bound, self._facts, self.shared = as_of, bound, facts, shared
        self._columns, self.number = columns, number
        self.dunning = dunning or Dunning()
        self.first_run_at = min(first_run_at or as_of, as_of)
        """When this installation first decided anything."""

    @property
    def now(self) -> str:
        """The run's instant."""
        return self._bound(self.as_of)

    def ago(self, window: timedelta) -> str:
        """The instant `window` before the run's, worked out here so that no engine has to."""
        return self._bound(self.as_of - window)

    def bind(self, value: Bindable) -> str:
        """A bound value."""
        return self._bound(value)

    def event(self, fact: Fact) -> str:
        """The column that answers `fact` for the person."""
        return f"p.{self._facts.column(fact)}"

    def customer(self, column: str) -> str:
        """A column of the customer."""
        return f"p.{quote('c_' + column)}"

    def has(self, table: str, *columns: str) -> bool:
        """Whether a table is mapped and has all of these columns."""
        return table in self._columns and self._columns[table].issuperset(columns)

    def columns(self, table: str) -> frozenset[str]:
        """Columns of a mapped table; empty when it is not mapped."""
        return self._columns.get(table, frozenset())

    def column(self, alias: str, table: str, column: str, kind: str) -> str:
        """A column of a joined row, or a typed NULL where the table does not have it."""
        return f"{alias}.{quote(column)}" if self.has(table, column) else f"CAST(NULL AS {kind})"


class Trigger(ABC):
    """One kind of condition. Its class docstring is its manual: what it finds, an example, what to know."""

    name: ClassVar[str]
    params: ClassVar[type[TriggerParams]]
    about: ClassVar[str]
    """What the occurrence is, in a few words for the rule reference."""
    survives: ClassVar[Survives] = "past"
    """How an occurrence outlives corrected data: by its instant in the past, by a date moved a day at most, by its own
    length once it is opened (its text is then a date), or as it is."""
    row_table: ClassVar[str | None] = None
    """The table of the row a candidate is about; all its columns are facts too."""
    scoped: ClassVar[bool] = False
    """Finds only customers in service where subscriptions are mapped, unless the rule says `scope: everyone`."""

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """Names and types of the facts every candidate carries, besides the columns of its row."""
        return {}

    def defaults(self, params: Any) -> RuleDefaults:
        """What a rule gets where it says nothing."""
        return RuleDefaults()

    def row_table_of(self, params: Any) -> str | None:
        """The row's table, for triggers where the parameters choose it."""
        return self.row_table

    def why_gone(self, params: Any, occurrence: str, look: Lookup) -> str | None:
        """SQL over `p` for the reason, in one word, why `occurrence` (SQL) is found no longer; None: nobody asks."""
        return None

    @abstractmethod
    def needs(self, params: Any) -> Needs:
        """Tables and columns it reads."""

    @abstractmethod
    def find(self, params: Any, look: Lookup) -> Found:
        """The SQL that finds candidates."""


def utc_date(instant: str) -> str:
    """SQL for the UTC date of an instant as text: the form instants take in occurrences, frozen for good."""
    return f"strftime({instant}, '%Y-%m-%d')"


def elapsed_days(begin: str, end: str) -> str:
    """SQL for whole 24-hour days between two instants, by plain arithmetic: engines disagree about `days since`."""
    return f"CAST(floor((epoch_us({end}) - epoch_us({begin})) / 86400000000) AS BIGINT)"


def later(instant: str, by: timedelta) -> str:
    """SQL for an instant moved by an exact time."""
    return f"({instant} + to_microseconds({by // timedelta(microseconds=1)}))"


def events_text(names: Sequence[str]) -> str:
    """Event names for a person to read: `login`, `login or export`, `any event`."""
    return " or ".join(names) if names else "any event"


def span_text(window: timedelta) -> str:
    """`30 days`, `36 hours`: a window in the largest unit that divides it."""
    minutes = window // timedelta(minutes=1)
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes % size == 0:
            count = minutes // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{window.total_seconds():g} seconds"
