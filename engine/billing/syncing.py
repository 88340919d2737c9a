"""`holdfast stripe sync`: everything read by listing, to begin with and to repair what webhooks missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from engine.billing.applying import Findings, apply_stripe_events
from engine.billing.asking import ask_open_questions
from engine.billing.stripe_api import StripeApi
from engine.billing.stripe_objects import Object, of_object
from engine.inbound.stripe_events import StripeWebhook
from engine.project.settings import Settings
from engine.store import Store

EVENTS_KEPT = timedelta(days=30)
"""How far back Stripe lists events."""

DEFAULT_SINCE = timedelta(days=92)
"""How far back paid invoices and refunds are read; what is open is read whatever its age."""

Progress = Callable[[str, int], None]
"""(what is being read, objects read of it)."""


@dataclass
class Synced:
    """What was read, by name; events among it that were new here; questions that could not be answered yet."""

    read: dict[str, int] = field(default_factory=dict)
    new_events: int = 0
    unanswered: int = 0
    problem: str = ""


def sync(
    settings: Settings, store: Store, now: datetime, since: datetime | None = None,
    progress: Progress = lambda what, count: None,
) -> Synced:  # fmt: skip
    """Read what Stripe lists and keep it. Safe at any time and as often as one likes: nothing older overwrites.

    Raises UnavailableError or SetupError as StripeApi does; what was read until then is kept.
    """
    api, done = StripeApi(settings.stripe), Synced()
    since = since or now - DEFAULT_SINCE
    after: dict[str, object] = {"created": {"gte": _seconds(since)}}
    # Events first: they tell of failures that the objects themselves have forgotten.
    done.new_events = _events(api, settings, store, now, done, progress)
    lists: tuple[tuple[str, str, dict[str, object]], ...] = (
        ("customers", "customers", {"expand": ["data.invoice_settings.default_payment_method"]}),
        ("products", "products", {}),
        ("subscriptions", "subscriptions", {"status": "all", "expand": ["data.default_payment_method"]}),
        ("open invoices", "invoices", {"status": "open"}),
        ("invoices", "invoices", after),
        ("disputes", "disputes", {"expand": ["data.charge"]}),
        ("early fraud warnings", "radar.early_fraud_warnings", {"expand": ["data.charge"]}),
        ("refunds", "refunds", {**after, "expand": ["data.charge"]}),
    )
    for name, what, params in lists:
        done.read[name] = 0
        for page in api.pages(what, params):
            findings = Findings()
            for thing in page.objects:
                findings.add(of_object(thing, page.at))
            asked = [("invoice", str(thing["id"])) for thing in page.objects if _has_failed(thing)]
            store.billing.take_in(findings.rows, findings.links, [*findings.questions, *asked], now)
            done.read[name] += len(page.objects)
            progress(name, done.read[name])
    _ask_everything(api, store, now, done, progress)
    return done


def _events(api: StripeApi, settings: Settings, store: Store, now: datetime, done: Synced, progress: Progress) -> int:
    """Events of the last 30 days, as if they came by webhook; how many were new."""
    webhook = StripeWebhook.from_settings(settings, live=True)
    new, done.read["events"] = 0, 0
    for page in api.pages("events", {"created": {"gte": _seconds(now - EVENTS_KEPT)}}):
        new += store.inbound.keep(
            "stripe", [webhook.raw(event, json.dumps(event), now) for event in page.objects], now
        ).stored
        done.read["events"] += len(page.objects)
        progress("events", done.read["events"])
    apply_stripe_events(store)
    return new


def _has_failed(thing: Object) -> bool:
    """Whether it is worth asking why: an open invoice that was tried."""
    return thing.get("object") == "invoice" and thing.get("status") == "open" and bool(thing.get("attempt_count"))


def _ask_everything(api: StripeApi, store: Store, now: datetime, done: Synced, progress: Progress) -> None:
    done.read["payments"] = 0
    # Whatever was put off is due later than `now`, so this ends.
    while (asked := ask_open_questions(api, store, now)).questions:
        done.read["payments"] += asked.answered
        done.problem = asked.problem or done.problem
        progress("payments", done.read["payments"])
    done.unanswered = store.billing.open_questions()


def _seconds(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp())
