"""Broken on purpose, thousands of times, always the same way: refused with a place, or read; never anything else."""

from __future__ import annotations

import random
import time

from project_world import CONFIG, RULE, load
from test_rule_reading import FULL

from engine.errors import SetupError
from engine.project.expressions import parse
from engine.project.yaml_source import load_documents

LONGEST_S = 2.0
YAML_BITS = [
    "{", "}", "[", "]", ":", ": ", "- ", "\n", "\n  ", "\t", "'", '"', "|", ">", "&a", "*a", "<<", "!", "!!int ", "%",
    "@", "`", "#", "---\n", "...\n", "? ", "{{ x }}", "\\", "\0", "\ufeff", "\u2028", "\x85", "\ud800", "~", "null",
    "012", "no", "22:00", "é", "\U0001f600", "\\x", "\\U", "1e400", "1 month", "=", ",", " ",
    "a" * 200, "[" * 60, "{" * 60, "- " * 60,
]  # fmt: skip
WHERE_BITS = [
    "(", ")", "'", '"', "=", "==", "<>", "<", "!", "and", "or", "not", "in", "between", "like", "is", "null", "date",
    "true", "sent", "coalesce", "lower", "select", "case", ",", ".", "--", "/*", ";", "1e999", "0x1", "5_0", "-", "+",
    "*", "/", "%", "::", "$1", "{{", "\0", "\n", "\u2019", "é", "fact.", "a.b", " ",
    "(" * 80, "not " * 80, "- " * 80, "a + " * 80, "1, " * 500, "x" * 5000,
]  # fmt: skip
CONDITION = (
    "plan in ('pro', 'team') and (coalesce(country, '') <> 'DE' or days_since(signed_up_at) between 3 and -4.5) "
    "and sent('quiet')"
)


def broken(text: str, bits: list[str], dice: random.Random) -> str:
    """The text with one to six cuts, repeats and insertions."""
    for _ in range(dice.randint(1, 6)):
        at, length = dice.randrange(len(text) + 1), dice.choice([0, 1, 1, 2, 5, 20])
        kept = text[at : at + length] * dice.choice([0, 0, 0, 2])
        text = text[:at] + kept + dice.choice([*bits, ""]) + text[at + length :]
    return text


def timed(read: object, *arguments: object) -> SetupError | None:
    began = time.perf_counter()
    try:
        read(*arguments)  # type: ignore[operator]
    except SetupError as error:
        return error
    finally:
        assert time.perf_counter() - began < LONGEST_S, arguments
    return None


def test_broken_yaml_is_refused_or_read_and_never_more() -> None:
    dice = random.Random(20260329)
    refused = 0
    for no in range(2500):
        name, text = [("rules/case.yaml", FULL), ("rules/case.yaml", RULE), ("config.yaml", CONFIG)][no % 3]
        error = timed(load, {name: broken(text, YAML_BITS, dice)})
        refused += error is not None
        for problem in error.problems if error else ():
            assert problem.line is None or problem.line >= 1
            assert problem.column is None or problem.column >= 1
    assert refused > 2000  # most breaks matter, so the dice do reach the code that refuses


def test_broken_conditions_are_refused_or_read_and_never_more() -> None:
    dice = random.Random(20260330)
    refused = 0
    for _ in range(1500):
        text = broken(CONDITION, WHERE_BITS, dice)
        error = timed(lambda text: parse(text, "r", 1, 1).check({}), text)
        refused += error is not None
        for problem in error.problems if error else ():
            assert problem.column is not None
            assert 1 <= problem.column <= len(text) + 1
    assert refused > 1000


def test_random_bytes_are_no_yaml_and_no_traceback() -> None:
    dice = random.Random(20260331)
    for _ in range(200):
        timed(load_documents, dice.randbytes(300).decode("latin-1"), "r.yaml")


def test_an_alias_bomb_and_deep_nesting_are_refused_at_once() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + no)}: &{chr(98 + no)} [*{chr(97 + no)}, *{chr(97 + no)}]\n" for no in range(20)
    )
    for text in (bomb, "a: " + "[" * 2000, "a: " + "{a: " * 2000, "- " * 2000):
        began = time.process_time()
        assert timed(load_documents, text, "r.yaml") is not None
        assert time.process_time() - began < 0.5  # measured: a few milliseconds; the bound is for busy machines


def test_five_hundred_rules_load_in_less_than_two_seconds() -> None:
    many = "---\n".join(
        FULL.replace("rule: everything", f"rule: rule-{no}")
        .replace("was: [old-name, older-name]\n", "")
        .replace("plan = 'pro'", CONDITION)
        for no in range(500)
    ).replace("sent('quiet')", "sent('rule-1')")
    began = time.process_time()
    assert len(load({"rules/case.yaml": many}).rules) == 500
    assert time.process_time() - began < 2.0  # measured: 0.9 s
