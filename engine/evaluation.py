"""From rules and tables to candidates: who each rule is about, as of one instant.

All rules together: their conditions are compiled to SQL first, so that the facts they ask for are known; the tables
are read once, each fact over its own horizon; then every rule is a predicate over the wide `person` table or over the
rows of one other table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import duckdb

from engine.errors import Problem, SetupError, did_you_mean
from engine.project.expressions import Expression
from engine.project.rules import Goal, Rule
from engine.project.settings import Settings
from engine.project.trigger_spec import Catalog, ColumnType
from engine.triggers import Condition, Found, Lookup, Needs, Shared, Trigger, triggers
from engine.triggers.date import DateParams
from engine.triggers.event import EVENT_BASICS
from engine.triggers.sql import QUERY_NEEDS, SqlParams
from engine.warehouse.facts import Fact
from engine.warehouse.queries import run_query
from engine.warehouse.reading import physical
from engine.warehouse.sql import Bound, execute, load_rows, quote
from engine.warehouse.subscriptions import DERIVED
from engine.warehouse.tables import TABLES
from engine.warehouse.warehouse import Warehouse

_NAMESPACE_TABLES = {"": "customers", "customer": "customers", "subscription": "subscriptions"}

_FAMILIES: Mapping[str, ColumnType] = {
    "integer": "number", "decimal": "number", "number": "number", "boolean": "bool", "date": "date", "naive": "instant",
    "aware": "instant",
}  # fmt: skip

Name = tuple[str, str]
"""(namespace, name): ("customer", "plan"), ("fact", "invoice_id")."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Memory:
    """What the state remembers and conditions ask about; nothing, where there is no state yet.

    `sent`: customers a rule has written to. `case_holds`: invoices a person has put on hold. `case_mails`: (invoice,
    mails sent about it). `refused_addresses`: those that bounced or complained. `first_run_at`: naive UTC.
    """

    sent: Callable[[str], Iterable[str]] = lambda rule_id: ()
    case_holds: Callable[[], Iterable[str]] = tuple
    case_mails: Callable[[], Iterable[tuple[str, int]]] = tuple
    refused_addresses: Callable[[], Iterable[str]] = tuple
    first_run_at: datetime | None = None


_FIRST = " QUALIFY row_number() OVER (PARTITION BY p.cust, occurrence ORDER BY anchor) = 1"


@dataclass(frozen=True)
class Compiled:
    """One rule as SQL: where its rows come from, what must hold of them, and what each candidate carries."""

    rule_no: int
    rule: Rule
    found: Found
    conditions: tuple[Condition, ...]
    """The trigger's, the scope, then each part of `where`."""
    step_conditions: Mapping[int, str]
    ended: str
    goal_at: str
    facts: Mapping[str, Callable[[], str]]

    def candidates(self) -> str:
        """The SELECT that yields the rule's candidates, without the rule's number."""
        failing = " + ".join(
            f"CASE WHEN {sql} THEN 0 ELSE {1 << step} END" for step, sql in self.step_conditions.items()
        )
        found = self.found
        holds = " AND ".join(f"({condition.sql})" for condition in self.conditions)
        return (
            f"SELECT p.cust, {found.occurrence} AS occurrence, {found.anchor} AS anchor, "
            f"{found.rests_at} AS rests_at, coalesce({self.ended}, FALSE) AS ended, {self.goal_at} AS goal_at, "
            f"{failing or '0'} AS failing_steps FROM {found.rows} WHERE {holds}{_FIRST if found.repeats else ''}"
        )


class Evaluation:
    """Evaluates rules over the warehouse as of `as_of` (naive UTC), for everybody or for `customer_ids`.

    `values` names what messages will want of each rule's customers, so that just those columns are read. After
    `run()`, `db` holds `person`, `candidate` and the zone tables that planning reads.
    """

    def __init__(
        self,
        settings: Settings,
        root: Path,
        rules: Sequence[Rule],
        as_of: datetime,
        *,
        queries: Mapping[str, str] = MappingProxyType({}),
        values: Mapping[str, Iterable[Name]] = MappingProxyType({}),
        customer_ids: Sequence[str] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.rules, self.as_of, self._queries, self._memory = tuple(rules), as_of, queries, memory or Memory()
        self._values = {rule.id: frozenset(values.get(rule.id, ())) for rule in rules}
        self.triggers: Mapping[str, Trigger] = triggers()
        self.warehouse = Warehouse(settings, root, as_of, customer_ids)
        for rule in self.rules:
            if isinstance(rule.trigger.params, DateParams):
                self.warehouse.read_as_date(*rule.trigger.params.place)
        self.bound, self.shared = Bound(), Shared()
        self.compiled: list[Compiled] = []
        self._queried: set[int] = set()
        self._looks: dict[int, Lookup] = {}

    @property
    def db(self) -> duckdb.DuckDBPyConnection:
        """The in-memory database everything is staged into."""
        return self.warehouse.db

    def check(self) -> list[Problem]:
        """What only the tables can tell: missing tables and columns, unknown names and types in `where`."""
        problems: list[Problem] = []
        for rule in self.rules:
            problems += self._check_needs(rule)
            catalog = self.catalog(rule)
            for expression in rule.expressions:
                problems += expression.check(catalog)
        return problems

    def catalog(self, rule: Rule) -> Catalog:
        """What the rule's expressions may name."""
        return {**self.warehouse.catalog(), "fact": self.fact_types(rule)}

    def fact_types(self, rule: Rule) -> dict[str, ColumnType]:
        """All facts of a rule's candidates: the trigger's, its row's columns, and the rule's own `facts`."""
        trigger, params = self.triggers[rule.trigger.name], rule.trigger.params
        table = trigger.row_table_of(params)
        row = dict(self.warehouse.columns(table)) if table else {}
        if table == "events":  # who, what and when are the candidate itself
            row = {name: kind for name, kind in row.items() if name not in EVENT_BASICS}
        own: dict[str, ColumnType] = {
            name: "instant" if spec.aggregate in {"first", "last"} else "number" for name, spec in rule.facts.items()
        }
        return {**row, **self._query_types(rule), **trigger.facts(params), **own}

    def _query_types(self, rule: Rule) -> dict[str, ColumnType]:
        """Types of a query's further columns, which only running it can tell."""
        if not isinstance(rule.trigger.params, SqlParams):
            return {}
        number = self.rules.index(rule)
        self._run_query(number, rule, rule.trigger.params.query)
        rows = self.db.execute(f"DESCRIBE query_{number}").fetchall()
        return {row[0]: _FAMILIES.get(physical(row[1]), "text") for row in rows if row[0] not in QUERY_NEEDS}

    def tables_of(self, rule: Rule) -> set[str]:
        """The mapped tables a rule reads: customers always, what its trigger needs, and what its other parts name."""
        needs = self.triggers[rule.trigger.name].needs(rule.trigger.params)
        tables = {"customers", *needs.required, *needs.optional}
        if rule.facts or _exit_event(rule) or (rule.goal and rule.goal.event):
            tables.add("events")
        if rule.goal and (rule.goal.paid or rule.goal.renewed):
            tables.add("invoices")
        if rule.goal and rule.goal.in_service:
            tables.add("subscriptions")
        if self._is_scoped(rule) or any(namespace == "subscription" for namespace, _ in self._names(rule)):
            tables.add("subscriptions")
        if isinstance(rule.trigger.params, SqlParams):
            tables |= set(self.warehouse.shapes)
        return tables & set(self.warehouse.shapes)

    def run(self, progress: Progress = lambda text: None) -> None:
        """Read the tables and fill `candidate`."""
        progress("reading customers")
        self._stage()
        progress("computing facts")
        self._compile()
        self.warehouse.join_person(self._subscription_columns())
        self.db.execute(
            "CREATE OR REPLACE TABLE candidate (rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, "
            "anchor TIMESTAMP, rests_at TIMESTAMP, ended BOOLEAN, goal_at TIMESTAMP, failing_steps UINTEGER)"
        )
        for name, select in self.shared.tables.items():
            execute(self.db, f"CREATE OR REPLACE TABLE {name} AS {select}", self.bound)
        for select, numbers in self._selects().items():
            progress(f"rule {self.rules[numbers[0]].id}")
            execute(self.db, f"INSERT INTO candidate SELECT unnest({numbers}), * FROM ({select})", self.bound)
        # Only queries leave these empty. Asking every row before it is written would work out each text twice.
        self.db.execute("DELETE FROM candidate WHERE occurrence IS NULL OR anchor IS NULL")

    def _selects(self) -> dict[str, list[int]]:
        """The SELECTs to run, each once for all rules that find the same rows."""
        selects: dict[str, list[int]] = {}
        for compiled in self.compiled:
            selects.setdefault(compiled.candidates(), []).append(compiled.rule_no)
        return selects

    def values_sql(self, compiled: Compiled, names: Iterable[Name]) -> str:
        """SQL for the JSON text of the values a message reads: just `names`, grouped by namespace."""
        groups: dict[str, list[str]] = {"customer": [], "fact": [], "subscription": []}
        for namespace, name in sorted(names):
            sql = self._value(compiled, namespace, name)
            if sql is not None:
                groups[namespace].append(f"{quote(name)} := {sql}")
        packed = ", ".join(
            f"{quote(group)} := struct_pack({', '.join(parts)})" for group, parts in groups.items() if parts
        )
        return f"CAST(to_json(struct_pack({packed})) AS VARCHAR)" if packed else "'{}'"

    def packed_sql(self, compiled: Compiled, names: Iterable[Name]) -> str:
        """The SELECT of what messages read of a rule's candidates: rule_no, cust, occurrence, anchor, packed."""
        found = compiled.found
        holds = " AND ".join(f"({condition.sql})" for condition in compiled.conditions)
        return (
            f"SELECT {compiled.rule_no} AS rule_no, p.cust, {found.occurrence} AS occurrence, {found.anchor} AS anchor, "
            f"{self.values_sql(compiled, names)} AS packed FROM {found.rows} WHERE {holds}"
        )

    def why_gone(self, compiled: Compiled, occurrence: str) -> str | None:
        """SQL over `p` for the reason why an occurrence (SQL) of a rule is found no longer; None: its trigger tells none."""
        use = compiled.rule.trigger
        return self.triggers[use.name].why_gone(use.params, occurrence, self._looks[compiled.rule_no])

    def close(self) -> None:
        """Let go of the source."""
        self.warehouse.close()

    # ── what is read ────────────────────────────────────────────────────────────────────────────────────────────

    def _stage(self) -> None:
        warehouse, tables = self.warehouse, self._tables()
        warehouse.stage_customers(tables.pop("customers", []), self._dates_of("customers"))
        for table, columns in tables.items():
            if table != "events" and table in warehouse.shapes:
                warehouse.stage_rows(table, columns, self._dates_of(table))
        for number, rule in enumerate(self.rules):
            if isinstance(rule.trigger.params, SqlParams):
                self._run_query(number, rule, rule.trigger.params.query)
        self._load_memory()

    def _tables(self) -> dict[str, list[str]]:
        """Columns to read of each table, as far as they are there."""
        wanted: dict[str, dict[str, None]] = {"customers": {}}
        for rule in self.rules:
            needs = self.triggers[rule.trigger.name].needs(rule.trigger.params)
            for table, columns in [*needs.required.items(), *needs.optional.items()]:
                wanted.setdefault(table, {}).update(dict.fromkeys(columns))
            row_table = self.triggers[rule.trigger.name].row_table_of(rule.trigger.params)
            for namespace, name in self._names(rule):
                place = _NAMESPACE_TABLES.get(namespace, row_table)
                if place:
                    wanted.setdefault(place, {})[name] = None
            if self._is_scoped(rule) or (rule.goal and rule.goal.in_service):
                wanted.setdefault("subscriptions", {})
            if rule.goal and (rule.goal.paid or rule.goal.renewed):
                wanted.setdefault("invoices", {}).update(dict.fromkeys(("paid_at", "billing_reason")))
        shapes = self.warehouse.shapes
        return {
            table: [column for column in columns if column in shapes[table].columns]
            for table, columns in wanted.items()
            if table in shapes
        }

    def _names(self, rule: Rule) -> set[Name]:
        """Every name a rule uses, in its expressions and in its mails."""
        used = {name for expression in rule.expressions for name in expression.columns}
        return used | set(self._values[rule.id])

    def _dates_of(self, table: str) -> list[str]:
        """Columns of a table that `date` rules count from: they need the local date beside the instant."""
        places = [rule.trigger.params.place for rule in self.rules if isinstance(rule.trigger.params, DateParams)]
        counted = [column for place_table, column in places if place_table == table]
        wanted = [column for needs in self._all_needs() for column in needs.dates.get(table, ())]
        return list(dict.fromkeys([*counted, *wanted]))

    def _all_needs(self) -> list[Needs]:
        return [self.triggers[rule.trigger.name].needs(rule.trigger.params) for rule in self.rules]

    def _subscription_columns(self) -> list[str]:
        names = {name for rule in self.rules for namespace, name in self._names(rule) if namespace == "subscription"}
        if any(self._is_scoped(rule) or (rule.goal and rule.goal.in_service) for rule in self.rules):
            names |= {"subscription_id", "started_at"}
        shape = self.warehouse.shapes.get("subscriptions")
        return sorted(name for name in names if shape and (name in shape.columns or name in DERIVED))

    def _run_query(self, number: int, rule: Rule, query: str) -> None:
        """Run a rule's query once: its columns are asked for before its rows are."""
        if number in self._queried:
            return
        text = self._queries.get(query)
        if text is None:
            raise SetupError(_at(rule, "HF607", f'there is no file "rules/{query}"', "expected the query's file there"))
        run_query(self.warehouse, text, f"rules/{query}", f"query_{number}")
        self._queried.add(number)

    def _load_memory(self) -> None:
        asked = sorted(
            {rule_id for rule in self.rules for expression in rule.expressions for rule_id in expression.sent}
        )
        memory = self._memory
        rows = ((rule_id, customer) for rule_id in asked for customer in memory.sent(rule_id))
        load_rows(self.db, "sent_rule", {"rule_id": "VARCHAR", "customer_id": "VARCHAR"}, rows)
        if any(needs.cases for needs in self._all_needs()):
            load_rows(self.db, "case_hold", {"invoice_id": "VARCHAR"}, ((one,) for one in memory.case_holds()))
            load_rows(self.db, "case_mail", {"invoice_id": "VARCHAR", "mails": "BIGINT"}, memory.case_mails())
            refused = ((one,) for one in memory.refused_addresses())
            load_rows(self.db, "refused_address", {"address": "VARCHAR"}, refused)

    # ── rules as SQL ────────────────────────────────────────────────────────────────────────────────────────────

    def _compile(self) -> None:
        self.compiled = [self._compile_rule(number, rule) for number, rule in enumerate(self.rules)]

    def _compile_rule(self, number: int, rule: Rule) -> Compiled:
        columns = {name: frozenset(shape.columns) for name, shape in self.warehouse.shapes.items()}
        if rule.trigger.name == "sql":
            rows = self.db.execute(f"DESCRIBE query_{number}").fetchall()
            columns[f"query_{number}"] = frozenset(row[0] for row in rows)
        look = Lookup(
            self.as_of, self.bound, self.warehouse.facts, self.shared, columns, number,
            self.warehouse.settings.dunning, self._memory.first_run_at,
        )  # fmt: skip
        self._looks[number] = look
        trigger = self.triggers[rule.trigger.name]
        found = trigger.find(rule.trigger.params, look)
        facts = {**self._row_facts(trigger, rule, look), **found.facts, **self._own_facts(rule, look)}
        draft = Compiled(number, rule, found, found.conditions, {}, "FALSE", "NULL", facts)
        conditions = [*found.conditions, *self._scope(rule), *self._where(draft)]
        compiled = replace(
            draft,
            conditions=tuple(conditions),
            step_conditions={step.no: self._sql(draft, step.where) for step in rule.steps if step.where},
            ended=self._exit(draft, look),
            goal_at=self._goal(rule.goal, look) if rule.goal else "CAST(NULL AS TIMESTAMP)",
        )
        for name in self._values[rule.id]:
            self._value(compiled, *name)  # asks for the facts behind it before they are computed
        return compiled

    def _row_facts(self, trigger: Trigger, rule: Rule, look: Lookup) -> dict[str, Callable[[], str]]:
        table = trigger.row_table_of(rule.trigger.params)
        if table in {None, "events"}:
            return {}
        alias, prefix = ("p", "c_") if table == "customers" else ("r", "")

        def column(name: str) -> Callable[[], str]:
            return lambda: f"{alias}.{quote(prefix + name)}"

        derived = DERIVED if table == "subscriptions" else ()
        return {name: column(name) for name in (*sorted(look.columns(str(table))), *derived)}

    def _own_facts(self, rule: Rule, look: Lookup) -> dict[str, Callable[[], str]]:
        def own(fact: Fact) -> Callable[[], str]:
            return lambda: look.event(fact)

        facts = {}
        for name, spec in rule.facts.items():
            since = self.as_of - spec.within.elapsed if spec.within else None
            column = "value_minor" if spec.aggregate == "sum" else None
            facts[name] = own(Fact(spec.aggregate, spec.event, since, column))
        return facts

    def _scope(self, rule: Rule) -> list[Condition]:
        if not self._is_scoped(rule):
            return []
        return [Condition("has a subscription in service", "p.sub_subscription_id IS NOT NULL")]

    def _is_scoped(self, rule: Rule) -> bool:
        return (
            self.triggers[rule.trigger.name].scoped and rule.scope is None and "subscriptions" in self.warehouse.shapes
        )

    def _where(self, compiled: Compiled) -> list[Condition]:
        parts = compiled.rule.where.conjuncts() if compiled.rule.where else []
        return [
            Condition(part.text, self._sql(compiled, part), {f"{space}.{name}" if space else name: sql
                for space, name in sorted(part.columns) if (sql := self._value(compiled, space, name))})
            for part in parts
        ]  # fmt: skip

    def _sql(self, compiled: Compiled, expression: Expression) -> str:
        return expression.to_sql(
            column=lambda namespace, name: self._value(compiled, namespace, name) or "NULL",
            sent=lambda rule_id: f"p.customer_id IN (SELECT customer_id FROM sent_rule WHERE rule_id = {self.bound(rule_id)})",
            bind=self.bound, as_of=self.as_of,
        )  # fmt: skip

    def _value(self, compiled: Compiled, namespace: str, name: str) -> str | None:
        """SQL for one name; None for names the tables do not have."""
        if namespace in {"", "customer"}:
            known = name in self.warehouse.shapes["customers"].columns
            return f"p.{quote('c_' + name)}" if known else None
        if namespace == "subscription":
            shape = self.warehouse.shapes.get("subscriptions")
            known = shape is not None and (name in shape.columns or name in DERIVED)
            return f"p.{quote('sub_' + name)}" if known else None
        return compiled.facts[name]() if name in compiled.facts else None

    def _exit(self, compiled: Compiled, look: Lookup) -> str:
        """Whether the ladder has ended: an expression that holds, or an event at or after the anchor."""
        exit_when = compiled.rule.exit_when
        if exit_when is None:
            return "FALSE"
        if isinstance(exit_when, Expression):
            return self._sql(compiled, exit_when)
        return f"{look.event(Fact('last', exit_when.event))} >= {compiled.found.anchor}"

    def _goal(self, goal: Goal, look: Lookup) -> str:
        """When the goal was last reached."""
        if goal.event:
            return look.event(Fact("last", goal.event))
        if goal.in_service:
            return f"CASE WHEN p.sub_subscription_id IS NOT NULL THEN coalesce(p.sub_started_at, {look.now}) END"
        cycle = ""
        if goal.renewed and look.has("invoices", "billing_reason"):
            cycle = "AND coalesce(i.billing_reason = 'subscription_cycle', TRUE)"
        return f"(SELECT max(i.paid_at) FROM t_invoices AS i WHERE i.cust = p.cust AND i.paid_at < {look.now} {cycle})"

    # ── problems ────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_needs(self, rule: Rule) -> list[Problem]:
        shapes, problems = self.warehouse.shapes, []
        needs = dict(self.triggers[rule.trigger.name].needs(rule.trigger.params).required)
        if rule.goal and (rule.goal.paid or rule.goal.renewed):
            needs["invoices"] = (*needs.get("invoices", ()), "paid_at")
        if rule.goal and rule.goal.in_service:
            needs.setdefault("subscriptions", ())
        if rule.facts or _exit_event(rule) or (rule.goal and rule.goal.event):
            needs.setdefault("events", ())
        for table, columns in needs.items():
            if table not in TABLES:
                found, expected = f'there is no table "{table}"', "expected one of " + ", ".join(sorted(TABLES))
                problems.append(_at(rule, "HF605", found, expected, did_you_mean(table, TABLES)))
            elif table not in shapes:
                found = f"{rule.trigger.name} needs the table {table}, which is not mapped"
                problems.append(_at(rule, "HF605", found, f"expected it under warehouse.tables.{table} in config.yaml"))
            else:
                problems += [
                    _at(rule, "HF606", f'{rule.trigger.name} needs the column "{column}" of {table}, which is not there',
                        f"expected one of {', '.join(sorted(shapes[table].columns))}", did_you_mean(column, shapes[table].columns))
                    for column in columns if column not in shapes[table].columns
                ]  # fmt: skip
        return problems or self._check_date(rule)

    def _check_date(self, rule: Rule) -> list[Problem]:
        """Whether a `date` rule counts from a date."""
        if not isinstance(rule.trigger.params, DateParams):
            return []
        table, column = rule.trigger.params.place
        kind = self.warehouse.columns(table)[column]
        if table == "events":
            expected = "for those there is the trigger event"
            return [_at(rule, "HF606", "date does not count from events", expected)]
        if kind != "instant":
            what = {"text": "text", "number": "a number", "bool": "true or false"}[kind]
            found = f'date counts from a date or timestamp, and the column "{column}" of {table} is {what}'
            dates = [name for name, other in self.warehouse.columns(table).items() if other == "instant"]
            return [_at(rule, "HF606", found, f"expected one of {', '.join(sorted(dates))}" if dates else "")]
        return []


def _at(rule: Rule, code: str, found: str, expected: str, suggestion: str | None = None) -> Problem:
    return Problem(rule.path, rule.line, None, code, f"rule {rule.id}: {found}", expected, suggestion)


def _exit_event(rule: Rule) -> bool:
    return rule.exit_when is not None and not isinstance(rule.exit_when, Expression)


def queries_of(files: Mapping[str, str]) -> dict[str, str]:
    """The query files under `rules/`, by the name rules use."""
    return {path.removeprefix("rules/"): text for path, text in files.items() if re.fullmatch(r"rules/.+\.sql", path)}
