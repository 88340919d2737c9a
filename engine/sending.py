"""Delivery of one project: its channels opened, its mails rendered as they were when planned, its rules asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from threading import Event

from engine.api import Project
from engine.channels import CHANNELS, Place
from engine.clock import utc_now
from engine.delivery import DeliveryOptions, DeliveryReport, OpenChannel, Parts, Progress, Redirection, deliver
from engine.messages import Mail, Note, Renderer, Templates
from engine.messages.clicks import remembering
from engine.presence import Presence
from engine.project.settings_values import QuietHours
from engine.recheck import still_true
from engine.store import OutboxMessage, Store


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
    presence = Presence(project, store) if project.live else None
    if presence:
        presence.check()
    owners = {name: rule.owner for rule in project.rules for name in (rule.id, *rule.was)}

    def render(message: OutboxMessage, now: datetime) -> Mail | Note:
        if not project.settings.reaches_customer(message.channel):
            note = made.note(message, now)
            return replace(note, assignee=note.assignee or owners.get(message.rule))
        mail = made.render(message, now)
        if presence:
            presence.note(utc_now())
        on_mail(message, mail)
        return mail

    parts = Parts(
        channels=_channels(project, store),
        render=render,
        still_true=still_true(project, store, planned_at),
        quiet_hours=_quiet_hours(project),
        clock=clock,
        redirection=_redirection(project),
    )
    store.tasks.try_again([name for name, kind in project.settings.uses.items() if kind == "task"])
    report = deliver(store, parts, _options(project), on_progress=on_progress, stop=stop)
    if presence:
        presence.end(utc_now())
    return report


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
