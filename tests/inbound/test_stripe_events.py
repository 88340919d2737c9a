"""Whose word Stripe's events are, and what is kept of them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from inbound_world import EPOCH, NOW, at, rows, seconds
from webhook_senders import STRIPE_SECRET, stripe_event, stripe_headers

from engine.inbound import Rejected
from engine.inbound.stripe_events import StripeWebhook
from engine.store import RawEvent, Store
from engine.store.tables import inbound_event

OURS = StripeWebhook([STRIPE_SECRET], [], livemode=True)
FUTURE = "future timestamp (official client accepts; decide for ourselves)"


def read(event: object, webhook: StripeWebhook = OURS) -> RawEvent:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    (found,) = webhook.read(body, stripe_headers(body), NOW)
    return found


def about(data: object) -> str | None:
    return read(stripe_event(data=data)).about


# ---- who is believed ----


def test_the_published_vectors_behave_but_for_the_one_that_is_signed_in_the_future(shared_data: Path) -> None:
    """The official client takes any instant in the future; our own bound of 300 seconds refuses that vector."""
    cases = json.loads((shared_data / "billing" / "stripe_signature_vectors.json").read_text("utf-8"))["cases"]
    assert len(cases) == 9
    assert FUTURE in {case["name"] for case in cases}
    for case in cases:
        webhook = StripeWebhook([case["secret"]], [], livemode=True)
        given = (case["body"].encode(), {"stripe-signature": case["header"]}, EPOCH + timedelta(seconds=case["now"]))
        if case["valid"] and case["name"] != FUTURE:
            assert len(webhook.read(*given)) == 1, case["name"]
        else:
            with pytest.raises(Rejected) as caught:
                webhook.read(*given)
            assert caught.value.status == 400, case["name"]


def test_while_the_secret_is_rolled_the_old_and_the_new_one_hold() -> None:
    body = json.dumps(stripe_event()).encode()
    both = StripeWebhook(["whsec_old", "whsec_new"], [], livemode=True)
    for secret in ("whsec_old", "whsec_new"):
        assert both.read(body, stripe_headers(body, secret=secret), NOW)
    with pytest.raises(Rejected):
        both.read(body, stripe_headers(body), NOW)
    with pytest.raises(Rejected):
        StripeWebhook([], [], livemode=True).read(body, stripe_headers(body, secret=""), NOW)


def test_a_request_posted_again_by_somebody_else_is_harmless_for_300_seconds_and_then_refused(store: Store) -> None:
    body = json.dumps(stripe_event()).encode()
    headers = stripe_headers(body)
    for moment in (NOW, at(seconds=300)):
        store.inbound.keep("stripe", OURS.read(body, headers, moment), moment)
    assert store.inbound.counts() == {("stripe", "new"): 1}
    with pytest.raises(Rejected, match="too long ago"):
        OURS.read(body, headers, at(seconds=301))


def test_an_old_signature_is_not_made_fresh_by_a_second_timestamp() -> None:
    body = json.dumps(stripe_event()).encode()
    header = stripe_headers(body, at(hours=-1))["stripe-signature"]
    for forged in (f"{header},t={seconds(NOW)}", f"t={seconds(NOW)},{header}", f"{header}=1,t={seconds(NOW)}"):
        with pytest.raises(Rejected):
            OURS.read(body, {"stripe-signature": forged}, NOW)


@example(f"t={seconds(NOW)},v1=\xe4")
@given(st.text(max_size=40) | st.text("tv01=,.-9 ", max_size=40))
def test_no_header_is_too_odd_to_be_refused(header: str) -> None:
    with pytest.raises(Rejected) as caught:
        OURS.read(b"{}", {"stripe-signature": header}, NOW)
    assert caught.value.status == 400


def test_an_instant_beyond_the_calendar_is_refused_though_it_is_signed() -> None:
    import stripe

    for stamp in (10**11, 10**40, -(10**12)):
        header = stripe.WebhookSignature.generate_signature_header("{}", STRIPE_SECRET, timestamp=stamp)
        with pytest.raises(Rejected) as caught:
            OURS.read(b"{}", {"stripe-signature": header}, NOW)
        assert caught.value.status == 400


# ---- what is kept ----


def test_an_event_is_kept_with_the_exact_text_it_came_in(store: Store) -> None:
    body = json.dumps(stripe_event(name="Ünïcødé €", odd="\x00\ud800"), indent=2).encode() + b"\n"
    body = body.replace(b"\\u00dc", "Ü".encode())
    store.inbound.keep("stripe", OURS.read(body, stripe_headers(body), NOW), NOW)
    columns = (
        inbound_event.c.event_id, inbound_event.c.kind, inbound_event.c.happened_at, inbound_event.c.about,
        inbound_event.c.state, inbound_event.c.body,
    )  # fmt: skip
    assert rows(store, *columns) == [("evt_1", "invoice.paid", NOW, "cus_1", "new", body.decode())]


def test_published_events_are_new_and_name_their_customer(shared_data: Path) -> None:
    files = sorted((shared_data / "billing" / "stripe_events").glob("*.json"))
    assert len(files) == 22
    for file in files:
        event = json.loads(file.read_text("utf-8"))
        found = read(event | {"livemode": True})
        assert (found.kind, found.state) == (event["type"], "new"), file.name
        unnamed = event["type"].startswith("charge.dispute.") or not _names_customer(event["data"]["object"])
        assert (found.about is None) == unnamed, file.name


def _names_customer(found: dict[str, object]) -> bool:
    return bool(found["id"] if found["object"] == "customer" else found.get("customer"))


def test_every_selectable_kind_and_unknown_ones_are_new(shared_data: Path) -> None:
    kinds = (shared_data / "billing" / "stripe_event_types.txt").read_text("utf-8").split()
    for kind in [*kinds, "invoice.of_tomorrow"]:
        found = read(stripe_event(kind=kind))
        assert (found.kind, found.state) == (kind, "new")


def test_the_customer_is_found_in_every_shape() -> None:
    assert about({"object": {"object": "customer", "id": "cus_2", "customer": "cus_3"}}) == "cus_2"
    assert (
        about({"object": {"object": "charge", "id": "ch_1", "customer": {"id": "cus_4", "object": "customer"}}})
        == "cus_4"
    )
    detached = {"object": "payment_method", "customer": None}
    assert about({"object": detached, "previous_attributes": {"customer": "cus_5"}}) == "cus_5"
    assert about({"object": detached}) is None


@pytest.mark.parametrize(
    "data",
    [None, [], "text", {}, {"object": None}, {"object": []}, {"object": {"customer": 5}}, {"object": {"customer": {}}},
     {"object": {"customer": "cus\x00"}}, {"object": {"customer": "c" * 201}}, {"object": {"object": "customer"}},
     {"object": {}, "previous_attributes": "x"}],
)  # fmt: skip
def test_an_event_about_nobody_is_kept_all_the_same(store: Store, data: object) -> None:
    found = read(stripe_event(data=data))
    assert (found.about, found.state) == (None, "new")
    assert store.inbound.keep("stripe", [found], NOW).stored == 1


def test_the_other_mode_is_acknowledged_counted_and_left_alone(store: Store) -> None:
    test_mode = StripeWebhook([STRIPE_SECRET], [], livemode=False)
    found = [read(stripe_event(1, livemode=False)), read(stripe_event(2), test_mode)]
    assert [(one.state, one.detail) for one in found] == [("ignored", "of test mode"), ("ignored", "of live mode")]
    assert read(stripe_event(3, livemode=False), test_mode).state == "new"
    assert read({key: value for key, value in stripe_event(4).items() if key != "livemode"}).state == "ignored"
    store.inbound.keep("stripe", found, NOW)
    assert store.inbound.counts() == {("stripe", "ignored"): 2}


def test_of_connected_accounts_only_those_that_are_named_are_ours() -> None:
    named = StripeWebhook([STRIPE_SECRET], ["acct_1", "acct_2"], livemode=True)
    for webhook in (OURS, named):
        assert read(stripe_event(), webhook).state == "new"
        assert read(stripe_event(account="acct_3"), webhook).state == "ignored"
        assert read(stripe_event(account=["acct_1"]), webhook).state == "ignored"
    assert read(stripe_event(account="acct_2"), named).state == "new"
    assert read(stripe_event(account="acct_2")).detail == "of an account that stripe.account does not name"


def test_an_event_from_the_future_is_set_aside() -> None:
    assert read(stripe_event(created=seconds(at(minutes=10)))).state == "new"
    found = read(stripe_event(created=seconds(at(minutes=10, seconds=1))))
    assert (found.event_id, found.state, found.detail) == ("evt_1", "quarantined", "dated in the future")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"id": None}, "no id"), ({"id": 5}, "no id"), ({"id": ""}, "no id"), ({"id": "evt_ü"}, "no id"),
        ({"id": "e" * 201}, "no id"), ({"type": None}, "no word for what happened"),
        ({"type": "a b"}, "no word for what happened"), ({"created": None}, "a timestamp that is not a number"),
        ({"created": "2026-11-23T09:00:00Z"}, "a timestamp that is not a number"),
        ({"created": 10**30}, "a timestamp outside the calendar"),
    ],
)  # fmt: skip
def test_a_malformed_event_is_set_aside_under_a_name_of_its_own(
    store: Store, change: dict[str, object], why: str
) -> None:
    found = read(stripe_event(**change))
    assert (found.state, found.detail, found.event_id[:7]) == ("quarantined", why, "sha256:")
    assert store.inbound.keep("stripe", [found, found], NOW).quarantined == 1


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
_FIELDS = ("id", "type", "created", "livemode", "account", "data", "object", "customer", "previous_attributes")


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON | st.dictionaries(st.sampled_from(_FIELDS), _JSON)))
def test_events_of_any_shape_are_kept(event: dict[str, object]) -> None:
    found = read(stripe_event() | event)
    assert found.state in {"new", "ignored", "quarantined"}
    assert all(text is None or text.isascii() for text in (found.event_id, found.kind, found.about, found.detail))
