"""`outbox`: single messages. Look at them, send them again, take them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from engine.cli.command import DONE, SOME_FAILED, RequestError, command
from engine.cli.opening import open_settings, open_state, require_known
from engine.cli.root import small_app
from engine.cli.screen import Part, Screen
from engine.cli.wording import moment_text, number_of
from engine.clock import utc_now
from engine.delivery.gate import local_date
from engine.errors import HeldError
from engine.store import OutboxRow, Stop, Store
from engine.store.outbox_care import DOUBTFUL, RESENDABLE, STATES

app = small_app(help="Single messages: list, resend, cancel.", no_args_is_help=True)

CANCELLABLE = ("planned", "claimed", "retry_wait", "in_doubt")
BY_HAND = "cancelled_by_hand"
_LISTED = 100
_COLOURS = {"accepted": "green", "refused": "red", "failed": "red", "in_doubt": "yellow", "unknown": "yellow"}

Ids = Annotated[
    list[int], typer.Argument(metavar="MESSAGE_ID...", help="numbers, as `holdfast outbox list` shows them")
]


@app.command("list")
@command
def show(
    screen: Screen,
    state: Annotated[str | None, typer.Option("--state", metavar="S", help="only messages in this state")] = None,
    rule: Annotated[str | None, typer.Option("--rule", metavar="R", help="only messages of this rule")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="at most so many")] = _LISTED,
) -> None:
    """The messages, the newest first.

    JSON: `messages` (id, rule, customer ("" for a test), occurrence, step, class, channel, state, reason, fate, resends,
    possible_duplicate, next_attempt_at, called_at, provider_id, detail), `more` (whether there are any).
    """
    if state is not None:
        require_known(state, STATES, "state")
    settings = open_settings(screen)
    with open_state(screen, settings) as store:
        found = store.outbox.listed(state, rule, limit + 1)
    shown = found[:limit]
    screen.emit({"messages": [_document(row) for row in shown], "more": len(found) > limit})
    if not shown:
        screen.say("no messages")
        return
    zone = settings.workspace.timezone
    screen.table(
        ["message", "customer", "rule", "step", "state", "what became of it", "last call"],
        [
            (str(row.id), row.customer_id or ("(test)", "dim"), row.rule, row.step, (row.state, _COLOURS.get(row.state, "")), _story(row),
             moment_text(row.called_at, zone) if row.called_at else "")
            for row in shown
        ],
    )  # fmt: skip
    if len(found) > limit:
        screen.say(("there are more; --limit N shows them", "dim"))


@app.command("resend")
@command
def resend(screen: Screen, ids: Ids, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False) -> int:
    """Plan messages once more that are in doubt, unknown, refused or failed. They pass the gate like all others.

    One in doubt or unknown may have arrived already: a second copy is possible, so a person is asked first. JSON:
    `planned` (message numbers), `possible_duplicates` (those of them that may arrive twice), `left_alone` (id, state;
    null for a message there is not).
    """
    with open_state(screen, open_settings(screen)) as store:
        rows, left_alone = _chosen(store, ids, RESENDABLE)
        doubtful = [row for row in rows if row.state in DOUBTFUL]
        if doubtful and not yes and not _agreed(screen, doubtful):
            raise HeldError(
                f"{number_of(len(doubtful), 'message')} may have arrived already, and a second copy cannot be taken "
                "back; nothing was changed. Say --yes to send again without being asked"
            )
        before = store.outbox.resend([row.id for row in rows], utc_now())
    twice = [ident for ident, state in before.items() if state in DOUBTFUL]
    screen.emit({"planned": list(before), "possible_duplicates": twice, "left_alone": left_alone})
    screen.say((number_of(len(before), "message"), "bold"), " planned again; `holdfast deliver` sends what is due")
    if twice:
        screen.say(("! ", "yellow"), f"{number_of(len(twice), 'possible duplicate')}: "
                   f"{', '.join(str(ident) for ident in twice)}")  # fmt: skip
    return _tell_left_alone(screen, left_alone, RESENDABLE)


@app.command("cancel")
@command
def cancel(screen: Screen, ids: Ids) -> int:
    """Take messages back that wait, or that are in doubt and shall not be sent again. Their steps are not planned anew.

    One that is being sent at this moment cannot be taken back. JSON: `cancelled` (how many), `left_alone` (id, state;
    null for a message there is not).
    """
    with open_state(screen, open_settings(screen)) as store:
        rows, left_alone = _chosen(store, ids, CANCELLABLE)
        doubtful = [row.id for row in rows if row.state == "in_doubt"]
        cancelled = store.outbox.stop([_stop(row) for row in rows if row.state != "in_doubt"])
        cancelled += store.outbox.end_doubt(doubtful, "cancelled", BY_HAND)
    screen.emit({"cancelled": cancelled, "left_alone": left_alone})
    screen.say((number_of(cancelled, "message"), "bold"), " cancelled")
    return _tell_left_alone(screen, left_alone, CANCELLABLE)


LeftAlone = list[dict[str, object]]


def _chosen(store: Store, ids: Sequence[int], states: Sequence[str]) -> tuple[list[OutboxRow], LeftAlone]:
    """The messages in one of the states, and the others with the states they are in."""
    known = {row.id: row for row in store.outbox.find(set(ids))}
    if not known:
        raise RequestError("there is no such message; `holdfast outbox list` shows their numbers")
    asked = dict.fromkeys(ids)
    chosen = [known[ident] for ident in asked if ident in known and known[ident].state in states]
    fit = {row.id for row in chosen}
    others: LeftAlone = [
        {"id": ident, "state": known[ident].state if ident in known else None} for ident in asked if ident not in fit
    ]
    return chosen, others


def _tell_left_alone(screen: Screen, left_alone: LeftAlone, states: Sequence[str]) -> int:
    for one in left_alone:
        why = f"is {one['state']}; expected {', '.join(states)}" if one["state"] else "is not there"
        screen.warn((f"message {one['id']}", "bold"), " left alone: it ", (why, "yellow"))
    return SOME_FAILED if left_alone else DONE


def _stop(row: OutboxRow) -> Stop:
    return Stop(row.id, "cancelled", BY_HAND, local_date(utc_now(), row.zone))


def _agreed(screen: Screen, doubtful: Sequence[OutboxRow]) -> bool:
    """Ask a person, who must be there."""
    if not screen.is_terminal or screen.as_json:
        return False
    screen.say(("! ", "yellow"), f"{number_of(len(doubtful), 'message')} may have arrived already. Look at the "
               "provider's log first: a second copy cannot be taken back.")  # fmt: skip
    return typer.confirm("Send again?", default=False)


def _story(row: OutboxRow) -> Part:
    """The reason or fate, and the mark of a possible duplicate."""
    words = [row.fate or row.reason or "", "possible duplicate" if row.resends else ""]
    return ", ".join(word for word in words if word)


def _document(row: OutboxRow) -> dict[str, object]:
    return {
        "id": row.id, "rule": row.rule, "customer": row.customer_id, "occurrence": row.occurrence, "step": row.step,
        "class": row.class_, "channel": row.channel, "state": row.state, "reason": row.reason, "fate": row.fate,
        "resends": row.resends, "possible_duplicate": row.resends > 0, "next_attempt_at": row.next_attempt_at,
        "called_at": row.called_at, "provider_id": row.provider_id, "detail": row.detail,
    }  # fmt: skip
