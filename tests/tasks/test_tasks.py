from __future__ import annotations

import csv
import json
from datetime import date, datetime

import pytest
from run_company import MAIL, QUIET
from task_company import TaskCompany

from engine.errors import SetupError
from engine.store import NewTask, Store, TaskRow

DAY = date(2026, 5, 3)
MORNING = datetime(2026, 5, 3, 8, 30)
NOW = datetime(2026, 5, 4, 9, 0)


def tasks(company: TaskCompany) -> dict[str, TaskRow]:
    return {one.customer_id: one for one in company.store.tasks.listed()}


def worked(company: TaskCompany) -> dict[str, TaskRow]:
    company.run(DAY)
    assert company.deliver(MORNING).sent == 2
    return tasks(company)


def new_task(key: str = "ab" * 32, **change: object) -> NewTask:
    given = {
        "message_key": key, "rule": "valuable", "customer_id": "ann", "occurrence": "o", "step": "call",
        "assignee": "kim@acme.com", "due_on": date(2026, 5, 6), "title": "Call Ann", "text": "Hello\n",
        "context": "{}", "created_at": NOW,
    }  # fmt: skip
    return NewTask(**{**given, **change})  # type: ignore[arg-type]


# What becomes a task, and for whom.


def test_a_step_with_channel_task_files_a_task_with_words_and_values(company: TaskCompany) -> None:
    ann = worked(company)["ann"]
    assert (ann.title, ann.text) == ("Call Ann Lee", "Silent for 31 days, plan pro.\n")
    assert (ann.rule, ann.step, ann.state) == ("valuable", "call", "open")
    assert json.loads(ann.context)["customer"]["plan"] == "pro"


def test_the_assignee_is_the_customers_column_or_else_the_rules_owner(company: TaskCompany) -> None:
    found = worked(company)
    assert (found["ann"].assignee, found["bob"].assignee) == ("kim@acme.com", "sales@acme.com")


def test_a_task_is_due_so_many_days_after_it_was_filed(company: TaskCompany) -> None:
    assert worked(company)["ann"].due_on == date(2026, 5, 6)


def test_a_named_channel_gives_assignee_and_due_date_where_the_template_says_nothing(company: TaskCompany) -> None:
    company.config += (
        "channels:\n  email: {use: outbox_dir}\n  people: {use: task, assignee: desk@acme.com, due_in: 1 month}\n"
    )
    company.rules["valuable.yaml"] = (
        company.rules["valuable.yaml"]
        .replace("send: call\n    channel: task", "send: bare\n    channel: people")
        .replace("owner: sales@acme.com\n", "")
    )
    company.write()
    bare = company.folder / "templates/bare/note.txt"
    bare.parent.mkdir()
    bare.write_text("---\ntitle: Call\n---\nNow.\n")
    bob = worked(company)["bob"]
    assert (bob.assignee, bob.due_on) == ("desk@acme.com", date(2026, 6, 3))


def test_a_mail_serves_as_a_task_with_its_subject_and_text(company: TaskCompany) -> None:
    company.rules["valuable.yaml"] = company.rules["valuable.yaml"].replace("send: call", "send: first")
    ann = worked(company)["ann"]
    assert ann.title == "We miss you"
    assert "Hello" in ann.text


@pytest.mark.parametrize("kind", ["unsubscribed", "bounced", "complained"])
def test_no_wish_of_the_customer_stands_in_the_way_of_a_task(company: TaskCompany, kind: str) -> None:
    from engine.store import Suppression

    secret = company.project().settings.signing_secret(live=False)
    company.store.suppressions.add([Suppression.of(secret, "ann@example.com", kind, "test", NOW)])
    assert set(worked(company)) == {"ann", "bob"}


def test_a_wish_after_the_plan_does_not_stop_a_task(company: TaskCompany) -> None:
    from engine.store import Suppression

    company.run(DAY)
    secret = company.project().settings.signing_secret(live=False)
    company.store.suppressions.add([Suppression.of(secret, "ann@example.com", "unsubscribed", "test", NOW)])
    company.deliver(MORNING)
    assert set(tasks(company)) == {"ann", "bob"}


def test_a_task_uses_up_no_cap(company: TaskCompany) -> None:
    company.config = company.config.replace("all: [100/1 day]", "all: [1/30 days]")
    worked(company)
    company.rules["mail.yaml"] = (
        "rule: mail\nstatus: active\ntrigger:\n  inactivity: {for: 30 days, event: login}\nsteps: [{send: first}]\n"
    )
    report = company.run(date(2026, 5, 4))
    assert ("mail", "send", 1) in [(rule, outcome, number) for rule, outcome, _, number in report.counts]


def test_work_that_was_cut_off_while_a_task_was_filed_is_done_again_once(company: TaskCompany) -> None:
    company.run(DAY)
    (claimed, *_) = company.store.outbox.claim(MORNING, 1, "me", 60)
    from engine.store import Outcome, Start

    attempt = company.store.outbox.record([], [Start(claimed.id, claimed.token)], "me", MORNING, 60).attempts[
        claimed.id
    ]
    doubt = Outcome(claimed.id, claimed.token, attempt, "in_doubt", "in_doubt")
    company.store.outbox.record([doubt], [], "me", MORNING, 60)
    company.deliver(MORNING)
    assert len(tasks(company)) == 2
    assert company.store.outbox.counts() == {"accepted": 2}


def test_tasks_leave_a_folder_state_a_folder_state(company: TaskCompany) -> None:
    worked(company)
    assert company.store.install.environment() == "folder"


# What is refused.


def test_a_mail_step_needs_a_mail(company: TaskCompany) -> None:
    company.rules["valuable.yaml"] = company.rules["valuable.yaml"].replace("\n    channel: task", "")
    with pytest.raises(SetupError, match=r"expected a file templates/call/mail\.html"):
        company.project()


def test_a_column_that_is_not_there_is_told_before_anything_is_done(company: TaskCompany) -> None:
    company.write()
    (company.folder / "templates/first/mail.html").write_text(MAIL)
    project = company.project()
    note = company.folder / "templates/call/note.txt"
    note.write_text("---\ntitle: Call {{ customer.nmae }}\n---\nx\n")
    from engine import Project

    with pytest.raises(SetupError, match=r"customer\.nmae"):
        Project.load(company.folder).plan(DAY)
    assert project.templates.notes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no front matter", "a note without front matter"),
        ("---\nsubject: x\n---\n", "title"),
        ("---\ntitle: ''\n---\n", "title is empty"),
        ("---\ntitle: x\ndue_in: 3 hours\n---\n", "not whole days"),
        ("---\ntitle: x\n---\n{{ custmer.name }}", "no names of its own"),
    ],
)
def test_a_note_that_is_wrong_is_refused_with_its_place(company: TaskCompany, text: str, told: str) -> None:
    company.write()
    (company.folder / "templates/call/note.txt").write_text(text)
    from engine import Project

    with pytest.raises(SetupError) as caught:
        Project.load(company.folder)
    assert told in str(caught.value)
    assert "templates/call/note.txt" in str(caught.value)


# The list.


def test_filing_twice_leaves_one(any_store: Store) -> None:
    assert any_store.tasks.file(new_task())
    assert not any_store.tasks.file(new_task(title="Another title"))
    assert [one.title for one in any_store.tasks.listed()] == ["Call Ann"]


def test_tasks_are_listed_by_due_date_those_without_one_last(any_store: Store) -> None:
    for key, due in (("11", None), ("22", date(2026, 6, 1)), ("33", date(2026, 5, 1))):
        any_store.tasks.file(new_task(key * 32, due_on=due, title=key))
    assert [one.title for one in any_store.tasks.listed()] == ["33", "22", "11"]


def test_a_closed_task_keeps_its_first_end(any_store: Store) -> None:
    any_store.tasks.file(new_task())
    (one,) = any_store.tasks.listed()
    assert any_store.tasks.close([one.id, 99], "done", "called", NOW) == ([one.id], [])
    assert any_store.tasks.close([one.id], "dropped", None, NOW) == ([], [one.id])
    (closed,) = any_store.tasks.listed()
    assert (closed.state, closed.closing_note, closed.closed_at) == ("done", "called", NOW)
    assert list(any_store.tasks.listed(states=["open"])) == []


def test_the_command_lists_closes_and_exports(company: TaskCompany) -> None:
    worked(company)
    assert "Call Ann Lee" in company.command("tasks").stdout
    listed = company.json("tasks", "list", "--assignee", "kim@acme.com")["tasks"]
    assert [one["customer_id"] for one in listed] == ["ann"]
    assert listed[0]["context"]["customer"]["plan"] == "pro"
    number = str(listed[0]["id"])
    assert company.json("tasks", "close", number, "--note", "she stays")["closed"] == [listed[0]["id"]]
    assert [one["customer_id"] for one in company.json("tasks")["tasks"]] == ["bob"]
    assert company.command("tasks", "close", number).exit_code == 0
    assert company.command("tasks", "close", "99").exit_code == 2
    assert company.command("tasks", "list", "--state", "opne").exit_code == 2
    assert company.json("status")["open_tasks"] == 1


def test_commands_count_tasks_apart_from_mails(company: TaskCompany) -> None:
    company.rules["quiet.yaml"] = QUIET
    company.write()
    planned = company.command("plan", "--as-of", "2026-05-02").stdout
    assert planned.startswith("1 mail to send, 2 tasks for people")
    ran = company.command("run", "--as-of", "2026-05-02").stdout
    assert "1 mail to send, 2 tasks for people" in ran
    assert "1 mail sent to" in ran
    assert ran.rstrip().endswith("outbox/, 2 tasks for people")
    assert "2 tasks for people" in company.command("status").stdout


def test_an_exported_cell_is_never_a_formula(company: TaskCompany) -> None:
    company.store.tasks.file(new_task(title="=cmd|' /C calc'!A0", text="@SUM(1)\n"))
    file = company.folder / "tasks.csv"
    assert company.json("tasks", "export", str(file))["exported"] == 1
    with file.open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert (row["title"], row["text"]) == ("'=cmd|' /C calc'!A0", "'@SUM(1)\n")
