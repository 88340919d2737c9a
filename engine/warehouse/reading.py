"""How a raw column becomes a value we can trust: one SQL expression a kind, and NULL where the value is broken.

A value that is present but cannot be read is *quarantined*: it counts as NULL and is listed with table, row key,
column and reason. Nothing is guessed and nothing is dropped in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from engine.warehouse.sql import literal
from engine.warehouse.tables import Kind
from engine.warehouse.zones import FIRST_YEAR, LAST_YEAR, local_spans

ADDRESS_PATTERN = (
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
)
"""One plain address: dot-atom local part of at most 64, a domain with at least two labels; 254 characters in all.

No display names, comments, quoted local parts or lists: reading the first of several is how mail goes astray.
"""

_MOMENT = r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d{1,9})?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?)?"
_OFFSET = r"\d\s*(Z|[+-]\d{2}(:?\d{2})?)$"
_DATE_ONLY = r"\d{4}-\d{1,2}-\d{1,2}|\d{8}"
_TRUE, _FALSE = "('true','t','yes','y','1')", "('false','f','no','n','0')"


@dataclass(frozen=True)
class Reading:
    """SQL for one column: `value` is NULL when broken; `reason` says what makes it so.

    `steps` are named intermediate columns that `value` refers to; they go into inner SELECTs.
    """

    value: str
    reason: str
    steps: dict[str, str] = field(default_factory=dict)
    late_steps: dict[str, str] = field(default_factory=dict)
    """Columns of a second inner SELECT, made from `steps`: a long CASE over an inlined step would repeat it."""
    date_only: str = "FALSE"
    """SQL that is true where the source gave a date without a time."""


def physical(duck_type: str) -> str:
    """Family of a DuckDB type: text, integer, number, boolean, date, naive, aware or other."""
    base = duck_type.upper().split("(")[0]
    families = {
        "text": ("VARCHAR", "ENUM", "UUID"),
        "integer": (
            "TINYINT",
            "SMALLINT",
            "INTEGER",
            "BIGINT",
            "HUGEINT",
            "UTINYINT",
            "USMALLINT",
            "UINTEGER",
            "UBIGINT",
        ),
        "number": ("FLOAT", "DOUBLE", "DECIMAL"),
        "boolean": ("BOOLEAN",),
        "date": ("DATE",),
        "naive": ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
        "aware": ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"),
    }
    return next((family for family, types in families.items() if base in types), "other")


def read(kind: Kind, column: str, family: str, zone: str = "UTC") -> Reading:
    """The reading of `column` (quoted SQL) whose physical family is `family`, in a table of time zone `zone`."""
    return _READERS[kind](column, family, zone)


def _clean(column: str, family: str) -> str:
    return f"nullif(trim({column}), '')" if family == "text" else f"CAST({column} AS VARCHAR)"


def _text(column: str, family: str, _zone: str) -> Reading:
    return Reading(_clean(column, family), "not text")


def _id(column: str, family: str, _zone: str) -> Reading:
    whole = f"CAST(CAST({column} AS HUGEINT) AS VARCHAR)" if family == "number" else _clean(column, family)
    return Reading(whole, "no id")


def _name(column: str, family: str, _zone: str) -> Reading:
    return Reading(f"lower({_clean(column, family)})", "not a name")


def _address(column: str, family: str, _zone: str) -> Reading:
    plain = f"lower({_clean(column, family)})"
    fits = f"regexp_full_match({plain}, {literal(ADDRESS_PATTERN)})"
    short = f"length({plain}) <= 254 AND position('@' IN {plain}) <= 65"
    return Reading(f"CASE WHEN {fits} AND {short} THEN {plain} END", "not a single plain address")


def _zone_name(column: str, family: str, _zone: str) -> Reading:
    name = _clean(column, family)
    return Reading(f"CASE WHEN {name} IN (SELECT zone FROM known_zone) THEN {name} END", "not a known time zone")


def _currency(column: str, family: str, _zone: str) -> Reading:
    code = f"upper({_clean(column, family)})"
    return Reading(
        f"CASE WHEN regexp_full_match({code}, '[A-Z]{{3}}') THEN {code} END", "not an ISO 4217 currency code"
    )


def _integer(column: str, family: str, _zone: str) -> Reading:
    if family == "integer":
        return Reading(f"CAST({column} AS BIGINT)", "too large")
    number = f"TRY_CAST({_clean(column, family)} AS DECIMAL(30,6))"
    whole = f"CASE WHEN {number} = trunc({number}) THEN TRY_CAST({number} AS BIGINT) END"
    return Reading(whole, "not a whole number")


def _number(column: str, family: str, _zone: str) -> Reading:
    number = f"TRY_CAST({_clean(column, family)} AS DOUBLE)"
    return Reading(f"CASE WHEN isfinite({number}) THEN {number} END", "not a number")


def _boolean(column: str, family: str, _zone: str) -> Reading:
    if family == "boolean":
        return Reading(column, "not true or false")
    word = f"lower({_clean(column, family)})"
    return Reading(f"CASE WHEN {word} IN {_TRUE} THEN TRUE WHEN {word} IN {_FALSE} THEN FALSE END", "not true or false")


def _instant(column: str, family: str, zone: str) -> Reading:
    parsed, aware, date_only = _moment(column, family)
    step, steps = _step_name(column), {_step_name(column): parsed}
    value, late = step, {}
    if zone not in {"UTC", "Etc/UTC"} and aware != "TRUE":
        value, utc = f"{step}_utc", localized(step, zone)
        if aware != "FALSE":
            steps[f"{step}_aware"] = aware
            utc = f"CASE WHEN {step}_aware THEN {step} ELSE {utc} END"
        late = {value: utc}
    low, high = f"TIMESTAMP '{FIRST_YEAR}-01-02'", f"TIMESTAMP '{LAST_YEAR}-12-31'"
    bounded = f"CASE WHEN {step} >= {low} AND {step} < {high} THEN {value} END"
    return Reading(bounded, f"not a date between {FIRST_YEAR} and {LAST_YEAR}", steps, late, date_only)


def _step_name(column: str) -> str:
    return "step_" + "".join(f"{byte:02x}" for byte in column.encode())


def _moment(column: str, family: str) -> tuple[str, str, str]:
    """SQL for the moment as written, whether it carries an offset (then it is UTC), and whether it is a bare date."""
    if family == "naive":
        return f"CAST({column} AS TIMESTAMP)", "FALSE", "FALSE"
    if family == "aware":
        return f"make_timestamp(epoch_us({column}))", "TRUE", "FALSE"
    if family == "date":
        return f"CAST({column} AS TIMESTAMP)", "FALSE", f"{column} IS NOT NULL"
    if family in {
        "integer",
        "number",
    }:  # seconds or milliseconds since 1970: ten and thirteen digits cannot be confused
        whole = f"CAST({column} AS BIGINT)"
        microseconds = f"CASE WHEN abs({whole}) < 100000000000 THEN {whole} * 1000000 ELSE {whole} * 1000 END"
        return f"make_timestamp({microseconds})", "TRUE", "FALSE"
    text = f"replace({_clean(column, family)}, ',', '.')"
    date_only = f"coalesce(regexp_full_match({text}, {literal(_DATE_ONLY)}), FALSE)"
    aware = f"coalesce(contains({text}, ':') AND regexp_matches({text}, {literal(_OFFSET)}), FALSE)"
    # A cast to TIMESTAMP ignores a written offset, so such values take the aware path.
    parsed = (
        f"CASE WHEN regexp_full_match({text}, '\\d{{8}}') THEN try_strptime({text}, '%Y%m%d') "
        f"WHEN NOT regexp_full_match({text}, {literal(_MOMENT)}) THEN NULL "
        f"WHEN {aware} THEN make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ))) "
        f"ELSE TRY_CAST({text} AS TIMESTAMP) END"
    )
    return parsed, aware, date_only


def _minor(column: str, family: str, _zone: str) -> Reading:
    return Reading(_integer(column, family, _zone).value, "not a whole number of the currency's minor unit")


_READERS = {
    Kind.ID: _id,
    Kind.TEXT: _text,
    Kind.NAME: _name,
    Kind.ADDRESS: _address,
    Kind.ZONE: _zone_name,
    Kind.INSTANT: _instant,
    Kind.DAY: _instant,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.MINOR: _minor,
    Kind.CURRENCY: _currency,
    Kind.BOOLEAN: _boolean,
}


def decimal_money(column: str, family: str, digits: str) -> Reading:
    """Minor units of a decimal amount, exact: `digits` is SQL for the number of decimals of the row's currency."""
    amount = f"TRY_CAST({_clean(column, family)} AS DECIMAL(30,8))"
    if family == "number":  # binary fractions are read at the precision people wrote them in
        amount = f"CAST(round({column}, 6) AS DECIMAL(30,8))"
    scaled = f"({amount} * CAST(power(10, {digits}) AS INTEGER))"
    value = f"CASE WHEN {scaled} = trunc({scaled}) THEN TRY_CAST({scaled} AS BIGINT) END"
    return Reading(value, "not an amount with the currency's number of decimals")


def localized(wall: str, zone: str) -> str:
    """UTC of the wall-clock time `wall` (a column name) in `zone`: a balanced CASE over the zone's spans.

    Plain comparisons and subtractions, so every engine gives the same instant.
    """
    merged: list[tuple[datetime, str]] = []
    for span in local_spans(zone):
        utc = _fixed(span.fixed_utc) if span.fixed_utc else f"{wall} - INTERVAL '{span.offset_s} seconds'"
        if merged and merged[-1][1] == utc:
            merged.pop()
        merged.append((span.local_to, utc))
    return _balanced(wall, merged)


def _balanced(wall: str, branches: list[tuple[datetime, str]]) -> str:
    if len(branches) == 1:
        return branches[0][1]
    middle = len(branches) // 2
    before, after = _balanced(wall, branches[:middle]), _balanced(wall, branches[middle:])
    return f"CASE WHEN {wall} < {_fixed(branches[middle - 1][0])} THEN {before} ELSE {after} END"


def _fixed(instant: datetime) -> str:
    return f"TIMESTAMP '{instant:%Y-%m-%d %H:%M:%S}'"
