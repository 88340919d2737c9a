"""`status`: how things stand."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cli.command import command
from engine.cli.opening import open_settings, open_state
from engine.cli.screen import Screen
from engine.cli.sent import tell_test_mode
from engine.cli.wording import ago, day_text, moment_text, number_of
from engine.clock import utc_now
from engine.store import DoubtRow, Store
from engine.store.lookup import Held, Status

_STATE_WORDS = {
    "planned": "waiting for its hour", "claimed": "being sent", "sending": "being sent", "accepted": "sent",
    "refused": "refused by the other side", "retry_wait": "to be tried again",
    "in_doubt": "may or may not have been sent", "suppressed": "stopped: not to be written to",
    "expired": "stopped: too late", "cancelled": "stopped: no longer true",
    "failed": "could not be made or sent", "unknown": "never known whether sent",
}  # fmt: skip


@command
def status(screen: Screen) -> None:
    """The last runs, mails and tasks by state, the oldest waiting one, what is held or paused.

    JSON: `runs` (id, schedule, date, n, as_of, state, started_at, finished_at, snapshot), `outbox` (state to count),
    `oldest_waiting`, `next_due_at`, `in_doubt` (message_id, rule, customer, called_at, provider_id), `held` (run_id,
    rule, reason, n), `paused` (rule, or * for everything, to instant), `environment` (folder, live or null),
    `test_mode`, `open_tasks`.
    """
    settings, now = open_settings(screen), utc_now()
    tell_test_mode(screen, settings)
    with open_state(screen, settings) as store:
        found, next_due_at, doubts = store.status(now), store.outbox.next_due_at(), store.outbox.in_doubt()
        open_tasks = store.tasks.open_count()
        further = {"test_mode": settings.delivery.test_mode, "open_tasks": open_tasks}
        screen.emit(_document(store, found, next_due_at, doubts) | further)
        zone = settings.workspace.timezone
        _show_runs(screen, found, zone)
        screen.title("Mails and tasks")
        rows = [(_STATE_WORDS.get(state, state), number) for state, number in sorted(found.outbox.items())]
        screen.table(["", "messages"], rows, indent=2) if rows else screen.say("  none yet")
        if found.oldest_waiting:
            screen.say(("! ", "yellow"), f"the oldest due message has waited since {ago(found.oldest_waiting, now)}; "
                       "`holdfast deliver` sends what is due")  # fmt: skip
        elif next_due_at:
            screen.say(f"  the next one is due {moment_text(next_due_at, zone)}")
        if open_tasks:
            screen.say(f"  {number_of(open_tasks, 'task')} for people; `holdfast tasks` lists them")
        _show_doubts(screen, doubts, zone)
        _show_held(screen, found, zone)


def _document(store: Store, found: Status, next_due_at: object, doubts: Sequence[DoubtRow]) -> dict[str, object]:
    runs = [
        {"id": row.id, "schedule": row.schedule, "date": row.local_date, "n": row.n, "as_of": row.as_of,
         "state": row.state, "started_at": row.started_at, "finished_at": row.finished_at, "snapshot": row.snapshot_sha}
        for row in found.runs
    ]  # fmt: skip
    in_doubt = [
        {"message_id": row.message_id, "rule": row.rule, "customer": row.customer_id, "called_at": row.started_at,
         "provider_id": row.provider_id}
        for row in doubts
    ]  # fmt: skip
    return {
        "runs": runs, "outbox": found.outbox, "oldest_waiting": found.oldest_waiting, "next_due_at": next_due_at,
        "in_doubt": in_doubt,
        "held": [vars(one) for one in found.held], "paused": found.paused, "environment": store.install.environment(),
    }  # fmt: skip


def _show_runs(screen: Screen, found: Status, zone: str) -> None:
    screen.say(("Last runs", "bold"))
    if not found.runs:
        screen.say("  none yet; `holdfast run` makes the first")
        return
    rows = []
    for row in found.runs:
        state = ("finished", "green") if row.state == "finished" else (row.state, "yellow")
        which = day_text(row.local_date) + (f", {row.n}. time" if row.n > 1 else "")
        rows.append((str(row.id), row.schedule, which, moment_text(row.as_of, zone), state))
    screen.table(["run", "schedule", "date", "as of", ""], rows, indent=2)


def _show_doubts(screen: Screen, doubts: Sequence[DoubtRow], zone: str) -> None:
    """Every mail of which nobody can say yet whether it left."""
    if not doubts:
        return
    screen.title("In doubt")
    screen.say(
        "  The answer to the call was lost. Evidence settles it; `holdfast outbox resend` or `cancel` does by hand."
    )
    rows = [(row.customer_id, row.rule, moment_text(row.started_at, zone), row.provider_id or "") for row in doubts]
    screen.table(["customer", "rule", "called at", "provider's id"], rows, indent=2)


def _release(held: Held) -> str:
    """What a person can do about it; sound tables come by themselves with the next run."""
    return f"holdfast approve {held.run_id} {held.rule}" if held.reason == "held_for_review" else ""


def _show_held(screen: Screen, found: Status, zone: str) -> None:
    if found.held:
        screen.title("Held")
        screen.table(
            ["rule", "cases", "why", "to release"],
            [(one.rule, one.n, one.reason, _release(one)) for one in found.held],
            indent=2,
        )
    if found.paused:
        screen.title("Paused")
        for rule, at in found.paused.items():
            what, again = ("everything", "resume") if rule == "*" else (rule, f"resume {rule}")
            screen.say(f"  {what} since {moment_text(at, zone)}; `holdfast {again}` lifts it")
    if not found.held and not found.paused and found.runs:
        screen.say(("✓ ", "green"), f"nothing is held or paused; {number_of(len(found.runs), 'run')} shown")
