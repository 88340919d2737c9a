"""An explanation as text: short where there is nothing to say, step by step where there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from engine.api import Project
from engine.cli.decisions import OUTCOMES, sentence
from engine.cli.screen import Part, Screen
from engine.cli.wording import day_text, moment_text, number_of, shown
from engine.explain import AccountExplanation, Checked, Explanation, RowExplanation, RuleExplanation
from engine.planning.reasons import Reason
from engine.store.lookup import CustomerHistory, MessageRow
from engine.warehouse.staging import Issue

STAGES: Mapping[str, tuple[Reason, ...]] = {
    "the ladder": (
        Reason.NOT_DUE, Reason.ALREADY_SENT, Reason.TOO_LATE, Reason.EXISTING, Reason.SUPERSEDED, Reason.ENDED,
        Reason.REPEAT_TOO_SOON, Reason.NO_LONGER_MATCHES,
    ),
    "a switch": (Reason.RULE_PAUSED,),
    "the tables": (Reason.STALE_TABLE, Reason.EMPTY_TABLE, Reason.SHRUNK_TABLE),
    "eligibility": (
        Reason.NO_ADDRESS, Reason.INVALID_ADDRESS, Reason.UNSUBSCRIBED, Reason.NO_CONSENT, Reason.NO_BASIS,
        Reason.BOUNCED, Reason.COMPLAINED, Reason.ERASED, Reason.NOT_UNTIL, Reason.BLOCKED_BY, Reason.WHERE_STEP,
    ),
    "recipients": (Reason.NO_RECIPIENT, Reason.AT_MOST),
    "caps and priority": (Reason.CAP, Reason.OUTRANKED, Reason.DAILY_LIMIT),
    "the guard": (Reason.HELD_FOR_REVIEW,),
    "no stage": (Reason.DUE,),
}  # fmt: skip
"""Each reason under the stage that gives it."""

_STAGE_OF = {reason.value: stage for stage, reasons in STAGES.items() for reason in reasons}
_PLAN_COLUMNS = ("plan", "country", "locale")
_CLAUSES = ("FROM", "LEFT JOIN", "JOIN", "WHERE", "AND")
_MOST_ROWS = 3  # rows of one rule shown in full; a customer may have hundreds of invoices
_MOST_MESSAGES = 12


class Teller:
    """Tells one explanation. Instants are shown in the customer's own zone."""

    def __init__(self, screen: Screen, project: Project, found: Explanation) -> None:
        self.screen, self.project, self.found = screen, project, found
        zone = (found.person or {}).get("timezone")
        self.zone = str(zone) if zone else project.settings.workspace.timezone

    def tell(self, *, in_full: bool = False, sql: bool = False, briefly: bool = False) -> None:
        """Everything. `in_full`: rules that found nothing are told like the others; `briefly`: not at all."""
        self._tell_person()
        elsewhere = []
        for rule in self.found.rules:
            if in_full or any(row.found for row in rule.rows):
                self._tell_rule(rule)
            else:
                elsewhere.append(rule)
            if sql and (in_full or any(row.found for row in rule.rows)):
                self._tell_sql(rule)
        if not briefly:
            self._tell_elsewhere(elsewhere)
        self._tell_quarantined()
        self._tell_history(self.found.history)

    # ── the customer ────────────────────────────────────────────────────────────────────────────────────────────

    def _tell_person(self) -> None:
        person, screen = self.found.person, self.screen
        if person is None:
            screen.say((self.found.customer_id, "bold"), (" is no longer in the customers table", "yellow"))
        else:
            name = person.get("name") or self.found.customer_id
            address = f"  {person['email']}" if person.get("email") else "  no usable address"
            screen.say((str(name), "bold"), f"  {self.found.customer_id}", (address, "dim"))
            known = [str(person[column]) for column in _PLAN_COLUMNS if person.get(column)]
            screen.say((", ".join([*known, f"times in {self.zone}"]), "dim"))
        for kind, topic, until in self.found.suppressions:
            words = [kind.replace("_", " "), f"from {topic}" if topic else "", until.isoformat() if until else ""]
            screen.say(("! ", "yellow"), f"on the suppression list: {' '.join(word for word in words if word)}")
        screen.say((f"as of {moment_text(self.found.as_of, self.zone)}", "dim"))

    # ── one rule ────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell_rule(self, rule: RuleExplanation) -> None:
        self.screen.say()
        rows = [row for row in rule.rows if row.found] or list(rule.rows)
        if not rows:
            self.screen.say((rule.rule.id, "bold"), (f"  {_nothing(rule)}", "dim"))
        for row in rows[:_MOST_ROWS]:
            about = f"  about the account {rule.account_id}" if rule.account_id else ""
            self.screen.say((rule.rule.id, "bold"), *_status(rule), (about, "dim"), "  ", *self._verdict(row))
            self._tell_conditions(row)
            self._tell_decision(row)
        if len(rows) > _MOST_ROWS:
            self.screen.say((f"    and {number_of(len(rows) - _MOST_ROWS, 'more row')} of its table", "dim"))

    def tell_rule_of_account(self, rule: RuleExplanation, decisions: Sequence[Mapping[str, object]]) -> None:
        """What held of the account, and a line for each decision about one of its people."""
        screen = self.screen
        screen.say()
        rows = [row for row in rule.rows if row.found] or list(rule.rows)
        if not rows:
            screen.say((rule.rule.id, "bold"), (f"  {_nothing(rule)}", "dim"))
        for row in rows[:_MOST_ROWS]:
            verdict = ("applies", "green") if row.found else ("does not apply", "dim")
            screen.say((rule.rule.id, "bold"), *_status(rule), "  ", verdict)
            self._tell_conditions(row)
        told = [
            (
                str(one["customer_id"]) or "nobody",
                str(one["step"] or ""),
                OUTCOMES[str(one["outcome"])],
                str(one["reason"]),
            )
            for one in decisions
        ]
        if told:
            screen.table(["recipient", "step", "", "why"], told, indent=4)

    def _verdict(self, row: RowExplanation) -> list[Part]:
        decision = row.decision
        if not row.found:
            return [("does not apply", "dim")]
        if decision is None:
            return [("no decision", "dim")]
        outcome, reason = str(decision["outcome"]), str(decision["reason"])
        word, style = OUTCOMES[outcome]
        detail = f":{decision['detail']}" if decision.get("detail") else ""
        if outcome == "send":
            when = self._instant(decision.get("not_before"))
            return [("would be sent ", style), (str(decision.get("template")), f"bold {style}"), (f" at {when}", style)]
        if outcome == "hold_out":
            return [("control group: ", style), (f"{decision.get('step')} is deliberately not sent", style)]
        return [(f"{word}: ", style), (reason + detail, f"bold {style}".strip())]

    def _tell_conditions(self, row: RowExplanation) -> None:
        width = max((len(check.text) for check in row.conditions), default=0)
        for check in row.conditions:
            self.screen.say("    ", _tick(check), " ", check.text.ljust(min(width, 60)), (self._values(check), "dim"))

    def _values(self, check: Checked) -> str:
        parts = [f"{name}: {self._value(value)}" for name, value in check.values.items()]
        missing = "a value is missing" if check.held is None and not parts else ""
        return "   " + ", ".join(parts or [missing]) if parts or missing else ""

    def _tell_decision(self, row: RowExplanation) -> None:
        decision = row.decision
        if decision is None:
            return
        reason, outcome = str(decision["reason"]), str(decision["outcome"])
        key = "hold_out" if outcome == "hold_out" else reason
        stage = "the holdout" if outcome == "hold_out" else _STAGE_OF[reason]
        step = f"step {decision['step']}" if decision.get("step") else "no step"
        due = decision.get("due_date")
        when = f", due {day_text(due)}" if isinstance(due, date) else ""
        decided = "" if reason == Reason.DUE and key == reason else f"; decided by {stage}"
        self.screen.say("    → ", f"{step}{when}{decided}")
        self.screen.say("      ", (sentence(key), "italic"))

    # ── the others ──────────────────────────────────────────────────────────────────────────────────────────────

    def _tell_elsewhere(self, rules: list[RuleExplanation]) -> None:
        if not rules:
            return
        self.screen.title("Rules that do not apply, and the first thing that is missing")
        self.screen.table(["", "rule", "does not hold", ""], [self._missing(rule) for rule in rules], indent=2)

    def _missing(self, rule: RuleExplanation) -> list[Part]:
        """The condition that fails in the row that came closest."""
        if not rule.rows:
            return [("-", "dim"), rule.rule.id, (_nothing(rule), "dim"), ""]
        closest = max(rule.rows, key=lambda row: sum(check.held is True for check in row.conditions))
        failing = next(check for check in closest.conditions if not check.held)
        return [_tick(failing), rule.rule.id, failing.text, (self._values(failing).strip(), "dim")]

    def _tell_quarantined(self) -> None:
        if not self.found.quarantined:
            return
        self.screen.title("Broken values in this customer's rows, not used")
        rows = [(one.table, one.column, repr(one.value), one.reason) for one in self.found.quarantined]
        self.screen.table(["table", "column", "value", "why"], rows, indent=2)

    def _tell_sql(self, rule: RuleExplanation) -> None:
        self.screen.say()
        self.screen.say((f"-- {rule.rule.id}", "dim"))
        text = rule.sql
        for word in _CLAUSES:
            text = text.replace(f" {word} ", f"\n  {word} ")
        self.screen.say((text, "dim"))

    # ── before ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell_history(self, history: CustomerHistory | None) -> None:
        self.screen.title("Before")
        if history is None or not (history.messages or history.exposures):
            self.screen.say("  nothing was sent to this customer yet")
            return
        held = [one for one in history.exposures if one.arm == "control"]
        lines: list[tuple[datetime, list[Part]]] = [(_when(one), self._message(one)) for one in history.messages]
        lines += [(one.exposed_at, [one.rule, one.step, ("control group", "cyan"), ""]) for one in held]
        newest = sorted(lines, key=lambda line: line[0], reverse=True)
        rows = [[self._instant(at), *cells] for at, cells in newest[:_MOST_MESSAGES]]
        self.screen.table(["when", "rule", "step", "what became of it", ""], rows, indent=2)
        if len(newest) > _MOST_MESSAGES:
            self.screen.say((f"  and {number_of(len(newest) - _MOST_MESSAGES, 'older one')}", "dim"))

    def _message(self, message: MessageRow) -> list[Part]:
        style = {"accepted": "green", "planned": "", "failed": "red", "refused": "red"}.get(message.state, "yellow")
        word = {"accepted": "sent", "planned": "waiting"}.get(message.state, message.state)
        said = [message.reason or message.fate or "", "possible duplicate" if message.resends else ""]
        return [message.rule, message.step, (word, style), ", ".join(part for part in said if part)]

    # ── values ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _value(self, value: object) -> str:
        return self._instant(value) if isinstance(value, datetime) else shown(value)

    def _instant(self, value: object) -> str:
        """An instant on the customer's own clock."""
        if not isinstance(value, datetime):
            return "once it is due"
        local = value.replace(tzinfo=UTC).astimezone(ZoneInfo(self.zone))
        return f"{local.day} {local:%b %Y, %H:%M}"


def tell_account(screen: Screen, project: Project, found: AccountExplanation) -> None:
    """Each rule about accounts: what held, and what was decided about each recipient."""
    account = found.account or {}
    name = str(account.get("name") or found.account_id)
    screen.say((name, "bold"), f"  {found.account_id}")
    nobody: tuple[Issue, ...] = ()
    person = Explanation(found.account_id, found.as_of, account, found.rules, nobody, (), None)
    teller = Teller(screen, project, person)
    for rule, decisions in zip(found.rules, found.decisions, strict=True):
        teller.tell_rule_of_account(rule, decisions)


def _nothing(rule: RuleExplanation) -> str:
    if rule.rule.by_account and rule.account_id is None:
        return "the customer belongs to no account"
    return f"its table has nothing about {'their account' if rule.rule.by_account else 'this customer'}"


def _when(message: MessageRow) -> datetime:
    """When it was last called for, or is to leave."""
    return message.attempts[-1].started_at if message.attempts else message.not_before


def _tick(check: Checked) -> Part:
    if check.held is None:
        return "?", "yellow"
    return ("✓", "green") if check.held else ("✗", "red")


def _status(rule: RuleExplanation) -> list[Part]:
    return [] if rule.rule.status == "active" else [(f" ({rule.rule.status})", "yellow")]
