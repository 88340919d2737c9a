from datetime import date

import pytest
from planning_world import World, rule, step, verdict

RUN = "2026-11-20 09:00"


def decide(*suppressions, person=None, settings=None, **given):
    world = World([rule("r", **given)], settings=settings or {})
    world.person(**(person or {}))
    world.candidate("2026-11-20 08:00")
    for kind, *rest in suppressions:
        world.suppress(kind, 0, *rest)
    (decision,) = world.plan(RUN)
    return verdict(decision)


SERVICE = {"class_": "service"}
LEGAL = {"class_": "legal"}


@pytest.mark.parametrize(
    ("person", "marketing", "service", "legal"),
    [
        ({}, "send", "send", "send"),
        ({"address_state": "none"}, *["skip: no_address"] * 3),
        ({"address_state": "invalid"}, *["skip: invalid_address"] * 3),
        ({"consent": False}, "skip: no_consent", "send", "send"),
        ({"consent": None}, "skip: no_consent", "send", "send"),
    ],
)
def test_the_customer(person, marketing, service, legal):
    assert [decide(person=person, **rule) for rule in ({}, SERVICE, LEGAL)] == [marketing, service, legal]


@pytest.mark.parametrize(
    ("suppression", "marketing", "service", "legal"),
    [
        (("unsubscribed",), "skip: unsubscribed", "send", "send"),
        (("unsubscribed", "marketing"), "skip: unsubscribed", "send", "send"),
        (("unsubscribed", "service"), "send", "skip: unsubscribed", "send"),
        (("unsubscribed", "legal"), "send", "send", "send"),
        (("unsubscribed", "other"), "send", "send", "send"),
        (("bounced",), "skip: bounced", "skip: bounced", "send"),
        (("complained",), "skip: complained", "skip: complained", "send"),
        (("erased",), *["skip: erased"] * 3),
        (("not_until", None, date(2026, 11, 21)), "skip: not_until", "send", "send"),
        (("not_until", None, date(2026, 11, 20)), "send", "send", "send"),
        (("not_until", "other", date(2026, 12, 31)), "send", "send", "send"),
    ],
)
def test_what_the_addressee_has_said(suppression, marketing, service, legal):
    assert [decide(suppression, **rule) for rule in ({}, SERVICE, LEGAL)] == [marketing, service, legal]


@pytest.mark.parametrize(
    ("country", "proved", "expected"),
    [("DE", False, "skip: no_basis"), ("de ", False, "skip: no_basis"), (None, False, "skip: no_basis"),
     ("", False, "skip: no_basis"), ("DE", True, "send"), ("GB", False, "send")],
)  # fmt: skip
def test_proof_of_consent_where_it_is_required(country, proved, expected):
    person = {"country": country, "consent_proved": proved}
    assert decide(person=person, settings={"require_in": ("EU", "CA")}) == expected
    assert decide(person=person, settings={"require_in": ("EU", "CA")}, **SERVICE) == "send"
    assert decide(person=person) == "send"


@pytest.mark.parametrize("channel", ["task", "webhook"])
def test_channels_that_do_not_reach_the_customer_need_no_address_or_consent(channel):
    steps = (step(channel=channel),)
    assert decide(person={"address_state": "none", "consent": False}, steps=steps) == "send"
    assert decide(("unsubscribed",), ("bounced",), steps=steps) == "send"
    assert decide(("erased",), steps=steps) == "skip: erased"


def test_the_first_reason_in_the_list_is_the_one_told():
    assert decide(("bounced",), ("unsubscribed",), person={"consent": False}) == "skip: unsubscribed"


def test_only_the_step_whose_where_is_false_is_skipped():
    world = World([rule("r", step("one"), step("two", after="1 day"))])
    world.person()
    world.candidate("2026-11-20 08:00", failing_steps=0b10)
    assert world.verdict(RUN) == "send"
    assert world.verdict("2026-11-21 09:00") == "skip: where_step"


def blocked(**given):
    payment = rule("payment", class_="service", blocks=("marketing",), steps=(), **given)
    world = World([rule("news", topic="tips"), payment, rule("paper", class_="legal")])
    world.person()
    for rule_no in (0, 2):
        world.candidate("2026-11-20 08:00", rule_no=rule_no)
    world.candidate("2026-11-18 08:00", rule_no=1)
    return world


def test_a_rule_blocks_the_classes_it_names_before_and_after_its_own_steps():
    assert [verdict(d) for d in blocked().plan(RUN)] == ["defer: blocked_by payment", "wait: already_sent", "send"]


@pytest.mark.parametrize("given", [{"status": "shadow"}, {"status": "paused"}, {"blocks_for": "48 hours"}])
def test_a_rule_that_is_not_active_or_whose_time_is_over_blocks_nobody(given):
    assert verdict(blocked(**given).plan(RUN)[0]) == "send"


def test_a_block_lasts_exactly_its_time_and_a_paused_rule_blocks_nobody():
    assert verdict(blocked(blocks_for="49 hours").plan("2026-11-20 08:59:59")[0]) == "defer: blocked_by payment"
    assert verdict(blocked(blocks_for="49 hours").plan(RUN)[0]) == "send"
    assert verdict(blocked().plan(RUN, paused_rules={1})[0]) == "send"


def test_a_rule_never_blocks_itself_or_before_its_anchor():
    world = World([rule("r", blocks=("marketing",)), rule("later", blocks=("marketing",))])
    world.person()
    world.candidate("2026-11-20 08:00")
    world.candidate("2026-11-21 08:00", rule_no=1)
    assert verdict(world.plan(RUN)[0]) == "send"
