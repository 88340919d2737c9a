"""`tasks`: what people should do."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.command import DONE, SOME_FAILED, DebugOption, FormatOption, RequestError, command
from engine.cli.opening import open_settings, open_state, require_known
from engine.cli.root import small_app
from engine.cli.screen import Screen
from engine.cli.wording import number_of
from engine.clock import utc_now
from engine.store import TaskRow
from engine.store.tasks import STATES, write_csv

app = small_app(help="What people should do.")

_LISTED = 100

State = Annotated[str | None, typer.Option("--state", metavar="S", help=f"{', '.join(STATES)} or all")]
Assignee = Annotated[str | None, typer.Option("--assignee", metavar="A", help="only theirs")]


@app.callback(invoke_without_command=True)
def tasks(
    ctx: typer.Context,
    state: State = "open",
    assignee: Assignee = None,
    output_format: FormatOption = None,
    debug: DebugOption = False,
) -> None:
    """What people should do. Without a further word: the list."""
    if ctx.invoked_subcommand is None:
        show(ctx=ctx, output_format=output_format, debug=debug, state=state, assignee=assignee, limit=_LISTED)


@app.command("list")
@command
def show(
    screen: Screen,
    state: State = "open",
    assignee: Assignee = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="at most so many")] = _LISTED,
) -> None:
    """The tasks, those due first on top.

    JSON: `tasks` (id, rule, customer_id, occurrence, step, assignee, due_on, title, text, context, state, created_at,
    closed_at, closing_note, message_key), `more`.
    """
    with open_state(screen, open_settings(screen)) as store:
        wanted = store.tasks.listed(states=_states(state), assignee=assignee)
        found, more = list(islice(wanted, limit)), sum(1 for _ in wanted)
    screen.emit({"tasks": [_document(one) for one in found], "more": more})
    if not found:
        screen.say("no tasks")
        return
    screen.table(
        ["task", "due", "assignee", "customer", "what", "rule"],
        [
            (str(one.id), one.due_on.isoformat() if one.due_on else "", one.assignee or "", one.customer_id,
             one.title if one.state == "open" else f"{one.title} ({one.state})", one.rule)
            for one in found
        ],
    )  # fmt: skip
    if more:
        screen.say((f"and {more:,} more; `holdfast tasks export FILE` writes them all", "dim"))


@app.command("close")
@command
def close(
    screen: Screen,
    ids: Annotated[list[int], typer.Argument(metavar="ID...", help="numbers, as `holdfast tasks list` shows them")],
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="what came of it")] = None,
    dropped: Annotated[bool, typer.Option("--dropped", help="nobody is going to do it")] = False,
) -> int:
    """Close tasks as done. One that is closed already stays as it is. JSON: `closed`, `closed_before`, `unknown`."""
    with open_state(screen, open_settings(screen)) as store:
        closed, before = store.tasks.close(ids, "dropped" if dropped else "done", note, utc_now())
    unknown = sorted(set(ids) - set(closed) - set(before))
    if unknown and not closed and not before:
        raise RequestError(
            f"there is no task {', '.join(map(str, unknown))}; `holdfast tasks list` shows their numbers"
        )
    screen.emit({"closed": closed, "closed_before": before, "unknown": unknown})
    screen.say((number_of(len(closed), "task"), "bold"), " dropped" if dropped else " done")
    for one in before:
        screen.say(("! ", "yellow"), f"task {one} had been closed already and stays as it is")
    for one in unknown:
        screen.warn((f"there is no task {one}", "red"))
    return SOME_FAILED if unknown else DONE


@app.command("export")
@command
def export(
    screen: Screen,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv")],
    state: State = "all",
    assignee: Assignee = None,
) -> None:
    """Write the tasks as CSV; what a spreadsheet would take for a formula is quoted. JSON: `exported`, `file`."""
    unfinished = file.with_name(f".{file.name}.part")
    with (
        open_state(screen, open_settings(screen)) as store,
        unfinished.open("w", encoding="utf-8", newline="") as lines,
    ):
        written = write_csv(store.tasks.listed(states=_states(state), assignee=assignee), lines)
    unfinished.replace(file)
    screen.emit({"exported": written, "file": file})
    screen.say(f"{number_of(written, 'task')} written to ", (str(file), "bold"))


def _states(word: str | None) -> tuple[str, ...]:
    require_known(word or "all", (*STATES, "all"), "state")
    return STATES if word in {None, "all"} else (str(word),)


def _document(task: TaskRow) -> dict[str, object]:
    return vars(task) | {"context": json.loads(task.context)}
