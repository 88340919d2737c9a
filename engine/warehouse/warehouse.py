"""The company's tables as one evaluation sees them: staged rows, the person table, and facts about events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import gettempdir

import duckdb

from engine.clock import new_token
from engine.currencies import exponents
from engine.errors import Problem, SetupError
from engine.project.settings import Settings
from engine.project.trigger_spec import Catalog, ColumnType
from engine.warehouse import subscriptions
from engine.warehouse.accounts import SCHEMA, accounts_select, members_on_server, rows_of_accounts, seen_by_accounts
from engine.warehouse.duplicates import duplicate_issues, settle_duplicates
from engine.warehouse.events import Events
from engine.warehouse.facts import FactSet
from engine.warehouse.shapes import Shape, of_known_kind, shape_of
from engine.warehouse.sources import Source, open_source
from engine.warehouse.sql import Bound, execute, quote
from engine.warehouse.staging import Issue, Staging, TableReport
from engine.warehouse.tables import TABLES, Kind
from engine.warehouse.zones import create_zone_tables, instant_of, known_zones, local_span_of, wall_from

_BASICS = ("account_id", "email", "timezone", "country", "consent", "consent_at", "consent_source", "locale", "name")
"""Columns of customers that every evaluation needs: for deciding, addressing and choosing the language."""


class Warehouse:
    """Connects to the mapped tables and stages them, as of one instant, into the in-memory database `db`.

    `customer_ids` restricts everything to those customers; with `accounts`, to them and everybody of their accounts,
    or of the accounts named by `account_ids`. All instants are naive UTC. Nothing is written to the company's side:
    files are read where they lie, servers in one read-only transaction.
    """

    def __init__(
        self, settings: Settings, root: Path, as_of: datetime, customer_ids: Sequence[str] | None = None,
        *, accounts: bool = False, account_ids: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.settings, self.as_of = settings, as_of
        self.db = _memory_database()
        tables = {name: table for name, table in settings.warehouse.tables.items() if name in TABLES}
        state_url = settings.state.url.reveal() if settings.from_stripe else ""
        self.source: Source = open_source(settings.warehouse.url.reveal(), root, tables, self.db, state_url)
        self.shapes = {
            name: shape_of(name, table, self.source.describe(name, of_known_kind(name, table)))
            for name, table in tables.items()
        }
        self.staging = Staging(
            self.db, self.source, as_of, settings.workspace.currency,
            None if customer_ids is None else tuple(customer_ids),
        )  # fmt: skip
        self.facts, self.account_facts = FactSet(), FactSet()
        self.accounts = accounts and self.shapes["customers"].has("account_id")
        """Whether rows are staged for accounts too."""
        self._account_ids = tuple(account_ids)
        if self.accounts:
            self.db.execute(f"CREATE SCHEMA {SCHEMA}")
        self.events = Events(self.shapes.get("events"), self.source, self.staging, as_of)
        self.zones: list[str] = []
        self._people = "t_customers"
        self._fill_constants()
        self._needs_stripe_ids = bool(settings.from_stripe - {"customers"})
        if self._needs_stripe_ids and not (self._has_stripe_ids("customers") or self._has_stripe_ids("accounts")):
            found = 'tables from Stripe need the column "stripe_customer_id" of customers, which is not there'
            raise SetupError(Problem("config.yaml", None, None, "HF604", found, "expected Stripe's id (cus_…) in it"))

    @property
    def reports(self) -> Mapping[str, TableReport]:
        """What reading each staged table found."""
        return self.staging.reports

    def catalog(self) -> Catalog:
        """Columns that `where` may name, by namespace: "" for customers, "account", "subscription"."""
        return {
            "": self._types("customers"),
            "account": {"account_id": "text", **self._types("accounts")} if self.knows_accounts else {},
            "subscription": self._types("subscriptions") | _derived_types(self.shapes),
        }

    @property
    def knows_accounts(self) -> bool:
        """Whether customers say which account they belong to."""
        return self.shapes["customers"].has("account_id")

    def columns(self, table: str) -> dict[str, ColumnType]:
        """Columns of a mapped table with their types; empty when the table is not mapped."""
        return self._types(table)

    def read_as_date(self, table: str, column: str) -> None:
        """Read a further column of text as dates: a rule says that it holds some, so what is none is set aside."""
        shape = self.shapes.get(table)
        if shape is None or column in shape.table.columns or not shape.has(column):
            return
        if shape.columns[column].kind is Kind.TEXT:
            columns = {**shape.columns, column: replace(shape.columns[column], kind=Kind.DAY)}
            self.shapes[table] = replace(shape, columns=columns)

    def stage_customers(self, columns: Iterable[str], dates: Sequence[str] = ()) -> None:
        """Make `t_customers`: one row a customer, numbered by `cust`, with zone, address and consent worked out.

        `dates` are instants whose local date is wanted beside them, as `c_<column>_on`.
        """
        shape = self.shapes["customers"]
        ids = ["stripe_customer_id"] if self._has_stripe_ids("customers") else []
        if self.accounts and self.staging.customer_ids is not None:
            self._widen_to_accounts(shape)
        self.staging.stage(shape, dict.fromkeys([*_BASICS, *columns, *ids]), "t_customers_read")
        settle_duplicates(self.staging, shape, "t_customers_read")
        if self.staging.account_ids is not None:
            everybody = self.db.execute("SELECT customer_id FROM t_customers_read").fetchall()
            self.staging.customer_ids = tuple(row[0] for row in everybody)
        self._number_zones(shape)
        local = self._localised(shape, f"({self._customer_select(shape)})", dates, prefix="c_")
        self.db.execute(f"CREATE OR REPLACE TABLE t_customers AS {local}")
        if self._needs_stripe_ids and self.staging.customer_ids is not None:
            self.staging.stripe_ids = self._stripe_ids("t_customers") if ids else ()
        self.db.execute("DROP TABLE t_customers_read")

    def stage_accounts(self, columns: Iterable[str], dates: Sequence[str] = ()) -> None:
        """Make `t_customers` of the accounts, after the customers', and count customers of accounts not in the table.

        `dates` are instants whose local date is wanted beside them, as `c_<column>_on`.
        """
        shape, staged = self.shapes.get("accounts"), []
        ids = ["stripe_customer_id"] if self._has_stripe_ids("accounts") else []
        if shape is not None:
            self.staging.stage(shape, dict.fromkeys(["timezone", "country", *columns, *ids]), "t_accounts_read")
            settle_duplicates(self.staging, shape, "t_accounts_read")
            self._number_zones(shape)
            staged = [row[0] for row in self.db.execute("DESCRIBE t_accounts_read").fetchall()]
            self.reports["customers"].unknown = self._one(
                "SELECT count(*) FROM t_customers WHERE account_id IS NOT NULL "
                "AND account_id NOT IN (SELECT account_id FROM t_accounts_read)"
            )
        select = accounts_select(shape, staged)
        if shape is not None:
            select = self._localised(shape, f"({select})", dates, prefix="c_")
        self.db.execute(f"CREATE OR REPLACE TABLE {SCHEMA}.t_customers AS {select}")
        if ids and self.staging.stripe_ids is not None:
            self.staging.stripe_ids += self._stripe_ids(f"{SCHEMA}.t_customers")

    def _has_stripe_ids(self, table: str) -> bool:
        """Whether rows from Stripe are to be joined to this table by Stripe's ids."""
        return self._needs_stripe_ids and table in self.shapes and self.shapes[table].has("stripe_customer_id")

    def _stripe_ids(self, table: str) -> tuple[str, ...]:
        rows = self.db.execute(f"SELECT c_stripe_customer_id FROM {table} WHERE c_stripe_customer_id IS NOT NULL")
        return tuple(row[0] for row in rows.fetchall())

    def stage_rows(self, table: str, columns: Iterable[str], dates: Sequence[str] = ()) -> None:
        """Make `t_<table>` with `cust` beside each row; rows of unknown customers are left out.

        Where accounts are staged, make the accounts' table of the same name too, of the same reading.

        Date-like columns become the UTC instant of local midnight where only a date was given, and get a companion
        `<column>_on`, the local date in the customer's zone; so do the instants named in `dates`.
        """
        shape, into = self.shapes[table], f"t_{table}"
        wanted = dict.fromkeys(columns)
        if table == "subscriptions":
            wanted |= dict.fromkeys(subscriptions.needed_columns(shape))
        self.staging.stage(shape, wanted, f"{into}_read")
        settle_duplicates(self.staging, shape, f"{into}_read")
        theirs = shape.settings.source == "stripe" and self._needs_stripe_ids
        id_ = "c_stripe_customer_id" if theirs else "customer_id"
        if not {*shape.table.required, *wanted} & {"customer_id"}:  # elsewhere a further column like any other
            self._make_rows(shape, f"SELECT * FROM {into}_read", into)
        else:
            told = shape.has("customer_id") and (not theirs or self._has_stripe_ids("customers"))
            same = f"c.{id_} = r.customer_id" if told else "FALSE"
            known = f"(SELECT c.cust, c.zone_no, r.* FROM {into}_read AS r JOIN t_customers AS c ON {same})"
            self._make_rows(shape, self._localised(shape, known, dates), into)
            if self.accounts:
                own_id = id_ if theirs and self._has_stripe_ids("accounts") else None
                known = rows_of_accounts(shape, f"{into}_read", id_ if told else None, own_id)
                self._make_rows(shape, self._localised(shape, known, dates), f"{SCHEMA}.{into}")
            self.reports[table].unknown = self._strangers(shape, into)
        self.db.execute(f"DROP TABLE {into}_read")

    def _make_rows(self, shape: Shape, select: str, into: str) -> None:
        bound = Bound()
        if shape.name == "subscriptions":
            select = subscriptions.with_derived(shape, f"({select})", self.as_of, bound)
        execute(self.db, f"CREATE OR REPLACE TABLE {into} AS {select}", bound)

    def _strangers(self, shape: Shape, into: str) -> int:
        """Rows of nobody: neither of a customer nor, as far as accounts were read, of an account."""
        if not shape.owners:
            return self._count(f"{into}_read") - self._count(into)
        known = ["r.customer_id IN (SELECT customer_id FROM t_customers)"] if shape.has("customer_id") else []
        if self.accounts:
            known.append(f"r.account_id IN (SELECT customer_id FROM {SCHEMA}.t_customers)")
        else:
            known.append("r.account_id IS NOT NULL")
        return self._one(f"SELECT count(*) FROM {into}_read AS r WHERE ({' OR '.join(known)}) IS NOT TRUE")

    def join_person(self, subscription_columns: Iterable[str], account_columns: Iterable[str] = ()) -> None:
        """Make `person`, the wide table all rules look at: customers with their facts and subscription in service.

        Customer columns are `c_<name>`, the subscription's `sub_<name>`, facts the columns the fact set named, and
        those of the customer's account `acc_<name>`.
        """
        select, joins = [], []
        for column in dict.fromkeys(account_columns):
            named = "customer_id" if column == "account_id" else f"c_{column}"
            select.append(f"a.{quote(named)} AS {quote('acc_' + column)}")
        if select:
            joins.append(f"LEFT JOIN {SCHEMA}.t_customers AS a ON a.customer_id = c.account_id")
        bound = Bound()
        statement = self._person(self.facts, subscription_columns, select, joins, bound)
        with self.source.reading("events"):  # the one table that may be read only now, where it lies
            execute(self.db, statement, bound)
        self.db.execute("DROP TABLE t_customers")
        self._people = "person"

    def join_accounts(self, subscription_columns: Iterable[str]) -> None:
        """Make `person` of the accounts, before the customers': what rules about accounts look at."""
        bound = Bound()
        statement = self._person(self.account_facts, subscription_columns, [], [], bound, by_account=True)
        with self.source.reading("events"), seen_by_accounts(self.db):
            execute(self.db, statement, bound)

    def _person(
        self, facts: FactSet, subscription_columns: Iterable[str], select: list[str], joins: list[str], bound: Bound,
        *, by_account: bool = False,
    ) -> str:  # fmt: skip
        """The statement that makes `person`; what it reads of events is staged by then."""
        select = ["c.*", *select]
        columns = list(dict.fromkeys(subscription_columns))
        if columns:
            select += [f"s.{quote(column)} AS {quote('sub_' + column)}" for column in columns]
            joins.append(f"LEFT JOIN ({self._in_service(columns)}) AS s ON s.cust = c.cust")
        for number, part in enumerate(facts.slices(self.as_of)):
            with self.source.reading("events"):
                relation = self.events.slice_relation(part, number, bound, self._members() if by_account else None)
            select += [_zero_when_none(f"f{number}", name, fact.type == "BIGINT")
                       for name, fact in part.facts]  # fmt: skip
            joins.append(f"LEFT JOIN {relation} AS f{number} ON CAST(f{number}.customer_id AS VARCHAR) = c.customer_id")
        return f"CREATE OR REPLACE TABLE person AS SELECT {', '.join(select)} FROM t_customers AS c {' '.join(joins)}"

    def _members(self) -> str:
        """Who belongs to which account, where events are aggregated."""
        if not self.source.in_place:
            return "main.t_customers"
        return members_on_server(self.shapes["customers"], self.source.own_relation("customers"))

    def _widen_to_accounts(self, shape: Shape) -> None:
        """Let everybody of these customers' accounts be read, and all rows of the accounts."""
        self.staging.stage(shape, ["account_id"], "t_customers_read")
        rows = self.db.execute("SELECT DISTINCT account_id FROM t_customers_read WHERE account_id IS NOT NULL")
        found = [row[0] for row in rows.fetchall()]
        self.staging.account_ids = tuple(dict.fromkeys([*self._account_ids, *found]))

    def report(self, table: str, *, thorough: bool = False) -> TableReport | None:
        """Row count and freshness of a mapped table; events are looked at when first asked for.

        Repeated rows and those of unknown customers are always counted, but for events that are read in place: there
        only when `thorough`, because it takes a look at every row.
        """
        if table != "events":
            return self.reports.get(table)
        with self.source.reading("events"):
            report = self.events.report()
            if report and report.unknown is None and (thorough or self.events.copied):
                self.events.count_further(self._people)
        return report

    def issues(self, table: str, limit: int | None = None) -> list[Issue]:
        """Quarantined values of one table, then rows under repeated ids; at most `limit` in all."""
        shape = self.shapes[table]
        found = self.staging.issues(shape, limit)
        if limit is None or len(found) < limit:
            found += duplicate_issues(self.staging, shape, limit and limit - len(found))
        return found

    def close(self) -> None:
        """Let go of the source; the staged tables stay usable through `db`."""
        self.source.close()

    def _fill_constants(self) -> None:
        self.db.execute("CREATE TABLE known_zone AS SELECT unnest(?) AS zone", [sorted(known_zones())])
        codes = exponents()
        self.db.execute(
            "CREATE TABLE currency_digits AS SELECT unnest(?) AS currency, unnest(?) AS digits",
            [list(codes), list(codes.values())],
        )

    def _types(self, table: str) -> dict[str, ColumnType]:
        shape = self.shapes.get(table)
        return {name: column.kind.type for name, column in shape.columns.items()} if shape else {}

    def _count(self, table: str) -> int:
        return self._one(f"SELECT count(*) FROM {table}")

    def _one(self, statement: str) -> int:
        return int(self.db.execute(statement).fetchall()[0][0])

    def _number_zones(self, shape: Shape) -> None:
        """Workspace first, then every zone customers have, then accounts': `zone_no` is the place in this list."""
        found: list[str] = []
        if shape.has("timezone"):
            rows = self.db.execute(
                f"SELECT DISTINCT timezone FROM t_{shape.name}_read WHERE timezone IS NOT NULL ORDER BY 1"
            )
            found = [row[0] for row in rows.fetchall()]
        self.zones = list(dict.fromkeys([self.settings.workspace.timezone, *self.zones, *found]))
        create_zone_tables(self.db, self.zones)
        numbers, walls = list(range(len(self.zones))), [wall_from(zone, self.as_of) for zone in self.zones]
        self.db.execute(
            "CREATE OR REPLACE TABLE zone_number AS SELECT unnest(?) AS zone, unnest(?::INTEGER[]) AS zone_no, "
            "unnest(?::TIMESTAMP[]) AS wall_now",
            [self.zones, numbers, walls],
        )

    def _customer_select(self, shape: Shape) -> str:
        columns = [row[0] for row in self.db.execute("DESCRIBE t_customers_read").fetchall()]
        flags = {f"{name}_is_date" for name in shape.columns}
        own = ", ".join(
            f"c.{quote(name)} AS {quote('c_' + name)}" for name in columns if name in shape.columns or name in flags
        )
        address = "c.email" if shape.has("email") else "CAST(NULL AS VARCHAR)"
        given = "c.email_given" if shape.has("email") else "FALSE"
        consent = "coalesce(c.consent, FALSE)" if shape.has("consent") else "TRUE"
        proof = (
            "c.consent_at IS NOT NULL AND c.consent_source IS NOT NULL"
            if shape.has("consent_at", "consent_source")
            else "FALSE"
        )
        account = "c.account_id" if shape.has("account_id") else "CAST(NULL AS VARCHAR)"
        country = "upper(c.country)" if shape.has("country") else "CAST(NULL AS VARCHAR)"
        zone = "coalesce(z.zone_no, 0)" if shape.has("timezone") else "0"
        join = "LEFT JOIN zone_number AS z ON z.zone = c.timezone" if shape.has("timezone") else ""
        numbered = "SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS cust, * FROM t_customers_read"
        shared = f"SELECT {address} AS email, min(cust) AS addr FROM numbered AS c WHERE {address} IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
        return f"""
            WITH numbered AS MATERIALIZED ({numbered}), shared AS ({shared})
            SELECT c.cust, c.customer_id, {account} AS account_id, {address} AS address,
                CASE WHEN {address} IS NOT NULL THEN coalesce(shared.addr, c.cust) END AS addr,
                CASE WHEN {address} IS NOT NULL THEN 'ok' WHEN {given} THEN 'invalid' ELSE 'none' END AS address_state,
                {zone} AS zone_no, {country} AS country, {consent} AS consent, {proof} AS consent_proved, {own}
            FROM numbered AS c {join} LEFT JOIN shared ON shared.email = {address}"""

    def _localised(self, shape: Shape, rows: str, dates: Sequence[str] = (), prefix: str = "") -> str:
        """`rows` (with `zone_no`) with date-like columns, and the instants in `dates`, brought to the customer's zone.

        Those that may recur get `<column>_wall` too, the time on the customer's clock.
        """
        present = [row[0] for row in self.db.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()]
        days = [prefix + name for name, column in shape.columns.items()
                if prefix + name in present and (column.kind is Kind.DAY or name in dates)]  # fmt: skip
        flags = {f"{name}_is_date" for name in days} & set(present)
        recurring = {prefix + name for name in (*dates, "anchor_date")}
        select = [f"r.{quote(name)}" for name in present if name not in days and name not in flags]
        joins = []
        for number, name in enumerate(days):
            flag = f"{name}_is_date"
            columns, join = _local_day(f"r.{quote(name)}", f"r.{quote(flag)}" if flag in flags else None, number)
            select += [f"{sql} AS {quote(name + suffix)}" for suffix, sql in columns.items()
                       if suffix != "_wall" or name in recurring]  # fmt: skip
            joins.append(join)
        return f"SELECT {', '.join(select)} FROM {rows} AS r {' '.join(joins)}"

    def _in_service(self, columns: Sequence[str]) -> str:
        """The subscription in service of each customer, the newest where there are several."""
        known = self.shapes["subscriptions"].has("started_at")
        newest = f"(coalesce({'started_at' if known else 'NULL'}, TIMESTAMP '1970-01-01'), subscription_id)"
        chosen = ", ".join(f"arg_max_null({quote(column)}, {newest}) AS {quote(column)}" for column in columns)
        return f"SELECT cust, {chosen} FROM t_subscriptions WHERE in_service GROUP BY cust"


def _local_day(value: str, is_date: str | None, number: int) -> tuple[dict[str, str], str]:
    """The UTC instant and the local date of one column, and the joins they need; no `is_date`: all are instants."""
    local, span = f"l{number}", f"z{number}"
    at, wall = value, f"{value} + to_seconds({span}.offset_s)"
    joins = (
        f"LEFT JOIN zone_span AS {span} ON {span}.zone_no = r.zone_no AND "
        f"{span}.year = year({value}) AND {span}.utc_from <= {value} AND {value} < {span}.utc_to"
    )
    if is_date:
        at = f"CASE WHEN {is_date} THEN {instant_of(value, local)} ELSE {value} END"
        wall = f"CASE WHEN {is_date} THEN {value} ELSE {wall} END"
        joins += f" AND NOT {is_date} {local_span_of(value, 'r.zone_no', local)} AND {is_date}"
    return {"": at, "_on": f"CAST({wall} AS DATE)", "_wall": wall}, joins


def _zero_when_none(alias: str, name: str, counts: bool) -> str:
    return f"coalesce({alias}.{name}, 0) AS {name}" if counts else f"{alias}.{name}"


def _derived_types(shapes: Mapping[str, Shape]) -> dict[str, ColumnType]:
    if "subscriptions" not in shapes:
        return {}
    return {"in_service": "bool", "set_to_cancel": "bool", "renews_at": "instant", "renews_on": "date"}


def _memory_database() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB in UTC that may spill to a folder of its own instead of growing without bound.

    The folder is made when it is needed and removed with the database; its default place is the working directory,
    where it would surprise people.
    """
    db = duckdb.connect()
    db.execute("SET temp_directory = $folder", {"folder": str(Path(gettempdir()) / f"holdfast-{new_token()}")})
    db.execute("SET TimeZone = 'UTC'")
    db.execute("SET preserve_insertion_order = false")
    db.execute("SET memory_limit = '800MB'")
    return db
