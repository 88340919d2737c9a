"""The last step before a template is compiled: values made fit for where they stand, and bounds for what repeats."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import nodes

from engine.messages.grammar import is_ours, refusal
from engine.messages.html_place import LINK_ATTRIBUTES, HtmlPlace
from engine.messages.locales import language


class Unfit(Exception):  # noqa: N818 - told as a Problem by the caller
    """A value that came to stand where HTML cannot be made safe."""

    def __init__(self, line: int, found: str, expected: str) -> None:
        super().__init__(found)
        self.line, self.found, self.expected = line, found, expected


#: Between sentences these languages set no blank, which authors of other languages put there.
_WITHOUT_BLANKS = frozenset({"ja", "zh"})
_SENTENCE_ENDS = "。！？；：，、"  # noqa: RUF001


def fit(statements: Sequence[nodes.Node], tag: str, *, is_html: bool) -> None:
    """Change the statements of a mail in a language in place. Raises Unfit."""
    place = HtmlPlace() if is_html else None
    if language(tag) in _WITHOUT_BLANKS:
        _close_up(statements, " \n" if is_html else " ", is_behind=False)
    for statement in statements:
        _fit(statement, place)


def _close_up(statements: Sequence[nodes.Node], blanks: str, *, is_behind: bool) -> bool:
    """Take the blanks behind sentences away. `is_behind`: a sentence ends before these statements; gives it for after."""
    for node in statements:
        if isinstance(node, nodes.Output):
            for piece in node.nodes:
                if not isinstance(piece, nodes.TemplateData):
                    is_behind = False
                elif piece.data:
                    piece.data = re.sub(f"(?<=[{_SENTENCE_ENDS}])[{blanks}]+(?=[^<]|\\Z)", "", piece.data)
                    piece.data = piece.data.lstrip(blanks) if is_behind else piece.data
                    is_behind = piece.data.endswith(tuple(_SENTENCE_ENDS)) or (is_behind and not piece.data)
        else:
            inside = _close_up(getattr(node, "body", ()), blanks, is_behind=is_behind)
            is_behind = inside and _close_up(getattr(node, "else_", ()), blanks, is_behind=is_behind)
    return is_behind


def _fit(node: nodes.Node, place: HtmlPlace | None) -> None:
    if isinstance(node, nodes.Output):
        if place is not None:
            node.nodes = [_placed(piece, place) for piece in node.nodes]
        return
    for name in ("body", "else_"):
        for inside in getattr(node, name, ()):
            _fit(inside, place)
    if isinstance(node, nodes.For):
        literal = sum(len(piece.data) for inside in node.body for piece in inside.find_all(nodes.TemplateData))
        charge = _filtered(nodes.Const(literal, lineno=node.lineno), "_charged")
        node.body.insert(0, nodes.Output([charge], lineno=node.lineno))


def _placed(piece: nodes.Expr, place: HtmlPlace) -> nodes.Expr:
    """A value with the filter its place in the HTML asks for."""
    if isinstance(piece, nodes.TemplateData):
        place.feed(piece.data)
        return piece
    kind, at_start, attribute = place.kind, place.at_start, place.attribute
    refused = refusal(place)
    place.inserted()
    if kind == "value" and is_ours(piece):
        return piece
    if refused:
        raise Unfit(piece.lineno, *refused)
    if kind != "value":
        return piece
    return _filtered(piece, "_link" if at_start and attribute in LINK_ATTRIBUTES else "_attribute")


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
