"""`stripe`: what Stripe has told, read again by asking."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, time
from typing import Annotated

import typer

from engine.billing import apply_stripe_events, sync
from engine.cli.command import SOME_FAILED, RequestError, command
from engine.cli.opening import open_settings, open_state, read_date
from engine.cli.root import small_app
from engine.cli.screen import Screen
from engine.cli.wording import number_of
from engine.clock import utc_now

app = small_app(help="What Stripe tells.", no_args_is_help=True)


@app.command("sync")
@command
def sync_all(
    screen: Screen,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="D", help="paid invoices and refunds from this date on (default: 92 days back)"
        ),
    ] = None,
) -> int | None:
    """Read customers, subscriptions, invoices, payments, disputes and refunds from Stripe, and what its events said.

    Once to begin with, and whenever webhooks may have been missed; nothing newer is overwritten, and doing it twice
    changes nothing. Nobody is written to by this: failures older than `dunning.adopt` become cases for a person.
    JSON: `read` (by kind), `new_events`, `unanswered` (payments to be asked about later), `problem`.
    """
    settings = open_settings(screen)
    if not settings.from_stripe:
        raise RequestError("no table in config.yaml says `source: stripe`; there is nothing to keep")
    day = read_date(since, "--since")
    with screen.meter() as meter, open_state(screen, settings, create=True) as store:
        begin = None if day is None else datetime.combine(day, time())
        done = sync(settings, store, utc_now(), begin, lambda what, count: meter.stage(f"reading {what}: {count:,}"))
    screen.emit(asdict(done))
    screen.table(["read from Stripe", "objects"], list(done.read.items()))
    screen.say(f"{number_of(done.new_events, 'event')} not heard before. ",
               f"{number_of(done.unanswered, 'payment')} could not be asked about yet; `serve` and every run go on asking."
               if done.unanswered else "Nothing is left to ask.")  # fmt: skip
    if done.problem:
        screen.warn(("Stripe said: ", "yellow"), done.problem)
    return SOME_FAILED if done.unanswered else None


@app.command("status")
@command
def status(screen: Screen) -> None:
    """What is known from Stripe: rows by kind, events by state, open questions. JSON: `rows`, `events`, `questions`."""
    settings = open_settings(screen)
    with open_state(screen, settings, create=True) as store:
        apply_stripe_events(store)
        rows, questions = store.billing.counts(), store.billing.open_questions()
        events = {state: number for (source, state), number in store.inbound.counts().items() if source == "stripe"}
    screen.emit({"rows": rows, "events": events, "questions": questions})
    screen.table(["kept from Stripe", "rows"], [(kind, count) for kind, count in rows.items() if kind != "moment"])
    if events:
        screen.table(["events", "number"], list(events.items()))
    screen.say(f"{number_of(questions, 'question')} open" if questions else "no question is open")
