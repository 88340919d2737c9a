"""Which Jinja a mail may be written in: an allow-list, node by node.

Read here: the names a file uses (`customer.plan` is `("customer", "plan")`), the files it refers to, and everything
that is wrong with it. Calls reach only macros, blocks, `range`, `super`, `caller` and `loop.cycle`; attributes only the
namespaces, `loop`, `self` and imported files. So none of the ways out of Jinja's sandbox can even be written down.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables
from jinja2.visitor import NodeTransformer

from engine.currencies import exponent
from engine.errors import Problem, did_you_mean
from engine.messages.formats import STYLES
from engine.messages.html_place import HtmlPlace
from engine.messages.sandbox import MailEnvironment
from engine.messages.translation import (
    TEXT_FUNCTION,
    Message,
    is_text_call,
    mark,
    message_of,
    said,
    text_of_call,
)

Name = tuple[str, str]

CUSTOMER_NAMESPACES = ("customer", "account", "fact", "subscription")
NAMESPACES = (*CUSTOMER_NAMESPACES, "links", "workspace")
TOP_NAMES = (*NAMESPACES, "lang", "dir", "subject", "preheader")
_CALLABLE_NAMES = {"range", "super", "caller"}
_LOOP_NAMES = frozenset({"cycle", "index", "index0", "revindex", "revindex0", "first", "last", "length", "depth"})

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Macro, nodes.CallBlock,
    nodes.FilterBlock, nodes.Assign, nodes.AssignBlock, nodes.With, nodes.Extends, nodes.Block, nodes.Include,
    nodes.Import, nodes.FromImport, nodes.Scope, nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Keyword,
    nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Concat,
    nodes.Compare, nodes.Operand, nodes.Not, nodes.And, nodes.Or, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos,
)  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """`{% extends %}`, `{% include %}` or `{% import %}` of another file."""

    target: str
    line: int
    sees_values: bool  # an import without context does not


@dataclass
class Reading:
    """What one file says, apart from the others it refers to."""

    names: dict[Name, int] = field(default_factory=dict)  # with the line of the first use
    references: list[Reference] = field(default_factory=list)
    free: frozenset[str] = frozenset()  # top-level names nobody in this file sets
    set_here: set[str] = field(default_factory=set)
    lines: dict[str, int] = field(default_factory=dict)  # of the first use of each bare name
    messages: list[Message] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read(tree: nodes.Template, path: str, environment: MailEnvironment, *, is_html: bool) -> Reading:
    """Check a parsed file. `a ~ b` and `customer["plan"]` in it are rewritten to what is bounded and plainly named."""
    reader = _Reader(path, environment, HtmlPlace() if is_html else None)
    reader.learn_own_names(tree)
    reader.visit(tree)
    if not reader.reading.problems:
        reader.reading.free = (
            frozenset(find_undeclared_variables(tree)) - _CALLABLE_NAMES - {"self", "loop", TEXT_FUNCTION}
        )
    return reader.reading


class _Reader(NodeTransformer):
    """One walk over one file, in the order of its text."""

    def __init__(self, path: str, environment: MailEnvironment, place: HtmlPlace | None) -> None:
        self.path, self.environment, self.place = path, environment, place
        self.reading = Reading()
        self.macros: set[str] = set()
        self.imports: set[str] = set()

    def refuse(self, node: nodes.Node, code: str, found: str, expected: str, suggestion: str | None = None) -> None:
        """Note a problem at the node's line."""
        self.reading.problems.append(Problem(self.path, node.lineno, None, code, found, expected, suggestion))

    def learn_own_names(self, tree: nodes.Template) -> None:
        """Names the file gives: macros and imports may be used before the walk reaches them."""
        self.macros |= {macro.name for macro in tree.find_all(nodes.Macro)}
        self.imports |= {item.target for item in tree.find_all(nodes.Import)}
        for item in tree.find_all(nodes.FromImport):
            self.macros |= {name if isinstance(name, str) else name[1] for name in item.names}
        targets = {name.name for name in tree.find_all(nodes.Name) if name.ctx in {"store", "param"}}
        self.reading.set_here = targets | self.macros | self.imports

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Every node passes here first."""
        if type(node) not in _ALLOWED:
            self.refuse(node, "HF505", f"{type(node).__name__.lower()} is not allowed in a mail", _PLAIN_LANGUAGE)
            return node
        return super().visit(node, *args, **kwargs)

    # What is printed.

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802
        """Literal text and values in turn."""
        node.nodes = [self._piece(piece) for piece in node.nodes]
        return node

    def _piece(self, piece: nodes.Expr) -> nodes.Expr:
        if not isinstance(piece, nodes.TemplateData):
            piece = self.visit(piece)
        self._stand(piece)
        return piece

    def _stand(self, piece: nodes.Expr) -> None:
        """Whether a piece may stand where it stands."""
        if isinstance(piece, nodes.TemplateData):
            self._no_braces(piece, html.unescape(piece.data))
            if self.place is not None:
                self.place.feed(piece.data)
        elif self.place is not None:
            refused = refusal(self.place)
            if refused and not (self.place.kind == "value" and is_ours(piece)):
                self.refuse(piece, "HF507", *refused)
            self.place.inserted()

    def visit_With(self, node: nodes.With) -> nodes.Node:  # noqa: N802
        """`with` and `trans`."""
        message = message_of(node)
        return self.generic_visit(node) if message is None else self._translated(node, message)

    def _translated(self, node: nodes.With, message: Message) -> nodes.With:
        """Its values are read like all others; its words stand where the block does, in every language."""
        if self.place is not None and self.place.kind != "text":  # its words may hold quotes
            self.refuse(node, "HF507", "trans inside a tag", "expected attribute=\"{{ _('…') }}\"")
        if not message.singular:
            self.refuse(node, "HF505", "trans without words", "expected the text between trans and endtrans")
        node.targets = [self.visit(target) for target in node.targets]
        node.values = [self.visit(value) for value in node.values]
        message = replace(message, values={name: self.visit(value) for name, value in message.values.items()})
        mark(node, message)
        node.body = said(message, None)
        self.reading.messages.append(message)
        for output in node.find_all(nodes.Output):
            for piece in output.nodes:
                self._stand(piece)
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Const:  # noqa: N802
        """Texts written out inside an expression."""
        if isinstance(node.value, str):
            self._no_braces(node, node.value)
        return node

    def _no_braces(self, node: nodes.Node, text: str) -> None:
        if "{{" in text or "{%" in text:
            self.refuse(node, "HF513", '"{{" or "{%" as literal text', "it would reach the customer; leave it out")

    # Names.

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Expr:  # noqa: N802
        """`customer.plan`, `loop.index`, `self.block`, `imported.macro`."""
        return self._member(node, node.node, node.attr)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802
        """`customer["plan"]`, and positions and slices of a text."""
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            member = self._member(node, node.node, node.arg.value)
            return nodes.Getattr(node.node, node.arg.value, "load", lineno=node.lineno) if member is node else member
        bounds = [node.arg.start, node.arg.stop, node.arg.step] if isinstance(node.arg, nodes.Slice) else [node.arg]
        if not all(bound is None or _is_number(bound) for bound in bounds):
            self.refuse(node, "HF505", "a computed name or position", "write the name or number out")
        node.node = self.visit(node.node)
        return node

    def _member(self, node: nodes.Expr, owner: nodes.Node, name: str) -> nodes.Expr:
        base = owner.name if isinstance(owner, nodes.Name) else ""
        if name.startswith("_"):
            self.refuse(node, "HF505", f'the name "{name}"', "names that begin with _ are not for mails")
        elif base in NAMESPACES and base not in self.reading.set_here:
            self.reading.names.setdefault((base, name), node.lineno)
        elif base == "loop" and name not in _LOOP_NAMES:
            self.refuse(node, "HF503", f'unknown name "loop.{name}"', "", did_you_mean(name, _LOOP_NAMES))
        elif base not in {"loop", "self"} | self.imports:
            self.refuse(node, "HF505", f'".{name}" on something that has no names of its own', _NAMESPACES_ARE)
        return node

    def visit_Name(self, node: nodes.Name) -> nodes.Name:  # noqa: N802
        """A bare name."""
        self.reading.lines.setdefault(node.name, node.lineno)
        if node.name.startswith("_"):
            self.refuse(node, "HF505", f'the name "{node.name}"', "names that begin with _ are not for mails")
        elif node.name in TOP_NAMES and node.ctx != "load":
            self.refuse(node, "HF505", f'setting "{node.name}"', "this name is taken; choose another one")
        elif node.name in NAMESPACES:
            self.refuse(node, "HF505", f'"{node.name}" alone', f"write which value, such as {node.name}.name")
        return node

    # Calls, filters and tests.

    def visit_Call(self, node: nodes.Call) -> nodes.Call:  # noqa: N802
        """Macros, blocks, and a few functions."""
        self._no_spreading(node)
        target = node.node
        if is_text_call(node):
            message = text_of_call(node)
            if message is None:
                self.refuse(node, "HF505", "_() without one written-out text", 'expected _("…"), or trans for values')
            elif message.singular:
                self.reading.messages.append(message)
            return node
        if isinstance(target, nodes.Name):
            known = _CALLABLE_NAMES | self.macros
            if target.name not in known:
                found, guess = f'unknown function "{target.name}"', did_you_mean(target.name, known)
                self.refuse(node, "HF504", found, _listed(known), guess)
        elif not _is_plain_member(target, {"self"} | self.imports) and not _is_cycle(target):
            self.refuse(node, "HF505", "a call of something that is neither macro nor function", _PLAIN_LANGUAGE)
        else:
            self.visit(target)
        node.args = [self.visit(argument) for argument in node.args]
        node.kwargs = [self.visit(argument) for argument in node.kwargs]
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:  # noqa: N802
        """A filter of the list, with arguments that fit it."""
        known = [name for name in self.environment.filters if not name.startswith("_")]
        if node.name not in known:
            guess = did_you_mean(node.name, known)
            self.refuse(node, "HF504", f'unknown filter "{node.name}"', _listed(known), guess)
        else:
            self._no_spreading(node)
            self._arguments_fit(node)
        self.generic_visit(node)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Test:  # noqa: N802
        """A test of the list."""
        if node.name not in self.environment.tests:
            known = list(self.environment.tests)
            self.refuse(node, "HF504", f'unknown test "{node.name}"', _listed(known), did_you_mean(node.name, known))
        self.generic_visit(node)
        return node

    def _no_spreading(self, node: nodes.Call | nodes.Filter) -> None:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self.refuse(node, "HF505", "arguments with * or **", "write the arguments out")

    def _arguments_fit(self, node: nodes.Filter) -> None:
        function = self.environment.filters[node.name]
        before = [None] * (1 + hasattr(function, "jinja_pass_arg"))
        named = {str(pair.key): pair for pair in node.kwargs}
        try:
            inspect.signature(function).bind(*before, *node.args, **named)
        except TypeError as fault:
            self.refuse(node, "HF504", f'the filter "{node.name}" with other arguments than it takes', str(fault))
        first = node.args[0] if node.args else None
        if isinstance(first, nodes.Const):
            self._constant_fits(node, first.value)

    def _constant_fits(self, node: nodes.Filter, value: object) -> None:
        if node.name in {"date", "datetime"} and value not in STYLES:
            guess = did_you_mean(str(value), STYLES)
            self.refuse(node, "HF504", f'unknown style "{value}"', _listed(STYLES), guess)
        if node.name == "money" and exponent(str(value)) is None:
            self.refuse(node, "HF504", f'"{value}" is not a currency', 'expected a code such as "EUR", or a column')

    # Other files.

    def visit_Extends(self, node: nodes.Extends) -> nodes.Node:  # noqa: N802
        """The layout."""
        return self._refer(node, sees_values=True)

    def visit_Include(self, node: nodes.Include) -> nodes.Node:  # noqa: N802
        """A fragment put in here."""
        if node.ignore_missing:
            self.refuse(
                node, "HF505", '"ignore missing"', "a mail without one of its parts is not a mail; leave it out"
            )
        return self._refer(node, sees_values=node.with_context)

    def visit_Import(self, node: nodes.Import) -> nodes.Node:  # noqa: N802
        """Macros under a name."""
        return self._refer(node, sees_values=node.with_context)

    def visit_FromImport(self, node: nodes.FromImport) -> nodes.Node:  # noqa: N802
        """Macros by name."""
        return self._refer(node, sees_values=node.with_context)

    def _refer(
        self, node: nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport, *, sees_values: bool
    ) -> nodes.Node:
        target = node.template
        if isinstance(target, nodes.Const) and isinstance(target.value, str):
            self.reading.references.append(Reference(target.value, node.lineno, sees_values))
        else:
            self.refuse(node, "HF505", "a computed file name", 'write the name out, such as "layouts/base.html"')
        return node

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        """A loop."""
        if node.recursive:
            self.refuse(node, "HF505", "a recursive loop", "nest the loops")
        self.generic_visit(node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:  # noqa: N802
        """`a ~ b`, through a filter that knows its bounds."""
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined", node.lineno)


def refusal(place: HtmlPlace) -> tuple[str, str] | None:
    """Why no customer's value may stand at a place in HTML, and what is expected instead; None where it may."""
    if place.kind == "tag":
        return "a value inside a tag but outside quotes", 'expected attribute="{{ … }}"'
    if place.kind == "code":
        return "a value inside a script or style element", "expected in text"
    if place.kind == "value" and (place.attribute == "style" or place.attribute.startswith("on")):
        return f"a value inside the attribute {place.attribute}", "choose between fixed texts with if"
    return None


_PLAIN_LANGUAGE = "expected values, filters, if, for, set, macros, blocks and includes"
_NAMESPACES_ARE = f"names belong to {', '.join(NAMESPACES)}"


def _listed(words: Iterable[str]) -> str:
    return "expected one of " + ", ".join(sorted(words))


def _filtered(node: nodes.Expr, name: str, line: int) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=line)


def _is_number(node: nodes.Node) -> bool:
    inner = node.node if isinstance(node, nodes.Neg) else node
    return isinstance(inner, nodes.Const) and isinstance(inner.value, int)


def is_ours(node: nodes.Expr) -> bool:
    """A value the engine itself made fit for an attribute: a link, the language, the direction."""
    return _is_plain_member(node, {"links"}) or (isinstance(node, nodes.Name) and node.name in {"lang", "dir"})


def _is_plain_member(node: nodes.Node, owners: set[str]) -> bool:
    return isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name in owners


def _is_cycle(node: nodes.Node) -> bool:
    return _is_plain_member(node, {"loop"}) and isinstance(node, nodes.Getattr) and node.attr == "cycle"
