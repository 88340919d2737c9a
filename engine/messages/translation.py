"""Texts that can be said in other languages: `{% trans %}…{% endtrans %}` and `_("…")`.

    {% trans %}Your {{ fact.plan }} plan renews on {{ fact.renews_on | date }}.{% endtrans %}

Its message id is the text with white space folded and each value as its name, `Your {plan} plan renews on
{renews_on}.`, in the manner of gettext's python-brace-format. A value is named by the last name of what it begins with;
`{% trans day=fact.renews_on | date %}…{{ day }}` names it otherwise. `{% pluralize %}` begins the form for other numbers
than one; the first value bound at the head is the number.

Nothing is looked up while a mail is rendered: `merging` puts the words of a language in when templates are loaded.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import TypeGuard

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

TEXT_FUNCTION = "_"
PLURAL_FILTER = "_form"

#: The rule for numbers of texts as their authors wrote them: one form for one, another for the rest.
SOURCE_RULE = ""

_SPACE = re.compile(r"\s+")

Part = tuple[str, str | None]
"""Literal text, and the name of the value after it, if there is one."""


@dataclass(frozen=True)
class Words:
    """A message in one language: one form, or as many as the language has for numbers, and its rule for them."""

    forms: tuple[str, ...]
    rule: str


Lookup = Callable[["Message"], Words | None]
"""The words of one language for a message; None where it has none."""


@dataclass(frozen=True)
class Message:
    """One text as its author wrote it. `values`: what each name in it stands for."""

    singular: str
    plural: str | None
    values: Mapping[str, nodes.Expr]
    number: str | None  # the value that chooses between the forms
    line: int

    @property
    def key(self) -> tuple[str, str | None]:
        """What a catalogue knows it by."""
        return (self.singular, self.plural)


class TransTag(Extension):
    """Reads `trans` blocks into ordinary nodes that say the source text, and leaves the `Message` with them."""

    tags = {"trans"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.With:
        """Called by Jinja behind the opening brace."""
        line = next(parser.stream).lineno
        bound = dict(_bindings(parser))
        texts, values, number = _texts(parser, bound)
        singular, plural = texts[0], texts[1] if len(texts) > 1 else None
        if plural is not None and number is None:
            parser.fail("pluralize needs a number; bind it as in {% trans count=fact.open_invoices %}", line)
        names = {name: nodes.Name(name, "load", lineno=line) for name in bound}
        message = Message(singular, plural, {**names, **values}, number if plural is not None else None, line)
        targets: list[nodes.Expr] = [nodes.Name(name, "param", lineno=line) for name in bound]
        said_here = nodes.With(targets, list(bound.values()), [], lineno=line)
        said_here.body = said(message, None)
        mark(said_here, message)
        return said_here


def mark(node: nodes.With, message: Message) -> None:
    """Leave the message with the block that says it. Copies of the node keep it."""
    node.message = message  # type: ignore[attr-defined]


def message_of(node: nodes.Node) -> Message | None:
    """The message of a `trans` block; None for any other node."""
    return getattr(node, "message", None)


def is_text_call(node: nodes.Node) -> TypeGuard[nodes.Call]:
    """Whether this is a call of `_`."""
    return isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == TEXT_FUNCTION


def text_of_call(node: nodes.Call) -> Message | None:
    """The message of `_("…")`; None where it does not hold one written-out text."""
    if len(node.args) != 1 or node.kwargs or node.dyn_args or node.dyn_kwargs:
        return None
    text = node.args[0]
    if not isinstance(text, nodes.Const) or not isinstance(text.value, str):
        return None
    return Message(_escaped(folded(text.value)), None, {}, None, node.lineno)


def plain(words: str) -> str:
    """Words without values, as they are shown."""
    return "".join(literal for literal, _ in parts(words))


def said(message: Message, words: Words | None) -> list[nodes.Node]:
    """What says a message in the words of a language; None: in the author's."""
    if message.plural is None:
        return [_output(message, words.forms[0] if words else message.singular)]
    forms, rule = (words.forms, words.rule) if words else ((message.singular, message.plural), SOURCE_RULE)
    chain: list[nodes.Node] = [_output(message, forms[-1])]
    for no in range(len(forms) - 2, -1, -1):
        chosen = nodes.Compare(_form(message, rule), [nodes.Operand("eq", nodes.Const(no))])
        chain = [nodes.If(chosen, [_output(message, forms[no])], [], chain)]
    for node in chain:
        node.set_lineno(message.line)
    return chain


def parts(words: str) -> list[Part]:
    """Words taken apart at their values. Raises ValueError for a brace that opens or closes nothing, or holds no name."""
    found = []
    for literal, name, spec, conversion in Formatter().parse(words):
        if name is not None and (spec or conversion or not name.isidentifier()):
            raise ValueError(f"{{{name}}} is not the name of a value")
        found.append((literal, name))
    return found


def values_in(words: str) -> frozenset[str]:
    """The names of the values in words. Raises ValueError as `parts`."""
    return frozenset(name for _, name in parts(words) if name is not None)


def folded(text: str) -> str:
    """Text with each run of white space as one blank, none at the ends."""
    return _SPACE.sub(" ", text).strip()


def _output(message: Message, words: str) -> nodes.Output:
    pieces: list[nodes.Expr] = []
    for literal, name in parts(words):
        if literal:
            pieces.append(nodes.TemplateData(literal))
        if name is not None:
            pieces.append(clone(message.values[name]))
    output = nodes.Output(pieces or [nodes.TemplateData("")])
    output.set_lineno(message.line, override=True)
    return output


def _form(message: Message, rule: str) -> nodes.Expr:
    number = nodes.Name(message.number or "", "load")
    return nodes.Filter(number, PLURAL_FILTER, [nodes.Const(rule)], [], None, None)


def clone(node: nodes.Node) -> nodes.Expr:
    """A copy of a node and all below it, which shares only the environment."""
    copied = copy.copy(node)
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(copied, name, clone(value))
        elif isinstance(value, list):
            setattr(copied, name, [clone(item) if isinstance(item, nodes.Node) else item for item in value])
    return copied  # type: ignore[return-value]


def _bindings(parser: Parser) -> Iterator[tuple[str, nodes.Expr]]:
    while parser.stream.current.type != "block_end":
        parser.stream.skip_if("comma")
        name = parser.stream.expect("name")
        parser.stream.expect("assign")
        yield name.value, parser.parse_expression()
        parser.stream.skip_if("comma")
    parser.stream.expect("block_end")


def _texts(parser: Parser, bound: Mapping[str, nodes.Expr]) -> tuple[list[str], dict[str, nodes.Expr], str | None]:
    """The text up to `pluralize` and the one behind it, the values written out in them, and what is counted."""
    values: dict[str, nodes.Expr] = {}
    texts, number = [""], next(iter(bound), None)
    while True:
        token = next(parser.stream)
        if token.type == "data":
            texts[-1] += _escaped(token.value)
        elif token.type == "variable_begin":
            value = parser.parse_expression()
            parser.stream.expect("variable_end")
            texts[-1] += f"{{{_named(parser, value, bound, values)}}}"
        elif token.type == "block_begin" and parser.stream.current.test("name:pluralize") and len(texts) == 1:
            next(parser.stream)
            if parser.stream.current.type != "block_end":
                number = parser.stream.expect("name").value
            parser.stream.expect("block_end")
            texts.append("")
        elif token.type == "block_begin" and parser.stream.current.test("name:endtrans"):
            next(parser.stream)  # Jinja reads the closing brace
            return [folded(text) for text in texts], values, number if number in bound else None
        else:
            parser.fail("trans holds words and values only; choose between whole sentences with if", token.lineno)


def _named(parser: Parser, value: nodes.Expr, bound: Mapping[str, nodes.Expr], values: dict[str, nodes.Expr]) -> str:
    """The name a value goes by in the message; the same name for another value is refused."""
    name = _natural_name(value)
    if name is None:
        parser.fail("a value in trans that has no name of its own; bind it: {% trans day=… %}", value.lineno)
    if isinstance(value, nodes.Name) and name in bound:
        return name
    if (name in values and values[name] != value) or (name in bound and not _begins_with(value, name)):
        parser.fail(f'two values called "{name}" in one trans; bind one of them to another name', value.lineno)
    values[name] = value
    return name


def _natural_name(value: nodes.Node) -> str | None:
    """`renews_on` of `fact.renews_on | date`."""
    while isinstance(value, nodes.Filter | nodes.Test) and value.node is not None:
        value = value.node
    if isinstance(value, nodes.Getattr):
        return value.attr
    if isinstance(value, nodes.Getitem) and isinstance(value.arg, nodes.Const) and isinstance(value.arg.value, str):
        return value.arg.value
    return value.name if isinstance(value, nodes.Name) else None


def _begins_with(value: nodes.Node, name: str) -> bool:
    while isinstance(value, nodes.Filter) and value.node is not None:
        value = value.node
    return isinstance(value, nodes.Name) and value.name == name


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
