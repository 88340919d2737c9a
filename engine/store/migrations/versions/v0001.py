"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_STANDING = sa.text("closed_by IS NULL")
_OF_ACCOUNT = sa.text("account_id <> ''")
_DUE = sa.text("state IN ('planned', 'retry_wait')")
_LEASED = sa.text("state IN ('claimed', 'sending')")
_WITHDRAWN = sa.text("state = 'cancelled' AND reason = 'withdrawn'")
_NAMED = sa.text("provider_id IS NOT NULL")
_IN_DOUBT = sa.text("state = 'in_doubt'")
_IS_TEST = sa.text("is_test")
_OF_ATTEMPT = sa.text("attempt_id IS NOT NULL")
_ABOUT = sa.text("about IS NOT NULL")


def upgrade() -> None:
    """Every table and index."""
    _billing()
    op.create_table(
        "install",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_install"),
    )
    op.create_table(
        "pause",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("rule", name="pk_pause"),
    )
    op.create_table(
        "snapshot",
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha", name="pk_snapshot"),
    )
    op.create_table(
        "suppression",
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("address_key", "kind", "topic", name="pk_suppression"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.DateTime(), nullable=False),
        sa.Column("horizon", sa.DateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("snapshot_sha", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("newest", sa.Text(), server_default="{}", nullable=False),
        sa.Column("table_rows", sa.Text(), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(["snapshot_sha"], ["snapshot.sha"], name="fk_run_snapshot_sha"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("schedule", "local_date", "n", name="uq_run_schedule_local_date_n"),
    )
    op.create_table(
        "approval",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_approval_run_id"),
        sa.PrimaryKeyConstraint("run_id", "rule", name="pk_approval"),
    )
    op.create_table(
        "decision",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("anchor", sa.DateTime(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(), nullable=False),
        sa.Column("waited_s", _LONG, nullable=False),
        sa.Column("closed_by", sa.Integer(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_decision_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_decision"),
    )
    op.create_index("ix_decision_customer", "decision", ["customer_id"])
    op.create_index(
        "ix_decision_account", "decision", ["account_id"], sqlite_where=_OF_ACCOUNT, postgresql_where=_OF_ACCOUNT
    )
    op.create_index(
        "ix_decision_standing",
        "decision",
        ["rule", "customer_id", "occurrence", "step", "account_id"],
        unique=True,
        sqlite_where=_STANDING,
        postgresql_where=_STANDING,
    )
    op.create_table(
        "exposure",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("address_key", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("exposed_at", sa.DateTime(), nullable=False),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_exposure_run_id"),
        sa.PrimaryKeyConstraint("rule", "customer_id", "occurrence", "step", "account_id", name="pk_exposure"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_exposure_local_date", "exposure", ["local_date"])
    op.create_table(
        "message",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("snapshot_sha", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("not_before", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("values_json", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(), nullable=True),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("resends", sa.Integer(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=True),
        sa.Column("is_test", sa.Boolean(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column(
            "queue",
            sa.Text(),
            sa.Computed(
                "CASE WHEN is_test THEN '2 ' WHEN class = 'marketing' THEN '1 ' ELSE '0 ' END || rule", persisted=True
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_message_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.UniqueConstraint("key", name="uq_message_key"),
    )
    op.create_index("ix_message_customer", "message", ["customer_id"])
    op.create_index("ix_message_due", "message", ["queue", "next_attempt_at"], sqlite_where=_DUE, postgresql_where=_DUE)
    op.create_index("ix_message_leased", "message", ["lease_until"], sqlite_where=_LEASED, postgresql_where=_LEASED)
    op.create_index("ix_message_in_doubt", "message", ["id"], sqlite_where=_IN_DOUBT, postgresql_where=_IN_DOUBT)
    op.create_index("ix_message_test", "message", ["id"], sqlite_where=_IS_TEST, postgresql_where=_IS_TEST)
    op.create_index("ix_message_withdrawn", "message", ["key"], sqlite_where=_WITHDRAWN, postgresql_where=_WITHDRAWN)
    op.create_table(
        "run_count",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_run_count_run_id"),
        sa.PrimaryKeyConstraint("run_id", "rule", "outcome", "reason", name="pk_run_count"),
    )
    op.create_table(
        "settled_step",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.DateTime(), nullable=False),
        sa.Column("anchor", sa.DateTime(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_settled_step_run_id"),
        sa.PrimaryKeyConstraint("rule", "customer_id", "occurrence", "step", "account_id", name="pk_settled_step"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_settled_step_account", "settled_step", ["rule", "account_id"],
        sqlite_where=_OF_ACCOUNT, postgresql_where=_OF_ACCOUNT,
    )  # fmt: skip
    op.create_table(
        "attempt",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("message_id", _LONG, nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_attempt_message_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
    )
    op.create_index("ix_attempt_message", "attempt", ["message_id"])
    op.create_index("ix_attempt_provider", "attempt", ["provider_id"], sqlite_where=_NAMED, postgresql_where=_NAMED)
    op.create_table(
        "inbound_event",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("happened_at", sa.DateTime(), nullable=True),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message_id", _LONG, nullable=True),
        sa.Column("attempt_id", _LONG, nullable=True),
        sa.Column("address_key", sa.Text(), nullable=True),
        sa.Column("about", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_inbound_event"),
        sa.UniqueConstraint("source", "event_id", name="uq_inbound_event_source_event_id"),
    )
    op.create_index("ix_inbound_event_state", "inbound_event", ["source", "state", "id"])
    op.create_index("ix_inbound_event_message", "inbound_event", ["message_id"])
    op.create_index(
        "ix_inbound_event_attempt",
        "inbound_event",
        ["attempt_id"],
        sqlite_where=_OF_ATTEMPT,
        postgresql_where=_OF_ATTEMPT,
    )
    op.create_index("ix_inbound_event_address", "inbound_event", ["address_key"])
    op.create_index("ix_inbound_event_about", "inbound_event", ["about"], sqlite_where=_ABOUT, postgresql_where=_ABOUT)
    op.create_table(
        "link",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_link"),
    )
    op.create_table(
        "click",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("message_id", _LONG, nullable=False),
        sa.Column("link_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("by_scanner", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_click_message_id"),
        sa.ForeignKeyConstraint(["link_id"], ["link.id"], name="fk_click_link_id"),
        sa.PrimaryKeyConstraint("id", name="pk_click"),
    )
    op.create_index("ix_click_message", "click", ["message_id"])
    op.create_table(
        "consent",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consent"),
    )
    op.create_index("ix_consent_address", "consent", ["address_key"])
    op.create_table(
        "task",
        sa.Column("id", _LONG, nullable=False),
        sa.Column("message_key", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("closed_at", sa.DateTime(), nullable=True),
        sa.Column("closing_note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_task"),
        sa.UniqueConstraint("message_key", name="uq_task_message_key"),
    )
    op.create_index("ix_task_customer", "task", ["customer_id"])
    op.create_index("ix_task_state", "task", ["state", "due_on"])


def _billing() -> None:
    """What is known about billing."""
    op.create_table(
        "case_hold",
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("invoice_id", name="pk_case_hold"),
    )
    op.create_table(
        "stripe_customer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=True),
        sa.Column("default_method", sa.Text(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_customer"),
    )
    op.create_table(
        "stripe_subscription",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("interval", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("trial_end", sa.DateTime(), nullable=True),
        sa.Column("current_period_end", sa.DateTime(), nullable=True),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("collection_paused", sa.Boolean(), nullable=True),
        sa.Column("default_method", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_subscription"),
    )
    op.create_index("ix_stripe_subscription_customer", "stripe_subscription", ["customer"])
    op.create_table(
        "stripe_product",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_product"),
    )
    op.create_table(
        "stripe_invoice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("subscription", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("paid_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("paid_at", sa.DateTime(), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(), nullable=True),
        sa.Column("attempt_count", sa.Integer(), nullable=True),
        sa.Column("hosted_invoice_url", sa.Text(), nullable=True),
        sa.Column("billing_reason", sa.Text(), nullable=True),
        sa.Column("collection_method", sa.Text(), nullable=True),
        sa.Column("replaces", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("known_since", sa.DateTime(), nullable=False),
        sa.Column("checked_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_invoice"),
    )
    op.create_index("ix_stripe_invoice_customer", "stripe_invoice", ["customer"])
    op.create_index("ix_stripe_invoice_replaces", "stripe_invoice", ["replaces"])
    op.create_table(
        "stripe_try",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("invoice", sa.Text(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("network_advice_code", sa.Text(), nullable=True),
        sa.Column("advice_code", sa.Text(), nullable=True),
        sa.Column("outcome_reason", sa.Text(), nullable=True),
        sa.Column("decline_code", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("card", sa.Text(), nullable=True),
        sa.Column("last4", sa.Text(), nullable=True),
        sa.Column("card_country", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_try"),
    )
    op.create_index("ix_stripe_try_customer", "stripe_try", ["customer"])
    op.create_index("ix_stripe_try_intent", "stripe_try", ["intent"])
    op.create_index("ix_stripe_try_invoice", "stripe_try", ["invoice"])
    op.create_table(
        "stripe_link",
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("invoice", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("intent", name="pk_stripe_link"),
    )
    op.create_index("ix_stripe_link_invoice", "stripe_link", ["invoice"])
    op.create_table(
        "stripe_method",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("brand", sa.Text(), nullable=True),
        sa.Column("last4", sa.Text(), nullable=True),
        sa.Column("exp_month", sa.Integer(), nullable=True),
        sa.Column("exp_year", sa.Integer(), nullable=True),
        sa.Column("card", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_method"),
    )
    op.create_index("ix_stripe_method_customer", "stripe_method", ["customer"])
    op.create_table(
        "stripe_moment",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_moment"),
    )
    op.create_table(
        "stripe_dispute",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("charge", sa.Text(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("closed_at", sa.DateTime(), nullable=True),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_dispute"),
    )
    op.create_table(
        "stripe_refund",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("charge", sa.Text(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stripe_refund"),
    )
    op.create_table(
        "stripe_question",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "id", name="pk_stripe_question"),
    )
