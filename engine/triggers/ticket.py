"""The `ticket` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, model_validator

from engine.project.faults import Fault
from engine.project.trigger_spec import ColumnType, RuleDefaults, TriggerParams
from engine.project.types import Line, Window, read_list
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger, elapsed_days, later, span_text


def _with_letters(word: str) -> str:
    if not any(character.isalnum() for character in word):
        raise Fault("HF132", f'"{word}" holds no letter or digit', "expected a word")
    return word


class TicketParams(TriggerParams):
    """How long a ticket has been open, how lately it was closed, what it speaks of."""

    open_for: Window | None = None
    closed_within: Window | None = None
    words: Annotated[tuple[Annotated[Line, AfterValidator(_with_letters)], ...], BeforeValidator(read_list)] = ()

    @model_validator(mode="after")
    def _open_or_closed(self) -> TicketParams:
        if self.open_for and self.closed_within:
            raise Fault("HF322", "both open_for and closed_within", "a ticket is open or closed; expected one of them")
        return self


class Ticket(Trigger):
    """Customers with a support ticket.

        trigger:
          ticket: {open_for: 3 days, words: [refund, cancel my account]}

    Holds for each ticket that is open and was opened at least `open_for` ago; or, with `closed_within`, that was closed
    within that time, exactly so long ago included. With `words` its text must hold one of them: whole words, without
    regard to case, accents and punctuation. With `words` alone it does not matter whether the ticket is still open.
    """

    name = "ticket"
    params = TicketParams
    about = "the ticket"
    survives = "none"
    row_table = "tickets"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """Which ticket, and for how many days it is or was open."""
        return {"ticket_id": "text", "days_open": "number"}

    def defaults(self, params: TicketParams) -> RuleDefaults:
        """A ticket closed longer than `closed_within` ago is found no more, so no step may come later than that."""
        return RuleDefaults(holds_for=params.closed_within.elapsed if params.closed_within else None)

    def needs(self, params: TicketParams) -> Needs:
        """Tickets; when they were closed and what they say, where the rule asks for it."""
        closed = ("closed_at",) if params.open_for or params.closed_within else ()
        text = ("text",) if params.words else ()
        return Needs(required={"tickets": ("opened_at", *closed, *text)}, optional={"tickets": ("closed_at",)})

    def find(self, params: TicketParams, look: Lookup) -> Found:
        """One candidate a ticket."""
        closed, anchor = look.column("r", "tickets", "closed_at", "TIMESTAMP"), "r.opened_at"
        is_closed = f"coalesce({closed} < {look.now}, FALSE)"
        opened = f"r.opened_at < {look.now}"
        conditions = []
        if params.open_for:
            length, anchor = params.open_for.elapsed, later("r.opened_at", params.open_for.elapsed)
            opened = f"{opened} AND r.opened_at <= {look.ago(length)}"
            conditions += [
                Condition(f"opened at least {span_text(length)} ago", opened, {"opened": "r.opened_at"}),
                Condition("still open", f"NOT {is_closed}", {"closed": closed}),
            ]
        elif params.closed_within:
            length, anchor = params.closed_within.elapsed, closed
            lately = f"{opened} AND {is_closed} AND {closed} >= {look.ago(length)}"
            conditions.append(Condition(f"closed within {span_text(length)}", lately, {"closed": closed}))
        else:
            conditions.append(Condition("a ticket was opened", opened, {"opened": "r.opened_at"}))
        if params.words:
            held = " OR ".join(f"contains({_words('r.text')}, {_words(look.bind(word))})" for word in params.words)
            conditions.append(Condition(f"it speaks of {' or '.join(params.words)}", held))
        until = f"CASE WHEN {is_closed} THEN {closed} ELSE {look.now} END"
        return Found(
            "t_tickets AS r JOIN person AS p ON p.cust = r.cust", tuple(conditions), "r.ticket_id", anchor,
            {"ticket_id": lambda: "r.ticket_id", "days_open": lambda: elapsed_days("r.opened_at", until)},
        )  # fmt: skip


def _words(text: str) -> str:
    """SQL for the words of a text, folded, each between two spaces."""
    lower = f"replace(replace(lower({text}), '\u00df', 'ss'), '\u03c2', '\u03c3')"  # sharp s and final sigma
    return f"(' ' || trim(regexp_replace(strip_accents({lower}), '[^\\p{{L}}\\p{{N}}]+', ' ', 'g')) || ' ')"
