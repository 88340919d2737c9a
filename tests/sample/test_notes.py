"""What must hold for the tasks about customers, whatever is missing."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tests.sample.test_mails import NOW, RENDERER, values_of

CUSTOMER: dict[str, object] = {
    "name": "Kim", "plan": "team", "mrr_minor": 4900, "currency": "EUR", "signed_up_at": "2024-05-05T08:00:00",
}  # fmt: skip
NOTES: dict[str, dict[str, object]] = {
    "usage-halved/for-a-person": {"now": 4, "before": 11, "logins_14d": 2},
    "survey/low-score": {
        "score": 3, "comment": "Boards take ages.", "reason": "missing_feature", "answered_at": "2026-11-20T08:00:00",
    },
    "tickets/open-long": {
        "ticket_id": "T1", "days_open": 3, "opened_at": "2026-11-18T21:00:00", "priority": "high", "text": "Hello?",
    },
    "tickets/unhappy": {
        "ticket_id": "T1", "opened_at": "2026-11-20T08:00:00", "closed_at": None, "text": "We want a refund.",
    },
}  # fmt: skip
MAY_BE_MISSING = ("comment", "reason", "priority")


@pytest.mark.parametrize("name", NOTES)
def test_a_task_says_who_it_is_about_what_they_said_and_what_to_do(name: str) -> None:
    note = RENDERER.note(values_of(name, CUSTOMER, NOTES[name]), NOW)
    advice, facts = note.text.strip("\n").split("\n\n")
    assert "Kim" in note.title + note.text
    assert len(advice) > 80
    assert all(line.startswith("- ") for line in facts.splitlines())
    assert "- Plan: Team, €49.00 a month" in facts.splitlines()
    assert "- Customer since May 5, 2024" in facts.splitlines()
    for said in ("comment", "text"):
        assert f'"{NOTES[name].get(said)}"' in facts or said not in NOTES[name]


@pytest.mark.parametrize("name", NOTES)
def test_a_task_reads_well_whatever_is_missing(name: str) -> None:
    for known, said in product((True, False), repeat=2):
        customer = CUSTOMER if known else dict.fromkeys(CUSTOMER)
        facts = NOTES[name] if said else NOTES[name] | dict.fromkeys(MAY_BE_MISSING)
        note = RENDERER.note(values_of(name, customer, facts), NOW)
        assert not re.search(r"None|\{\{|  | [.,:]|\n\n\n", note.title + note.text)


@pytest.mark.parametrize("name", ["survey/low-score", "tickets/open-long", "tickets/unhappy"])
def test_who_is_unhappy_is_answered_the_same_day(name: str) -> None:
    due_in = RENDERER.note(values_of(name, CUSTOMER, NOTES[name]), NOW).due_in
    assert str(due_in) == "0 days"
