"""A rule's text and tree side by side, so that a finding about its meaning can name its place."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import Problem
from engine.project.nodes import Node, Place
from engine.project.rule_text import RuleText
from engine.project.rules import TriggerUse


@dataclass(frozen=True)
class WrittenRule:
    """One rule as written, with its trigger already read."""

    path: str
    node: Node
    text: RuleText
    trigger: TriggerUse

    def at_value(self, *keys: str | int) -> Place:
        """Where the value under these keys stands; of the deepest one that is there."""
        return self._find(keys)[0].place

    def at_key(self, *keys: str | int) -> Place:
        """Where the last of these keys stands; its value's place if it has none of its own."""
        node, place = self._find(keys)
        return place or node.place

    def problem(self, place: Place, code: str, found: str, expected: str, suggestion: str | None = None) -> Problem:
        """An error at a place of this rule's file."""
        return Problem(self.path, *place, code, found, expected, suggestion)

    def _find(self, keys: tuple[str | int, ...]) -> tuple[Node, Place | None]:
        node, place = self.node, None
        for key in keys:
            if isinstance(node.value, dict) and key in node.value:
                node, place = node.value[str(key)], node.keys[str(key)]
            elif isinstance(node.value, list) and isinstance(key, int) and key < len(node.value):
                node, place = node.value[key], None
        return node, place
