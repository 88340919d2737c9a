"""config.yaml: every setting with its default."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from engine.errors import Problem, SetupError, did_you_mean
from engine.project.billing_settings import STRIPE_TABLES, Dunning, Stripe
from engine.project.durations import Duration
from engine.project.faults import Fault
from engine.project.nodes import Node, without
from engine.project.secret import Secret, Url
from engine.project.settings_values import (
    Cap,
    Caps,
    Country,
    Currency,
    Guard,
    GuardOrOff,
    Locale,
    Network,
    NoteSettings,
    PublicUrl,
    QuietHours,
    QuietHoursOrOff,
    Recipient,
    Recipients,
    Sender,
    read_off,
)
from engine.project.types import Id, Line, Number, Share, StrictModel, TimeOfDay, Timeout, Window, Zone
from engine.project.validation import listing, validate

TABLES = (
    "customers", "accounts", "events", "subscriptions", "subscription_changes", "invoices", "payment_failures", "payment_methods",
    "refunds", "disputes", "responses", "tickets",
)  # fmt: skip


def _read_table_name(name: str) -> str:
    if name not in TABLES:
        raise Fault("HF209", f'unknown table "{name}"', listing("expected", TABLES), did_you_mean(name, TABLES))
    return name


def _read_sender_name(name: str) -> str:
    if name not in {"marketing", "service"}:
        expected = "expected marketing or service; legal mail comes from the service sender"
        raise Fault("HF128", f'unknown word "{name}"', expected)
    return name


SenderName = Annotated[str, AfterValidator(_read_sender_name)]
TableName = Annotated[str, AfterValidator(_read_table_name)]
MaxAge = Annotated[Window | None, BeforeValidator(read_off)]
CatchUp = Literal["latest", "each", "none"]
"""After a downtime: one run for the whole gap, one for each date, or none."""
DEFAULT_MAX_AGE: Mapping[str, Duration | None] = {"events": Duration(48, "hours")}
DEFAULT_TOPIC_CAPS: Mapping[str, tuple[Cap, ...]] = {"payment": (Cap(1, 2),)}


class Workspace(StrictModel):
    """The company: its zone decides the local dates of runs and of customers without a zone of their own."""

    name: Line
    timezone: Zone
    locale: Locale = "en"
    currency: Currency = "EUR"
    postal_address: Line | None = None
    public_url: PublicUrl | None = None
    secret: Secret = Secret("${HOLDFAST_SECRET}")


class State(StrictModel):
    """Where the engine remembers. One database belongs to one environment."""

    url: Url = Url("sqlite:///holdfast.db")


class TableSettings(StrictModel):
    """Where one table comes from: a file pattern, a table of the warehouse, a query there, or `source: stripe`.

    `columns` maps our names to theirs. `timezone` is that of instants written without an offset.
    """

    path: Line | None = None
    table: Line | None = None
    query: str | None = None
    source: Literal["stripe", "holdfast"] | None = None
    columns: dict[str, Line] = Field(default_factory=dict)
    timezone: Zone = "UTC"
    duplicates: Literal["none"] | None = None
    shrink: Literal["off"] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> TableSettings:
        given = [key for key in ("path", "table", "query", "source") if getattr(self, key) is not None]
        if len(given) != 1:
            found = f"both {' and '.join(given)}" if given else "a table without a source"
            raise Fault("HF210", found, "expected exactly one of path, table, query and source")
        if self.source == "holdfast":
            raise Fault("HF134", "source: holdfast is not available in this version", "use path, table or query")
        if self.source and (self.columns or self.timezone != "UTC"):
            raise Fault("HF210", "columns or timezone beside source: stripe", "expected source: stripe alone")
        return self


class Warehouse(StrictModel):
    """The company's own tables. `max_age`: how old a table's newest fact may be before its rules are held."""

    url: Url = Url("duckdb://")
    max_age: dict[TableName, MaxAge] = Field(default_factory=lambda: dict(DEFAULT_MAX_AGE))
    tables: dict[TableName, TableSettings] = Field(default_factory=dict)

    @field_validator("max_age")
    @classmethod
    def _keep_default(cls, ages: dict[str, Duration | None]) -> dict[str, Duration]:
        merged = {**DEFAULT_MAX_AGE, **ages}
        return {table: age for table, age in merged.items() if age is not None}

    @field_validator("tables")
    @classmethod
    def _need_customers(cls, tables: dict[str, TableSettings]) -> dict[str, TableSettings]:
        if "customers" not in tables:
            raise Fault("HF217", "the customers table is not mapped", "expected customers: {path: …}")
        for name, table in tables.items():
            if table.source == "stripe" and name not in STRIPE_TABLES:
                raise Fault("HF210", f"Stripe has no {name}", listing("expected source: stripe for", STRIPE_TABLES))
        return tables


class CapSettings(StrictModel):
    """How many messages one address may get. `all` stops marketing, a topic's caps stop every class on that topic."""

    all: Caps = (Cap(1, 1), Cap(2, 7), Cap(4, 30))
    topics: dict[Id, Caps] = Field(default_factory=lambda: dict(DEFAULT_TOPIC_CAPS))


class Holdout(StrictModel):
    """The share of all customers no marketing rule writes to."""

    global_: Share = Field(default=0.0, alias="global")
    salt: Secret = Secret("${HOLDFAST_SECRET}")


class Consent(StrictModel):
    """Countries whose customers get marketing only with proof of consent."""

    require_in: tuple[Country, ...] = ()


class Delivery(StrictModel):
    """How fast messages leave. `recheck_after`: how long a plan counts as fresh.

    With `only_to` (addresses, or @domain) or `rewrite_to` everything is a test: mail to anybody else goes to the address
    of `rewrite_to`, or not at all.
    """

    concurrency: int = Field(default=16, ge=1, le=256)
    rate_per_s: Annotated[Number, Field(gt=0, le=10_000)] = 50.0
    timeout: Timeout = Duration(10, "seconds")
    recheck_after: Window = Duration(5, "minutes")
    only_to: Recipients = ()
    rewrite_to: Recipient | None = None

    @property
    def test_mode(self) -> bool:
        """Whether mail goes to testers only."""
        return bool(self.only_to) or self.rewrite_to is not None

    @property
    def timeout_s(self) -> float:
        """Seconds a provider may take to answer."""
        return self.timeout.elapsed.total_seconds()


class Retention(StrictModel):
    """How long records are kept that nothing depends on."""

    decisions: Window = Duration(400, "days")
    raw_events: Window = Duration(30, "days")


class Web(StrictModel):
    """The public pages. `trusted_proxies`: whose word about a visitor's address is taken. `topics`: names by language."""

    host: Line = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65_535)
    trusted_proxies: tuple[Network, ...] = ()
    metrics_token: Secret | None = None
    track_clicks: bool = False
    topics: dict[Id, dict[Locale, Line]] = Field(default_factory=dict)


class Settings(StrictModel):
    """All of config.yaml. `channels` holds the model of each channel's own kind."""

    workspace: Workspace
    state: State = State()
    warehouse: Warehouse
    schedules: dict[Id, TimeOfDay] = Field(default_factory=lambda: {"daily": time(9)}, min_length=1)
    catch_up: CatchUp = "latest"
    send_at: TimeOfDay | None = None
    quiet_hours: QuietHoursOrOff = QuietHours(time(21), time(8))
    caps: CapSettings = CapSettings()
    holdout: Holdout = Holdout()
    guard: GuardOrOff = Guard()
    consent: Consent = Consent()
    channels: dict[str, Any] = Field(default_factory=dict)
    _uses: dict[str, str] = PrivateAttr(default_factory=dict)
    sender: dict[SenderName, Sender] = Field(default_factory=dict)
    delivery: Delivery = Delivery()
    retention: Retention = Retention()
    web: Web = Web()
    stripe: Stripe = Stripe()
    dunning: Dunning = Dunning()

    @property
    def from_stripe(self) -> frozenset[str]:
        """Tables kept from Stripe in the state."""
        return frozenset(name for name, table in self.warehouse.tables.items() if table.source == "stripe")

    @property
    def uses(self) -> Mapping[str, str]:
        """Each channel's kind, the word after `use:`, by the channel's name."""
        return self._uses

    def reaches_customer(self, channel: str) -> bool:
        """Whether what goes through this channel is read by the customer it is about."""
        return not isinstance(self.channels.get(channel), NoteSettings)

    def signing_secret(self, *, live: bool) -> str:
        """What links are signed with. Unless `live`, a fixed value stands in for a variable that is not set."""
        return self._secret_or_stand_in(self.workspace.secret, live)

    def salt(self, *, live: bool) -> str:
        """What holdouts and variants are drawn with. Unless `live`, as `signing_secret`."""
        return self._secret_or_stand_in(self.holdout.salt, live)

    def _secret_or_stand_in(self, secret: Secret, live: bool) -> str:
        if live or secret.is_set:
            return secret.reveal()
        return hashlib.sha256(f"for trying out, never for real mail: {self.workspace.name}".encode()).hexdigest()


def read_settings(node: Node, path: str, kinds: Mapping[str, type[BaseModel]], root: Path) -> Settings:
    """The settings of a parsed config.yaml. Raises `SetupError` with every problem.

    `kinds`: the models of channels' keys, by the word after `use:`. Without `channels`, e-mail goes to a folder.
    """
    problems: list[Problem] = []
    channels, uses = _read_channels(node, path, kinds, root, problems)
    try:
        settings = validate(Settings, without(node, "channels"), path, {"root": root})
    except SetupError as error:
        raise SetupError([*problems, *error.problems]) from None
    if problems:
        raise SetupError(problems)
    settings = settings.model_copy(update={"channels": channels})
    settings._uses.update(uses)
    return settings


def _read_channels(
    node: Node, path: str, kinds: Mapping[str, type[BaseModel]], root: Path, problems: list[Problem]
) -> tuple[dict[str, BaseModel], dict[str, str]]:
    written = node.value.get("channels") if isinstance(node.value, dict) else None
    if written is None:
        default = kinds.get("outbox_dir")
        written_out = {"email": default.model_validate({"path": "outbox"})} if default else {}
        return _with_tasks(written_out, dict.fromkeys(written_out, "outbox_dir"), kinds)
    models: dict[str, BaseModel] = {}
    uses: dict[str, str] = {}
    for name, channel in (written.value if isinstance(written.value, dict) else {"": written}).items():
        try:
            uses[name], model = _kind(channel, path, kinds)
            models[name] = validate(model, without(channel, "use"), path, {"root": root})
        except SetupError as error:
            problems += error.problems
    return _with_tasks(models, uses, kinds)


def _with_tasks(
    models: dict[str, BaseModel], uses: dict[str, str], kinds: Mapping[str, type[BaseModel]]
) -> tuple[dict[str, BaseModel], dict[str, str]]:
    """With a channel `task` besides: it needs nothing that could be set, so a step may name it at once."""
    kind = kinds.get("task")
    if kind is None or "task" in models:
        return models, uses
    return {**models, "task": kind()}, {**uses, "task": "task"}


def _kind(channel: Node, path: str, kinds: Mapping[str, type[BaseModel]]) -> tuple[str, type[BaseModel]]:
    use = channel.value.get("use") if isinstance(channel.value, dict) else None
    if use is None or not isinstance(use.value, str):
        raise SetupError(Problem(path, *channel.place, "HF121", 'the key "use" is missing', listing("expected", kinds)))
    if use.value not in kinds:
        found, suggestion = f'unknown kind of channel "{use.value}"', did_you_mean(use.value, kinds)
        raise SetupError(Problem(path, *use.place, "HF205", found, listing("expected", kinds), suggestion))
    return use.value, kinds[use.value]
