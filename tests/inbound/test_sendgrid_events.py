"""Who is believed, what is kept, what is turned away."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inbound_world import EPOCH, NOW, SECRET, Received, Signer, at, counts, event, receive, rows

from engine.errors import UnavailableError
from engine.inbound import Rejected
from engine.inbound.bodies import LARGEST_BODY
from engine.store import Store, address_key
from engine.store.tables import inbound_event

SIGNER, OTHER = Signer(), Signer()


def post(store: Store, events: object, **change: object) -> Received:
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    body, signature, timestamp = SIGNER.sign(body, change.get("signed_at", NOW))  # type: ignore[arg-type]
    keys: Sequence[str] = change.get("keys", [SIGNER.public_key])  # type: ignore[assignment]
    return receive(store, body, signature, timestamp, keys, SECRET, NOW)


def refused(store: Store, events: object, **change: object) -> tuple[int, str]:
    with pytest.raises(Rejected) as caught:
        post(store, events, **change)
    assert counts(store) == {}
    return caught.value.status, str(caught.value)


# ---- who is believed ----


def test_the_published_vectors_behave(quick_store: Store, shared_data: Path) -> None:
    cases = json.loads((shared_data / "billing" / "sendgrid_signed_webhook_vectors.json").read_text())["cases"]
    assert len(cases) >= 6
    for case in cases:
        body = base64.b64decode(case["body_base64"])
        now = EPOCH + timedelta(seconds=1600112502 + 60)
        arguments = (quick_store, body, case["signature"], case["timestamp"], [case["public_key"]], SECRET, now)
        if case["valid"]:
            assert receive(*arguments) == Received(1, 0, 0), case["name"]
        else:
            with pytest.raises(Rejected) as caught:
                receive(*arguments)
            assert caught.value.status == 401, case["name"]
    assert counts(quick_store) == {"new": 1}


def test_a_signed_event_is_on_disk_when_it_is_acknowledged(store: Store) -> None:
    assert post(store, [event("delivered"), event("open")]) == Received(2, 0, 0)
    key = address_key(SECRET, "ann@example.com")
    kept = rows(
        store, inbound_event.c.kind, inbound_event.c.happened_at, inbound_event.c.address_key, inbound_event.c.state
    )
    assert kept == [("delivered", NOW, key, "new"), ("open", NOW, key, "new")]


@pytest.mark.parametrize("signature", [None, "", "x", "AAAA", "ä", "MEUCIQ==", "a" * 10_000])
def test_without_a_fitting_signature_nothing_is_kept(quick_store: Store, signature: str | None) -> None:
    body, _, timestamp = SIGNER.sign(b"[]")
    with pytest.raises(Rejected) as caught:
        receive(quick_store, body, signature, timestamp, [SIGNER.public_key], SECRET, NOW)
    assert caught.value.status == 401
    assert counts(quick_store) == {}


@pytest.mark.parametrize("timestamp", [None, "", "timestamp", "-1", "1e9", "١٢", "9" * 40, " 1"])
def test_without_a_timestamp_nothing_is_kept(quick_store: Store, timestamp: str | None) -> None:
    body, signature, _ = SIGNER.sign(b"[]")
    with pytest.raises(Rejected) as caught:
        receive(quick_store, body, signature, timestamp, [SIGNER.public_key], SECRET, NOW)
    assert caught.value.status == 401


def test_one_changed_byte_spoils_the_signature(quick_store: Store) -> None:
    body, signature, timestamp = SIGNER.sign(json.dumps([event("bounce")]).encode())
    for altered in (body + b"\n", body.replace(b"bounce", b"delive"), body[:-1] + b" ]"):
        with pytest.raises(Rejected):
            receive(quick_store, altered, signature, timestamp, [SIGNER.public_key], SECRET, NOW)
    assert counts(quick_store) == {}


def test_two_keys_are_valid_during_a_rotation_and_none_without_one(quick_store: Store) -> None:
    both = [OTHER.public_key, SIGNER.public_key]
    assert post(quick_store, [event("open")], keys=both).stored == 1
    assert post(quick_store, [event("click")], keys=both[::-1]).stored == 1
    for keys in ([OTHER.public_key], []):
        with pytest.raises(Rejected):
            post(quick_store, [event("bounce")], keys=keys)


@pytest.mark.parametrize(
    "key", ["", "not a key", "AAAA", "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="]
)
def test_a_key_that_is_none_asks_for_the_events_again(quick_store: Store, key: str) -> None:
    with pytest.raises(UnavailableError, match="events_key"):
        post(quick_store, [event("open")], keys=[key])


def test_an_event_may_be_two_days_old_and_not_more(quick_store: Store) -> None:
    assert post(quick_store, [event("open")], signed_at=at(hours=-48)).stored == 1
    assert post(quick_store, [event("click")], signed_at=at(minutes=10)).stored == 1
    for moment in (at(hours=-48, seconds=-1), at(minutes=10, seconds=1)):
        with pytest.raises(Rejected) as caught:
            post(quick_store, [event("bounce")], signed_at=moment)
        assert caught.value.status == 400


# ---- what is kept ----


def test_the_same_event_posted_46_times_is_kept_once(store: Store) -> None:
    assert post(store, [event("bounce")] * 2) == Received(1, 1, 0)
    for _ in range(45):
        assert post(store, [event("bounce")]) == Received(0, 1, 0)
    assert counts(store) == {"new": 1}


def test_one_malformed_event_of_a_thousand_is_set_aside_and_the_others_are_kept(store: Store) -> None:
    events = [event("delivered", n=n) for n in range(999)]
    events.insert(500, {"event": "delivered", "email": "ann@example.com"})
    assert post(store, events) == Received(999, 0, 1)
    assert post(store, events) == Received(0, 1000, 0)
    assert counts(store) == {"new": 999, "quarantined": 1}


@pytest.mark.parametrize(
    "broken",
    [7, "text", None, [], {}, {"sg_event_id": 5, "event": "open"}, {"sg_event_id": "x"}, {"sg_event_id": "", "event": "open"},
     {"sg_event_id": "x" * 201, "event": "open"}, {"sg_event_id": "x\x00", "event": "open"}, {"sg_event_id": "\ud800", "event": "open"},
     {"sg_event_id": "x", "event": "\ud800"}, {"sg_event_id": "x", "event": "o" * 101}, {"sg_event_id": "x", "event": ["open"]},
     {"sg_event_id": "x", "event": "open", "timestamp": "soon"}, {"sg_event_id": "x", "event": "open", "timestamp": True},
     {"sg_event_id": "x", "event": "open", "timestamp": 10**30}],
)  # fmt: skip
def test_a_malformed_event_is_kept_in_quarantine(store: Store, broken: object) -> None:
    assert post(store, [broken, event("open")]) == Received(1, 0, 1)
    assert store.evidence.apply_all().events == 1
    assert counts(store) == {"orphan": 1, "quarantined": 1}


def test_unknown_words_and_further_fields_are_kept(store: Store) -> None:
    odd = {
        "sg_event_id": "1",
        "event": "account_status_change",
        "version": 9,
        "nested": {"a": [1, {"b": None}]},
        "text": "ü\x00\ud800",
    }
    assert post(store, [odd]) == Received(1, 0, 0)
    store.evidence.apply_all()
    ((body,),) = rows(store, inbound_event.c.body)
    assert json.loads(body) == odd


def test_an_empty_list_is_fine(quick_store: Store) -> None:
    assert post(quick_store, []) == Received(0, 0, 0)


# ---- what is turned away ----


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"), (b"{", "not JSON"), (b"payload", "not JSON"), (b"[1,]", "not JSON"), (b"[NaN]", "not JSON"),
        (b"[Infinity]", "not JSON"), (b"[1e999]", "not JSON"), (b"[] []", "not JSON"), (b"\xef\xbb\xbf[]", "not JSON"),
        (b"[\x00]", "not JSON"), (b'["\x00"]', "not JSON"), (b"[" + b"9" * 5000 + b"]", "not JSON"), (b'["\xff"]', "not UTF-8"),
        (b'["\xed\xa0\x80"]', "not UTF-8"), (b"{}", "not a list of events"), (b'"text"', "not a list of events"),
        (b'[{"event":"open","event":"bounce"}]', "a key written twice"), (b'[{"a":{"b":1,"b":2}}]', "a key written twice"),
        (b"[" * 21 + b"]" * 21, "nested too deeply"), (b"[" * 10_000, "nested too deeply"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_as_a_list_of_events_is_turned_away(quick_store: Store, body: bytes, why: str) -> None:
    assert refused(quick_store, body) == (400, why)


def test_brackets_in_a_text_are_no_depth(quick_store: Store) -> None:
    assert post(quick_store, [event("open", useragent='[[[[{{{{\\"' * 20)]).stored == 1
    assert post(quick_store, b"[" * 20 + b"]" * 20) == Received(0, 0, 1)


def test_a_body_of_more_than_a_megabyte_is_not_even_read(quick_store: Store) -> None:
    with pytest.raises(Rejected) as caught:
        receive(quick_store, b"[" * (LARGEST_BODY + 1), "x", "1", [SIGNER.public_key], SECRET, NOW)
    assert caught.value.status == 413


@pytest.mark.parametrize("unit", [b"[", b"[]", b'"', b'\\"', b'"\\"', b"{", b'{"a":', b'["', b"[[]],"])
def test_the_most_awkward_megabyte_takes_little_time(quick_store: Store, unit: bytes) -> None:
    body = (unit * LARGEST_BODY)[:LARGEST_BODY]
    began = time.process_time()
    with pytest.raises(Rejected):
        post(quick_store, body)
    assert time.process_time() - began < 1.0  # about 0.1 s; without bounds it would be minutes


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_kept_or_turned_away(quick_store: Store, body: bytes) -> None:
    with suppress(Rejected):
        post(quick_store, body)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
_FIELDS = (
    "sg_event_id",
    "event",
    "timestamp",
    "email",
    "sg_message_id",
    "message",
    "attempt",
    "install",
    "type",
    "reason",
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.dictionaries(st.sampled_from(_FIELDS), _JSON | st.sampled_from(["bounce", "dropped", "ann@example.com"]))
    )
)
def test_events_of_any_shape_are_all_accounted_for_and_applied(
    quick_store: Store, events: list[dict[str, object]]
) -> None:
    found = post(quick_store, events)
    assert found.stored + found.repeated + found.quarantined == len(events)
    assert quick_store.evidence.apply_all().events == found.stored


# ---- when it cannot be kept ----


def test_a_state_that_cannot_be_written_is_not_acknowledged(quick_store: Store) -> None:
    with quick_store._database.write() as connection:
        connection.exec_driver_sql("DROP TABLE inbound_event")
    with pytest.raises(UnavailableError):
        post(quick_store, [event("open")])


def test_the_same_events_in_many_requests_at_once_are_kept_once(store: Store) -> None:
    events = [event("delivered", n=n) for n in range(200)]
    found: list[Received] = []

    def work(turned: bool) -> None:
        found.append(post(store, events[::-1] if turned else events))

    threads = [threading.Thread(target=work, args=(n % 2 == 1,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.stored for one in found) == 200
    assert sum(one.repeated for one in found) == 600
