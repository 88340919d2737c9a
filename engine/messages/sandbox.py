"""The room templates run in: Jinja's immutable sandbox with a short list of filters, plain values and bounds.

The sandbox alone is not a wall (its history is a list of advisories), so `grammar` refuses whatever is not plainly a
mail template before it gets here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Undefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from engine.messages.bounds import LARGEST_NUMBER, BoundExceeded, bounded_range, rendering
from engine.messages.filters import AUTHORS, LOADERS, strict
from engine.messages.translation import TransTag
from engine.messages.values import AttributeText, Null, ValueFault, Values

#: Jinja's own filters that mails keep. Left out: `safe` (ends escaping), `attr`, `map`, `format`, `xmlattr` (each was
#: part of an advisory), those that pad or indent to a width, and those that work on lists, which mails do not have.
KEPT_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "int", "last", "length", "lower",
    "round", "string", "title", "trim", "truncate", "upper", "urlencode", "wordcount",
)  # fmt: skip
KEPT_TESTS = (
    "==", "!=", "<", "<=", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge", "boolean", "defined", "divisibleby", "even",
    "false", "in", "integer", "lower", "none", "number", "odd", "string", "true", "undefined", "upper",
)  # fmt: skip


def printed(value: Any) -> Any:
    """What `{{ … }}` puts into the mail; refuses what a customer must not read, such as None, nan, True or a list."""
    kind = type(value)
    if kind is str or kind is Markup:
        rendering.characters -= len(value)
        if rendering.characters < 0:
            raise BoundExceeded("the template repeats more than a mail may")
        if rendering.right_to_left and kind is str and value and "://" not in value:
            return f"\N{FIRST STRONG ISOLATE}{value}\N{POP DIRECTIONAL ISOLATE}"
        return value
    return value if kind is int or kind is AttributeText else _unusual(value)


def _unusual(value: Any) -> Any:
    if isinstance(value, Undefined):
        return str(value)  # raises, naming the variable
    if value is None:
        raise ValueFault("an expression came out empty (none); guard it with if or default")
    if isinstance(value, bool):
        raise ValueFault(f"an expression came out as {str(value).lower()}; that can be tested with if, not printed")
    if isinstance(value, (int, float, Decimal)) and abs(float(value)) < LARGEST_NUMBER:  # false for nan and infinity
        return value
    raise ValueFault("an expression came out as something that cannot be printed")


class MailEnvironment(ImmutableSandboxedEnvironment):
    """Strict, with nothing in it but the lists above. `html` turns escaping on."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%"])

    def __init__(self, loader: BaseLoader, *, html: bool) -> None:
        super().__init__(
            loader=loader,
            autoescape=html,
            undefined=StrictUndefined,
            finalize=printed,
            cache_size=-1,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[TransTag],
        )
        self.globals = {"range": bounded_range}
        self.filters = {**{name: self.filters[name] for name in KEPT_FILTERS}, **AUTHORS, **LOADERS}
        self.filters.update({name: strict(self.filters[name]) for name in ("abs", "float", "int", "round")})
        self.tests = {name: self.tests[name] for name in KEPT_TESTS}
        self.tests["none"] = lambda value: value is None or isinstance(value, Null)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`customer.name` without the detour through Python's attributes."""
        return obj[attribute] if type(obj) is Values else super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers, and `+` on texts, within bounds."""
        for side in (left, right):
            if isinstance(side, Undefined):
                str(side)
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            rendering.charge_text(len(left) + len(right))
        elif not all(isinstance(side, (int, float, Decimal)) for side in (left, right)):
            raise ValueFault(f'"{operator}" works on two numbers')
        elif abs(left) > LARGEST_NUMBER or abs(right) > LARGEST_NUMBER:
            raise BoundExceeded("a number grew too large")
        return super().call_binop(context, operator, left, right)
