"""The tables of the state, one set for SQLite and PostgreSQL.

Instants are naive UTC with microseconds: fixed-width text on SQLite, `timestamp` without zone on PostgreSQL,
so that text order is time order and no server setting can move a value. Identities that a key needs
(occurrence, step, topic of a suppression) are '' where there is none, never NULL: a unique key does not see NULLs.

A change here needs a migration in `migrations/versions` and a new `schema.HEAD`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A naive UTC instant; an aware value is converted on the way in."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Naive UTC, whatever zone the value carries."""
        return value.astimezone(UTC).replace(tzinfo=None) if value is not None and value.tzinfo else value


# Only INTEGER PRIMARY KEY numbers itself on SQLite, where it has 64 bits anyway.
Long = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

# One row per name: the install's id, and the kind of environment it has delivered to.
install = Table(
    "install",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("sha", Text, primary_key=True),
    Column("files", Text, nullable=False),  # JSON: relative path -> text
)

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("local_date", Date, nullable=False),
    Column("n", Integer, nullable=False),
    Column("as_of", UtcDateTime, nullable=False),
    Column("horizon", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),  # planning, finished
    Column("snapshot_sha", Text, ForeignKey("snapshot.sha"), nullable=False),
    Column("cursor", Text, nullable=False),  # the last customer whose rows are all written
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("newest", Text, nullable=False, server_default="{}"),  # JSON: table -> newest fact
    Column("table_rows", Text, nullable=False, server_default="{}"),  # JSON: table -> rows
    UniqueConstraint("schedule", "local_date", "n"),
)

run_count = Table(
    "run_count",
    metadata,
    Column("run_id", Integer, ForeignKey("run.id"), primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("n", Integer, nullable=False),
)

approval = Table(
    "approval",
    metadata,
    Column("run_id", Integer, ForeignKey("run.id"), primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

pause = Table(
    "pause",
    metadata,
    Column("rule", Text, primary_key=True),  # or '*': everything
    Column("at", UtcDateTime, nullable=False),
)

# Append-only. A decision stands until `closed_by` names the run that replaced it; the last one of a candidate that
# vanished is born closed. So the standing ones are bounded by what is present, and a run that is continued after a
# crash can still see what stood before it began.
#
# `account_id` here and below: the subject of a rule about accounts, whose recipient the customer is. '' in rules about
# customers; and the customer is '' where the account has nobody to write to.
STANDING = text("closed_by IS NULL")
OF_ACCOUNT = text("account_id <> ''")
decision = Table(
    "decision",
    metadata,
    Column("id", Long, primary_key=True),
    Column("run_id", Integer, ForeignKey("run.id"), nullable=False),
    Column("rule", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("occurrence", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("anchor", UtcDateTime),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("waited_s", Long, nullable=False),
    Column("closed_by", Integer),
    Column("account_id", Text, nullable=False),
    Index(
        "ix_decision_standing",
        "rule",
        "customer_id",
        "occurrence",
        "step",
        "account_id",
        unique=True,
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    ),
    Index("ix_decision_customer", "customer_id"),
    Index("ix_decision_account", "account_id", sqlite_where=OF_ACCOUNT, postgresql_where=OF_ACCOUNT),
)

# The engine's memory: ids and dates only, never purged.
settled_step = Table(
    "settled_step",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("occurrence", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("local_date", Date, nullable=False),
    Column("how", Text, nullable=False),  # sent, held_out, skipped, superseded, stopped
    Column("settled_at", UtcDateTime, nullable=False),
    Column("anchor", UtcDateTime),
    Column("run_id", Integer, ForeignKey("run.id"), nullable=False),
    Index("ix_settled_step_account", "rule", "account_id", sqlite_where=OF_ACCOUNT, postgresql_where=OF_ACCOUNT),
    sqlite_with_rowid=False,
)

exposure = Table(
    "exposure",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("occurrence", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("address_key", Text),
    Column("topic", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("local_date", Date, nullable=False),
    Column("exposed_at", UtcDateTime, nullable=False),
    Column("counts", Boolean, nullable=False),
    Column("run_id", Integer, ForeignKey("run.id"), nullable=False),
    Index("ix_exposure_local_date", "local_date"),
    sqlite_with_rowid=False,
)

# These predicates are repeated word for word in the queries, or the partial indexes would not be used.
DUE = text("state IN ('planned', 'retry_wait')")
LEASED = text("state IN ('claimed', 'sending')")
WITHDRAWN = text("state = 'cancelled' AND reason = 'withdrawn'")
IN_DOUBT = text("state = 'in_doubt'")
IS_TEST = text("is_test")
message = Table(
    "message",
    metadata,
    Column("id", Long, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("run_id", Integer, ForeignKey("run.id")),  # NULL for tests: no run has planned them
    Column("rule", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("occurrence", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("address_key", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("snapshot_sha", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("zone", Text, nullable=False),  # the customer's IANA zone
    Column("not_before", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("values_json", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),  # why it was stopped
    Column("attempts", Integer, nullable=False),  # those that count towards giving up
    Column("next_attempt_at", UtcDateTime, nullable=False),  # not_before at first
    Column("owner", Text),
    Column("token", Integer, nullable=False),  # fencing: grows with each claim
    Column("lease_until", UtcDateTime),
    Column("deaths", Integer, nullable=False),  # workers that died while they prepared it
    Column("resends", Integer, nullable=False),  # times it was sent again without knowing what became of it
    Column("fate", Text),  # what the provider's events say became of it; see `evidence.py`
    Column("is_test", Boolean, nullable=False),  # of no customer, and counted nowhere; see `outbox_tests.py`
    Column("account_id", Text, nullable=False),
    # Service and legal mail leaves first; among equals the rules take turns. A digit, a blank, the rule. Deliveries
    # take from 0 and 1; a test leaves only by the hand of whoever asked for it.
    Column(
        "queue",
        Text,
        Computed(
            "CASE WHEN is_test THEN '2 ' WHEN class = 'marketing' THEN '1 ' ELSE '0 ' END || rule", persisted=True
        ),
        nullable=False,
    ),
    Index("ix_message_due", "queue", "next_attempt_at", sqlite_where=DUE, postgresql_where=DUE),
    Index("ix_message_leased", "lease_until", sqlite_where=LEASED, postgresql_where=LEASED),
    Index("ix_message_withdrawn", "key", sqlite_where=WITHDRAWN, postgresql_where=WITHDRAWN),
    Index("ix_message_in_doubt", "id", sqlite_where=IN_DOUBT, postgresql_where=IN_DOUBT),
    Index("ix_message_test", "id", sqlite_where=IS_TEST, postgresql_where=IS_TEST),
    Index("ix_message_customer", "customer_id"),
)

NAMED = text("provider_id IS NOT NULL")
OF_ATTEMPT = text("attempt_id IS NOT NULL")
ABOUT = text("about IS NOT NULL")
attempt = Table(
    "attempt",
    metadata,
    Column("id", Long, primary_key=True),
    Column("message_id", Long, ForeignKey("message.id"), nullable=False),
    Column("token", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("result", Text),  # NULL while the call is under way
    Column("provider_id", Text),
    Column("detail", Text),
    Index("ix_attempt_message", "message_id"),
    Index("ix_attempt_provider", "provider_id", sqlite_where=NAMED, postgresql_where=NAMED),
)

# What providers tell us, word for word, before it means anything. Purged after `retention.raw_events`.
inbound_event = Table(
    "inbound_event",
    metadata,
    Column("id", Long, primary_key=True),
    Column("source", Text, nullable=False),  # sendgrid, stripe
    Column("event_id", Text, nullable=False),  # theirs
    Column("kind", Text, nullable=False),  # their word for what happened
    Column("happened_at", UtcDateTime),
    Column("received_at", UtcDateTime, nullable=False),
    Column("body", Text, nullable=False),  # JSON; '' once erased
    Column("state", Text, nullable=False),  # new, applied, orphan, ignored, quarantined
    Column("message_id", Long),
    Column("attempt_id", Long),
    Column("address_key", Text),
    Column("about", Text),  # their id of the customer
    Column("detail", Text),
    UniqueConstraint("source", "event_id"),
    Index("ix_inbound_event_state", "source", "state", "id"),  # finds what waits, and counts without reading bodies
    Index("ix_inbound_event_message", "message_id"),
    Index("ix_inbound_event_attempt", "attempt_id", sqlite_where=OF_ATTEMPT, postgresql_where=OF_ATTEMPT),
    Index("ix_inbound_event_address", "address_key"),
    Index("ix_inbound_event_about", "about", sqlite_where=ABOUT, postgresql_where=ABOUT),
)

# Where links in mails may lead: nowhere else.
link = Table(
    "link",
    metadata,
    Column("id", Text, primary_key=True),  # the beginning of the address's SHA-256
    Column("url", Text, nullable=False),
)

click = Table(
    "click",
    metadata,
    Column("id", Long, primary_key=True),
    Column("message_id", Long, ForeignKey("message.id"), nullable=False),
    Column("link_id", Text, ForeignKey("link.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("by_scanner", Boolean, nullable=False),
    Index("ix_click_message", "message_id"),
)

# Proof of consent given or withdrawn through us. Append-only; erasure takes the address and leaves the key.
consent = Table(
    "consent",
    metadata,
    Column("id", Long, primary_key=True),
    Column("address_key", Text, nullable=False),
    Column("address", Text),
    Column("topic", Text, nullable=False),  # '' = all topics
    Column("given", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("source", Text, nullable=False),
    Column("wording", Text, nullable=False),  # what the person read when pressing the button
    Index("ix_consent_address", "address_key"),
)

# What people should do. The unique key makes delivering one twice harmless.
task = Table(
    "task",
    metadata,
    Column("id", Long, primary_key=True),
    Column("message_key", Text, nullable=False, unique=True),
    Column("rule", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("occurrence", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("assignee", Text),
    Column("due_on", Date),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),  # the suggested words
    Column("context", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),  # open, done, dropped
    Column("created_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("closing_note", Text),
    Index("ix_task_customer", "customer_id"),
    Index("ix_task_state", "state", "due_on"),
)

suppression = Table(
    "suppression",
    metadata,
    Column("address_key", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("topic", Text, primary_key=True),  # '' = all topics
    Column("address", Text),
    Column("until", Date),
    Column("source", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
