"""Single messages: looked at, sent again, taken back."""

from __future__ import annotations

from typing import Any

import pytest
from cli_shop import DAY, Shop

from engine.store import Store


def change(shop: Shop, statement: str) -> None:
    with Store.open("sqlite:///holdfast.db", shop.folder) as store, store._database.write() as connection:
        connection.exec_driver_sql(statement)


def states(shop: Shop) -> dict[int, str]:
    return {one["id"]: one["state"] for one in shop.json("outbox", "list")["messages"]}


def listed(shop: Shop, *words: str) -> list[Any]:
    found: list[Any] = shop.json("outbox", "list", *words)["messages"]
    return found


@pytest.fixture
def mixed(ran: Shop) -> Shop:
    """Messages 1 to 5 in doubt, unknown, refused, failed and waiting; the others sent."""
    for ident, state in enumerate(("in_doubt", "unknown", "refused", "failed", "retry_wait"), start=1):
        change(ran, f"UPDATE message SET state = '{state}' WHERE id = {ident}")
    return ran


def test_the_list_shows_the_newest_first_by_state_and_rule(mixed: Shop) -> None:
    assert [one["id"] for one in listed(mixed)] == list(range(22, 0, -1))
    assert [one["id"] for one in listed(mixed, "--state", "in_doubt")] == [1]
    assert {one["rule"] for one in listed(mixed, "--rule", "fresh")} == {"fresh"}
    part = mixed.json("outbox", "list", "--state", "accepted", "--limit", "3")
    assert (len(part["messages"]), part["more"]) == (3, True)
    assert "there are more" in mixed.run("outbox", "list", "--limit", "3").stdout


def test_the_list_names_no_address(ran: Shop) -> None:
    assert "@" not in ran.run("outbox", "list").stdout
    assert "@" not in ran.run("outbox", "list", "--format", "json").stdout


def test_a_misspelt_state_gets_a_guess(ran: Shop) -> None:
    refused = ran.run("outbox", "list", "--state", "acepted")
    assert (refused.exit_code, "accepted" in refused.stderr) == (2, True)


def test_what_certainly_did_not_leave_is_sent_again_without_asking(mixed: Shop) -> None:
    assert mixed.json("outbox", "resend", "3", "4") == {"planned": [3, 4], "possible_duplicates": [], "left_alone": []}
    assert {one["id"]: one["resends"] for one in listed(mixed, "--state", "planned")} == {3: 0, 4: 0}


def test_what_may_have_arrived_is_sent_again_only_on_a_persons_word(mixed: Shop) -> None:
    held = mixed.run("outbox", "resend", "1", "2", "3")
    assert held.exit_code == 3
    assert "may have arrived already" in held.stderr
    assert [states(mixed)[ident] for ident in (1, 2, 3)] == ["in_doubt", "unknown", "refused"]
    assert mixed.json("outbox", "resend", "1", "2", "3", "--yes")["possible_duplicates"] == [1, 2]
    assert "possible duplicate" in mixed.run("outbox", "list", "--state", "planned").stdout
    assert [one["possible_duplicate"] for one in listed(mixed, "--state", "planned")] == [False, True, True]


def test_a_message_sent_again_passes_the_gate_with_a_new_attempt(mixed: Shop) -> None:
    change(mixed, "UPDATE message SET expires_at = NULL")  # by today's clock all of it is long past
    barred, other = (listed(mixed, "--state", state)[0]["customer"] for state in ("in_doubt", "unknown"))
    mixed.run("suppress", "add", f"{barred}@example.com")
    mixed.run("outbox", "resend", "1", "2", "--yes")
    mixed.run("deliver")
    assert [states(mixed)[ident] for ident in (1, 2)] == ["suppressed", "accepted"]
    assert len(mixed.json("explain", other)["history"]["messages"][0]["attempts"]) == 2


def test_what_is_sent_or_waiting_is_left_alone(mixed: Shop) -> None:
    assert mixed.json("outbox", "resend", "5", "22", "99", "4", code=1) == {
        "planned": [4], "possible_duplicates": [],
        "left_alone": [{"id": 5, "state": "retry_wait"}, {"id": 22, "state": "accepted"}, {"id": 99, "state": None}],
    }  # fmt: skip
    assert mixed.run("outbox", "resend", "99").exit_code == 2


def test_what_waits_or_is_in_doubt_is_cancelled_and_stays_so(mixed: Shop) -> None:
    assert mixed.json("outbox", "cancel", "1", "5") == {"cancelled": 2, "left_alone": []}
    assert [(one["id"], one["reason"]) for one in listed(mixed, "--state", "cancelled")] == [
        (5, "cancelled_by_hand"), (1, "cancelled_by_hand"),
    ]  # fmt: skip
    assert mixed.json("outbox", "cancel", "1", "6", code=1)["left_alone"] == [
        {"id": 1, "state": "cancelled"}, {"id": 6, "state": "accepted"},
    ]  # fmt: skip
    mixed.run("run", "--as-of", DAY.isoformat())
    assert [states(mixed)[ident] for ident in (1, 5)] == ["cancelled", "cancelled"]


def test_explain_tells_of_a_possible_duplicate(mixed: Shop) -> None:
    customer = listed(mixed, "--state", "unknown")[0]["customer"]
    mixed.run("outbox", "resend", "2", "--yes")
    assert "possible duplicate" in mixed.run("explain", customer, "--as-of", DAY.isoformat()).stdout
    history = mixed.json("explain", customer, "--as-of", DAY.isoformat())["history"]
    assert history["messages"][0]["resends"] == 1
