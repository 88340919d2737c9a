"""The filters of mails.

    {{ fact.amount_minor | money(fact.currency) }}     1.234,50 €
    {{ fact.renews_on | date }}                        22 November 2026; date("short"), "medium", "long", "full"
    {{ fact.failed_at | datetime }}                    local date and time of the customer
    {{ customer.seats | number }}                      1,234.5
    {{ fact.open_invoices | plural("one invoice", "{n} invoices") }}

Each takes the mail's language from the rendering at work. `pass_context` on all of them keeps Jinja from working them
out once at compile time, in nobody's language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context, markup_join
from markupsafe import Markup, soft_str

from engine.messages import formats
from engine.messages.bounds import rendering
from engine.messages.formats import FormatError, Style
from engine.messages.values import AttributeText, ValueFault

LINK_SCHEMES = ("https", "http", "mailto", "tel")
PLURAL_CATEGORIES = ("zero", "one", "two", "few", "many")


def _given(value: object) -> Any:
    """`value`, unless the customer does not have it: then the mail fails, naming it."""
    if isinstance(value, Undefined):
        str(value)
    return value


@pass_context
def money(_: Context, amount_minor: object, currency: object = None) -> str:
    """An exact amount of a currency's minor unit; without a currency, the workspace's."""
    code = rendering.currency if currency is None else str(_given(currency))
    return formats.money(formats.whole_number(_given(amount_minor)), code, rendering.locale)


@pass_context
def number(_: Context, value: object) -> str:
    """A number with the language's separators."""
    return formats.number(formats.decimal_number(_given(value)), rendering.locale)


@pass_context
def date(_: Context, value: object, style: str = "long") -> str:
    """A date; of an instant, the customer's local date."""
    return formats.date_text(formats.local_date(_given(value), rendering.zone), _style(style), rendering.locale)


@pass_context
def datetime(_: Context, value: object, style: str = "medium") -> str:
    """An instant as the customer's local date and time."""
    return formats.datetime_text(formats.local_time(_given(value), rendering.zone), _style(style), rendering.locale)


def _style(style: str) -> Style:
    if style not in formats.STYLES:
        raise FormatError(f'"{style}" is not a style; expected short, medium, long or full')
    return style


@pass_context
def plural(_: Context, count: object, one: str | None = None, other: str | None = None, **forms: str) -> str:
    """The form for a number in the mail's language; `{n}` in it becomes the number.

    `one` and `other` suffice for English; other languages name CLDR's categories (zero, two, few, many) as well. A
    category that is not given is served by `other`.
    """
    amount = formats.decimal_number(_given(count))
    category = formats.plural_category(amount, rendering.locale)
    form = (forms | {"one": one}).get(category) or other
    if form is None:
        raise FormatError("plural needs a form named other")
    return form.replace("{n}", formats.number(amount, rendering.locale))


@pass_context
def form(_: Context, count: object, rule: str) -> int:
    """Which form of a translated text serves a number; `rule` is its catalogue's, empty for the authors' two forms."""
    amount = formats.decimal_number(_given(count))
    if not rule:
        return 0 if formats.plural_category(amount, rendering.locale) == "one" else 1
    return formats.gettext_form(amount, rule)


def strict(number_filter: Callable[..., Any]) -> Callable[..., Any]:
    """Jinja's `int` and `float` make 0 of a missing value; here it fails the mail, naming the value."""

    @wraps(number_filter)
    def filtered(value: object, *arguments: Any, **named: Any) -> Any:
        return number_filter(_given(value), *arguments, **named)

    return filtered


def join(values: Iterable[object], separator: str = "") -> str:
    """The values one after the other."""
    return _joined([part for value in values for part in (separator, value)][1:])


def replace(text: object, old: str, new: str) -> str:
    """`text` with each `old` replaced by `new`."""
    whole = soft_str(_given(text))
    rendering.charge_text(len(whole) + whole.count(old) * len(new))
    return whole.replace(old, new)


def joined(parts: list[object]) -> str:
    """`a ~ b`: rewritten to this filter when a template is loaded, so that its length is bounded."""
    return _joined(parts)


def _joined(parts: list[object]) -> str:
    texts = [soft_str(_given(part)) for part in parts]
    rendering.charge_text(sum(map(len, texts)))
    return markup_join(texts) if any(isinstance(text, Markup) for text in texts) else "".join(texts)


@pass_context
def charged(_: Context, characters: int) -> str:
    """Put at the head of each loop and macro body when a template is loaded; prints nothing."""
    rendering.charge(characters)
    return ""


def attribute(value: object) -> object:
    """Put around what is printed inside an HTML attribute when a template is loaded."""
    return AttributeText(value) if type(value) is str else value


def link(value: object) -> object:
    """As `attribute`, at the head of a link: only web, mail and phone addresses may stand there."""
    given = _given(value)
    text = (given.unescape() if isinstance(given, Markup) else str(given)).strip()
    if urlsplit(text).scheme.lower() not in LINK_SCHEMES:
        raise ValueFault(f"a link must begin with one of {', '.join(LINK_SCHEMES)}")
    return AttributeText(text)


#: What authors may write, by name.
AUTHORS: Mapping[str, Callable[..., Any]] = {
    "money": money, "number": number, "date": date, "datetime": datetime, "plural": plural, "join": join,
    "replace": replace,
}  # fmt: skip

#: What only the loader writes into a template. The leading underscore cannot be typed: `grammar` refuses it.
LOADERS: Mapping[str, Callable[..., Any]] = {
    "_joined": joined, "_charged": charged, "_attribute": attribute, "_link": link,
    "_form": form,
}  # fmt: skip
