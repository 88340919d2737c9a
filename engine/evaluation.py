"""From rules and tables to candidates: who each rule is about, as of one instant.

All rules together: their conditions are compiled to SQL first, so that the facts they ask for are known; the tables
are read once, each fact over its own horizon; then every rule is a predicate over the wide `person` table or over the
rows of one other table. A rule about accounts is the same predicate over the accounts' tables of the same names; what
it finds becomes one candidate for each of the account's recipients.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
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
from engine.recipients import address
from engine.triggers import Condition, Found, Lookup, Needs, Shared, Trigger, triggers
from engine.triggers.date import DateParams
from engine.triggers.event import EVENT_BASICS
from engine.triggers.sql import QUERY_NEEDS, SqlParams
from engine.warehouse.accounts import seen_by_accounts
from engine.warehouse.facts import Fact
from engine.warehouse.queries import run_query
from engine.warehouse.reading import physical
from engine.warehouse.sql import Bound, execute, load_rows, quote
from engine.warehouse.subscriptions import DERIVED
from engine.warehouse.tables import TABLES
from engine.warehouse.warehouse import Warehouse

_NAMESPACE_TABLES = {"customer": "customers", "account": "accounts", "subscription": "subscriptions"}

_CANDIDATE = (
    "CREATE OR REPLACE TABLE candidate (rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, "
    "anchor TIMESTAMP, rests_at TIMESTAMP, ended BOOLEAN, goal_at TIMESTAMP, failing_steps UINTEGER)"
)
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

    `sent`: customers a rule has written to; `sent_accounts`: the accounts, of a rule about accounts. `case_holds`:
    invoices a person has put on hold. `case_mails`: (invoice, mails sent about it). `refused_addresses`: those that
    bounced or complained. `first_run_at`: naive UTC.
    """

    sent: Callable[[str], Iterable[str]] = lambda rule_id: ()
    sent_accounts: Callable[[str], Iterable[str]] = lambda rule_id: ()
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

    With rules about accounts, those customers' whole accounts are read, and those of `account_ids`. `values` names what
    messages will want of each rule's customers, so that just those columns are read. After `run()`, `db` holds
    `person`, `candidate` and the zone tables that planning reads.
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
        account_ids: Sequence[str] = (),
        memory: Memory | None = None,
    ) -> None:
        self.rules, self.as_of, self._queries, self._memory = tuple(rules), as_of, queries, memory or Memory()
        self._values = {rule.id: frozenset(values.get(rule.id, ())) for rule in rules}
        self.triggers: Mapping[str, Trigger] = triggers()
        self.warehouse = Warehouse(
            settings, root, as_of, customer_ids, accounts=self._asks_for_accounts(), account_ids=account_ids
        )
        for rule in self.rules:
            if isinstance(rule.trigger.params, DateParams):
                self.warehouse.read_as_date(*self._date_place(rule, rule.trigger.params))
        self.bound, self.shared, self.account_shared = Bound(), Shared(), Shared()
        self.compiled: list[Compiled] = []
        self._queried: set[int] = set()
        self._looks: dict[int, Lookup] = {}

    @property
    def db(self) -> duckdb.DuckDBPyConnection:
        """The in-memory database everything is staged into."""
        return self.warehouse.db

    def seen_by(self, rule: Rule) -> AbstractContextManager[None]:
        """Within it, SQL of the rule looks at the tables of its subject: the customers' or the accounts'."""
        return seen_by_accounts(self.db) if rule.by_account else nullcontext()

    def check(self) -> list[Problem]:
        """What only the tables can tell: missing tables and columns, unknown names and types in `where`."""
        problems: list[Problem] = []
        for rule in self.rules:
            problems += self._check_needs(rule)
            catalog = self.catalog(rule)
            for expression in rule.expressions:
                problems += expression.check(catalog)
            if rule.recipients.where:
                problems += rule.recipients.where.check(self.recipient_catalog())
        return problems

    def catalog(self, rule: Rule) -> Catalog:
        """What the rule's expressions may name."""
        known = {**self.warehouse.catalog(), "fact": self.fact_types(rule)}
        return {**known, "": known["account"]} if rule.by_account else known

    def recipient_catalog(self) -> Catalog:
        """What `recipients.where` may name: the columns of the person."""
        nothing: Catalog = {"account": {}, "subscription": {}, "fact": {}}
        return {**nothing, "": self.warehouse.columns("customers")}

    def fact_types(self, rule: Rule) -> dict[str, ColumnType]:
        """All facts of a rule's candidates: the trigger's, its row's columns, and the rule's own `facts`."""
        trigger, params = self.triggers[rule.trigger.name], rule.trigger.params
        table = self._row_table(rule)
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
        tables = {"customers", self._own_table(rule), *needs.required, *needs.optional}
        if rule.facts or _exit_event(rule) or (rule.goal and rule.goal.event):
            tables.add("events")
        if rule.goal and (rule.goal.paid or rule.goal.renewed):
            tables.add("invoices")
        if rule.goal and rule.goal.in_service:
            tables.add("subscriptions")
        if self._is_scoped(rule) or any(namespace == "subscription" for namespace, _ in self._names(rule)):
            tables.add("subscriptions")
        if any(namespace == "account" for namespace, _ in self._names(rule)):
            tables.add("accounts")
        if isinstance(rule.trigger.params, SqlParams):
            tables |= set(self.warehouse.shapes)
        return tables & set(self.warehouse.shapes)

    def run(self, progress: Progress = lambda text: None) -> None:
        """Read the tables and fill `candidate`."""
        progress("reading customers")
        self._stage()
        progress("computing facts")
        self._compile()
        by_account = any(rule.by_account for rule in self.rules)
        if by_account and self.warehouse.accounts:
            self.warehouse.join_accounts(self._subscription_columns())
        self.warehouse.join_person(self._subscription_columns(), self._account_columns())
        self._find(self.shared, self._selects(by_account=False), progress)
        if by_account:
            with seen_by_accounts(self.db):
                self._find(self.account_shared, self._selects(by_account=True), progress)
            conditions = {
                number: self.recipient_condition(rule) for number, rule in enumerate(self.rules) if rule.by_account
            }
            address(self.db, conditions, self.bound)

    def _find(self, shared: Shared, selects: Mapping[str, list[int]], progress: Progress) -> None:
        """Fill the `candidate` of the tables that are looked at."""
        self.db.execute(_CANDIDATE)
        for name, select in shared.tables.items():
            execute(self.db, f"CREATE OR REPLACE TABLE {name} AS {select}", self.bound)
        for select, numbers in selects.items():
            progress(f"rule {self.rules[numbers[0]].id}")
            execute(self.db, f"INSERT INTO candidate SELECT unnest({numbers}), * FROM ({select})", self.bound)
        # Only queries leave these empty. Asking every row before it is written would work out each text twice.
        self.db.execute("DELETE FROM candidate WHERE occurrence IS NULL OR anchor IS NULL")

    def _selects(self, *, by_account: bool) -> dict[str, list[int]]:
        """The SELECTs to run, each once for all rules that find the same rows."""
        selects: dict[str, list[int]] = {}
        for compiled in self.compiled:
            if compiled.rule.by_account == by_account:
                selects.setdefault(compiled.candidates(), []).append(compiled.rule_no)
        return selects

    def recipient_condition(self, rule: Rule) -> str:
        """SQL over `p`, a customer, for whether a rule about accounts may write to them about theirs."""
        return (
            self._expression(rule.recipients.where, lambda _, name: f"p.{quote('c_' + name)}")
            if rule.recipients.where
            else "TRUE"
        )

    def values_sql(self, compiled: Compiled, names: Iterable[Name]) -> str:
        """SQL for the JSON text of the values a message reads: just `names`, grouped by namespace.

        It reads `p`, and for a rule about accounts `q`, the recipient.
        """
        groups: dict[str, list[str]] = {"account": [], "customer": [], "fact": [], "subscription": []}
        for namespace, name in sorted(names):
            sql = self._value(compiled, namespace, name)
            if sql is not None:
                groups[namespace].append(f"{quote(name)} := {sql}")
        packed = ", ".join(
            f"{quote(group)} := struct_pack({', '.join(parts)})" for group, parts in groups.items() if parts
        )
        return f"CAST(to_json(struct_pack({packed})) AS VARCHAR)" if packed else "'{}'"

    def packed_sql(self, compiled: Compiled, names: Iterable[Name], recipients: str | None = None) -> str:
        """The SELECT of what messages read of a rule's candidates: rule_no, cust, occurrence, anchor, packed.

        `recipients`: SQL that gives the `cust` of those wanted. Within `seen_by`.
        """
        found, rows, recipient = compiled.found, compiled.found.rows, "p"
        if compiled.rule.by_account:
            rows, recipient = f"{rows} JOIN main.person AS q ON q.account_id = p.customer_id", "q"
        holds = [f"({condition.sql})" for condition in compiled.conditions]
        holds += [f"{recipient}.cust IN ({recipients})"] if recipients else []
        return (
            f"SELECT {compiled.rule_no} AS rule_no, {recipient}.cust, {found.occurrence} AS occurrence, "
            f"{found.anchor} AS anchor, {self.values_sql(compiled, names)} AS packed FROM {rows} "
            f"WHERE {' AND '.join(holds) or 'TRUE'}"
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
        columns_of_accounts = tables.pop("accounts", [])
        if warehouse.accounts:
            warehouse.stage_accounts(columns_of_accounts, self._dates_of("accounts"))
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
                wanted.setdefault(self._table(rule, table), {}).update(dict.fromkeys(columns))
            tables = {**_NAMESPACE_TABLES, "": self._own_table(rule), "fact": self._row_table(rule)}
            for namespace, name in self._names(rule):
                place = tables[namespace]
                if place:
                    wanted.setdefault(place, {})[name] = None
            for _, name in rule.recipients.where.columns if rule.recipients.where else ():
                wanted["customers"][name] = None
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

    def _asks_for_accounts(self) -> bool:
        return any(
            rule.by_account or any(namespace == "account" for namespace, _ in self._names(rule)) for rule in self.rules
        )

    def _own_table(self, rule: Rule) -> str:
        """The table of the rule's subjects."""
        return "accounts" if rule.by_account else "customers"

    def _table(self, rule: Rule, table: str) -> str:
        """The table that stands for one a trigger names: the subjects' own for the customers'."""
        return self._own_table(rule) if table == "customers" else table

    def _row_table(self, rule: Rule) -> str | None:
        table = self.triggers[rule.trigger.name].row_table_of(rule.trigger.params)
        return table and self._table(rule, table)

    def _date_place(self, rule: Rule, params: DateParams) -> tuple[str, str]:
        table, column = params.place
        return self._table(rule, table), column

    def _names(self, rule: Rule) -> set[Name]:
        """Every name a rule uses, in its expressions and in its mails."""
        used = {name for expression in rule.expressions for name in expression.columns}
        return used | set(self._values[rule.id])

    def _dates_of(self, table: str) -> list[str]:
        """Columns of a table that `date` rules count from: they need the local date beside the instant."""
        places = [
            self._date_place(rule, rule.trigger.params) for rule in self.rules
            if isinstance(rule.trigger.params, DateParams)
        ]  # fmt: skip
        counted = [column for place_table, column in places if place_table == table]
        wanted = [
            column for rule, needs in zip(self.rules, self._all_needs(), strict=True)
            for named, columns in needs.dates.items() if self._table(rule, named) == table for column in columns
        ]  # fmt: skip
        return list(dict.fromkeys([*counted, *wanted]))

    def _all_needs(self) -> list[Needs]:
        return [self.triggers[rule.trigger.name].needs(rule.trigger.params) for rule in self.rules]

    def _subscription_columns(self) -> list[str]:
        names = {name for rule in self.rules for namespace, name in self._names(rule) if namespace == "subscription"}
        if any(self._is_scoped(rule) or (rule.goal and rule.goal.in_service) for rule in self.rules):
            names |= {"subscription_id", "started_at"}
        shape = self.warehouse.shapes.get("subscriptions")
        return sorted(name for name in names if shape and (name in shape.columns or name in DERIVED))

    def _account_columns(self) -> list[str]:
        """What rules about customers name of the customer's account."""
        if not self.warehouse.accounts:
            return []
        names = {
            name for rule in self.rules if not rule.by_account
            for namespace, name in self._names(rule) if namespace == "account"
        }  # fmt: skip
        return sorted(name for name in names if name in self.warehouse.catalog()["account"])

    def _run_query(self, number: int, rule: Rule, query: str) -> None:
        """Run a rule's query once: its columns are asked for before its rows are."""
        if number in self._queried:
            return
        text = self._queries.get(query)
        if text is None:
            raise SetupError(_at(rule, "HF607", f'there is no file "rules/{query}"', "expected the query's file there"))
        subject = "account_id" if rule.by_account else "customer_id"
        run_query(self.warehouse, text, f"rules/{query}", f"query_{number}", subject)
        self._queried.add(number)

    def _load_memory(self) -> None:
        asked = sorted(
            {rule_id for rule in self.rules for expression in rule.expressions for rule_id in expression.sent}
        )
        memory = self._memory
        rows = ((rule_id, customer) for rule_id in asked for customer in memory.sent(rule_id))
        columns = {"rule_id": "VARCHAR", "customer_id": "VARCHAR"}
        load_rows(self.db, "sent_rule", columns, rows)
        if self.warehouse.accounts:
            with seen_by_accounts(self.db):
                load_rows(
                    self.db, "sent_rule", columns, ((one, id_) for one in asked for id_ in memory.sent_accounts(one))
                )
                # A rule about customers has written to the account if it has to anybody of it.
                self.db.execute(
                    "INSERT INTO sent_rule SELECT DISTINCT s.rule_id, c.account_id FROM main.sent_rule AS s "
                    "JOIN main.t_customers AS c USING (customer_id) WHERE c.account_id IS NOT NULL "
                    "AND s.rule_id NOT IN (SELECT rule_id FROM sent_rule)"
                )
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
        facts = self.warehouse.account_facts if rule.by_account else self.warehouse.facts
        columns["customers"] = columns.get(self._own_table(rule), frozenset())
        look = Lookup(
            self.as_of, self.bound, facts, self.account_shared if rule.by_account else self.shared, columns, number,
            self.warehouse.settings.dunning, self._memory.first_run_at,
        )  # fmt: skip
        self._looks[number] = look
        trigger = self.triggers[rule.trigger.name]
        found = trigger.find(rule.trigger.params, look)
        given = {**self._row_facts(rule, look), **found.facts, **self._own_facts(rule, look)}
        draft = Compiled(number, rule, found, found.conditions, {}, "FALSE", "NULL", given)
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

    def _row_facts(self, rule: Rule, look: Lookup) -> dict[str, Callable[[], str]]:
        table = self._row_table(rule)
        if table in {None, "events"}:
            return {}
        alias, prefix = ("p", "c_") if table == self._own_table(rule) else ("r", "")

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
        return self._expression(expression, lambda namespace, name: self._value(compiled, namespace, name) or "NULL")

    def _expression(self, expression: Expression, column: Callable[[str, str], str]) -> str:
        return expression.to_sql(
            column=column,
            sent=lambda rule_id: f"p.customer_id IN (SELECT customer_id FROM sent_rule WHERE rule_id = {self.bound(rule_id)})",
            bind=self.bound, as_of=self.as_of,
        )  # fmt: skip

    def _value(self, compiled: Compiled, namespace: str, name: str) -> str | None:
        """SQL for one name; None for names the tables do not have."""
        by_account = compiled.rule.by_account
        if namespace == "customer" or (namespace == "" and not by_account):
            known = name in self.warehouse.shapes["customers"].columns
            return f"{'q' if by_account else 'p'}.{quote('c_' + name)}" if known else None
        if namespace in {"", "account"}:
            if name not in self.warehouse.catalog()["account"]:
                return None
            if not by_account:
                return f"p.{quote('acc_' + name)}"
            return "p.customer_id" if name == "account_id" else f"p.{quote('c_' + name)}"
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
        if rule.by_account and not self.warehouse.knows_accounts:
            found = 'a rule about accounts needs the column "account_id" of customers, which is not there'
            return [_at(rule, "HF606", found, "expected it to say which account each customer belongs to")]
        needs = self._needs(rule)
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

    def _needs(self, rule: Rule) -> dict[str, Sequence[str]]:
        """Tables and columns its trigger cannot do without. Rows may name the account instead of the customer."""
        needs: dict[str, Sequence[str]] = {}
        for named, columns in self.triggers[rule.trigger.name].needs(rule.trigger.params).required.items():
            table = self._table(rule, named)
            if table == "accounts" and not columns:
                continue  # accounts are there without a table of their own
            shape = self.warehouse.shapes.get(table)
            instead = rule.by_account and shape is not None and shape.has("account_id")
            needs[table] = [column for column in columns if not (instead and column == "customer_id")]
        return needs

    def _check_date(self, rule: Rule) -> list[Problem]:
        """Whether a `date` rule counts from a date."""
        if not isinstance(rule.trigger.params, DateParams):
            return []
        table, column = self._date_place(rule, rule.trigger.params)
        written = rule.trigger.params.column.partition(".")[0] if "." in rule.trigger.params.column else table
        if written in {"accounts", "customers"} and written != self._own_table(rule):
            found = f"date counts from {written}.{column}, and the rule is about {rule.about}s"
            return [_at(rule, "HF606", found, f"expected a column of {self._own_table(rule)}, or of rows of theirs")]
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
