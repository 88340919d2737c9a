"""From the files of a mail to one template per language.

Layouts, blocks, includes, macros and the words of the language are put where they belong when templates are loaded.
What remains for each message are values, conditions and loops. MJML needs this, since it compiles only whole documents;
and it makes rendering fast, since nothing is looked up twice.

Variables that macros and imported files set get names of their own, so that none is taken for another's.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from jinja2 import Environment, nodes
from markupsafe import escape

from engine.messages.grammar import NAMESPACES
from engine.messages.locales import direction
from engine.messages.translation import (
    Lookup,
    clone,
    is_text_call,
    message_of,
    plain,
    said,
    text_of_call,
)

MOST_NODES = 100_000  # of a mail put together: what its macros and blocks may grow to


class CannotMerge(Exception):  # noqa: N818 - told as a Problem by the caller
    """Something that cannot be put together when templates are loaded."""

    def __init__(self, path: str, line: int, code: str, found: str, expected: str) -> None:
        super().__init__(found)
        self.path, self.line, self.code, self.found, self.expected = path, line, code, found, expected


@dataclass(frozen=True)
class Tongue:
    """A language and its words for messages; without any, it is that of the authors."""

    tag: str
    words: Lookup = lambda message: None


class Source(Protocol):
    """Where other files come from."""

    def tree(self, name: str, tag: str) -> tuple[str, nodes.Template]:
        """The path and tree of the file that serves a name in a language."""


@dataclass(frozen=True)
class _Macro:
    node: nodes.Macro | nodes.CallBlock
    scope: _Scope  # where it was written


@dataclass(frozen=True)
class _Level:
    """A block as one file of a chain of layouts has it."""

    node: nodes.Block
    scope: _Scope


Meaning = nodes.Expr | _Macro | dict[str, "Meaning"]
"""What a name stands for: an expression, a macro, or an imported file's names."""


@dataclass(frozen=True)
class _Scope:
    """What names mean at some place of some file."""

    path: str
    meanings: MutableMapping[str, Meaning] = field(default_factory=dict)

    def inner(self, path: str | None = None) -> _Scope:
        """A scope that sees this one and keeps its own names to itself."""
        return _Scope(path or self.path, ChainMap({}, self.meanings))


_KNOWN = nodes.EvalContext(Environment())  # noqa: S701 - works out comparisons of constants, prints nothing
_CHOOSING = (nodes.CondExpr, nodes.And, nodes.Or)


class Merger:
    """Puts one part of one mail together in one language. Raises CannotMerge."""

    def __init__(self, source: Source, tongue: Tongue, *, is_html: bool) -> None:
        self.source, self.tongue, self.is_html = source, tongue, is_html
        self.budget = MOST_NODES
        self.made_names = 0
        self.blocks: dict[str, list[_Level]] = {}
        self.supers: list[tuple[str, int]] = []
        self.open_macros: list[nodes.Node] = []
        self.languages: dict[str, nodes.Expr] = {
            "lang": nodes.Const(tongue.tag),
            "dir": nodes.Const(direction(tongue.tag)),
        }

    def document(self, path: str, tree: nodes.Template) -> list[nodes.Node]:
        """The statements of a whole mail, from the tree of its file."""
        merged = self._file(tree, _Scope(path))
        return [nodes.Scope(merged, lineno=1)] if _sets_names(merged) else merged

    def _file(self, tree: nodes.Template, scope: _Scope) -> list[nodes.Node]:
        """A file, or the layout it fills."""
        outer, self.blocks = self.blocks, {}
        head: list[nodes.Node] = []
        while True:
            for block in tree.find_all(nodes.Block):
                self.blocks.setdefault(block.name, []).append(_Level(block, scope))
            layout = next((node for node in tree.body if isinstance(node, nodes.Extends)), None)
            if layout is None:
                break
            head += self._statements([node for node in tree.body if not _prints(node)], scope)
            path, tree = self._other(layout, scope)
            scope = _Scope(path, scope.meanings)
        merged = head + self._statements(tree.body, scope)
        self.blocks = outer
        return merged

    def _other(
        self, node: nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport, scope: _Scope
    ) -> tuple[str, nodes.Template]:
        name = node.template.value if isinstance(node.template, nodes.Const) else ""
        return self.source.tree(name, self.tongue.tag)

    # Statements.

    def _statements(self, statements: Iterable[nodes.Node], scope: _Scope) -> list[nodes.Node]:
        merged: list[nodes.Node] = []
        for statement in statements:
            for node in self._statement(statement, scope):
                before = merged[-1] if merged else None
                if isinstance(node, nodes.Output) and isinstance(before, nodes.Output):
                    before.nodes = _run_together([*before.nodes, *node.nodes])
                else:
                    merged.append(node)
        return merged

    def _statement(self, node: nodes.Node, scope: _Scope) -> Iterator[nodes.Node]:
        self.budget -= 1
        if self.budget < 0:
            raise CannotMerge(
                scope.path,
                node.lineno,
                "HF505",
                "a mail that grows without bounds",
                "its macros and blocks repeat too much",
            )
        message = message_of(node)
        if isinstance(node, nodes.Output):
            yield from self._output(node, scope)
        elif isinstance(node, nodes.With) and message is not None:
            yield from self._with(node, said(message, self.tongue.words(message)), scope)
        elif isinstance(node, nodes.With):
            yield from self._with(node, node.body, scope)
        elif isinstance(node, nodes.Block):
            yield from self._block(node.name, 0, scope, node.lineno)
        elif isinstance(node, nodes.Macro):
            scope.meanings[node.name] = _Macro(node, scope)
        elif isinstance(node, nodes.Import | nodes.FromImport):
            yield from self._import(node, scope)
        elif isinstance(node, nodes.Include):
            path, tree = self._other(node, scope)
            yield from _apart(self._file(tree, scope.inner(path)))
        elif isinstance(node, nodes.CallBlock):
            yield from self._call(node.call, scope, node)
        elif isinstance(node, nodes.If):
            yield from self._if(node, scope)
        elif isinstance(node, nodes.For):
            yield from self._for(node, scope)
        else:
            yield from self._assignment(node, scope)

    def _with(self, node: nodes.With, body: Sequence[nodes.Node], scope: _Scope) -> Iterator[nodes.Node]:
        inner = scope.inner()
        lifted: list[nodes.Node] = []
        given = [
            (target, self._expression(value, scope, lifted))
            for target, value in zip(node.targets, node.values, strict=True)
        ]
        kept = self._bind(given, body, inner)
        yield from lifted
        merged = self._statements(body, inner)
        if kept or _sets_names(merged):
            targets, values = [target for target, _ in kept], [value for _, value in kept]
            yield nodes.With(targets, values, merged, lineno=node.lineno)
        else:
            yield from merged

    def _bind(
        self, given: Iterable[tuple[nodes.Expr, nodes.Expr]], body: Sequence[nodes.Node], inner: _Scope
    ) -> list[tuple[nodes.Expr, nodes.Expr]]:
        """Let names stand for their values, where that changes nothing; gives the others, under names of their own."""
        kept = []
        changed = {name for statement in body for name in _stored(statement)}
        for target, value in given:
            name = target.name if isinstance(target, nodes.Name) else ""
            if name and name not in changed and _is_plain(value):
                inner.meanings[name] = value
            else:
                kept.append((self._renamed(target, inner), value))
        return kept

    def _renamed(self, target: nodes.Node, inner: _Scope) -> nodes.Expr:
        """A target whose names are like no other in the mail."""
        renamed = clone(target)
        for name in [renamed] if isinstance(renamed, nodes.Name) else list(renamed.find_all(nodes.Name)):
            own = self._new_name(name.name)
            inner.meanings[name.name] = nodes.Name(own, "load")
            name.name = own
        return renamed

    def _new_name(self, like: str) -> str:
        self.made_names += 1
        return f"{like}_{self.made_names}"

    def _block(self, name: str, level: int, scope: _Scope, line: int) -> Iterator[nodes.Node]:
        levels = self.blocks.get(name, [])
        if level >= len(levels):
            raise CannotMerge(
                scope.path, line, "HF503", f'no block "{name}" here', "expected a block of this mail or its layouts"
            )
        if self.supers.count((name, level)):
            raise CannotMerge(scope.path, line, "HF505", f'the block "{name}" inside itself', "expected no circle")
        own = levels[level]
        self.supers.append((name, level))
        inner = _Scope(own.scope.path, ChainMap({}, own.scope.meanings, scope.meanings))
        yield from _apart(self._statements(own.node.body, inner))
        self.supers.pop()

    def _import(self, node: nodes.Import | nodes.FromImport, scope: _Scope) -> Iterator[nodes.Node]:
        path, tree = self._other(node, scope)
        module = _Scope(path)
        assigned = [name for statement in tree.body for name in _stored(statement)]
        for name in assigned:
            module.meanings[name] = nodes.Name(self._new_name(name), "load")
        yield from self._statements([statement for statement in tree.body if not _prints(statement)], module)
        names = dict(module.meanings)
        if isinstance(node, nodes.Import):
            scope.meanings[node.target] = names
            return
        for item in node.names:
            name, alias = item if isinstance(item, tuple) else (item, item)
            if name not in names:
                raise CannotMerge(
                    scope.path,
                    node.lineno,
                    "HF503",
                    f'no "{name}" in {path}',
                    f"expected one of {', '.join(sorted(names))}",
                )
            scope.meanings[alias] = names[name]

    def _if(self, node: nodes.If, scope: _Scope) -> Iterator[nodes.Node]:
        branches = [(node.test, node.body), *((other.test, other.body) for other in node.elif_)]
        made: list[tuple[nodes.Expr, list[nodes.Node]]] = []
        otherwise: Sequence[nodes.Node] = node.else_
        for test, body in branches:
            lifted: list[nodes.Node] = []
            merged = self._expression(test, scope, lifted)
            if lifted and made:
                raise CannotMerge(
                    scope.path, node.lineno, "HF505", "a macro call in elif", "set a variable before the if"
                )
            yield from lifted
            if isinstance(merged, nodes.Const):
                if merged.value:
                    otherwise = body
                    break
                continue
            made.append((merged, self._statements(body, scope)))
        rest = self._statements(otherwise, scope)
        for test, body in reversed(made):
            rest = [nodes.If(test, body, [], rest, lineno=node.lineno)]
        yield from rest

    def _for(self, node: nodes.For, scope: _Scope) -> Iterator[nodes.Node]:
        lifted: list[nodes.Node] = []
        numbers = self._expression(node.iter, scope, lifted)
        inner = scope.inner()
        inner.meanings["loop"] = nodes.Name("loop", "load")
        target = self._renamed(node.target, inner)
        test = self._expression(node.test, inner, None) if node.test else None
        yield from lifted
        body, otherwise = self._statements(node.body, inner), self._statements(node.else_, scope)
        yield nodes.For(target, numbers, body, otherwise, test, node.recursive, lineno=node.lineno)

    def _assignment(self, node: nodes.Node, scope: _Scope) -> Iterator[nodes.Node]:
        """`set`, `filter` and what else keeps its shape."""
        lifted: list[nodes.Node] = []
        if isinstance(node, nodes.Assign):
            value = self._expression(node.node, scope, lifted)
            made: nodes.Node = nodes.Assign(self._target(node.target, scope), value, lineno=node.lineno)
        elif isinstance(node, nodes.AssignBlock):
            body = self._statements(node.body, scope.inner())
            filtered = self._expression(node.filter, scope, lifted) if node.filter else None
            made = nodes.AssignBlock(self._target(node.target, scope), filtered, body, lineno=node.lineno)
        elif isinstance(node, nodes.FilterBlock):
            body = self._statements(node.body, scope.inner())
            made = nodes.FilterBlock(body, self._expression(node.filter, scope, lifted), lineno=node.lineno)
        else:
            inside = getattr(node, "body", [])
            made = nodes.Scope(self._statements(inside, scope.inner()), lineno=node.lineno)
        yield from lifted
        yield made

    def _target(self, target: nodes.Expr, scope: _Scope) -> nodes.Expr:
        """What a `set` writes to, under the name it has here."""
        written = clone(target)
        for name in [written] if isinstance(written, nodes.Name) else list(written.find_all(nodes.Name)):
            meaning = scope.meanings.get(name.name)
            if isinstance(meaning, nodes.Name):
                name.name = meaning.name
            else:
                scope.meanings[name.name] = nodes.Name(name.name, "load")
        return written

    # What is printed.

    def _output(self, node: nodes.Output, scope: _Scope) -> Iterator[nodes.Node]:
        pieces: list[nodes.Expr] = []
        for piece in node.nodes:
            if isinstance(piece, nodes.TemplateData):
                pieces.append(piece)
                continue
            if isinstance(piece, nodes.Call) and self._is_expanded(piece, scope):
                if pieces:
                    yield nodes.Output(_run_together(pieces), lineno=node.lineno)
                    pieces = []
                yield from self._call(piece, scope, None)
                continue
            lifted: list[nodes.Node] = []
            value = self._printed(self._expression(piece, scope, lifted))
            if lifted:
                if pieces:
                    yield nodes.Output(_run_together(pieces), lineno=node.lineno)
                    pieces = []
                yield from lifted
            pieces.append(value)
        if pieces:
            yield nodes.Output(_run_together(pieces), lineno=node.lineno)

    def _printed(self, piece: nodes.Expr) -> nodes.Expr:
        """A text known now is as good as one written out."""
        if not isinstance(piece, nodes.Const) or not isinstance(piece.value, str):
            return piece
        return nodes.TemplateData(str(escape(piece.value)) if self.is_html else piece.value, lineno=piece.lineno)

    # Macros.

    def _is_expanded(self, call: nodes.Call, scope: _Scope) -> bool:
        """Whether a call is of a macro or block, whose text is put in its place."""
        target = call.node
        if isinstance(target, nodes.Name):
            return target.name in {"super", "caller"} or isinstance(scope.meanings.get(target.name), _Macro)
        return isinstance(target, nodes.Getattr) and not _is_cycle(target)

    def _call(self, call: nodes.Call, scope: _Scope, block: nodes.CallBlock | None) -> Iterator[nodes.Node]:
        target = call.node
        if isinstance(target, nodes.Name) and target.name == "super":
            if not self.supers:
                raise CannotMerge(scope.path, call.lineno, "HF505", "super() outside a block", "expected inside one")
            name, level = self.supers[-1]
            yield from self._block(name, level + 1, scope, call.lineno)
        elif _is_self(target):
            yield from self._block(target.attr, 0, scope, call.lineno)  # type: ignore[attr-defined]
        else:
            macro = self._macro(target, scope)
            if macro is None:
                raise CannotMerge(
                    scope.path, call.lineno, "HF504", "a call of something that is no macro", "expected a macro"
                )
            yield from self._expanded(macro, call, scope, block)

    def _macro(self, target: nodes.Expr, scope: _Scope) -> _Macro | None:
        meaning: Meaning | None = None
        if isinstance(target, nodes.Name):
            meaning = scope.meanings.get(target.name)
        elif isinstance(target, nodes.Getattr) and isinstance(target.node, nodes.Name):
            module = scope.meanings.get(target.node.name)
            meaning = module.get(target.attr) if isinstance(module, dict) else None
        return meaning if isinstance(meaning, _Macro) else None

    def _expanded(
        self, macro: _Macro, call: nodes.Call, scope: _Scope, block: nodes.CallBlock | None
    ) -> Iterator[nodes.Node]:
        node = macro.node
        if any(node is one for one in self.open_macros) and not isinstance(node, nodes.CallBlock):
            raise CannotMerge(scope.path, call.lineno, "HF505", "a macro that calls itself", "expected no circle")
        lifted: list[nodes.Node] = []
        inner = macro.scope.inner()
        kept = self._bind(self._arguments(macro, call, scope, lifted), node.body, inner)
        inner.meanings.pop("caller", None)
        if block is not None:
            inner.meanings["caller"] = _Macro(block, scope)
        for name in {name for statement in node.body for name in _stored(statement)}:
            inner.meanings.setdefault(name, nodes.Name(self._new_name(name), "load"))
        self.open_macros.append(node)
        merged = self._statements(node.body, inner)
        self.open_macros.pop()
        yield from lifted
        if kept or _sets_names(merged):
            yield nodes.With([name for name, _ in kept], [value for _, value in kept], merged, lineno=call.lineno)
        else:
            yield from merged

    def _arguments(
        self, macro: _Macro, call: nodes.Call, scope: _Scope, lifted: list[nodes.Node]
    ) -> list[tuple[nodes.Expr, nodes.Expr]]:
        """Each parameter with what it is given, or its default."""
        wanted = macro.node.args
        named = {pair.key: pair.value for pair in call.kwargs}
        unknown = sorted(named.keys() - {name.name for name in wanted})
        if unknown or len(call.args) > len(wanted):
            takes = ", ".join(name.name for name in wanted) or "no arguments"
            raise CannotMerge(
                scope.path,
                call.lineno,
                "HF504",
                "a macro called with other arguments than it takes",
                f"it takes {takes}",
            )
        defaults = dict(
            zip(
                [name.name for name in wanted][len(wanted) - len(macro.node.defaults) :],
                macro.node.defaults,
                strict=True,
            )
        )
        given: list[tuple[nodes.Expr, nodes.Expr]] = []
        for no, name in enumerate(wanted):
            if no < len(call.args):
                value = self._expression(call.args[no], scope, lifted)
            elif name.name in named:
                value = self._expression(named[name.name], scope, lifted)
            elif name.name in defaults:
                value = self._expression(defaults[name.name], macro.scope, lifted)
            else:
                raise CannotMerge(
                    scope.path, call.lineno, "HF504", f'a macro called without "{name.name}"', "expected a value for it"
                )
            given.append((name, value))
        return given

    # Expressions.

    def _expression(self, node: nodes.Node, scope: _Scope, lifted: list[nodes.Node] | None) -> nodes.Expr:
        """An expression with all that is known worked out. What macros in it print is set before, in `lifted`."""
        if isinstance(node, nodes.Name):
            return self._name(node, scope)
        if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
            module = scope.meanings.get(node.node.name)
            if isinstance(module, dict):
                meaning = module.get(node.attr)
                if isinstance(meaning, nodes.Expr):
                    return clone(meaning)
                raise CannotMerge(
                    scope.path,
                    node.lineno,
                    "HF505",
                    f'"{node.node.name}.{node.attr}" without a call',
                    "expected a value or a call",
                )
        if is_text_call(node):
            message = text_of_call(node)
            words = self.tongue.words(message) if message else None
            return nodes.Const(
                plain(words.forms[0] if words else message.singular if message else ""), lineno=node.lineno
            )
        if isinstance(node, nodes.Call) and self._is_expanded(node, scope):
            return self._lift(node, scope, lifted)
        merged = clone_shallow(node)
        inside = None if isinstance(node, _CHOOSING) else lifted
        for name, value in node.iter_fields():
            if isinstance(value, nodes.Expr):
                setattr(merged, name, self._expression(value, scope, inside))
            elif isinstance(value, nodes.Node):
                setattr(merged, name, self._helper(value, scope, inside))
            elif isinstance(value, list):
                setattr(
                    merged,
                    name,
                    [self._helper(item, scope, inside) if isinstance(item, nodes.Node) else item for item in value],
                )
        return _folded(merged)

    def _helper(self, node: nodes.Node, scope: _Scope, lifted: list[nodes.Node] | None) -> nodes.Node:
        """A named argument, or one side of a comparison."""
        if isinstance(node, nodes.Expr):
            return self._expression(node, scope, lifted)
        merged = clone_shallow(node)
        for name, value in node.iter_fields():
            if isinstance(value, nodes.Expr):
                setattr(merged, name, self._expression(value, scope, lifted))
        return merged

    def _name(self, node: nodes.Name, scope: _Scope) -> nodes.Expr:
        meaning = scope.meanings.get(node.name, self.languages.get(node.name))
        if isinstance(meaning, nodes.Expr):
            return clone(meaning)
        if meaning is not None:
            raise CannotMerge(
                scope.path,
                node.lineno,
                "HF505",
                f'the macro "{node.name}" without a call',
                "expected brackets behind it",
            )
        return nodes.Name(node.name, node.ctx, lineno=node.lineno)

    def _lift(self, call: nodes.Call, scope: _Scope, lifted: list[nodes.Node] | None) -> nodes.Expr:
        if lifted is None:
            raise CannotMerge(
                scope.path,
                call.lineno,
                "HF505",
                "a macro call that only sometimes counts",
                "choose with {% if %} around it",
            )
        name = self._new_name("text")
        body = list(self._call(call, scope, None))
        lifted.append(nodes.AssignBlock(nodes.Name(name, "store"), None, body, lineno=call.lineno))
        return nodes.Name(name, "load", lineno=call.lineno)


def clone_shallow(node: nodes.Node) -> nodes.Expr:
    """A node of its own with the same fields."""
    return type(node)(*(value for _, value in node.iter_fields()), lineno=node.lineno)  # type: ignore[return-value]


def _folded(node: nodes.Expr) -> nodes.Expr:
    """A choice already made, and a comparison of texts already known."""
    if isinstance(node, nodes.CondExpr) and isinstance(node.test, nodes.Const):
        chosen = node.expr1 if node.test.value else node.expr2
        return chosen or nodes.Const("", lineno=node.lineno)
    if isinstance(node, nodes.Compare | nodes.Not | nodes.And | nodes.Or) and all(
        isinstance(part, nodes.Const) for part in _leaves(node)
    ):
        try:
            return nodes.Const(node.as_const(_KNOWN), lineno=node.lineno)
        except nodes.Impossible:
            return node
    return node


def _leaves(node: nodes.Node) -> Iterator[nodes.Node]:
    for child in node.iter_child_nodes():
        yield from (
            _leaves(child)
            if isinstance(child, nodes.Operand | nodes.Compare | nodes.Not | nodes.And | nodes.Or)
            else (child,)
        )


def _run_together(pieces: Iterable[nodes.Expr]) -> list[nodes.Expr]:
    """Pieces with neighbouring texts made one."""
    merged: list[nodes.Expr] = []
    for piece in pieces:
        before = merged[-1] if merged else None
        if isinstance(piece, nodes.TemplateData) and isinstance(before, nodes.TemplateData):
            merged[-1] = nodes.TemplateData(before.data + piece.data, lineno=before.lineno)
        else:
            merged.append(piece)
    return merged


def _apart(statements: list[nodes.Node]) -> list[nodes.Node]:
    """Statements whose names are their own."""
    return [nodes.Scope(statements, lineno=1)] if _sets_names(statements) else statements


def _sets_names(statements: Iterable[nodes.Node]) -> bool:
    return any(isinstance(node, nodes.Assign | nodes.AssignBlock) for node in statements)


def _stored(node: nodes.Node) -> Iterator[str]:
    """Names that `set` gives a value here, other than inside a macro."""
    if isinstance(node, nodes.Assign | nodes.AssignBlock):
        targets = [node.target] if isinstance(node.target, nodes.Name) else node.target.find_all(nodes.Name)
        yield from (target.name for target in targets)
    if not isinstance(node, nodes.Macro):
        for child in node.iter_child_nodes():
            yield from _stored(child)


def _prints(node: nodes.Node) -> bool:
    """Whether a statement of a file that fills a layout would print, which it does not: only its blocks do."""
    return not isinstance(node, nodes.Assign | nodes.AssignBlock | nodes.Macro | nodes.Import | nodes.FromImport)


def _is_plain(value: nodes.Expr) -> bool:
    """Whether an expression may stand wherever its name does: it always comes to the same, and costs nothing."""
    if isinstance(value, nodes.Const | nodes.Name):
        return True
    return isinstance(value, nodes.Getattr) and isinstance(value.node, nodes.Name) and value.node.name in NAMESPACES


def _is_self(target: nodes.Expr) -> bool:
    return isinstance(target, nodes.Getattr) and isinstance(target.node, nodes.Name) and target.node.name == "self"


def _is_cycle(target: nodes.Getattr) -> bool:
    return isinstance(target.node, nodes.Name) and target.node.name == "loop"
