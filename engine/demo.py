"""The sample company's days: each morning a run, then the mail leaves as the day goes round the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from engine.api import Project
from engine.delivery import DeliveryReport
from engine.messages import Mail
from engine.pipeline import Plan
from engine.run import RunReport, daily_run
from engine.sending import send_due
from engine.store import OutboxMessage, Store

DELIVER_AFTER = (timedelta(0), timedelta(hours=9), timedelta(hours=19))
"""With the run, when the Americas are awake, and when Asia and New Zealand are: nobody is written to at night."""

_TELLING = ("outranked", "blocked_by", "no_consent")
"""Reasons worth an example, the most telling first."""


@dataclass(frozen=True)
class Sent:
    """One mail that left."""

    rule: str
    customer_id: str
    subject: str
    recipient: str
    file: str


@dataclass
class Day:
    """One date: its run, its deliveries, and the mails that left."""

    date: date
    run: RunReport
    deliveries: list[DeliveryReport] = field(default_factory=list)
    mails: list[Sent] = field(default_factory=list)

    @property
    def stopped(self) -> int:
        """Mails that were planned and stopped at the last moment."""
        return sum(sum(report.stopped.values()) for report in self.deliveries)


def live_one_day(
    project: Project, store: Store, day: date, *, progress: Callable[[str], None] = lambda text: None
) -> Day:
    """Run the default schedule for `day` and deliver until the next morning, by the clock of that day."""
    morning = project.instant(day)
    lived = Day(day, daily_run(project, store, project.default_schedule, day, morning, morning, progress=progress))
    for later in DELIVER_AFTER:
        progress("delivering")
        at = morning + later
        lived.deliveries.append(_deliver(project, store, at, morning, lived))
    return lived


def _deliver(project: Project, store: Store, at: datetime, planned_at: datetime, lived: Day) -> DeliveryReport:
    def note(message: OutboxMessage, mail: Mail) -> None:
        file = f"{mail.message_key[:40]}.eml"  # as the folder names it
        lived.mails.append(Sent(message.rule, message.customer_id, mail.subject, mail.to.address, file))

    return send_due(project, store, clock=lambda: at, planned_at=planned_at, on_mail=note)


def telling_customer(plan: Plan) -> str | None:
    """A customer whose explanation is worth reading: somebody several rules found and who gets one mail at most."""
    reasons = ", ".join(f"'{reason}'" for reason in _TELLING)
    rows = plan.db.execute(
        "SELECT p.customer_id FROM decision AS d JOIN person AS p USING (cust) GROUP BY 1 "
        f"HAVING count(*) FILTER (WHERE d.reason IN ({reasons})) > 0 "
        f"ORDER BY min(list_position([{reasons}], CAST(d.reason AS VARCHAR))), count(DISTINCT d.rule_no) DESC, 1 "
        "LIMIT 1"
    ).fetchall()
    return str(rows[0][0]) if rows else None


def examples(mails: Sequence[Sent]) -> dict[str, tuple[int, Sent]]:
    """By rule: how many mails, and the first of them."""
    found: dict[str, tuple[int, Sent]] = {}
    for mail in mails:
        number, first = found.get(mail.rule, (0, mail))
        found[mail.rule] = (number + 1, first)
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))
