"""Data protection: all rows about a person, their erasure, and records that have had their time.

An erasure begins with the word that stops all mail, in a transaction of its own; with it stand the id and the addresses
that are to go. Everything else is one more transaction, which takes them away as well. So whatever happens between the
two, nobody half-erased can be written to, and what is still to be done can be read from the state.

What stays of a person is what counting and never sending twice need: rules, steps, dates and outcomes under a
pseudonym, keyed hashes of addresses, and the keys of messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from engine.store.connect import Database
from engine.store.history import rules_with_memory
from engine.store.tables import (
    attempt,
    click,
    consent,
    decision,
    exposure,
    inbound_event,
    link,
    message,
    run,
    settled_step,
    suppression,
    task,
)

UNFINISHED = "erasure, unfinished"
FINISHED = "erasure"
STOPPABLE = ("planned", "claimed", "retry_wait")
ENDED = ("accepted", "refused", "suppressed", "expired", "cancelled", "failed", "unknown")
SHORTEST_TOKEN = 4  # characters of an id that is looked for inside addresses of links; shorter ones stand in too many

_ABOUT = (decision, settled_step, exposure, message, task)  # these name the customer
_KEYED_BY_RULE = (settled_step, exposure)  # their primary keys begin with the rule


@dataclass(frozen=True)
class Erasure:
    """Who is to be erased: customer ids and addresses, each by its keyed hash."""

    customers: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


class Privacy:
    """What the state knows about one person, and how it forgets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Finding.

    def rows_about(
        self, customer_id: str, keys: Collection[str], about: Collection[str] = ()
    ) -> dict[str, list[dict[str, Any]]]:
        """All rows about a customer, by table.

        `keys`: the hashes of their addresses and of their id. `about`: the ids providers know them by.
        """
        with self._database.read() as connection:
            found = {table.name: _rows(connection, table, _of(connection, table, customer_id)) for table in _ABOUT}
            ids = [row["id"] for row in found["message"]]
            found["attempt"] = _rows(connection, attempt, attempt.c.message_id.in_(ids))
            clicks = select(*click.c, link.c.url).join(link, link.c.id == click.c.link_id)
            query = clicks.where(click.c.message_id.in_(ids)).order_by(click.c.id)
            found["click"] = [dict(row._mapping) for row in connection.execute(query)]
            marks = {"message_id": ids, "address_key": keys, "about": about}
            events = or_(*(inbound_event.c[name].in_(values) for name, values in marks.items()))
            found["inbound_event"] = _rows(connection, inbound_event, events)
            for table in (consent, suppression):
                found[table.name] = _rows(connection, table, table.c.address_key.in_(keys))
        return found

    def addresses_of(self, customer_id: str) -> set[str]:
        """Addresses the customer's messages went to."""
        query = select(message.c.recipient).where(message.c.customer_id == customer_id, message.c.recipient != "")
        with self._database.read() as connection:
            return set(connection.execute(query.distinct()).scalars())

    def message_keys(self, customer_ids: Collection[str]) -> list[str]:
        """Keys of the messages of these customers."""
        with self._database.read() as connection:
            query = select(message.c.key).where(message.c.customer_id.in_(customer_ids)).order_by(message.c.id)
            return list(connection.execute(query).scalars())

    # Erasing.

    def begin_erasure(self, erasure: Erasure, now: datetime) -> int:
        """Stop all mail to these people for ever; how many waiting messages were cancelled."""
        rows = [
            {"address_key": key, "kind": "erased", "topic": "", "address": text, "source": UNFINISHED, "at": now}
            for key, text in {**erasure.customers, **erasure.addresses}.items()
        ]
        with self._database.write() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            for row in rows:
                again = {"address": row["address"], "source": UNFINISHED}
                keys = ["address_key", "kind", "topic"]
                barred = dialect.insert(suppression).values(row)
                connection.execute(barred.on_conflict_do_update(index_elements=keys, set_=again))
            return _cancel(connection, [*erasure.customers.values()])

    def unfinished(self, is_customer: Callable[[str, str], bool]) -> Erasure:
        """What was begun and not finished. `is_customer(key, text)` tells ids from addresses, which may look alike."""
        query = select(suppression.c.address_key, suppression.c.address)
        begun = query.where(suppression.c.source == UNFINISHED, suppression.c.address.is_not(None))
        with self._database.read() as connection:
            rows = connection.execute(begun).all()
        customers = {key: text for key, text in rows if is_customer(key, text)}
        return Erasure(customers, {key: text for key, text in rows if key not in customers})

    def finish_erasure(
        self, erasure: Erasure, pseudonym: Callable[[str], str], conceal: Callable[[str], str], now: datetime
    ) -> dict[str, int]:
        """Take away everything personal, in one transaction; rows changed or deleted, by table.

        `pseudonym` stands in for a customer's id, `conceal` for an occurrence, which may hold ids.
        """
        keys = {*erasure.customers, *erasure.addresses}
        ids = [*erasure.customers.values()]
        done: dict[str, int] = {}
        with self._database.write() as connection:
            _cancel(connection, ids)
            written = connection.execute(
                select(message.c.id, message.c.values_json).where(message.c.customer_id.in_(ids))
            ).all()
            numbers = [row.id for row in written]
            done["link"] = _unlink(connection, numbers, _traces(erasure, [row.values_json for row in written]))
            about = _events_about(numbers, keys, erasure.addresses.values())
            done["inbound_event"] = _empty_events(connection, about)
            done["attempt"] = connection.execute(
                update(attempt).where(attempt.c.message_id.in_(numbers)).values(detail=None)
            ).rowcount
            for customer_id in ids:
                for table, number in _rename(connection, customer_id, pseudonym(customer_id), conceal, now).items():
                    done[table] = done.get(table, 0) + number
            ours = consent.c.address_key.in_(keys)
            done["consent"] = connection.execute(update(consent).where(ours).values(address=None)).rowcount
            ours = suppression.c.address_key.in_(keys)
            done["suppression"] = connection.execute(update(suppression).where(ours).values(address=None)).rowcount
            begun = and_(ours, suppression.c.source == UNFINISHED)
            connection.execute(update(suppression).where(begun).values(source=FINISHED))
        return {table: number for table, number in done.items() if number}

    def forget_events(self, about: Collection[str]) -> int:
        """Take away the words of providers about customers whom they know by these ids; how many events."""
        with self._database.write() as connection:
            return _empty_events(connection, inbound_event.c.about.in_(about))

    # Forgetting in time.

    def prune_decisions(self, before: datetime, batch: int) -> Iterator[int]:
        """Delete, batch by batch, the decisions that finished runs as of before this instant have replaced."""
        over = select(run.c.id).where(run.c.state == "finished", run.c.as_of < before)
        yield from self._in_batches(decision, decision.c.closed_by.in_(over), batch, delete(decision))

    def prune_events(self, before: datetime, batch: int) -> Iterator[int]:
        """Delete, batch by batch, raw events received before this instant; those not applied yet stay."""
        over = and_(inbound_event.c.received_at < before, inbound_event.c.state != "new")
        yield from self._in_batches(inbound_event, over, batch, delete(inbound_event))

    def prune_values(self, before: datetime, batch: int) -> Iterator[int]:
        """Empty, batch by batch, addresses and values of messages that ended before this instant, and closed tasks."""
        over = and_(message.c.state.in_(ENDED), message.c.next_attempt_at < before, message.c.values_json != "{}")
        empty = update(message).values(values_json="{}", recipient="")
        yield from self._in_batches(message, over, batch, empty)
        over = and_(task.c.closed_at < before, task.c.context != "{}")
        empty = update(task).values(context="{}", text="", closing_note=None)
        yield from self._in_batches(task, over, batch, empty)

    def _in_batches(self, table: Table, over: ColumnElement[bool], batch: int, work: Any) -> Iterator[int]:
        """Do `work` to the rows that are `over`, so many in a transaction; how many each time."""
        after = 0
        while True:
            ids = select(table.c.id).where(table.c.id > after, over).order_by(table.c.id).limit(batch)
            with self._database.write() as connection:
                found = list(connection.execute(ids).scalars())
                if not found:
                    return
                connection.execute(work.where(table.c.id.in_(found)))
            after = found[-1]
            yield len(found)


def _rows(connection: Connection, table: Table, condition: ColumnElement[bool]) -> list[dict[str, Any]]:
    query = select(table).where(condition).order_by(*table.primary_key.columns)
    return [dict(row._mapping) for row in connection.execute(query)]


def _of(connection: Connection, table: Table, customer_id: str) -> ColumnElement[bool]:
    """The rows of one customer, found by the keys there are."""
    mine = table.c.customer_id == customer_id
    return and_(mine, table.c.rule.in_(rules_with_memory(connection))) if table in _KEYED_BY_RULE else mine


def _cancel(connection: Connection, ids: Collection[str]) -> int:
    waiting = and_(message.c.customer_id.in_(ids), message.c.state.in_(STOPPABLE))
    stop = update(message).where(waiting).values(state="cancelled", reason="erased", owner=None, lease_until=None)
    return connection.execute(stop).rowcount


def _rename(
    connection: Connection, customer_id: str, pseudonym: str, conceal: Callable[[str], str], now: datetime
) -> dict[str, int]:
    """Put the pseudonym in place of the customer, and empty what their rows say."""
    done: dict[str, int] = {}
    for table in _ABOUT:
        mine = _of(connection, table, customer_id)
        for occurrence in list(connection.execute(select(table.c.occurrence).where(mine).distinct()).scalars()):
            hidden = conceal(occurrence) if occurrence else ""
            same = and_(mine, table.c.occurrence == occurrence)
            if table in {decision, settled_step, exposure}:
                _make_room(connection, table, same, pseudonym, hidden)
            changed = update(table).where(same).values(customer_id=pseudonym, occurrence=hidden, **_emptied(table))
            done[table.name] = done.get(table.name, 0) + connection.execute(changed).rowcount
    still_open = update(task).where(task.c.customer_id == pseudonym, task.c.state == "open")
    connection.execute(still_open.values(state="dropped", closed_at=now))
    cursor = update(run).where(run.c.cursor == customer_id, run.c.state == "finished").values(cursor=pseudonym)
    connection.execute(cursor)
    return done


def _emptied(table: Table) -> dict[str, object]:
    if table is message:
        return {"recipient": "", "values_json": "{}", "zone": "UTC"}
    if table is task:
        return {"title": "erased", "text": "", "context": "{}", "closing_note": None}
    return {"detail": None} if table is decision else {}


def _make_room(connection: Connection, table: Table, mine: ColumnElement[bool], pseudonym: str, hidden: str) -> None:
    """Delete rows whose place under the pseudonym is taken: somebody who came back and is erased once more."""
    there = table.alias("there")
    taken = [there.c.customer_id == pseudonym, there.c.occurrence == hidden]
    taken += [there.c[name] == table.c[name] for name in ("rule", "step", "account_id")]
    if table is decision:
        mine = and_(mine, decision.c.closed_by.is_(None))
        taken.append(there.c.closed_by.is_(None))
    connection.execute(delete(table).where(mine, exists().where(*taken)))


def _events_about(ids: Collection[int], keys: Collection[str], addresses: Collection[str]) -> ColumnElement[bool]:
    attempts = select(attempt.c.id).where(attempt.c.message_id.in_(ids))
    return or_(
        inbound_event.c.message_id.in_(ids), inbound_event.c.attempt_id.in_(attempts),
        inbound_event.c.address_key.in_(keys),
        *(func.lower(inbound_event.c.body).contains(address, autoescape=True) for address in addresses),
    )  # fmt: skip


def _empty_events(connection: Connection, these: ColumnElement[bool]) -> int:
    """Take away what providers said. What was not applied yet counts as applied."""
    read = update(inbound_event).where(these, inbound_event.c.state == "new").values(state="applied")
    connection.execute(read)
    return connection.execute(update(inbound_event).where(these).values(body="", about=None, detail=None)).rowcount


def _traces(erasure: Erasure, values: Collection[str]) -> re.Pattern[str] | None:
    """What marks a link as one person's own: a whole address of the values, an e-mail address, an id that is not short."""
    whole = {text for one in values for text in _texts(json.loads(one)) if re.match("https?://", text)}
    ids = {id_ for id_ in erasure.customers.values() if len(id_) >= SHORTEST_TOKEN}
    parts = {*erasure.addresses.values(), *(quote(address, safe="") for address in erasure.addresses.values()), *ids}
    choices = [rf"\A{re.escape(url)}\Z" for url in sorted(whole)]
    choices += [rf"(?<![A-Za-z0-9]){re.escape(part)}(?![A-Za-z0-9])" for part in sorted(parts)]
    return re.compile("|".join(choices), re.IGNORECASE) if choices else None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


def _unlink(connection: Connection, ids: Collection[int], traces: re.Pattern[str] | None) -> int:
    """Delete the links that are these people's own, and their clicks on them."""
    if traces is None:
        return 0
    own = [row.id for row in connection.execute(select(link)) if traces.search(row.url)]
    connection.execute(delete(click).where(click.c.link_id.in_(own), click.c.message_id.in_(ids)))
    others = exists().where(click.c.link_id == link.c.id)
    return connection.execute(delete(link).where(link.c.id.in_(own), ~others)).rowcount
