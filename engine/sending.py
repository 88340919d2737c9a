"""Delivery of one project: its channels opened, its mails rendered as they were when planned, its rules asked again.

Tests go the same way, one at a time, with what the process knows in place of what a run stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from threading import Event

from engine.addresses import Mailbox
from engine.api import Project
from engine.channels import CHANNELS, Place
from engine.clock import new_token, utc_now
from engine.delivery import (
    DeliveryOptions,
    DeliveryReport,
    OpenChannel,
    Parts,
    Progress,
    Recheck,
    Redirection,
    deliver,
    marked,
)
from engine.messages import Mail, Note, Renderer, Templates
from engine.messages.clicks import remembering
from engine.presence import Presence
from engine.preview import Look, looking
from engine.project.settings_values import QuietHours
from engine.recheck import still_true
from engine.store import NewTest, OutboxMessage, OutboxRow, Store, address_key

Render = Callable[[OutboxMessage, datetime], Mail | Note]

_TEST_WAITS = timedelta(minutes=15)
"""Somebody waits for it; what has not left by then, after a crash, never will."""


def send_due(
    project: Project,
    store: Store,
    *,
    clock: Callable[[], datetime] = utc_now,
    planned_at: datetime | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_mail: Callable[[OutboxMessage, Mail], None] = lambda message, mail: None,
    stop: Event | None = None,
) -> DeliveryReport:
    """Send what the outbox holds and is due by `clock` (naive UTC).

    `planned_at`: the instant whose facts have just been planned with; the look at the tables before sending is spared
    while it is fresh. `on_mail` sees every mail that is about to leave. Raises as `deliver` does.
    """
    made = renderer(project, store)
    owners = {name: rule.owner for rule in project.rules for name in (rule.id, *rule.was)}

    def render(message: OutboxMessage, now: datetime) -> Mail | Note:
        if not project.settings.reaches_customer(message.channel):
            note = made.note(message, now)
            return replace(note, assignee=note.assignee or owners.get(message.rule))
        mail = made.render(message, now)
        on_mail(message, mail)
        return mail

    with _at_work(project, store) as note_mail:
        parts = Parts(
            channels=_channels(project, store),
            render=_noted(render, note_mail),
            still_true=still_true(project, store, planned_at),
            quiet_hours=_quiet_hours(project),
            clock=clock,
            redirection=_redirection(project),
        )
        store.tasks.try_again([name for name, kind in project.settings.uses.items() if kind == "task"])
        return deliver(store, parts, _options(project), on_progress=on_progress, stop=stop)


@dataclass(frozen=True)
class TestSent:
    """What became of a test: accepted, refused, suppressed, failed, expired, cancelled, held, paused, in_doubt,
    channel_down or not_sent. `provider_id`: its name with the provider, or the file in the folder."""

    outcome: str
    reason: str
    provider_id: str | None


def send_test(
    project: Project, store: Store, look: Look, address: str, *, clock: Callable[[], datetime] = utc_now
) -> TestSent:
    """Send a mail that was looked at to a canonical address of the project's own people, now or never.

    Through the outbox and the gate, as every mail; no hour is quiet for it, and nobody asks whether it is still true.
    Raises as `deliver` does.
    """
    made, specimen, now = looking(project), look.specimen, clock()  # keeps no links: they may be the customer's own
    secret = project.settings.signing_secret(live=project.live)
    test_id = store.outbox.plan_test(NewTest(
        sha256(f"test {new_token()}".encode()).hexdigest(), look.rule.id, look.step.id, address,
        address_key(secret, address), look.step.channel, specimen.template, project.snapshot_sha, look.rule.class_,
        look.rule.topic, project.settings.workspace.timezone, now, now + _TEST_WAITS,
    ))  # fmt: skip

    def render(message: OutboxMessage, now: datetime) -> Mail:
        # Of whom the values are, stands in this process alone.
        known = message._replace(values_json=specimen.values_json, zone=specimen.zone)
        mail = made.render(known, now)
        return replace(mail, to=Mailbox("", address), subject=marked(mail.subject))

    try:
        with _at_work(project, store) as note_mail:
            parts = Parts(
                channels=_channels(project, store),
                render=_noted(render, note_mail),
                still_true=lambda messages, now: Recheck(),
                quiet_hours=lambda message: None,
                clock=clock,
                redirection=_redirection(project),
            )
            report = deliver(store, parts, _options(project), test_id=test_id)
    finally:
        row = store.outbox.end_test(test_id)
    return _test_sent(row, report, paused="*" in store.switches.paused())


def _test_sent(row: OutboxRow, report: DeliveryReport, *, paused: bool) -> TestSent:
    if row.state not in {"planned", "retry_wait"}:
        return TestSent(row.state, row.reason or row.detail or "", row.provider_id)
    if report.down:
        return TestSent("channel_down", "; ".join(report.down.values()), None)
    if paused:
        return TestSent("paused", "everything is paused; `holdfast resume` lifts it", None)
    held = "; ".join(failure.reason for failure in report.failures)
    return TestSent("held", held, None) if held else TestSent("not_sent", row.detail or "", None)


@contextmanager
def _at_work(project: Project, store: Store) -> Iterator[Callable[[], None]]:
    """Watched over where real people are written to; gives what to call for each mail that leaves."""
    if not project.live:
        yield lambda: None
        return
    presence = Presence(project, store)
    presence.check()
    yield lambda: presence.note(utc_now())
    presence.end(utc_now())


def _noted(render: Render, note_mail: Callable[[], None]) -> Render:
    def noting(message: OutboxMessage, now: datetime) -> Mail | Note:
        content = render(message, now)
        if isinstance(content, Mail):
            note_mail()
        return content

    return noting


def renderer(project: Project, store: Store) -> Renderer:
    """Renders each message with the templates of the snapshot it was planned with."""

    def templates_of(sha: str) -> Templates:
        if sha == project.snapshot_sha:
            return project.templates
        return project.at_snapshot(store.snapshots.load(sha)).templates

    keep_links = remembering(store.links.keep) if project.settings.web.track_clicks else None
    return project.renderer(templates_of, keep_links)


def _channels(project: Project, store: Store) -> dict[str, OpenChannel]:
    """Opened where and as config.yaml says. Only those that reach customers decide what a state belongs to."""
    settings = project.settings
    place = Place(project.root, settings.delivery.timeout_s, store)
    opened = {}
    for name, kind in settings.uses.items():
        channel = CHANNELS[kind]
        session = partial(channel.open, settings.channels[name], place)
        opened[name] = OpenChannel(session, channel.live and channel.reaches_customer, channel.reaches_customer)
    return opened


def _redirection(project: Project) -> Redirection | None:
    delivery = project.settings.delivery
    return Redirection(delivery.only_to, delivery.rewrite_to) if delivery.test_mode else None


def _quiet_hours(project: Project) -> Callable[[OutboxMessage], QuietHours | None]:
    """A rule's own hours; else the workspace's, which hold for marketing."""
    rules = {name: rule for rule in project.rules for name in (rule.id, *rule.was)}

    def hours(message: OutboxMessage) -> QuietHours | None:
        rule = rules.get(message.rule)
        if rule is None or rule.quiet_hours is None:
            return project.settings.quiet_hours if message.class_ == "marketing" else None
        return None if rule.quiet_hours == "off" else rule.quiet_hours

    return hours


def _options(project: Project) -> DeliveryOptions:
    delivery = project.settings.delivery
    return DeliveryOptions(
        concurrency=delivery.concurrency,
        rate_per_s=delivery.rate_per_s,
        timeout_s=delivery.timeout_s,
        recheck_after_s=delivery.recheck_after.elapsed.total_seconds(),
    )
