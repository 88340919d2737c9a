"""The report about failed payments in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from engine.cli.screen import Cell, Screen
from engine.cli.wording import day_text, moment_text, number_of
from engine.dunning import OpenCase, Report
from engine.dunning.relations import OUTCOMES
from engine.dunning.report import Lift, Money, Recovery
from engine.messages.formats import money as money_text
from engine.project.settings import Workspace
from engine.store import CaseHold
from engine.warehouse.zones import utc_to_local

ROWS_ON_SCREEN = 30

_WAITS = {
    "on_hold": "on hold", "disputed": "disputed", "new_card": "new card", "processing": "payment under way",
    "collection_paused": "collection paused", "subscription_ended": "plan ended", "trial_ended": "trial ended",
    "not_theirs": "a fault that is not theirs", "fraud_suspected": "a person: fraud?",
    "needs_a_look": "a person: a look", "too_old": "a person: too old", "no_address": "a person: no address",
    "address_refused": "a person: mail refused", "enough_mails": "enough mails sent",
    "no_rule": "no rule", "all_sent": "all mails sent", "cap": "a mail came too recently",
    "held_for_review": "rule held for review", "rule_paused": "rule paused",
}  # fmt: skip
"""Why a case waits, where the word itself does not read well."""

_FOR_A_PERSON = ("fraud_suspected", "needs_a_look", "too_old", "no_address", "address_refused")

_OUTCOMES = {
    "recovered": "recovered", "credit": "paid by credit", "reversed": "reversed", "lost": "lost",
    "voided": "voided", "open": "still open",
}  # fmt: skip
_ALWAYS = ("recovered", "lost", "open")
_LEGEND = {
    "credit": "paid by credit: settled without money, so not recovered",
    "reversed": "reversed: paid, then refunded in full or disputed within 30 days",
    "lost": "lost: written off, or the plan ended over it",
}


def tell(
    screen: Screen, workspace: Workspace, found: Report, cases: Sequence[OpenCase], holds: Sequence[CaseHold]
) -> None:
    """The whole report; `cases` are the first of those that are open."""
    teller = _Teller(screen, workspace)
    screen.say(("Failed payments", "bold"), f" as of {moment_text(found.as_of, workspace.timezone)}")
    teller.open_cases(found, cases)
    teller.outcomes(found)
    if found.opened.invoices:
        teller.recoveries(found)
        teller.groups(found)
        teller.steps(found)
        teller.lifts(found.lifts)
    teller.holds(holds)


class _Teller:
    """Parts of the report, in the workspace's zone and language of numbers."""

    def __init__(self, screen: Screen, workspace: Workspace) -> None:
        self._screen, self._workspace = screen, workspace

    def open_cases(self, found: Report, cases: Sequence[OpenCase]) -> None:
        """What is open, the most money first."""
        self._screen.title("Open now")
        if not cases:
            self._screen.say(("✓ ", "green"), "no failed payment is open")
            return
        cases_text = number_of(found.open.cases, "case")
        more = f" with {found.open.invoices:,} invoices" if found.open.invoices > found.open.cases else ""
        self._screen.say(f"  {cases_text}{more}: {self._money(found.open.money)}")
        owed = [self._amount(one.amount_minor, one.currency) for one in cases]
        width = max(map(len, owed))
        self._screen.table(
            ["customer", "invoice", "group", "day", "owed", "sent", "next"],
            [(one.customer_id, _invoice(one), one.group, one.days, text.rjust(width), one.mails, _next(one))
             for one, text in zip(cases, owed, strict=True)],
            indent=2,
        )  # fmt: skip
        if any(one.waits in _FOR_A_PERSON for one in cases):
            self._screen.say(("  a person: nobody is mailed; `holdfast tasks` lists what is to do", "dim"))
        if found.open.cases > len(cases):
            more = number_of(found.open.cases - len(cases), "more", "more")
            self._screen.say((f"  and {more}; --csv FILE writes them all", "dim"))

    def outcomes(self, found: Report) -> None:
        """What became of the invoices of the period."""
        first, last = self._date(found.since), self._date(found.until - timedelta(microseconds=1))
        self._screen.title(f"First failed from {day_text(first)} to {day_text(last)}")
        if not found.opened.invoices:
            self._screen.say("  no payment failed in this time")
            return
        self._screen.say(f"  {number_of(found.opened.invoices, 'invoice')}: {self._money(found.opened.money)}")
        shown = [name for name in OUTCOMES if name in _ALWAYS or found.outcomes[name].invoices]
        self._screen.table(
            ["what became of them", "invoices", "share", "money"],
            [(_OUTCOMES[name], found.outcomes[name].invoices, _share(found.outcomes[name].invoices, found.opened.invoices),
              self._money(found.outcomes[name].money)) for name in shown],
            indent=2,
        )  # fmt: skip
        for name in shown:
            if name in _LEGEND and found.outcomes[name].invoices:
                self._screen.say((f"  {_LEGEND[name]}", "dim"))

    def recoveries(self, found: Report) -> None:
        """How the money came back."""
        self._screen.title("Recovered")
        if not found.recoveries:
            self._screen.say(f"  none yet; {number_of(found.mails, 'mail')} sent{_complaints(found.complaints)}")
            return
        self._screen.table(
            ["", "invoices", "within 7 days of it", "money"],
            [(_after(one), one.invoices, one.within_7_days if one.mails else "", self._money(one.money))
             for one in found.recoveries],
            indent=2,
        )  # fmt: skip
        cards = [
            f"{found.cards[card].invoices:,} {words}"
            for card, words in (
                ("same", "by the same card"),
                ("new", "by a new one"),
                ("unknown", "by an unknown one"),
            )
            if found.cards[card].invoices
        ]
        if found.cards["same"].invoices or found.cards["new"].invoices:
            self._screen.say(f"  {', '.join(cards)}")
        if found.median_days is not None:
            self._screen.say(f"  half of them within {found.median_days:.1f} days of the first failure")
        each = f", {found.mails_per_recovery:.1f} for each recovery" if found.mails_per_recovery is not None else ""
        self._screen.say(f"  {number_of(found.mails, 'mail')} sent{each}{_complaints(found.complaints)}")

    def groups(self, found: Report) -> None:
        """What became of them, by the kind of reason."""
        self._screen.title("By group")
        shown = [name for name in OUTCOMES if name in _ALWAYS or found.outcomes[name].invoices]
        rows: list[list[Cell]] = []
        for one in found.groups:
            failed = sum(one.outcomes.values())
            recovered, *others = (one.outcomes[name] for name in shown)
            rows.append([one.group, failed, recovered, _share(recovered, failed), *others])
        self._screen.table(["group", "failed", "recovered", "share", *shown[1:]], rows, indent=2)

    def steps(self, found: Report) -> None:
        """What followed each step's mails."""
        if not found.steps:
            return
        self._screen.title("By step: recoveries after its mail and before the next")
        rows: list[Sequence[Cell]] = []
        for one, before in zip(found.steps, (None, *found.steps), strict=False):
            rule = "" if before and before.rule == one.rule else one.rule
            rows.append((rule, _short(one.step), one.mails, one.recovered, one.within_7_days))
        self._screen.table(["rule", "step", "mails", "recovered", "within 7 days"], rows, indent=2)

    def lifts(self, lifts: Iterable[Lift]) -> None:
        """What the mails added, where there is somebody to compare with."""
        self._screen.title("What the mails added")
        said = [self._lift(one) for one in lifts]
        for line in said or ["no control group: no rule about failed payments names a `holdout`"]:
            self._screen.say(f"  {line}")

    def holds(self, holds: Sequence[CaseHold]) -> None:
        """What a person has put on hold."""
        if not holds:
            return
        self._screen.title("On hold by hand")
        rows = [(one.invoice_id, day_text(self._date(one.at)), one.note) for one in holds]
        self._screen.table(["invoice", "since", "note"], rows, indent=2)
        self._screen.say(("  `holdfast dunning release INVOICE` lifts a hold", "dim"))

    def _lift(self, one: Lift) -> str:
        treated, control = one.treated, one.control
        if one.difference is None or one.low is None or one.high is None:
            return f"{one.rule}: {number_of(treated.invoices, 'case')} written to, {control.invoices:,} held out; too few to compare"
        return (
            f"{one.rule}: {_share(treated.recovered, treated.invoices)} of {treated.invoices:,} recovered with mails, "
            f"{_share(control.recovered, control.invoices)} of {control.invoices:,} without: {100 * one.difference:+.0f} points "
            f"(95 % interval {100 * one.low:+.0f} to {100 * one.high:+.0f})"
        )

    def _amount(self, amount_minor: int, currency: str) -> str:
        return money_text(amount_minor, currency, self._workspace.locale)

    def _money(self, money: Money) -> str:
        return ", ".join(self._amount(amount, currency) for currency, amount in money.items())

    def _date(self, instant: datetime) -> date:
        return utc_to_local(self._workspace.timezone, instant).date()


def _next(one: OpenCase) -> Cell:
    """The next step and its date, or why there is none; who is held out would have got it."""
    step = f"{one.next_on.day} {one.next_on:%b} {_short(one.next_step)}" if one.next_step and one.next_on else ""
    if one.waits is None:
        return step or "-"
    word = _WAITS.get(one.waits, one.waits.replace("_", " "))
    return (f"{step} ({word})" if step else word, "yellow")


def _invoice(one: OpenCase) -> str:
    more = f" +{one.invoices - 1}" if one.invoices > 1 else ""
    return f"{one.number or one.invoice_id}{more}"


def _short(step: str) -> str:
    """A step that has no name of its own is called like its template, of which the last part says enough."""
    return step.rpartition("/")[2]


def _share(part: int, of: int) -> str:
    return f"{100 * part / of:.0f} %" if of else ""


def _after(one: Recovery) -> str:
    if one.held_out:
        return "held out: no mail on purpose"
    if one.mails is None:
        return "nobody knows when"
    return f"after {number_of(one.mails, 'mail')}" if one.mails else "before any mail"


def _complaints(complaints: int) -> str:
    return f", {number_of(complaints, 'spam complaint')}"
