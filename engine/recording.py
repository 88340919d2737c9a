"""What a run keeps of its plan: changes of decisions, settled steps, exposures and messages, chunk by chunk.

The chunks follow the order of customer ids, so that an interrupted run goes on where it stopped whatever order rows
come in, and all rows of a customer are written in one transaction. Within a chunk rows go by rule and customer, the
order of the keys: a database then fills its pages one after the other instead of touching all of them each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.messages import Templates
from engine.pipeline import Plan, values_of
from engine.project.rules import Rule
from engine.recipients import NOBODY
from engine.store import Store
from engine.warehouse.sql import execute

_CHUNK_ROWS = 50_000
_UNSTORED = "('not_due', 'already_sent', 'existing')"
"""Reasons that are counted and not stored: they say that nothing happened."""

_INSTANT = "strftime({}, '%Y-%m-%d %H:%M:%S.%f')"


@dataclass
class Written:
    """Rows stored by one run, and rows that met a key that was there already."""

    decisions: int = 0
    settled: int = 0
    exposures: int = 0
    messages: int = 0
    vanished: int = 0
    withdrawn: int = 0
    conflicts: Counter[str] = field(default_factory=Counter)


def record(
    plan: Plan, store: Store, run_id: int, cursor: str, templates: Templates, on_chunk: Callable[[int, int], None]
) -> Written:
    """Write what is new in `plan`, after the customer `cursor`. `on_chunk(done, of)` follows the chunks."""
    chunks = _prepare(plan, templates, cursor)
    written = Written()
    for done, (chunk, last_customer) in enumerate(chunks, start=1):
        result = store.ledger.write_chunk(
            run_id, last_customer,
            decisions=_rows(plan, "out_decision", chunk), closing=_rows(plan, "out_closing", chunk),
            settlings=_rows(plan, "out_settling", chunk), exposures=_rows(plan, "out_exposure", chunk),
            messages=_rows(plan, "out_message", chunk),
        )  # fmt: skip
        written.decisions += result.decisions
        written.settled += result.settlings
        written.exposures += result.exposures
        written.messages += result.messages
        written.conflicts.update(result.conflicts)
        on_chunk(done, len(chunks))
    written.vanished = store.ledger.vanish(run_id, _rows(plan, "out_vanished", 0))
    return written


def vanished_candidates(plan: Plan) -> list[tuple[str, str, str, str]]:
    """(rule, customer, occurrence, account) with a standing decision that the rules no longer find."""
    columns = "rule, customer_id, occurrence, account_id"
    rows = plan.db.execute(f"SELECT DISTINCT {columns} FROM ({_vanished(plan)})").fetchall()
    return [(str(rule), str(customer), str(occurrence), str(account)) for rule, customer, occurrence, account in rows]


def _prepare(plan: Plan, templates: Templates, cursor: str) -> list[tuple[int, str]]:
    """The rows to write of customers after `cursor`, as tables with their chunk; each chunk and its last customer."""
    chunks = _cut_chunks(plan, cursor)
    _name_rules(plan)
    pack_values(plan, templates)
    tables = {
        "out_decision": _DECISIONS, "out_closing": _CLOSING, "out_settling": _SETTLINGS, "out_exposure": _EXPOSURES,
        "out_message": _MESSAGES, "out_vanished": _vanished(plan),
    }  # fmt: skip
    for table, select in tables.items():
        plan.db.execute(f"CREATE OR REPLACE TABLE {table} AS {select}")
    return chunks


def _cut_chunks(plan: Plan, cursor: str) -> list[tuple[int, str]]:
    """Number the chunks of the customers after `cursor`, as `chunk_of` by `cust`; each with its last customer.

    Chunks hold about `_CHUNK_ROWS` rows: four for a message, one for any other decision.
    """
    plan.db.execute(
        f"""
        CREATE OR REPLACE TABLE chunk_of AS
        WITH written AS (
            SELECT cust, sum(CASE outcome WHEN 'send' THEN 4 ELSE 1 END) AS n
            FROM decision WHERE reason NOT IN {_UNSTORED} GROUP BY cust
            UNION ALL SELECT cust, 0 FROM settling
        ), customers AS (SELECT cust, sum(n) AS n FROM written GROUP BY cust)
        SELECT cust, p.customer_id AS place, p.account_id,
            CASE p.address_state WHEN 'nobody' THEN '' ELSE p.customer_id END AS customer_id,
            CAST(sum(n) OVER (ORDER BY p.customer_id) // {_CHUNK_ROWS} AS INTEGER) AS chunk
        FROM customers JOIN person AS p USING (cust) WHERE p.customer_id > $cursor""",
        {"cursor": cursor},
    )
    return plan.db.execute("SELECT chunk, max(place) FROM chunk_of GROUP BY chunk ORDER BY chunk").fetchall()


def _name_rules(plan: Plan) -> None:
    """Constant columns of the rules, by number."""
    rules = [_rule_row(number, rule) for number, rule in enumerate(plan.rules)]
    plan.db.execute(
        "CREATE OR REPLACE TABLE rule_row (rule_no USMALLINT, rule VARCHAR, origin VARCHAR, resend VARCHAR, "
        "class VARCHAR, topic VARCHAR, memory VARCHAR, by_account BOOLEAN)"
    )
    if rules:
        plan.db.executemany("INSERT INTO rule_row VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rules)
    settings = plan.evaluation.warehouse.settings
    notes = [name for name in settings.channels if not settings.reaches_customer(name)]
    plan.db.execute("CREATE OR REPLACE TABLE note_channel AS SELECT unnest(?::VARCHAR[]) AS channel", [notes])
    zones = plan.evaluation.warehouse.zones
    plan.db.execute(
        "CREATE OR REPLACE TABLE zone_name AS SELECT unnest(?::INTEGER[]) AS zone_no, unnest(?) AS zone",
        [list(range(len(zones))), zones],
    )


def _rule_row(number: int, rule: Rule) -> tuple[object, ...]:
    return number, rule.id, rule.origin, str(rule.resend), rule.class_, rule.topic, rule.memory_name, rule.by_account


_ACCOUNT = "CASE WHEN r.by_account THEN b.account_id ELSE '' END AS account_id"

_DECISIONS = f"""
    SELECT b.chunk, r.rule, b.customer_id, d.occurrence, coalesce(d.step_id, '') AS step,
        {_INSTANT.format("d.anchor")} AS anchor, CAST(d.outcome AS VARCHAR) AS outcome, CAST(d.reason AS VARCHAR) AS reason,
        d.detail, d.waited_s, {_ACCOUNT}
    FROM decision AS d JOIN chunk_of AS b USING (cust) JOIN rule_row AS r USING (rule_no)
    LEFT JOIN last_decision AS l ON l.rule_no = d.rule_no AND l.cust = d.cust AND l.occurrence = d.occurrence
        AND l.step_id = coalesce(d.step_id, '')
    WHERE d.reason NOT IN {_UNSTORED} AND (l.cust IS NULL OR l.outcome <> CAST(d.outcome AS VARCHAR)
        OR l.reason <> CAST(d.reason AS VARCHAR))"""

_CLOSING = """
    SELECT DISTINCT o.chunk, o.rule, o.customer_id, o.occurrence, o.step, o.account_id
    FROM out_decision AS o JOIN standing AS s
        ON s.rule = o.rule AND coalesce(s.customer_id, '') = o.customer_id AND coalesce(s.occurrence, '') = o.occurrence
        AND coalesce(s.step_id, '') = o.step AND coalesce(s.account_id, '') = o.account_id"""
"""Steps for which another decision stands."""

_SETTLINGS = f"""
    SELECT b.chunk, r.memory AS rule, b.customer_id, s.occurrence, s.step_id AS step, CAST(s.local_date AS VARCHAR) AS local_date,
        s.how, {_INSTANT.format("s.anchor")} AS anchor, {_ACCOUNT}
    FROM settling AS s JOIN chunk_of AS b USING (cust) JOIN rule_row AS r USING (rule_no)"""

_EXPOSURES = f"""
    SELECT b.chunk, r.rule, b.customer_id, d.occurrence, d.step_id AS step, CASE WHEN n.channel IS NULL THEN k.key END AS address_key, r.topic,
        r.class, d.arm, CAST(d.local_date AS VARCHAR) AS local_date, {_INSTANT.format("d.not_before")} AS exposed_at, {_ACCOUNT}
    FROM decision AS d JOIN chunk_of AS b USING (cust) JOIN rule_row AS r USING (rule_no) JOIN person AS p USING (cust)
    LEFT JOIN address_key AS k USING (addr) LEFT JOIN note_channel AS n ON n.channel = d.channel
    WHERE d.outcome IN ('send', 'hold_out')"""
"""Only what reaches the customer counts for the caps of an address."""

_MESSAGES = f"""
    SELECT b.chunk,
        sha256(concat_ws(chr(31), r.origin, r.resend, CASE WHEN r.by_account THEN b.account_id ELSE b.customer_id END,
            d.occurrence, d.step_id, coalesce(p.address, ''))) AS key,
        r.rule, b.customer_id, d.occurrence, d.step_id AS step, coalesce(p.address, '') AS recipient, coalesce(k.key, c.key) AS address_key,
        d.channel, d.template, r.class, r.topic, d.arm, z.zone, {_INSTANT.format("d.not_before")} AS not_before,
        {_INSTANT.format("d.expires_at")} AS expires_at, coalesce(v.own, v.other, '{{}}') AS values_json, {_ACCOUNT}
    FROM decision AS d JOIN chunk_of AS b USING (cust) JOIN rule_row AS r USING (rule_no) JOIN person AS p USING (cust)
    LEFT JOIN address_key AS k USING (addr) LEFT JOIN customer_key AS c USING (cust)
    LEFT JOIN zone_name AS z USING (zone_no)
    LEFT JOIN message_values AS v ON v.rule_no = d.rule_no AND v.cust = d.cust AND v.occurrence = d.occurrence
    WHERE d.outcome = 'send'"""
"""The key is (rule's first name, resend, subject, occurrence, step, recipient): the same words give the same mail."""


def pack_values(plan: Plan, templates: Templates, outcomes: Sequence[str] = ("send",)) -> None:
    """`message_values`: for each decision with one of these outcomes, the JSON its template reads.

    A candidate that took over an older occurrence is found under its present one: `other` is the customer's newest.
    """
    plan.db.execute(
        "CREATE OR REPLACE TABLE fact_values (rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, anchor TIMESTAMP, "
        "packed VARCHAR)"
    )
    chosen = f"d.outcome IN ({', '.join(repr(outcome) for outcome in outcomes)})"
    names = values_of(plan.rules, templates)
    for (number,) in plan.db.execute(
        f"SELECT DISTINCT rule_no FROM decision AS d WHERE {chosen} ORDER BY 1"
    ).fetchall():
        compiled = plan.evaluation.compiled[number]
        these = f"SELECT d.cust FROM main.decision AS d WHERE {chosen} AND d.rule_no = {number}"
        with plan.evaluation.seen_by(compiled.rule):
            packed = plan.evaluation.packed_sql(compiled, names[compiled.rule.id], these)
            execute(plan.db, f"INSERT INTO main.fact_values {packed}", plan.evaluation.bound)
    plan.db.execute(
        "CREATE OR REPLACE TABLE message_values AS SELECT d.rule_no, d.cust, d.occurrence, "
        "any_value(f.packed) FILTER (WHERE f.occurrence = d.occurrence) AS own, arg_max(f.packed, f.anchor) AS other "
        "FROM decision AS d JOIN fact_values AS f ON f.rule_no = d.rule_no AND f.cust = d.cust "
        f"WHERE {chosen} GROUP BY ALL"
    )


def _vanished(plan: Plan) -> str:
    """Standing decisions of rules that were evaluated and not held, whose candidate is no longer there."""
    held = plan.db.execute(
        "SELECT DISTINCT rule_no FROM decision WHERE reason IN ('stale_table', 'empty_table', 'shrunk_table')"
    ).fetchall()
    held_numbers = ", ".join(str(row[0]) for row in held) or "-1"
    return (
        "SELECT 0 AS chunk, s.rule, coalesce(s.customer_id, '') AS customer_id, "
        "coalesce(s.occurrence, '') AS occurrence, coalesce(s.step_id, '') AS step, "
        "coalesce(s.account_id, '') AS account_id FROM standing AS s JOIN rule_name AS r USING (rule) "
        f"LEFT JOIN person AS p ON p.customer_id = coalesce(s.customer_id, {NOBODY.format('s.account_id')}) "
        "AND (NOT r.by_account OR p.account_id = s.account_id) "
        "ANTI JOIN decision AS d ON d.rule_no = r.rule_no AND d.cust = p.cust AND d.occurrence = coalesce(s.occurrence, '') "
        f"WHERE r.rule_no NOT IN ({held_numbers})"
    )


def _rows(plan: Plan, table: str, chunk: int) -> Iterator[tuple[object, ...]]:
    reader = plan.db.cursor().execute(
        f"SELECT * EXCLUDE (chunk) FROM {table} WHERE chunk = {chunk} ORDER BY rule, customer_id"
    )
    while batch := reader.fetchmany(10_000):
        yield from batch
