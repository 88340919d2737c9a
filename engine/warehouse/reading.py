"""How a raw column becomes a value we can trust: one SQL expression a kind, and NULL where the value is broken.

A value that is present but cannot be read is *quarantined*: it counts as NULL and is listed with table, row key,
column and reason. Nothing is guessed and nothing is dropped in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from engine.addresses import LONGEST_ADDRESS, PLAIN_ADDRESS
from engine.warehouse.sql import literal
from engine.warehouse.tables import Kind
from engine.warehouse.zones import FIRST_YEAR, LAST_YEAR, local_spans

EARLIEST, LATEST = f"{FIRST_YEAR}-01-02 00:00:00", f"{LAST_YEAR}-12-31 00:00:00"
"""Instants from the first, included, to the second are read; others are mistakes, or no dates at all."""

_OFFSET = r"(Z|UTC|[+-](0\d|1[0-4])(:?[0-5]\d)?)"
_MOMENT = rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}([T ]\d{{1,2}}:\d{{2}}(:\d{{2}}([.,]\d{{1,9}})?)?( ?{_OFFSET})?)?"
_DATE_ONLY = r"\d{4}-\d{1,2}-\d{1,2}|\d{8}"
_COUNTED = r"\d{8,13}(\.\d{1,6})?"
_WHOLE = r"[+-]?\d{1,19}(\.0*)?"
_AMOUNT = r"[+-]?(\d{1,18}(\.\d{0,10}0*)?|\.\d{1,10}0*)"
_UNBOUNDED = literal(PLAIN_ADDRESS.replace("{0,61}", "*"))
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


_FAMILIES = {
    "text": ("VARCHAR", "ENUM"),
    "integer": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    "decimal": ("DECIMAL", "HUGEINT", "UBIGINT", "UHUGEINT"),
    "number": ("FLOAT", "DOUBLE"),
    "boolean": ("BOOLEAN",),
    "date": ("DATE",),
    "naive": ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
    "aware": ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"),
}
"""DuckDB types by how they are read; integers are those that fit 64 bits, decimals whatever else is exact."""


def physical(duck_type: str) -> str:
    """Family of a DuckDB type: text, integer, decimal, number, boolean, date, naive, aware or other."""
    base = duck_type.upper().split("(")[0]
    return next((family for family, types in _FAMILIES.items() if base in types), "other")


def read(kind: Kind, column: str, family: str, zone: str = "UTC") -> Reading:
    """The reading of `column` (quoted SQL) whose physical family is `family`, in a table of time zone `zone`."""
    return _READERS[kind](column, family, zone)


def clean(column: str, family: str) -> str:
    """SQL for the value as text, without spaces around it; NULL when nothing is left."""
    return f"nullif(trim({column}), '')" if family == "text" else f"CAST({column} AS VARCHAR)"


def _text(column: str, family: str, _zone: str) -> Reading:
    return Reading(clean(column, family), "not text")


def _id(column: str, family: str, _zone: str) -> Reading:
    if family not in {"number", "decimal"}:
        return Reading(clean(column, family), "no id")
    whole = f"CASE WHEN {column} = trunc({column}) THEN CAST(TRY_CAST({column} AS HUGEINT) AS VARCHAR) END"
    return Reading(whole, "not a whole number")


def _name(column: str, family: str, _zone: str) -> Reading:
    return Reading(f"lower({clean(column, family)})", "not a name")


def needs_parsing(column: str) -> str:
    """SQL that is true for texts whose address only `parse_address` can tell: not ASCII, or already in `xn--` form."""
    text = f"lower({column})"
    return f"(strlen({column}) <> length({column}) OR contains({text}, '@xn--') OR contains({text}, '.xn--'))"


def _address(column: str, family: str, _zone: str) -> Reading:
    """What is plain is settled here; the rest was parsed row by row and joined as `address_parsed_`."""
    bare = _step_name(column)
    text = f"lower({bare})"
    # In texts this short no label can be too long, and the pattern without bounds takes half the time.
    short, long = (f"regexp_full_match({text}, {pattern})" for pattern in (_UNBOUNDED, literal(PLAIN_ADDRESS)))
    sizes = f"length({bare}) <= {LONGEST_ADDRESS} AND position('@' IN {bare}) <= 65"
    plain = f"NOT {needs_parsing(bare)} AND {sizes} AND CASE WHEN length({bare}) <= 64 THEN {short} ELSE {long} END"
    value = f"CASE WHEN {plain} THEN {text} ELSE address_parsed_ END"
    return Reading(value, "not a single plain address", {bare: clean(column, family)})


def _zone_name(column: str, family: str, _zone: str) -> Reading:
    name = clean(column, family)
    return Reading(f"CASE WHEN {name} IN (SELECT zone FROM known_zone) THEN {name} END", "not a known time zone")


def _currency(column: str, family: str, _zone: str) -> Reading:
    code = f"upper({clean(column, family)})"
    known = f"{code} IN (SELECT currency FROM currency_digits)"
    return Reading(f"CASE WHEN {known} THEN {code} END", "not an ISO 4217 currency code")


def _integer(column: str, family: str, _zone: str) -> Reading:
    if family == "integer":
        return Reading(f"CAST({column} AS BIGINT)", "not a whole number")
    number = clean(column, family)
    whole = f"TRY_CAST(TRY_CAST({number} AS DECIMAL(38,2)) AS BIGINT)"
    return Reading(f"CASE WHEN regexp_full_match({number}, '{_WHOLE}') THEN {whole} END", "not a whole number")


def _number(column: str, family: str, _zone: str) -> Reading:
    number = f"TRY_CAST({clean(column, family)} AS DOUBLE)"
    return Reading(f"CASE WHEN isfinite({number}) THEN {number} END", "not a number")


def _boolean(column: str, family: str, _zone: str) -> Reading:
    if family == "boolean":
        return Reading(column, "not true or false")
    word = f"lower({clean(column, family)})"
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
    bounded = f"CASE WHEN {step} >= TIMESTAMP '{EARLIEST}' AND {step} < TIMESTAMP '{LATEST}' THEN {value} END"
    return Reading(bounded, f"not a date between {FIRST_YEAR} and {LAST_YEAR}", steps, late, date_only)


def _step_name(column: str) -> str:
    return "step_" + "".join(f"{byte:02x}" for byte in column.encode())


def _moment(column: str, family: str) -> tuple[str, str, str]:
    """SQL for the moment as written, whether it carries an offset (then it is UTC), and whether it is a bare date."""
    if family == "naive":
        return f"TRY_CAST({column} AS TIMESTAMP)", "FALSE", "FALSE"
    if family == "aware":
        return f"make_timestamp(epoch_us({column}))", "TRUE", "FALSE"
    if family == "date":
        return f"CAST({column} AS TIMESTAMP)", "FALSE", f"{column} IS NOT NULL"
    if family in {"integer", "decimal", "number"}:
        return _counted(f"TRY_CAST({column} AS DECIMAL(30,6))")
    text = f"replace({clean(column, family)}, ',', '.')"
    number = f"TRY_CAST(CASE WHEN regexp_full_match({text}, '{_COUNTED}') THEN {text} END AS DECIMAL(30,6))"
    counted, from_1970, compact = _counted(number)
    date_only = f"coalesce(regexp_full_match({text}, '{_DATE_ONLY}'), FALSE)"
    offset = f"coalesce(contains({text}, ':') AND regexp_matches({text}, '{_OFFSET}$'), FALSE)"
    joined = f"replace(replace(replace(replace({text}, 'UTC', 'Z'), ' Z', 'Z'), ' +', '+'), ' -', '-')"
    # A cast to TIMESTAMP ignores a written offset, so such values take the aware path.
    parsed = (
        f"CASE WHEN NOT regexp_full_match({text}, '{_MOMENT}') THEN {counted} "
        f"WHEN {offset} THEN make_timestamp(epoch_us(TRY_CAST({joined} AS TIMESTAMPTZ))) "
        f"ELSE TRY_CAST({text} AS TIMESTAMP) END"
    )
    return parsed, f"({offset} OR {from_1970})", f"({date_only} OR {compact})"


def _counted(number: str) -> tuple[str, str, str]:
    """Like `_moment`, for numbers told apart by their size: YYYYMMDD, seconds or milliseconds since 1970.

    Eight digits before the point are a date, nine and ten are seconds (1973 to 2286), twelve and thirteen
    milliseconds (from 1973 on); others are broken.
    """
    date = f"{number} BETWEEN 10000000 AND 99999999 AND {number} = trunc({number})"
    seconds, milliseconds = f"{number} >= 1e8 AND {number} < 1e10", f"{number} >= 1e11 AND {number} < 1e13"
    parsed = (
        f"CASE WHEN {date} THEN try_strptime(CAST(CAST({number} AS BIGINT) AS VARCHAR), '%Y%m%d') "
        f"WHEN {seconds} THEN make_timestamp(CAST({number} * 1000000 AS BIGINT)) "
        f"WHEN {milliseconds} THEN make_timestamp(CAST({number} * 1000 AS BIGINT)) END"
    )
    return parsed, f"coalesce({seconds} OR {milliseconds}, FALSE)", f"coalesce({date}, FALSE)"


def _minor(column: str, family: str, _zone: str) -> Reading:
    """Text such as 400.00 is an amount in whole units, not 400 cents; 400.0 is how some exports write whole numbers."""
    value = _integer(column, family, _zone).value
    if family == "text":
        value = f"CASE WHEN NOT regexp_matches({clean(column, family)}, '[.][0-9]{{2,}}$') THEN {value} END"
    return Reading(value, "not a whole number of the currency's minor unit")


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
    text = clean(column, family)
    amount = f"CASE WHEN regexp_full_match({text}, '{_AMOUNT}') THEN TRY_CAST({text} AS DECIMAL(30,10)) END"
    if family == "number":  # binary fractions carry noise: they are read at the precision people write amounts in
        amount = f"TRY_CAST(round(CAST({text} AS DOUBLE), 6) AS DECIMAL(30,6))"
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
