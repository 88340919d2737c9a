"""Messages with attempts, SendGrid's events about them, and a key to sign requests with."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from engine.inbound.sendgrid_events import SendGridWebhook
from engine.store import Outcome, RawEvent, Start, Store, address_key
from engine.store.tables import attempt, inbound_event, message, suppression

NOW = datetime(2026, 11, 23, 9, 0)
EPOCH = datetime(1970, 1, 1)
SECRET = "secret"
Event = dict[str, Any]


def at(**elapsed: float) -> datetime:
    return NOW + timedelta(**elapsed)


def seconds(moment: datetime) -> int:
    return int((moment - EPOCH).total_seconds())


def plan(store: Store, customers: Iterable[str], **change: object) -> None:
    """One planned message for each customer; `change` replaces columns."""
    with suppress(Exception):
        store.snapshots.save("sha", {})
    run = store.runs.begin("daily", date(2026, 11, 23), NOW, NOW + timedelta(days=1), "sha", NOW)
    rows, settlings, exposures = [], [], []
    rule = str(change.get("rule", "quiet"))
    for customer in customers:
        row = {
            "key": sha256(f"{rule} {customer}".encode()).hexdigest(), "rule": rule, "customer_id": customer,
            "occurrence": "o", "step": "one", "recipient": f"{customer}@example.com",
            "address_key": address_key(SECRET, f"{customer}@example.com"), "channel": "email", "template": "quiet",
            "class": "marketing", "topic": "win-back", "arm": "treated", "zone": "Europe/Berlin", "not_before": NOW,
            "expires_at": None, "values_json": "{}", "account_id": "",
        } | change  # fmt: skip
        rows.append(tuple(row.values()))
        settlings.append((rule, customer, "o", "one", date(2026, 11, 23), "sent", NOW, ""))
        exposures.append((rule, customer, "o", "one", row["address_key"], row["topic"], row["class"], "treated",
                          date(2026, 11, 23), NOW, ""))  # fmt: skip
    store.ledger.write_chunk(run.id, run.cursor + "+", [], settlings, exposures, rows)


def send(
    store: Store,
    results: Mapping[str, str] | None = None,
    now: datetime = NOW,
    rest: str = "accepted",
    named: bool = True,
) -> dict[str, Event]:
    """Attempt all that is due; the custom args of each customer's mail. `results`: customer to result, else `rest`.

    The result `sending` leaves the call under way. `named`: answers carry a provider's id, `id-CUSTOMER`.
    """
    args: dict[str, Event] = {}
    claimed = store.outbox.claim(now, 10_000, "me", 60)
    began = store.outbox.record([], [Start(one.id, one.token) for one in claimed], "me", now, 60).attempts
    outcomes = []
    for one in claimed:
        args[one.customer_id] = {"message": str(one.id), "attempt": str(began[one.id]), "install": store.install.id}
        state = (results or {}).get(one.customer_id, rest)
        if state != "sending":
            name = f"id-{one.customer_id}" if named else None
            outcomes.append(Outcome(one.id, one.token, began[one.id], state, state, name))
    store.outbox.record(outcomes, [], "me", now, 60)
    return args


def event(kind: str, args: Event | None = None, who: str = "ann", **more: object) -> Event:
    """An event as SendGrid posts it."""
    made = {
        "email": f"{who}@example.com", "event": kind, "timestamp": seconds(NOW),
        "sg_message_id": f"id-{who}.filterdrecv-5f54b5d587-pczjm-1-67BADEEA-6.0", **(args or {}), **more,
    }  # fmt: skip
    named = json.dumps(made, sort_keys=True)
    return {"sg_event_id": sha256(named.encode()).hexdigest()[:40]} | made


def keep(store: Store, events: Iterable[Event], received_at: datetime = NOW) -> int:
    """As the endpoint keeps them, without the signature."""
    raw = [
        RawEvent(
            one["sg_event_id"], one["event"], EPOCH + timedelta(seconds=one["timestamp"]), json.dumps(one),
            address_key(SECRET, one["email"]) if one.get("email") else None,
        )
        for one in events
    ]  # fmt: skip
    return store.inbound.keep("sendgrid", raw, received_at).stored


def tell(store: Store, *events: Event) -> None:
    """Keep and apply."""
    keep(store, events)
    store.evidence.apply_all()


def rows(store: Store, *columns: Any) -> list[tuple[Any, ...]]:
    with store._database.read() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0]))]


def messages(store: Store) -> dict[str, tuple[str, str | None]]:
    """Customer to state and fate."""
    found = rows(store, message.c.customer_id, message.c.state, message.c.fate)
    return {customer: (state, fate) for customer, state, fate in found}


def counts(store: Store) -> dict[str, int]:
    """State to SendGrid's events."""
    return {state: number for (source, state), number in store.inbound.counts().items() if source == "sendgrid"}


def suppressions(store: Store) -> set[tuple[str | None, str]]:
    return {
        (address, kind)
        for _, address, kind in rows(store, suppression.c.address_key, suppression.c.address, suppression.c.kind)
    }


def picture(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All that events may change, by customer and without the order in which they came."""
    tables = {
        "messages": (message, (message.c.customer_id, message.c.state, message.c.fate, message.c.reason)),
        "attempts": (attempt.join(message), (message.c.customer_id, attempt.c.result, attempt.c.detail)),
        "suppressions": (suppression, tuple(suppression.c)),
        "events": (
            inbound_event.outerjoin(message, message.c.id == inbound_event.c.message_id),
            (inbound_event.c.event_id, inbound_event.c.state, message.c.customer_id, inbound_event.c.detail),
        ),
    }
    with store._database.read() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(select(*columns).select_from(source))), key=repr)
            for name, (source, columns) in tables.items()
        }


class Received(NamedTuple):
    """What one request held."""

    stored: int
    repeated: int
    quarantined: int


def receive(
    store: Store, body: bytes, signature: str | None, timestamp: str | None, public_keys: Sequence[str], secret: str,
    now: datetime,
) -> Received:  # fmt: skip
    """Read a request of SendGrid's and keep it, as the web does."""
    given = {"signature": signature, "timestamp": timestamp}
    headers = {f"x-twilio-email-event-webhook-{name}": value for name, value in given.items() if value is not None}
    events = SendGridWebhook(public_keys, secret).read(body, headers, now)
    kept = store.inbound.keep("sendgrid", events, now)
    return Received(kept.stored, len(events) - kept.stored - kept.quarantined, kept.quarantined)


class Signer:
    """A key of SendGrid's."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        shown = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key = base64.b64encode(shown).decode()

    def sign(self, body: bytes, moment: datetime = NOW) -> tuple[bytes, str, str]:
        """Body, signature and timestamp, as `receive` takes them."""
        timestamp = str(seconds(moment))
        signature = self._key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return body, base64.b64encode(signature).decode(), timestamp
