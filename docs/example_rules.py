"""The examples in triggers' docstrings, read by the real loader."""

from __future__ import annotations

import re
from textwrap import dedent

from engine.project.nodes import Node
from engine.project.trigger_spec import TriggerParams
from engine.project.validation import validate
from engine.project.yaml_source import load_documents
from engine.triggers import Trigger


def params_of(trigger: Trigger, manual: str) -> TriggerParams:
    """The parameters in the first example of a trigger's manual."""
    example = re.search(r"(?m)(^    .*\n)+", f"{manual}\n")
    if example is None:
        raise ValueError(f"the docstring of {trigger.name} shows no example")
    rule = load_documents(dedent(example[0]), trigger.name)[0]
    return validate(trigger.params, _below(_below(rule, "trigger"), trigger.name), trigger.name)


def _below(node: Node, key: str) -> Node:
    if not isinstance(node.value, dict):
        raise TypeError(f"expected a mapping with {key}")
    return node.value[key]
