"""The values a template may read, as plain copies: text, numbers, yes/no. No object of the engine gets in.

A message row stores `{"customer": {"name": "Ann"}, "fact": {"amount_minor": 1234, "renews_on": "2026-01-31"}}`.
Dates are ISO text, instants ISO text in UTC. An empty text counts as no value, and so do the traces that exports
leave where there was none ("nan", "None", "NaT", "<NA>").
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined

LONGEST_VALUE = 2_000  # characters of one inserted text; longer ones end with an ellipsis
_TRACES_OF_NOTHING = frozenset({"", "nan", "NaN", "None", "NaT", "<NA>"})
# Controls but tab and line feed; explicit bidi embeddings, overrides and isolates, which reach beyond the value.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


class ValueFault(Exception):  # noqa: N818 - an outcome of one message
    """A value this mail cannot show. The message says which and why; it fails this mail only."""


class AttributeText(str):
    """A text inside an HTML attribute: no isolation marks are put around it there."""

    __slots__ = ()


class Null(StrictUndefined):
    """A value the customer does not have.

    False in a condition, replaced by `default`, equal to nothing but none; every other use names it and fails the mail.
    """

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return other is None or isinstance(other, Null)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(None)


class Values(dict[str, Any]):
    """One namespace, such as `customer`. A name that was not packed is a StrictUndefined that tells its full name."""

    __slots__ = ("namespace",)

    def __init__(self, namespace: str, given: Mapping[str, object]) -> None:
        super().__init__((name, _plain(namespace, name, value)) for name, value in given.items())
        self.namespace = namespace

    def __missing__(self, name: str) -> StrictUndefined:
        return StrictUndefined(f"{self.namespace}.{name} is not among the values of this message")


def _plain(namespace: str, name: str, value: object) -> object:
    if isinstance(value, str):
        text = cleaned(value)
        return text if text not in _TRACES_OF_NOTHING else _null(namespace, name)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return _null(namespace, name)
    if isinstance(value, (bool, int, float)):
        return value
    raise ValueFault(f"{namespace}.{name} is neither text nor a number")


def _null(namespace: str, name: str) -> Null:
    return Null(f"{namespace}.{name} is empty for this customer; guard it with if or default")


def cleaned(text: str) -> str:
    """A customer's text without control characters and bidi overrides, shortened to `LONGEST_VALUE`."""
    if not (text.isascii() and text.isprintable()):
        text = _UNSAFE.sub("", text)
    text = text.strip()
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def unpack(values_json: str) -> dict[str, dict[str, Any]]:
    """The stored values by namespace. Raises ValueFault for a row that was not written by the engine."""
    try:
        stored = json.loads(values_json)
    except ValueError:
        raise ValueFault("the stored values are not JSON") from None
    if not isinstance(stored, dict) or not all(isinstance(part, dict) for part in stored.values()):
        raise ValueFault("the stored values are not grouped by namespace")
    return stored


def with_facts(values_json: str, newer: Mapping[str, object]) -> str:
    """The stored values with the facts among them that have newer ones. Raises ValueFault as `unpack`."""
    values = unpack(values_json)
    facts = values.get("fact", {})
    return json.dumps({**values, "fact": {name: newer.get(name, value) for name, value in facts.items()}})
