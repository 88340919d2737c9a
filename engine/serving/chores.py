"""What the worker does beside sending, each at its own pace. Doing any of it twice, or on two hosts, changes nothing."""

from __future__ import annotations

from datetime import datetime

from engine.api import Project
from engine.billing import catch_up
from engine.inbound import Pulled, pull, reconcile
from engine.privacy import DataProtection, prune
from engine.serving.journal import Journal
from engine.serving.watched import Watched
from engine.serving.worker import Chore
from engine.store import Store

APPLY_EVERY_S = HEAR_EVERY_S = 5.0
RECONCILE_EVERY_S = 60.0
PULL_EVERY_S = PRUNE_EVERY_S = 24 * 3600.0


def chores(watched: Watched, store: Store, journal: Journal) -> dict[str, tuple[float, Chore]]:
    """Name to (seconds between two times, what to do)."""

    def apply(_now: datetime) -> None:
        applied = store.evidence.apply_all()
        if applied.events:
            journal.say("events_applied", events=applied.events, orphans=applied.orphans, suppressed=applied.suppressed)

    def hear_stripe(now: datetime) -> None:
        if applied := catch_up(watched.project().settings, store, now):
            journal.say("stripe_events_applied", events=applied)

    def settle_doubts(now: datetime) -> None:
        done = reconcile(store, now)
        if done.accepted or done.resent or done.unknown:
            journal.say("doubts_settled", accepted=done.accepted, resent=done.resent, unknown=done.unknown)

    def pull_lists(now: datetime) -> None:
        for channel, pulled in pull_all(watched.project(), store, now).items():
            journal.say("lists_pulled", channel=channel, added=pulled.added, only_ours=pulled.only_ours)

    def forget(now: datetime) -> None:
        project = watched.project()
        resumed = DataProtection(project.settings, project.root, store).resume(now)
        pruned = prune(store, project.settings, now)
        journal.say(
            "pruned", decisions=pruned.decisions, raw_events=pruned.raw_events, emptied=pruned.emptied,
            erased_late=sum(resumed.rows.values()),
        )  # fmt: skip

    return {
        "apply events": (APPLY_EVERY_S, apply),
        "hear Stripe": (HEAR_EVERY_S, hear_stripe),
        "settle doubts": (RECONCILE_EVERY_S, settle_doubts),
        "pull suppression lists": (PULL_EVERY_S, pull_lists),
        "prune": (PRUNE_EVERY_S, forget),
    }


def pull_all(project: Project, store: Store, now: datetime) -> dict[str, Pulled]:
    """The suppression lists of every SendGrid account the project uses, by channel."""
    settings = project.settings
    secret = settings.signing_secret(live=project.live)
    return {
        name: pull(store, settings.channels[name], secret, now)
        for name, kind in settings.uses.items() if kind == "sendgrid"
    }  # fmt: skip
