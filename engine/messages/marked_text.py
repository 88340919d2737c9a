"""A template as plain text, so that tools which know nothing of Jinja can work on it, and back again.

Each value becomes a mark, `⟦7⟧`; each condition or loop becomes marks around what is inside it, which stand in comments
between tags, because text is moved out of tables by whoever reads HTML by the rules. What a tool may do: move values,
repeat them, and change all that is no mark. What it may not do: lose a value, or disorder conditions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import nodes

from engine.messages.html_place import HtmlPlace
from engine.messages.merging import clone_shallow
from engine.messages.translation import clone

OPENING, CLOSING = "⟦", "⟧"
_MARK = re.compile(r"<!--⟦(?P<kind>[bme])(?P<no>\d+)⟧-->|⟦(?P<bare>[bme]?)(?P<bare_no>\d+)⟧")
_BODIES: dict[type[nodes.Node], tuple[str, ...]] = {nodes.If: ("body", "else_"), nodes.For: ("body", "else_")}


class Disordered(Exception):  # noqa: N818 - told as a Problem by the caller
    """The text that came back cannot be made a template again; the message says why."""


@dataclass
class Marked:
    """A template as text. `b7`, `m7` and `e7` begin, divide and end the statement of mark 7."""

    text: str = ""
    marks: list[nodes.Node] = field(default_factory=list)

    def hide(self, text: str) -> str:
        """A mark for a text that a tool must leave as it is."""
        return self._mark("", nodes.TemplateData(text))

    def _mark(self, kind: str, node: nodes.Node) -> str:
        self.marks.append(node)
        return f"{OPENING}{kind}{len(self.marks) - 1}{CLOSING}"


def written(statements: Sequence[nodes.Node], *, is_html: bool) -> Marked:
    """Statements as text. Raises Disordered where a condition stands inside a tag, but in no quotes."""
    return _Writer(is_html).write(statements)


def read_back(marked: Marked, text: str, *, may_lose: bool = False) -> list[nodes.Node]:
    """The statements of a text that a tool has made of `marked.text`. Raises Disordered.

    `may_lose`: the tool leaves things out, such as what the reader does not see.
    """
    reader = _Reader(marked)
    reader.read(text)
    if not may_lose:
        reader.check_all_there()
    return reader.body


class _Writer:
    def __init__(self, is_html: bool) -> None:
        self.marked = Marked()
        self.place = HtmlPlace() if is_html else None
        self.pieces: list[str] = []

    def write(self, statements: Sequence[nodes.Node]) -> Marked:
        self._statements(statements)
        self.marked.text = "".join(self.pieces)
        return self.marked

    def _statements(self, statements: Sequence[nodes.Node]) -> None:
        for node in statements:
            if isinstance(node, nodes.Output):
                for piece in node.nodes:
                    self._piece(piece)
            else:
                self._statement(node)

    def _piece(self, piece: nodes.Expr) -> None:
        if not isinstance(piece, nodes.TemplateData):
            self.pieces.append(self.marked._mark("", piece))
            if self.place is not None:
                self.place.inserted()
            return
        if OPENING in piece.data or CLOSING in piece.data:
            raise Disordered(f"the signs {OPENING} and {CLOSING} cannot stand in a mail")
        self.pieces.append(piece.data)
        if self.place is not None:
            self.place.feed(piece.data)

    def _statement(self, node: nodes.Node) -> None:
        self.marked.marks.append(node)
        no = len(self.marked.marks) - 1
        self._sign(f"b{no}")
        first, *rest = _BODIES.get(type(node), ("body",))
        self._statements(getattr(node, first, ()))
        for other in rest:
            if getattr(node, other):
                self._sign(f"m{no}")
                self._statements(getattr(node, other))
        self._sign(f"e{no}")

    def _sign(self, name: str) -> None:
        mark = f"{OPENING}{name}{CLOSING}"
        if self.place is not None and self.place.kind == "tag":
            raise Disordered("a condition stands inside a tag; put it around the tag or into a quoted value")
        between_tags = self.place is not None and self.place.kind == "text"
        self.pieces.append(f"<!--{mark}-->" if between_tags else mark)


class _Reader:
    def __init__(self, marked: Marked) -> None:
        self.marks = marked.marks
        self.body: list[nodes.Node] = []
        self.stack: list[tuple[int, nodes.Node, list[nodes.Node]]] = []
        self.statements_seen: list[int] = []
        self.values_seen: set[int] = set()

    def read(self, text: str) -> None:
        position = 0
        for mark in _MARK.finditer(text):
            self._add(nodes.TemplateData(text[position : mark.start()]))
            self._mark(mark["kind"] or mark["bare"] or "", int(mark["no"] or mark["bare_no"]))
            position = mark.end()
        self._add(nodes.TemplateData(text[position:]))
        if self.stack:
            raise Disordered("a condition begins in one element and ends in another")

    def _add(self, piece: nodes.Expr) -> None:
        if isinstance(piece, nodes.TemplateData) and not piece.data:
            return
        last = self.body[-1] if self.body else None
        if isinstance(last, nodes.Output):
            last.nodes.append(piece)
        else:
            self.body.append(nodes.Output([piece], lineno=1))

    def _mark(self, kind: str, no: int) -> None:
        if no >= len(self.marks):
            raise Disordered("a mark that was never set")
        node = self.marks[no]
        if kind == "":
            self.values_seen.add(no)
            self._add(clone(node))
        elif kind == "b":
            self.statements_seen.append(no)
            made = clone_shallow(node)
            self.body.append(made)
            self.stack.append((no, made, self.body))
            made.body = self.body = []  # type: ignore[attr-defined]
            if hasattr(made, "else_"):
                made.else_ = []
        elif not self.stack or self.stack[-1][0] != no:
            raise Disordered("a condition begins in one element and ends in another")
        elif kind == "m":
            self.body = self.stack[-1][1].else_ = []  # type: ignore[attr-defined]
        else:
            self.body = self.stack.pop()[2]

    def check_all_there(self) -> None:
        """Raises Disordered when something is missing or out of order."""
        wanted = [no for no, node in enumerate(self.marks) if not isinstance(node, nodes.Expr)]
        if self.statements_seen != wanted:
            raise Disordered("a condition, a loop or a set is moved, repeated or lost")
        if lost := [
            no for no, node in enumerate(self.marks) if isinstance(node, nodes.Expr) and no not in self.values_seen
        ]:
            name = getattr(self.marks[lost[0]], "data", None) or "a value"
            raise Disordered(f"{name} is lost")
