from __future__ import annotations

from datetime import datetime, timedelta

from privacy_company import ADDRESS, ANN, DAY, MORNING, PrivacyCompany
from sqlalchemy import func, select, update

from engine.privacy import prune
from engine.store.tables import decision, inbound_event, message, metadata, settled_step

KEPT = ("settled_step", "exposure", "suppression", "consent", "run", "attempt")
LATER = MORNING + timedelta(days=402)


def counts(company: PrivacyCompany) -> dict[str, int]:
    with company.store._database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def pruned(company: PrivacyCompany, now: datetime) -> tuple[int, int, int]:
    found = prune(company.store, company.project().settings, now)
    return found.decisions, found.raw_events, found.emptied


def test_nothing_young_is_pruned(company: PrivacyCompany) -> None:
    before = counts(company)
    assert pruned(company, MORNING + timedelta(days=29)) == (0, 0, 0)
    assert counts(company) == before


def test_replaced_decisions_go_and_standing_ones_stay(company: PrivacyCompany) -> None:
    company.run(DAY + timedelta(days=14))
    company.event(ANN, "login", datetime(2026, 5, 18, 10))
    company.run(DAY + timedelta(days=16))
    with company.store._database.read() as connection:
        closed = select(func.count()).select_from(decision).where(decision.c.closed_by.is_not(None))
        replaced = connection.execute(closed).scalar_one()
    assert replaced > 0
    before = counts(company)["decision"]
    assert pruned(company, LATER)[0] == 0  # replaced later than 400 days ago
    assert pruned(company, LATER + timedelta(days=30))[0] == replaced
    assert counts(company)["decision"] == before - replaced


def test_raw_events_go_after_their_time_but_not_unread_ones(company: PrivacyCompany) -> None:
    assert pruned(company, MORNING + timedelta(days=31))[1] == 3
    with company.store._database.read() as connection:
        assert list(connection.execute(select(inbound_event.c.event_id)).scalars()) == ["by-words"]


def test_values_and_addresses_of_old_messages_are_emptied_once(company: PrivacyCompany) -> None:
    assert pruned(company, LATER)[2] == 6
    assert pruned(company, LATER)[2] == 0
    with company.store._database.read() as connection:
        assert {tuple(row) for row in connection.execute(select(message.c.recipient, message.c.values_json))} == {
            ("", "{}")
        }


def test_waiting_messages_keep_what_they_need(company: PrivacyCompany) -> None:
    with company.store._database.write() as connection:
        connection.execute(update(message).values(state="planned"))
    assert pruned(company, LATER)[2] == 0


def test_memory_keys_suppressions_and_consent_are_never_pruned(company: PrivacyCompany) -> None:
    company.protection.erase("bob", now=MORNING)
    before = counts(company)
    pruned(company, LATER + timedelta(days=10_000))
    after = counts(company)
    assert {name: after[name] for name in (*KEPT, "message")} == {name: before[name] for name in (*KEPT, "message")}
    with company.store._database.read() as connection:
        assert ANN in set(connection.execute(select(settled_step.c.customer_id)).scalars())


def test_many_rows_go_in_batches(company: PrivacyCompany) -> None:
    batches = list(company.store.privacy.prune_events(LATER, batch=2))
    assert batches == [2, 1]


def test_the_command_prunes_and_finishes_erasures(company: PrivacyCompany) -> None:
    from engine.store import Erasure, address_key, customer_key

    begun = Erasure({customer_key(company.secret, ANN): ANN}, {address_key(company.secret, ADDRESS): ADDRESS})
    company.store.privacy.begin_erasure(begun, MORNING)
    assert company.json("prune")["erasures"] > 0
    assert company.traces() == set()
