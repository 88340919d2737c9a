"""A delivery in words: what left, what was stopped at the last moment, what waits for its hour."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from threading import Event, current_thread, main_thread

from engine.api import Project
from engine.cli.command import DONE, SOME_FAILED, STOPPED, UNAVAILABLE
from engine.cli.screen import Meter, Part, Screen
from engine.cli.wording import moment_text, number_of
from engine.clock import utc_now
from engine.delivery import DeliveryReport, Progress, stop_on_signals
from engine.project.settings import Settings
from engine.sending import send_due
from engine.store import Store

_GATE_WORDS = {
    "no_longer_true": "no longer called for when it was their turn",
    "expired": "their time was over",
    "address_changed": "the address is another one now",
    "no_consent": "consent was withdrawn",
    "unsubscribed": "unsubscribed meanwhile",
}


def deliver_with_progress(
    screen: Screen,
    project: Project,
    store: Store,
    clock: Callable[[], datetime] = utc_now,
    planned_at: datetime | None = None,
) -> DeliveryReport:
    """Send what is due; Ctrl-C ends it politely, with the calls under way let finish."""
    tell_test_mode(screen, project.settings)
    with screen.meter() as meter, _stop() as stop:
        if "*" in store.switches.paused():
            screen.warn(("Everything is paused", "yellow"), ": nothing leaves before `holdfast resume`.")
        meter.stage("looking what is due")
        return send_due(project, store, clock=clock, planned_at=planned_at, on_progress=_follow(meter), stop=stop)


def tell_test_mode(screen: Screen, settings: Settings) -> None:
    """Say loudly, on the error stream too, that customers get nothing; and nothing where they do."""
    delivery = settings.delivery
    if not delivery.test_mode:
        return
    rest = f"goes to {delivery.rewrite_to} instead" if delivery.rewrite_to else "is held"
    allowed = ", ".join(delivery.only_to) or "nobody"
    screen.warn(("TEST MODE", "bold red"), f": mail reaches {allowed} only; all other mail {rest}. "
                "delivery.only_to and delivery.rewrite_to in config.yaml say so.")  # fmt: skip


def _stop() -> AbstractContextManager[Event]:
    return stop_on_signals() if current_thread() is main_thread() else nullcontext(Event())


def _follow(meter: Meter) -> Callable[[Progress], None]:
    def tell(now: Progress) -> None:
        words = f"sending: {now.per_s:,.0f} a second"
        meter.part(words + (f", {now.failed:,} failed" if now.failed else ""), now.sent, now.sent + now.waiting)

    return tell


def delivery_document(project: Project, report: DeliveryReport) -> dict[str, object]:
    """sent, failed, stopped (reason to count), waiting, next_due_at, failures, down (channel to why), interrupted,
    test_mode."""
    return {
        "test_mode": project.settings.delivery.test_mode,
        "sent": report.sent, "failed": report.failed, "stopped": dict(report.stopped), "waiting": report.waiting,
        "next_due_at": report.next_due_at, "failures": [vars(failure) for failure in report.failures],
        "down": report.down, "interrupted": report.interrupted,
    }  # fmt: skip


def show_delivery(screen: Screen, project: Project, report: DeliveryReport) -> None:
    """What became of the mails and tasks."""
    tasks = tasks_filed(project, report)
    mails = report.sent - tasks
    parts: list[Part] = [(number_of(mails, "mail") + " sent", "bold green" if mails else "bold")]
    if mails:
        parts.append(f" to {', '.join(_places(project))}")
    if tasks:
        parts.append(f", {number_of(tasks, 'task')} for people")
    for reason, number in report.stopped.most_common():
        parts.append(f"; {number:,} stopped: {_GATE_WORDS.get(reason, reason)}")
    if report.outcomes["retry_wait"]:
        parts.append(f"; {report.outcomes['retry_wait']:,} to be tried again")
    if report.failed:
        parts.append((f"; {report.failed:,} failed", "bold red"))
    screen.say(*parts)
    if report.next_due_at:
        screen.say(f"The next message is due {moment_text(report.next_due_at, project.settings.workspace.timezone)}.")
    _show_failures(screen, report)


def tasks_filed(project: Project, report: DeliveryReport) -> int:
    """How many of what was sent went to people in the company."""
    return sum(number for name, number in report.accepted.items() if not project.settings.reaches_customer(name))


def _show_failures(screen: Screen, report: DeliveryReport) -> None:
    if report.failures:
        screen.title("Failed")
        screen.table(
            ["message", "rule", "customer", "", "why"],
            [(one.message_id, one.rule, one.customer_id, (one.outcome, "red"), one.reason) for one in report.failures],
            indent=2,
        )
    for channel, why in report.down.items():
        screen.say(("! ", "red"), f"channel {channel} was given up: {why}. What was planned stays planned.")
    if report.interrupted:
        screen.say(("! ", "yellow"), "stopped on request; `holdfast deliver` sends the rest")


def _places(project: Project) -> list[str]:
    return [
        f"{project.root / model.path}/" if kind == "outbox_dir" else kind
        for name, kind in project.settings.uses.items()
        if project.settings.reaches_customer(name)
        for model in [project.settings.channels[name]]
    ]


def delivery_code(report: DeliveryReport) -> int:
    """The exit code a delivery deserves."""
    if report.interrupted:
        return STOPPED
    if report.down:
        return UNAVAILABLE
    return SOME_FAILED if report.failed else DONE
