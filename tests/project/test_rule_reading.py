from __future__ import annotations

from datetime import time

import pytest
from project_world import CONFIG, RULE, load, load_rule

from engine.project.durations import Duration
from engine.project.rules import EventCondition, FactSpec, Goal, Rule, Variant
from engine.project.settings_values import Guard, QuietHours

FULL = """\
rule: everything
was: [old-name, older-name]
description: All there is.
owner: lifecycle@example.com
status: shadow
class: service
ground: contract
topic: tips
priority: 0
trigger:
  inactivity: {for: 2 weeks, event: [Login , OPEN, login], min_events: 3}
where: plan = 'pro'
steps:
  - send: hello
  - id: second
    wait: 14 days
    variants:
      b: {send: win-back/one, share: 12.5%}
      a: {send: win-back/two, share: 87.5%}
    where: mrr_minor > 0
    send_at: "23:59"
    send_within: 6 hours
    channel: email
holdout: 2.5%
repeat_after: 2 months
goal: {event: login, within: 14 days, ends: false}
schedule: daily
send_at: 00:00
days: [mon, sun]
quiet_hours: 22:00-06:30
send_within: 3 days
existing: include
scope: everyone
facts:
  logins: {count: login, within: 30 days}
  seen: {last: [login, open]}
blocks: [marketing, tips]
blocks_for: 36 hours
exit_when: {event: Cancelled}
daily_limit: 2000
capped: false
guard: {share: 50%}
resend: 2
"""


def rule_of(text: str) -> Rule:
    (rule,) = load_rule(text).rules
    return rule


def test_every_key_reads_as_written() -> None:
    rule = rule_of(FULL)
    assert (rule.id, rule.was, rule.description, rule.owner) == (
        "everything", ("old-name", "older-name"), "All there is.", "lifecycle@example.com")  # fmt: skip
    assert (rule.status, rule.class_, rule.ground, rule.topic, rule.priority) == (
        "shadow",
        "service",
        "contract",
        "tips",
        0,
    )
    assert rule.trigger.name == "inactivity"
    assert rule.trigger.params.model_dump() == {
        "for_": Duration(2, "weeks"),
        "event": ("login", "open"),
        "min_events": 3,
    }
    assert rule.where is not None
    assert rule.where.text == "plan = 'pro'"
    assert (rule.holdout, rule.repeat_after, rule.schedule) == (0.025, Duration(2, "months"), "daily")
    assert rule.goal == Goal(("login",), False, False, False, Duration(14, "days"), ends=False)
    assert (rule.send_at, rule.days) == (time(0), frozenset({0, 6}))
    assert rule.quiet_hours == QuietHours(time(22), time(6, 30))
    assert (rule.send_within, rule.existing, rule.scope) == (Duration(3, "days"), "include", "everyone")
    assert rule.facts == {
        "logins": FactSpec("count", ("login",), Duration(30, "days")),
        "seen": FactSpec("last", ("login", "open"), None),
    }
    assert (rule.blocks, rule.blocks_for) == (("marketing", "tips"), Duration(36, "hours"))
    assert rule.exit_when == EventCondition(event=("cancelled",))
    assert (rule.daily_limit, rule.capped, rule.resend) == (2000, False, 2)
    assert rule.guard == Guard(share=0.5)
    assert (rule.path, rule.line, rule.text) == ("rules/case.yaml", 1, FULL)


def test_the_steps_of_a_rule() -> None:
    first, second = rule_of(FULL).steps
    assert (first.id, first.no, first.send, first.after, first.wait, first.channel) == (
        "hello",
        0,
        "hello",
        None,
        None,
        "email",
    )
    assert (second.id, second.no, second.send, second.wait) == ("second", 1, None, Duration(14, "days"))
    assert list(second.variants.items()) == [
        ("b", Variant("win-back/one", 0.125)),
        ("a", Variant("win-back/two", 0.875)),
    ]
    assert (second.send_at, second.send_within) == (time(23, 59), Duration(6, "hours"))
    assert second.where is not None
    assert second.where.columns == {("", "mrr_minor")}
    assert second.templates == ("win-back/one", "win-back/two")


def test_what_is_not_written_has_the_documented_default() -> None:
    rule = rule_of(RULE)
    assert (rule.status, rule.class_, rule.ground, rule.topic, rule.priority) == (
        "draft",
        "marketing",
        None,
        "marketing",
        50,
    )
    assert (rule.where, rule.holdout, rule.goal, rule.schedule, rule.send_at) == (None, 0, None, "daily", None)
    assert (rule.days, rule.quiet_hours, rule.send_within) == (frozenset(range(7)), None, None)
    assert (rule.scope, rule.facts, rule.blocks, rule.blocks_for, rule.exit_when) == (None, {}, (), None, None)
    assert (rule.daily_limit, rule.capped, rule.guard, rule.resend, rule.was) == (None, True, None, 1, ())


def test_the_trigger_gives_the_defaults_that_hang_on_it() -> None:
    assert (rule_of(RULE).repeat_after, rule_of(RULE).existing) == (Duration(30, "days"), "skip")
    unused = rule_of("rule: u\ntrigger: unused\nsteps: [{send: hello}]\n")
    assert (unused.repeat_after, unused.existing) == (None, "include")


def test_off_is_told_from_not_written() -> None:
    rule = rule_of(RULE + "guard: off\nquiet_hours: off\nrepeat_after: off\n")
    assert (rule.guard, rule.quiet_hours, rule.repeat_after) == ("off", "off", None)


def test_a_rules_guard_changes_only_what_it_names() -> None:
    (rule,) = load({"config.yaml": CONFIG + "guard: {floor: 7}\n", "rules/a.yaml": RULE + "guard: {growth: 2}\n"}).rules
    assert rule.guard == Guard(growth=2, floor=7)


@pytest.mark.parametrize("trigger", ["unused", "\n  unused: {}", "\n  unused:"])
def test_a_trigger_without_parameters_may_be_its_name_alone(trigger: str) -> None:
    assert rule_of(f"rule: u\ntrigger: {trigger}\nsteps: [{{send: hello}}]\n").trigger.name == "unused"


def test_the_step_id_of_variants_is_the_first_template() -> None:
    rule = rule_of(
        "rule: v\ntrigger: unused\nsteps:\n  - variants: {b: {send: bill, share: 50%}, a: {send: hello, share: 50%}}\n"
    )
    assert rule.steps[0].id == "bill"


def test_a_rule_may_block_and_send_nothing() -> None:
    rule = rule_of("rule: hush\ntrigger: unused\nblocks: marketing\n")
    assert (rule.blocks, rule.steps) == (("marketing",), ())


def test_three_thirds_are_a_whole() -> None:
    thirds = {"hello": "33.333333%", "bill": "33.333333%", "win-back/one": "33.333334%"}
    shares = "".join(f"v{no}: {{send: {send}, share: {share}}}, " for no, (send, share) in enumerate(thirds.items()))
    assert len(rule_of(f"rule: v\ntrigger: unused\nsteps: [{{variants: {{{shares}}}}}]\n").steps[0].variants) == 3


def test_the_only_schedule_is_the_default_one() -> None:
    (rule,) = load({"config.yaml": CONFIG + 'schedules: {weekly: "07:00"}\n', "rules/a.yaml": RULE}).rules
    assert rule.schedule == "weekly"


def test_exit_when_may_be_an_expression() -> None:
    rule = rule_of(RULE + "exit_when: plan = 'free'\n")
    assert rule.exit_when in rule.expressions


def test_a_file_holds_several_rules_each_with_its_own_text_and_line() -> None:
    second = RULE.replace("quiet", "loud")
    rules = load_rule(f"# first\n{RULE}---\n# second\n{second}").rules
    assert [(rule.id, rule.line, rule.text) for rule in rules] == [("quiet", 2, RULE), ("loud", 9, second)]


def test_rules_stand_in_order_of_file_and_line() -> None:
    files = {
        f"rules/{name}.yaml": RULE.replace("quiet", name) + "---\n" + RULE.replace("quiet", f"{name}-2")
        for name in "ba"
    }
    assert [rule.id for rule in load(files).rules] == ["a", "a-2", "b", "b-2"]


def test_a_query_file_must_be_there_and_then_is() -> None:
    rule = rule_of("rule: q\ntrigger:\n  sql: {query: count.sql}\nsteps: [{send: hello}]\n")
    assert rule.trigger.params.model_dump() == {"query": "count.sql"}


def test_draft_rules_do_not_ask_for_what_only_mail_needs() -> None:
    bare = CONFIG.replace("  postal_address: 1 Road, Town\n", "")
    assert load({"config.yaml": bare, "rules/a.yaml": RULE}).rules[0].status == "draft"
