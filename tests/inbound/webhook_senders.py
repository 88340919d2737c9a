"""Who posts to our webhooks: for each plug-in what config.yaml says about it, and requests as its provider makes them."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from inbound_world import NOW, Signer, event, seconds

Headers = dict[str, str]
_KEY, _OTHER_KEY = Signer(), Signer()
STRIPE_SECRET = "whsec_ours"


@dataclass(frozen=True)
class WebhookSender:
    """`sign` and `forge` make the headers of a body at an instant, with the agreed secret and with another."""

    name: str
    config: str
    variables: Mapping[str, str]
    sign: Callable[[bytes, datetime], Headers]
    forge: Callable[[bytes, datetime], Headers]
    #: A body with one event of this number.
    body: Callable[[int], bytes]
    #: How old and how far ahead a signature may be.
    oldest: timedelta
    newest: timedelta


def stripe_headers(body: bytes, moment: datetime = NOW, secret: str = STRIPE_SECRET) -> Headers:
    stamp = seconds(moment)
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={signature}"}


def stripe_event(number: int = 1, kind: str = "invoice.paid", **change: object) -> dict[str, object]:
    return {
        "id": f"evt_{number}", "object": "event", "type": kind, "created": seconds(NOW), "livemode": True,
        "api_version": "2026-10-28.endive", "data": {"object": {"object": "invoice", "customer": "cus_1"}},
    } | change  # fmt: skip


def _sendgrid_headers(key: Signer) -> Callable[[bytes, datetime], Headers]:
    def headers(body: bytes, moment: datetime) -> Headers:
        _, signature, timestamp = key.sign(body, moment)
        name = "x-twilio-email-event-webhook-"
        return {f"{name}signature": signature, f"{name}timestamp": timestamp}

    return headers


def _crm_headers(secret: str) -> Callable[[bytes, datetime], Headers]:
    def headers(body: bytes, moment: datetime) -> Headers:
        stamp = str(seconds(moment))
        signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, sha256).hexdigest()
        return {"holdfast-timestamp": stamp, "holdfast-signature": signature}

    return headers


SENDERS = (
    WebhookSender(
        name="sendgrid",
        config='channels: {email: {use: sendgrid, api_key: "${API_KEY}", events_key: "${EVENTS_KEY}"}}\n',
        variables={"API_KEY": "key", "EVENTS_KEY": _KEY.public_key, "HOLDFAST_SECRET": "secret"},
        sign=_sendgrid_headers(_KEY),
        forge=_sendgrid_headers(_OTHER_KEY),
        body=lambda number: json.dumps([event("open", number=number)]).encode(),
        oldest=timedelta(hours=48),
        newest=timedelta(minutes=10),
    ),
    WebhookSender(
        name="stripe",
        config='stripe: {webhook_secret: "${STRIPE_SECRET}"}\n',
        variables={"STRIPE_SECRET": STRIPE_SECRET},
        sign=stripe_headers,
        forge=lambda body, moment: stripe_headers(body, moment, "whsec_theirs"),
        body=lambda number: json.dumps(stripe_event(number)).encode(),
        oldest=timedelta(seconds=300),
        newest=timedelta(seconds=300),
    ),
    # The example of docs/plug-ins.md.
    WebhookSender(
        name="crm",
        config='channels: {email: {use: outbox_dir}, crm: {use: webhook, url: "https://crm.example.com", secret: "${CRM}"}}\n',
        variables={"CRM": "ours", "HOLDFAST_SECRET": "secret"},
        sign=_crm_headers("ours"),
        forge=_crm_headers("theirs"),
        body=lambda number: json.dumps({"id": str(number), "kind": "called", "customer_id": "ann"}).encode(),
        oldest=timedelta(minutes=5),
        newest=timedelta(minutes=5),
    ),
)
