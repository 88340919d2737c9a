from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from project_world import RULE, TRIGGERS
from test_rule_reading import FULL

from engine.project.schema import rule_schema

SCHEMA = rule_schema(TRIGGERS)


class Core(yaml.SafeLoader):
    """YAML 1.2 as editors read it: true, false, null and whole numbers; everything else is text."""


Core.yaml_implicit_resolvers = {}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
Core.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^-?(0|[1-9][0-9]*)$"), list("-0123456789"))
Core.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(null|~|)$"), ["n", "~", ""])


def valid(text: str) -> bool:
    document: Any = yaml.load(text, Loader=Core)
    return Draft202012Validator(SCHEMA).is_valid(document)


def test_the_schema_passes_the_meta_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        RULE,
        FULL,
        RULE + "guard: off\nexit_when: plan = 'x'\nrepeat_after: off\n",
        "rule: u\ntrigger: unused\nblocks: marketing\n",
    ],
)
def test_good_rules_are_valid(text: str) -> None:
    assert valid(text)


@pytest.mark.parametrize(
    "text",
    [
        RULE + "hold_out: 10%\n",
        RULE + "holdout: 0.1\n",
        RULE + "capped: no\n",
        RULE + "status: actve\n",
        RULE + "send_at: 9:00\n",
        RULE.replace("30 days", "30d"),
        RULE.replace("for:", "fro:"),
        RULE.replace("inactivity", "inactivty"),
        RULE.replace("rule: quiet\n", ""),
        "rule: q\ntrigger: inactivity\n",  # needs parameters
        "rule: q\ntrigger: {}\n",
        RULE + "priority: 101\n",
        RULE + "owner:\n",
    ],
)
def test_what_the_loader_refuses_by_its_shape_is_invalid(text: str) -> None:
    assert not valid(text)


def test_the_bad_files_that_an_editor_can_judge_are_invalid() -> None:
    shapes = re.compile(r"\[HF(120|121|122|123|124|125|126|127|128|129|130|303|304|305)\]")
    judged, wrongly = 0, []
    for case in sorted((Path(__file__).parent / "bad" / "rules").glob("*.yaml")):
        if not shapes.search(case.with_suffix(".expected").read_text()):
            continue
        judged += 1
        if valid(case.read_text()):
            wrongly.append(case.stem)
    assert judged > 40
    # Bounds JSON Schema cannot say in a pattern, and quoted numbers, are left to `holdfast check`.
    assert set(wrongly) <= {
        "duration-too-long",
        "share-over-100",
        "empty-owner",
        "event-without-name",
        "fact-without-window",
        "goal-paid-false",
    }
