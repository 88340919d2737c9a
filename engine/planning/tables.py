"""The rules as small constant tables, and the two tables that every stage passes on.

`planning.open` holds the candidates nobody has decided yet, narrow and keyed by `cand`; `decision` and `settling` are
the result. Everything else in the schema `planning` is scaffolding of one planning.
"""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.planning.local_time import instant
from engine.planning.reasons import Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from engine.planning.options import PlanOptions
    from engine.project.durations import Duration
    from engine.project.rules import Rule, Step
    from engine.project.settings_values import Cap, Guard, QuietHours

Row: TypeAlias = tuple[Any, ...]

UNLIMITED_REMINDERS = frozenset({"card_expiring"})
"""Triggers whose `before` steps wait for the next one or the anchor, however long that is."""

BEFORE_DAYS, AFTER_DAYS = 3, 7
"""`send_within` of `before` and of all other steps that name none."""

ZONE_SLACK = timedelta(days=2)
"""More than a local date can lie away from the UTC date, either way."""

HASH_SPACE = 16**15
"""Size of the space holdout hashes are drawn from: the first 15 hex digits."""

OPEN = (
    "cand, rule_no, cust, occurrence, anchor, step_no, due_at, due_date, expires_at, waited_s, fresh, climbing, "
    "failing, not_before, local_date, arm, template"
)
"""Columns of `planning.open`: `fresh` = nothing of it was settled or stored, `climbing` = its ladder has an exposure,
`failing` = the step's `where` is not true; the last four stay NULL until their stage fills them."""

_SCHEMA = """
CREATE TABLE planning.rule (
    rule_no USMALLINT, rule_id VARCHAR, origin VARCHAR, name_rank INTEGER, class VARCHAR, topic VARCHAR,
    priority INTEGER, uncapped BOOLEAN, shadow BOOLEAN, held planning.reason, survives VARCHAR, include BOOLEAN,
    goal_ends BOOLEAN, repeat_months INTEGER, repeat_days INTEGER, day_shift INTEGER[], quiet_from TIME, quiet_to TIME,
    daily_limit BIGINT, held_out_below BIGINT, steps INTEGER, all_steps BIGINT,
    late_before TIMESTAMP, early_after TIMESTAMP, last_fixed INTEGER, by_account BOOLEAN, at_most BIGINT);
CREATE TABLE planning.step (
    rule_no USMALLINT, step_no INTEGER, step_id VARCHAR, kind VARCHAR, months INTEGER, days INTEGER, elapsed INTERVAL,
    send_at TIME, within_months INTEGER, within_days INTEGER, within_elapsed INTERVAL, own_within BOOLEAN,
    send VARCHAR, channel VARCHAR, reaches BOOLEAN);
CREATE TABLE planning.variant (
    rule_no USMALLINT, step_no INTEGER, name VARCHAR, send VARCHAR, from_hash BIGINT, to_hash BIGINT);
CREATE TABLE planning.cap (cap_no INTEGER, topic VARCHAR, n INTEGER, window_days INTEGER);
CREATE TABLE planning.blocking (blocker_no USMALLINT, target_no USMALLINT, lasts INTERVAL);
CREATE TABLE planning.guard (
    rule_no USMALLINT, share DOUBLE, first_run BIGINT, growth DOUBLE, floor BIGINT);
CREATE TABLE planning.verdict (reason planning.reason, outcome planning.outcome);
CREATE TABLE planning.require_in (country VARCHAR);
CREATE TABLE planning.decided (
    cand BIGINT, rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, anchor TIMESTAMP, step_no INTEGER,
    outcome planning.outcome, reason planning.reason, detail VARCHAR, not_before TIMESTAMP, expires_at TIMESTAMP,
    local_date DATE, due_date DATE, arm VARCHAR, template VARCHAR, waited_s BIGINT);
CREATE OR REPLACE TABLE settling (
    rule_no USMALLINT, cust INTEGER, occurrence VARCHAR, step_id VARCHAR, how VARCHAR, local_date DATE,
    anchor TIMESTAMP);
CREATE MACRO planning.highest(bits) AS CASE WHEN bits = 0 THEN -1 ELSE floor(log2(bits))::INTEGER END;
CREATE MACRO planning.lowest(bits) AS CASE WHEN bits = 0 THEN -1 ELSE floor(log2(bits & -bits))::INTEGER END;
"""

EU = frozenset(
    {"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
     "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"}
)  # fmt: skip
"""Members of the European Union, ISO 3166 alpha-2."""


def create_tables(db: duckdb.DuckDBPyConnection, rules: Sequence[Rule], options: PlanOptions) -> None:
    """Write `rules` and `options` as tables and empty the results of an earlier planning."""
    db.execute("DROP VIEW IF EXISTS decision; DROP SCHEMA IF EXISTS planning CASCADE")
    db.execute("CREATE SCHEMA planning")
    _create_type(db, "outcome", Outcome)
    _create_type(db, "reason", Reason)
    db.execute(_SCHEMA)
    db.execute("CREATE TABLE IF NOT EXISTS bystander (rule_no USMALLINT, cust INTEGER, anchor TIMESTAMP)")
    name_rank = {rule_id: rank for rank, rule_id in enumerate(sorted(rule.id for rule in rules))}
    fill(db, "rule", (_rule_row(no, rule, name_rank[rule.id], options) for no, rule in enumerate(rules)))
    fill(db, "step", (_step_row(no, rule, step, options) for no, rule in enumerate(rules) for step in rule.steps))
    fill(db, "variant", (row for no, rule in enumerate(rules) for step in rule.steps for row in _variants(no, step)))
    fill(db, "cap", _caps(options))
    fill(db, "blocking", _blocking(rules, options))
    fill(db, "guard", _guards(rules, options))
    fill(db, "verdict", ((reason, reason.outcome) for reason in Reason if reason.outcome))
    countries = {country.strip().upper() for country in options.require_in}
    db.execute(f"""CREATE TABLE planning.zone_today AS
        SELECT zone_no, (as_of + to_seconds(offset_s))::DATE AS today, as_of + to_seconds(offset_s) AS local_now
        FROM zone_span, (SELECT {instant(options.as_of)} AS as_of) WHERE utc_from <= as_of AND as_of < utc_to""")
    fill(db, "require_in", ((country,) for country in sorted(countries | (EU if "EU" in countries else set()))))


def fill(db: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Row]) -> None:
    """Insert a few `rows` into a table of the schema `planning`."""
    given = list(rows)
    if given:
        places = ", ".join(f"({', '.join('?' * len(row))})" for row in given)
        db.execute(f"INSERT INTO planning.{table} VALUES {places}", [value for row in given for value in row])


def calendar(duration: Duration | None) -> tuple[int, int]:
    """(months, days) of a duration counted in local dates; hours and minutes are rounded up to whole days."""
    if duration is None:
        return 0, 0
    if duration.unit in {"months", "years"}:
        return duration.n * (12 if duration.unit == "years" else 1), 0
    return 0, -(-duration.elapsed // timedelta(days=1))


def hash_bound(share: float) -> int:
    """Hashes below it make up `share` (0 to 1) of the hash space."""
    return round(share * HASH_SPACE)


def _create_type(db: duckdb.DuckDBPyConnection, name: str, members: type[Outcome] | type[Reason]) -> None:
    db.execute(f"CREATE TYPE planning.{name} AS ENUM ({', '.join(repr(str(member)) for member in members)})")


def _rule_row(no: int, rule: Rule, name_rank: int, options: PlanOptions) -> Row:
    quiet = _quiet_hours(rule, options)
    repeat_months, repeat_days = calendar(rule.repeat_after) if rule.repeat_after else (None, None)
    include = rule.existing == "include"
    fixed = [step for step in rule.steps if not (step.no and step.wait)]
    return (
        no, rule.id, rule.origin, name_rank, rule.class_, rule.topic, rule.priority,
        rule.class_ != "marketing" or not rule.capped, rule.status == "shadow", _held(no, rule, options),
        options.survives.get(no), include, bool(rule.goal and rule.goal.ends),
        repeat_months, repeat_days, day_shift(rule.days), quiet and quiet.start, quiet and quiet.end,
        rule.daily_limit, None if rule.class_ == "legal" else hash_bound(rule.holdout), len(rule.steps),
        (1 << len(rule.steps)) - 1,
        None if include or not fixed else options.as_of - max(_latest(rule, step) for step in fixed),
        options.horizon - min(map(_earliest, fixed)) if fixed else None,
        max((step.no for step in fixed), default=None), rule.by_account, rule.recipients.at_most,
    )  # fmt: skip


def _quiet_hours(rule: Rule, options: PlanOptions) -> QuietHours | None:
    """The rule's own, or the workspace's for marketing; None where either says `off`."""
    if rule.quiet_hours is None:
        return options.quiet_hours if rule.class_ == "marketing" else None
    return None if rule.quiet_hours == "off" else rule.quiet_hours


def _held(no: int, rule: Rule, options: PlanOptions) -> str | None:
    """Why the rule as a whole stands still, if it does. Drafts are not run; one that is given here stands still too."""
    if rule.status in {"paused", "draft"} or no in options.paused_rules:
        return Reason.RULE_PAUSED
    reason = options.held_rules.get(no)
    return Reason(reason) if reason else None


def day_shift(days: Iterable[int]) -> list[int]:
    """For Monday to Sunday: how many days on the next allowed one lies (0 = itself). No days named: all are allowed."""
    allowed = frozenset(days) or frozenset(range(7))
    return [next(shift for shift in range(7) if (day + shift) % 7 in allowed) for day in range(7)]


def _offset(step: Step) -> tuple[str, Duration | None]:
    """Kind and length of a step's distance; a step that names none is due at the anchor."""
    for kind in ("before", "wait", "after"):
        length: Duration | None = getattr(step, kind)
        if length is not None:
            return kind, length
    return "after", None


def _within(rule: Rule, step: Step) -> tuple[Duration | None, int | None]:
    """The `send_within` that was named, and the default in days (None = only the next step or the anchor ends it)."""
    if step.before is None:
        return step.send_within or rule.send_within, AFTER_DAYS
    return step.send_within or rule.send_within, None if rule.trigger.name in UNLIMITED_REMINDERS else BEFORE_DAYS


def _step_row(no: int, rule: Rule, step: Step, options: PlanOptions) -> Row:
    kind, length = _offset(step)
    sign = -1 if kind == "before" else 1
    elapsed = length.elapsed if length and not length.is_calendar else None
    months, days = (0, 0) if elapsed is not None else calendar(length)
    named, default_days = _within(rule, step)
    within_elapsed = named.elapsed if named and not named.is_calendar else None
    within_months, within_days = calendar(named) if named else (0, default_days)
    if within_elapsed is not None:
        within_months, within_days = 0, None
    return (
        no, step.no, step.id, kind, sign * months, sign * days, None if elapsed is None else sign * elapsed,
        step.send_at or rule.send_at or options.send_at or time(), within_months, within_days, within_elapsed,
        named is not None, step.send, step.channel, step.channel not in options.people_only,
    )  # fmt: skip


def _longest(duration: Duration | None) -> timedelta:
    if duration is None:
        return timedelta()
    months, days = calendar(duration)
    return timedelta(days=31 * months + days)


def _latest(rule: Rule, step: Step) -> timedelta:
    """After the anchor plus this, in UTC, the step is too late in every zone."""
    kind, length = _offset(step)
    named, default_days = _within(rule, step)
    in_time = _longest(named) if named else timedelta(days=default_days or 0)
    first_slot = timedelta(days=1 + max(day_shift(rule.days)))
    end_of_day = timedelta(days=1)
    if kind == "before":
        return first_slot + end_of_day + ZONE_SLACK  # never sent on or after the anchor's own date
    return _longest(length) + first_slot + in_time + end_of_day + ZONE_SLACK


def _earliest(step: Step) -> timedelta:
    """Before the anchor plus this, in UTC, the step is due in no zone."""
    kind, length = _offset(step)
    if kind == "before":
        return -_longest(length) - ZONE_SLACK
    months, days = calendar(length)
    at_least = timedelta(days=28 * months + days)
    return (at_least if length and length.is_calendar else timedelta()) - ZONE_SLACK


def _variants(no: int, step: Step) -> Iterable[Row]:
    """Hash ranges of cumulative shares; the last variant ends at the end of the space whatever rounding left."""
    below, total = 0, 0.0
    names = list(step.variants or ())
    for name in names:
        total += step.variants[name].share
        bound = HASH_SPACE if name == names[-1] else hash_bound(total)
        yield no, step.no, name, step.variants[name].send, below, bound
        below = bound


def _caps(options: PlanOptions) -> list[Row]:
    """Caps with the shortest window first, which is the order in which they name a reason."""
    caps: list[tuple[str | None, Cap]] = [(None, cap) for cap in options.caps.all]
    caps += [(topic, cap) for topic, caps_of_topic in options.caps.topics.items() for cap in caps_of_topic]
    caps.sort(key=lambda pair: (pair[1].days, pair[1].limit, pair[0] or ""))
    return [(no, topic, cap.limit, cap.days) for no, (topic, cap) in enumerate(caps)]


def _blocking(rules: Sequence[Rule], options: PlanOptions) -> Iterable[Row]:
    """Pairs of an active rule that blocks and another rule whose class or topic it names."""
    for no, rule in enumerate(rules):
        if rule.status != "active" or no in options.paused_rules:
            continue
        for target_no, target in enumerate(rules):
            if target_no != no and {target.class_, target.topic} & set(rule.blocks):
                yield no, target_no, rule.blocks_for and rule.blocks_for.elapsed


def _guards(rules: Sequence[Rule], options: PlanOptions) -> Iterable[Row]:
    for no, rule in enumerate(rules):
        guard = _guard(rule, options)
        if guard and rule.status == "active" and no not in options.approved_rules:
            yield no, guard.share, guard.first_run, guard.growth, guard.floor


def _guard(rule: Rule, options: PlanOptions) -> Guard | None:
    """The rule's own bounds, or the workspace's; None where either says `off`."""
    if rule.guard is None:
        return options.guard
    return None if rule.guard == "off" else rule.guard
