"""The same decisions worked out by hand: one candidate at a time, plain Python, zoneinfo and calendars.

Written from the description of a run, not from the SQL. It is slow and knows no shortcuts; where the two disagree, one
of them is wrong.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from calendar import monthrange
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from types import SimpleNamespace as Plain
from typing import Any
from zoneinfo import ZoneInfo

from planning_world import ZONES, World

DAY = timedelta(days=1)
WAITING = {"rule_paused", "stale_table", "empty_table", "shrunk_table", "held_for_review",
           "daily_limit"}  # fmt: skip
PERSON = ("cust", "customer_id", "address", "addr", "address_state", "zone_no", "country", "consent", "consent_proved",
          "account_id")  # fmt: skip
CANDIDATE = ("rule_no", "cust", "occurrence", "anchor", "rests_at", "ended", "goal_at", "failing")
SETTLED = ("rule_no", "cust", "occurrence", "step_id", "local_date", "how", "settled_at", "anchor", "own")


def to_local(zone: ZoneInfo, moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)


def to_utc(zone: ZoneInfo, local: datetime) -> datetime:
    early = local.replace(tzinfo=zone, fold=0).astimezone(UTC).replace(tzinfo=None)
    if to_local(zone, early) == local:
        return early
    first = early - timedelta(hours=3)  # in a gap: the first second whose local time lies beyond it
    seconds = range(4 * 3600)
    return first + timedelta(seconds=bisect_left(seconds, local, key=lambda s: to_local(zone, first + s * DAY / 86400)))


def shifted(day: date, length: Any, sign: int = 1) -> date:
    if length is None:
        return day
    if length.unit in {"months", "years"}:
        count = day.year * 12 + day.month - 1 + sign * length.n * (12 if length.unit == "years" else 1)
        year, month = count // 12, count % 12 + 1
        return date(year, month, min(day.day, monthrange(year, month)[1]))
    return day + sign * length.elapsed


def draw(*parts: str) -> float:
    return int(hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:15], 16) / 16**15


class Oracle:
    def __init__(self, world: World, as_of: datetime, **given: Any) -> None:
        self.o = world.options(as_of, **given)
        self.rules = world.rules
        self.people = [Plain(**dict(zip(PERSON, row, strict=True))) for row in world.people]
        for person in self.people:
            person.zone = ZoneInfo(ZONES[person.zone_no])
        self.given = [Plain(**dict(zip(CANDIDATE, row, strict=True))) for row in world.candidates]
        self.settled = [Plain(**dict(zip(SETTLED, row, strict=True))) for row in world.history["settled"]]
        self.history = world.history
        self.decided: list[Plain] = []

    # -- the run ------------------------------------------------------------------------------------------------

    def decide(self) -> list[Plain]:
        rows = self.recognised()
        open_rows = [row for row in rows if self.climb(row)]
        open_rows = [row for row in open_rows if self.eligible(row)]
        open_rows = [row for row in open_rows if self.timed(row)]
        open_rows = self.arbitrated(open_rows)
        for row in open_rows:
            self.draw_arm(row)
        open_rows = self.guarded(open_rows)
        for row in open_rows:
            shadow = self.rules[row.rule_no].status == "shadow"
            self.mark(row, "shadow" if shadow else "hold_out" if row.arm == "control" else "send", "due")
        return self.decided

    def mark(self, row: Plain, outcome: str, reason: str, detail: str | None = None, **over: Any) -> bool:
        step = over.get("step", row.step)
        self.decided.append(
            Plain(rule_no=row.rule_no, cust=row.cust, occurrence=row.occurrence, anchor=row.anchor,
                  step_id=step and step.id, outcome=outcome, reason=reason, detail=detail,
                  expires_at=None if "step" in over or reason == "existing" else row.expires_at,
                  not_before=row.not_before, local_date=row.local_date, arm=row.arm,
                  template=row.template))  # fmt: skip
        return False

    # -- occurrences --------------------------------------------------------------------------------------------

    def recognised(self) -> list[Plain]:
        rows: dict[tuple[Any, ...], Plain] = {}
        ranked = []
        for c in self.given:
            mine = [s for s in self.settled if (s.rule_no, s.cust) == (c.rule_no, c.cust)]
            row = Plain(
                **vars(c), step=None, expires_at=None, not_before=None, local_date=None, arm=None, template=None
            )
            native = self.rename(row, c, mine)
            ranked.append((native, c.anchor, c.occurrence, row))
        for _, _, _, row in sorted(ranked, key=lambda item: item[:3]):
            rows[row.rule_no, row.cust, row.occurrence] = row
        return list(rows.values())

    def rename(self, row: Plain, c: Plain, mine: list[Plain]) -> bool:
        """Give the row the occurrence it had; False when it is another's."""
        survives = self.o.survives.get(c.rule_no) or ("past" if c.rests_at else "none")
        if survives == "none" or any(s.occurrence == c.occurrence for s in mine):
            return True
        if survives == "near_date":
            near = [
                s
                for s in mine
                if s.occurrence[:-11] == c.occurrence[:-11]
                and abs(date.fromisoformat(s.occurrence[-10:]) - date.fromisoformat(c.occurrence[-10:])) <= DAY
            ]
            if near:
                row.occurrence = max(near, key=lambda s: (s.settled_at, s.occurrence)).occurrence
            return not near
        if not mine or (c.rule_no, c.cust, c.occurrence) in self.history["seen"]:
            return True
        last = max(mine, key=lambda s: (s.settled_at, s.anchor, s.occurrence))
        if survives == "opened":
            lasts, begun = self.rules[c.rule_no].repeat_after, date.fromisoformat(last.occurrence[-10:])
            if lasts and date.fromisoformat(c.occurrence[-10:]) >= lasts.after(begun):
                return True
        elif c.rests_at and c.rests_at >= last.settled_at:
            return True
        row.occurrence, row.anchor = last.occurrence, last.anchor
        return False

    # -- ladder -------------------------------------------------------------------------------------------------

    def slot(self, row: Plain, rule: Any, step: Any, day: date, not_before: datetime | None) -> datetime:
        """First sending time on an allowed day from `day` on that is not before an instant."""
        zone, at = self.people[row.cust].zone, step.send_at or rule.send_at or self.o.send_at
        if not_before is not None and to_utc(zone, datetime.combine(day, at)) < not_before:
            day += DAY
        while rule.days and day.weekday() not in rule.days:
            day += DAY
        return datetime.combine(day, at)

    def due_local(self, row: Plain, rule: Any, step: Any, own: dict[str, Plain]) -> datetime | None:
        zone = self.people[row.cust].zone
        base_day, base_at, anchored = to_local(zone, row.anchor).date(), row.anchor, True
        source = None
        if step.wait:
            before = [s for s in rule.steps[: step.no] if not (s.id in own and own[s.id].how == "stopped")]
            source = before[-1] if before else None
        elif not step.before and rule.existing == "include" and step.no:
            source = rule.steps[0]
        if source:
            if source.id not in own:
                return None
            base_day, base_at, anchored = own[source.id].local_date, own[source.id].settled_at, False
        length, sign = (step.before, -1) if step.before else (step.wait or step.after, 1)
        if length and not length.is_calendar:
            moment = base_at + sign * length.elapsed
            return self.slot(row, rule, step, to_local(zone, moment).date(), moment)
        return self.slot(
            row, rule, step, shifted(base_day, length, sign), row.anchor if anchored and sign > 0 else None
        )

    def climb(self, row: Plain) -> bool:
        rule, person = self.rules[row.rule_no], self.people[row.cust]
        zone = person.zone
        own = {s.step_id: s for s in self.settled
               if (s.rule_no, s.cust, s.occurrence) == (row.rule_no, row.cust, row.occurrence)}  # fmt: skip
        local = {s.no: self.due_local(row, rule, s, own) for s in rule.steps}
        due = {no: to_utc(zone, moment) for no, moment in local.items() if moment}
        reached = [s.no for s in rule.steps if s.id in own or (s.no in due and due[s.no] < self.o.horizon)]
        newest = max(reached, default=-1)
        row.fresh = not own and (row.rule_no, row.cust, row.occurrence) not in self.history["seen"]
        exposed = [s.settled_at for s in own.values() if s.how in {"sent", "held_out"}]
        row.climbing = bool(exposed)
        ended = row.ended or bool(
            rule.goal and rule.goal.ends and exposed and row.goal_at and row.goal_at >= min(exposed))  # fmt: skip
        current = newest >= 0 and rule.steps[newest].id not in own
        ahead = [s for s in rule.steps[newest + 1 :] if s.id not in own]
        row.step = rule.steps[newest] if current else ahead[0] if ahead else rule.steps[-1] if rule.steps else None
        held = "rule_paused" if row.rule_no in self.o.paused_rules or rule.status == "paused" else None
        held = held or self.o.held_rules.get(row.rule_no)
        passed = [] if held else [s for s in rule.steps[: max(newest, 0)] if s.no in reached and s.id not in own]
        if not current:
            if own and ended and ahead:
                return self.mark(row, "skip", "ended")
            self.supersede(row, passed)
            return self.mark(row, "wait", "not_due" if ahead else "already_sent")
        row.again = None if exposed else self.allowed_again(row, rule, local[newest].date())
        self.set_limits(row, rule, local, due)
        too_late = row.expires_at <= self.o.as_of
        if too_late and row.fresh:
            return self.mark(row, "skip", "existing")
        if ended:
            return self.mark(row, "skip", "ended")
        self.supersede(row, passed)
        if too_late:
            return self.mark(row, "skip", "too_late")
        row.due_at, row.due_day = due[newest], local[newest].date()
        if row.again:
            if to_utc(zone, row.again) >= self.o.horizon:
                return self.mark(row, "defer", "repeat_too_soon")
            row.due_at = max(row.due_at, to_utc(zone, row.again))
        return not held or self.mark(row, "held", held)

    def supersede(self, row: Plain, passed: list[Any]) -> None:
        for one in passed:
            row.fresh = False
            self.mark(row, "skip", "superseded", step=one)

    def allowed_again(self, row: Plain, rule: Any, due_day: date) -> datetime | None:
        """Local time from which `repeat_after` lets the ladder begin, where that is after its due date."""
        began: dict[str, list[date]] = defaultdict(list)
        for s in self.settled:
            if (s.rule_no, s.cust) == (row.rule_no, row.cust) and s.how in {"sent", "held_out"}:
                began[s.occurrence].append(s.local_date)
        if not rule.repeat_after or not began:
            return None
        first = shifted(max(min(days) for days in began.values()), rule.repeat_after)
        return self.slot(row, rule, row.step, first, None) if first > due_day else None

    def set_limits(self, row: Plain, rule: Any, local: dict[int, datetime | None], due: dict[int, datetime]) -> None:
        zone, step = self.people[row.cust].zone, row.step
        waited = 0
        for *key, reason, decided_at, waited_s in self.history["last_decision"]:
            if tuple(key[:4]) == (row.rule_no, row.cust, row.occurrence, step.id):
                waited = waited_s + (int((self.o.as_of - decided_at).total_seconds()) if reason in WAITING else 0)
        endless = rule.existing == "include" and step.no == 0
        day, moment = local[step.no].date(), due[step.no]
        if endless:
            day, moment = max(day, to_local(zone, self.o.as_of).date()), max(moment, self.o.as_of)
        if row.again:
            day, moment = max(day, row.again.date()), max(moment, to_utc(zone, row.again))
        named = step.send_within or rule.send_within
        ends = []
        if named and not named.is_calendar:
            ends.append(moment + named.elapsed + timedelta(seconds=waited))
        elif named or rule.trigger.name != "card_expiring" or not step.before:
            last = shifted(day, named) if named else day + (3 if step.before else 7) * DAY
            ends.append(self.midnight(zone, last + (1 + round(waited / 86400)) * DAY))
        if step.before:
            calendar = step.before.is_calendar
            ends.append(self.midnight(zone, to_local(zone, row.anchor).date()) if calendar else row.anchor)
        following = step.no + 1
        if not named and following in due:
            later = local[following].date() > local[step.no].date()
            ends.append(self.midnight(zone, local[following].date()) if later else due[following])
        row.expires_at = min(ends)

    @staticmethod
    def midnight(zone: ZoneInfo, day: date) -> datetime:
        return to_utc(zone, datetime.combine(day, time()))

    # -- eligibility and send time ------------------------------------------------------------------------------

    def eligible(self, row: Plain) -> bool:
        rule, person = self.rules[row.rule_no], self.people[row.cust]
        reaches = row.step.channel == "email"
        mine = [s for s in self.history["suppression"] if person.addr is not None and s[0] == person.addr]
        marketing, stoppable = rule.class_ == "marketing", rule.class_ != "legal"
        today = to_local(person.zone, self.o.as_of).date()
        proof_needed = self.o.require_in and (not person.country or person.country in self.o.require_in)
        checks = {
            "no_address": reaches and person.address_state == "none",
            "invalid_address": reaches and person.address_state == "invalid",
            "unsubscribed": reaches and any(
                k == "unsubscribed" and (marketing if t is None else stoppable and t == rule.topic)
                for _, k, t, _ in mine),
            "no_consent": reaches and marketing and not person.consent,
            "no_basis": reaches and marketing and proof_needed and not person.consent_proved,
            "bounced": reaches and stoppable and any(k == "bounced" for _, k, _, _ in mine),
            "complained": reaches and stoppable and any(k == "complained" for _, k, _, _ in mine),
            "erased": any(k == "erased" for _, k, _, _ in mine),
            "not_until": reaches and marketing and any(
                k == "not_until" and t in {None, rule.topic} and until > max(today, row.due_day)
                for _, k, t, until in mine),
        }  # fmt: skip
        for reason, holds in checks.items():
            if holds:
                return self.mark(row, "skip", reason)
        blockers = [
            other.id for no, other in enumerate(self.rules)
            if no != row.rule_no and other.status == "active" and no not in self.o.paused_rules
            and {rule.class_, rule.topic} & set(other.blocks)
            and any((c.rule_no, c.cust) == (no, row.cust) and c.anchor <= self.o.as_of
                    and (not other.blocks_for or self.o.as_of < c.anchor + other.blocks_for.elapsed)
                    for c in self.given)
        ]  # fmt: skip
        if blockers:
            return self.mark(row, "defer", "blocked_by", min(blockers))
        return not (row.failing >> row.step.no & 1) or self.mark(row, "skip", "where_step")

    def timed(self, row: Plain) -> bool:
        rule, zone = self.rules[row.rule_no], self.people[row.cust].zone
        quiet = rule.quiet_hours or (self.o.quiet_hours if rule.class_ == "marketing" else None)
        quiet = None if quiet == "off" else quiet

        def is_quiet(moment: time) -> bool:
            if not quiet:
                return False
            if quiet.start < quiet.end:
                return quiet.start <= moment < quiet.end
            return moment >= quiet.start or moment < quiet.end

        def allowed(moment: datetime) -> datetime:
            if not rule.days or moment.weekday() in rule.days:
                return moment
            at = row.step.send_at or rule.send_at or self.o.send_at
            while moment.weekday() not in rule.days:
                moment = datetime.combine(moment.date() + DAY, quiet.end if is_quiet(at) else at)
            return moment

        ready_at = max(row.due_at, self.o.as_of)
        ready = to_local(zone, ready_at)
        leaves = allowed(ready)
        if is_quiet(leaves.time()):
            over = quiet.start >= quiet.end and leaves.time() >= quiet.start
            leaves = allowed(datetime.combine(leaves.date() + (DAY if over else timedelta()), quiet.end))
        row.not_before = ready_at if leaves == ready else max(ready_at, to_utc(zone, leaves))
        row.local_date = leaves.date()
        if row.not_before >= row.expires_at:
            return self.mark(row, "skip", "existing" if row.fresh else "too_late")
        return row.not_before < self.o.horizon or self.mark(row, "wait", "not_due")

    # -- arbitration --------------------------------------------------------------------------------------------

    def arbitrated(self, rows: list[Plain]) -> list[Plain]:
        rows = self.one_start(rows)
        used: dict[int, list[tuple[str, date, Any]]] = defaultdict(list)
        for addr, _, _, _, topic, _, day, counts in self.history["exposure"]:
            if counts:
                used[addr].append((topic, day, None))
        rows = [row for row in rows if not (full := self.full(row, used)) or self.mark(row, "defer", "cap", full[0])]
        rows = self.under_daily_limit(rows)
        winners, losers = [], []
        for row in sorted(rows, key=self.order):
            if self.full(row, used):
                losers.append(row)
                continue
            winners.append(row)
            rule, addr = self.rules[row.rule_no], self.people[row.cust].addr
            if row.step.channel == "email" and rule.status != "shadow":
                used[addr].append((rule.topic, row.local_date, rule.id))
        for row in losers:  # any message of this run that fills a window of the row may be named
            self.mark(row, "defer", "outranked", self.full(row, used)[1])
        return winners

    def one_start(self, rows: list[Plain]) -> list[Plain]:
        started: set[tuple[int, int]] = set()
        kept = []
        for row in sorted(rows, key=lambda row: (row.anchor, row.occurrence)):
            key = (row.rule_no, row.cust)
            if self.rules[row.rule_no].repeat_after and not row.climbing:
                if key in started:
                    self.mark(row, "defer", "repeat_too_soon")
                    continue
                started.add(key)
            kept.append(row)
        return kept

    def uncapped(self, row: Plain) -> bool:
        rule = self.rules[row.rule_no]
        return rule.class_ != "marketing" or not rule.capped

    def order(self, row: Plain) -> tuple[Any, ...]:
        rule, person = self.rules[row.rule_no], self.people[row.cust]
        return not self.uncapped(row), -rule.priority, row.anchor, rule.id, person.customer_id, row.occurrence

    def full(self, row: Plain, used: Any) -> tuple[str, set[str]] | None:
        """The shortest window that has no place for the row, and the rules of this run found in any such window."""
        rule, addr = self.rules[row.rule_no], self.people[row.cust].addr
        if row.step.channel != "email":
            return None
        sparing = any(s[0] == addr and s[1] == "less_often" and s[2] is None for s in self.history["suppression"])
        caps = [(cap.days, cap.limit, topic) for topic, some in self.o.caps.topics.items() for cap in some
                if topic == rule.topic]  # fmt: skip
        if not self.uncapped(row):
            caps += [(cap.days, cap.limit, "") for cap in self.o.caps.all]
        name, rules = None, set()
        for days, limit, topic in sorted(caps):
            n = max(limit // 2, 1) if sparing else limit
            for start in (row.local_date - k * DAY for k in range(days)):
                inside = [by for t, day, by in used[addr] if start <= day < start + days * DAY and topic in {"", t}]
                if len(inside) >= n:
                    name = name or f"{n}/{days} day" + ("s" if days > 1 else "")
                    rules |= {by for by in inside if by}
        return (name, rules) if name else None

    def under_daily_limit(self, rows: list[Plain]) -> list[Plain]:
        kept, sends = [], defaultdict(int)
        for _, _, rule_id, _, _, _, day, counts in self.history["exposure"]:
            sends[rule_id, day] += counts
        newest_first = sorted(
            rows, key=lambda r: (-r.anchor.timestamp(), self.people[r.cust].customer_id, r.occurrence)
        )
        for row in newest_first:
            rule = self.rules[row.rule_no]
            sends[rule.id, row.local_date] += 1
            if rule.daily_limit is not None and sends[rule.id, row.local_date] > rule.daily_limit:
                self.mark(row, "defer", "daily_limit")
            else:
                kept.append(row)
        return kept

    # -- holdout and guard --------------------------------------------------------------------------------------

    def draw_arm(self, row: Plain) -> None:
        rule, name, salt = self.rules[row.rule_no], self.people[row.cust].customer_id, self.o.salt
        by_rule = rule.class_ != "legal" and draw(salt, rule.origin, name) < rule.holdout
        by_all = rule.class_ == "marketing" and draw(salt, "*", name) < self.o.holdout_global
        row.arm, row.template = "treated", row.step.send
        lot, total = draw(salt, rule.origin, row.step.id, name), 0.0
        for variant, part in row.step.variants.items():
            if lot >= total:
                row.arm, row.template = variant, part.send
            total += part.share
        if by_rule or by_all:
            row.arm = "control"

    def guarded(self, rows: list[Plain]) -> list[Plain]:
        kept = []
        for row in rows:
            sends = sum(other.rule_no == row.rule_no and other.arm != "control" for other in rows)
            if self.too_many(row.rule_no, sends):
                self.mark(row, "held", "held_for_review", f"{sends} messages")
            else:
                kept.append(row)
        return kept

    def too_many(self, rule_no: int, sends: int) -> bool:
        guard = self.o.guard
        if not guard or self.rules[rule_no].status != "active" or rule_no in self.o.approved_rules:
            return False
        runs = sorted((run, count) for no, run, count in self.history["rule_history"] if no == rule_no)[-14:]
        usual = guard.growth * median(count for _, count in runs) if runs else guard.first_run
        return sends > guard.floor and (sends > usual or sends > guard.share * self.o.customers)
