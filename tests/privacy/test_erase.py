from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from privacy_company import ADDRESS, ANN, DAY, MORNING, NAME, PrivacyCompany
from sqlalchemy import select

from engine.errors import UnavailableError
from engine.store import Suppression, address_key
from engine.store.tables import exposure, inbound_event, link, message, settled_step, suppression

NOW = datetime(2026, 5, 3, 12, 0)


def rows(company: PrivacyCompany, table: object) -> list[dict[str, object]]:
    with company.store._database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table))]  # type: ignore[call-overload]


def test_the_traces_are_there_before(company: PrivacyCompany) -> None:
    found = company.traces()
    assert {
        "decision.customer_id", "decision.occurrence", "settled_step.customer_id", "exposure.customer_id",
        "message.recipient", "message.values_json", "task.title", "task.context", "inbound_event.body",
        "inbound_event.detail", "link.url", "consent.address",
    } <= found  # fmt: skip
    assert any(place.endswith(".eml") for place in found)


def test_nothing_personal_is_left_in_any_table_or_file(company: PrivacyCompany) -> None:
    company.protection.erase(ANN, now=NOW)
    assert company.traces() == set()


def test_the_file_of_the_state_itself_holds_no_remains(company: PrivacyCompany) -> None:
    if company.store.kind == "postgresql":
        pytest.skip("the server's files are the server's")
    company.protection.erase(ANN, now=NOW)
    company.store.close()
    company._store = None
    for path in company.folder.glob("state.db*"):
        assert ADDRESS.encode() not in path.read_bytes(), path


def test_the_others_keep_everything(company: PrivacyCompany) -> None:
    before = company.protection.export("bob", at=NOW)
    company.protection.erase(ANN, now=NOW)
    assert company.protection.export("bob", at=NOW) == before
    assert [row["body"] for row in rows(company, inbound_event) if row["event_id"] == "bobs"] != [""]
    assert [row["id"] for row in rows(company, link)] == ["all"]


def test_counts_keys_and_memory_stay_under_a_pseudonym(company: PrivacyCompany) -> None:
    tables = (settled_step, exposure, message)
    before = [len(rows(company, table)) for table in tables]
    keys = {row["key"] for row in rows(company, message)}
    company.protection.erase(ANN, now=NOW)
    assert [len(rows(company, table)) for table in tables] == before
    assert {row["key"] for row in rows(company, message)} == keys
    names = {row["customer_id"] for row in rows(company, settled_step)} - {"bob"}
    assert len(names) == 1
    assert names.pop().startswith("erased-")  # type: ignore[attr-defined]


def test_only_hashes_of_the_erased_stay_among_the_suppressions(company: PrivacyCompany) -> None:
    company.protection.erase(ANN, now=NOW)
    found = rows(company, suppression)
    assert {(row["kind"], row["address"]) for row in found} == {("erased", None)}
    assert address_key(company.secret, ADDRESS) in {row["address_key"] for row in found}


@pytest.mark.parametrize("change", [{}, {"email": "new@example.com"}, {"email": ""}])
def test_an_import_of_the_same_customer_brings_nobody_back(company: PrivacyCompany, change: dict[str, str]) -> None:
    company.protection.erase(ANN, now=NOW)
    company.customers[0].update(change, born="2026-06-01")
    company.event(ANN, "login", datetime(2026, 5, 4, 10))
    decided = set(company.day_after(33))
    first = "erased" if company.customers[0]["email"] else "no_address"
    assert decided == {("birthday", "skip", "erased"), ("quiet", "skip", first), ("valuable", "skip", "erased")}
    assert company.store.history_of(ANN).messages == ()
    assert list(company.store.tasks.listed(customer_id=ANN)) == []


def test_the_same_address_under_another_id_gets_nothing(company: PrivacyCompany) -> None:
    company.protection.erase(ANN, now=NOW)
    company.customers[0]["customer_id"] = "another-id"
    company.event("another-id", "login", datetime(2026, 5, 4, 10))
    company.day_after(33)
    assert company.store.history_of("another-id").messages == ()


def test_somebody_the_tables_no_longer_have_is_erased_as_well(company: PrivacyCompany) -> None:
    company.customers = company.customers[1:]
    company.protection.erase(ANN, now=NOW)
    assert company.traces() == set()
    assert address_key(company.secret, ADDRESS) in {row["address_key"] for row in rows(company, suppression)}


def test_tables_that_cannot_be_read_do_not_prevent_it(company: PrivacyCompany) -> None:
    protection = company.protection
    (company.folder / "customers.csv").unlink()
    _, person = protection.erase(ANN, now=NOW)
    assert person.problem
    assert company.traces() == set()


def test_a_further_address_is_barred_and_forgotten(company: PrivacyCompany) -> None:
    company.store.suppressions.add([Suppression.of(company.secret, "old@mailhost.example", "unsubscribed", "t", NOW)])
    company.protection.erase(ANN, ["Old@mailhost.example"], now=NOW)
    assert not [text for _, text in company.cells() if "old@mailhost.example" in text]
    key = address_key(company.secret, "old@mailhost.example")
    assert {one.kind for one in company.store.suppressions.of(key)} == {"unsubscribed", "erased"}


def test_waiting_messages_are_cancelled_and_tasks_dropped(company: PrivacyCompany) -> None:
    company.run(DAY + timedelta(days=14))
    done, _ = company.protection.erase(ANN, now=NOW)
    assert done.cancelled == 1
    company.deliver(MORNING + timedelta(days=14))
    assert company.traces() == set()
    assert {one.customer_id for one in company.store.tasks.listed(states=["open"])} == {"bob"}


# Broken off.


def test_mail_has_stopped_before_anything_is_taken_away(
    company: PrivacyCompany, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.run(DAY + timedelta(days=14))
    with monkeypatch.context() as patch:
        patch.setattr("engine.store.privacy._rename", _die)
        with pytest.raises(SystemError):
            company.protection.erase(ANN, now=NOW)
    assert "message.recipient" in company.traces()
    company.deliver(MORNING + timedelta(days=14))
    states = {one.state for one in company.store.history_of(ANN).messages}
    assert states == {"accepted", "cancelled"}


@pytest.mark.parametrize("place", ["_empty_events", "_rename", "_unlink"])
def test_an_erasure_that_broke_off_is_finished_by_the_next_word(
    company: PrivacyCompany, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"engine.store.privacy.{place}", _die)
        with pytest.raises(SystemError):
            company.protection.erase(ANN, now=NOW)
    company.customers = company.customers[1:]
    company.protection.resume(NOW)
    assert company.traces() == set()
    assert company.protection.resume(NOW).rows == {}


def test_while_a_run_plans_mail_stops_and_the_rest_waits(company: PrivacyCompany) -> None:
    with company.store.run_lock(), pytest.raises(UnavailableError):
        company.protection.erase(ANN, now=NOW)
    key = address_key(company.secret, ADDRESS)
    assert [one.kind for one in company.store.suppressions.of(key)] == ["erased"]
    company.protection.resume(NOW)
    assert company.traces() == set()


def _die(*_: object, **__: object) -> None:
    raise SystemError("the power is gone")


def test_erasing_twice_changes_nothing_more(company: PrivacyCompany) -> None:
    company.protection.erase(ANN, now=NOW)
    before = sorted(company.cells())
    company.protection.erase(ANN, now=NOW)
    assert sorted(company.cells()) == before


# Asked for.


def test_an_export_holds_all_there_is(company: PrivacyCompany) -> None:
    document = company.protection.export(ANN, at=NOW)
    assert document["customer"]["consent_source"] == "sign-up form"
    assert str(document["customer"]["consent_at"]).startswith("2025-01-01")
    assert document["addresses"] == [ADDRESS]
    filled = {name for name, found in document.items() if isinstance(found, list) and found}
    assert filled == {
        "addresses", "decision", "settled_step", "exposure", "message", "attempt", "inbound_event", "click", "consent",
        "task", "files",
    }  # fmt: skip
    assert document["message"][0]["values_json"]["customer"]["name"] == NAME
    assert document["click"][0]["url"].startswith("https://shop.example/")
    assert "bob" not in str(document)


def test_the_commands_export_and_erase(company: PrivacyCompany) -> None:
    file = company.folder / "ann.json"
    assert company.json("export", ANN, str(file))["exported"]["message"] == 3
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    assert company.command("erase", ANN).exit_code == 3
    assert company.json("erase", ANN, "--yes")["files"] == 1
    assert company.traces() == set()


def test_nobody_known_can_be_barred_beforehand(tmp_path: object, company: PrivacyCompany) -> None:
    done = company.json("erase", "nobody", "--address", "x@example.com", "--yes")
    assert (done["addresses"], done["rows"]) == (1, {"suppression": 2})
