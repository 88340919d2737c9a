"""From the files of a mail to its parts in one language, ready to be filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Template, nodes

from engine.errors import Problem
from engine.messages import mjml
from engine.messages.fitting import Unfit, fit
from engine.messages.inlining import CannotInline, inlined
from engine.messages.marked_text import Disordered, read_back, written
from engine.messages.merging import CannotMerge, Merger, Tongue
from engine.messages.plain_text import has_letters, outline, visible_words
from engine.messages.sandbox import MailEnvironment
from engine.messages.shelf import File, Sheet, Shelf
from engine.messages.translation import SOURCE_RULE, Words, clone


@dataclass(frozen=True)
class MailSource:
    """The files one mail is made of, apart from those they draw in. `text` None: derived from the HTML."""

    file: File
    text: File | None
    front: dict[str, Sheet]


@dataclass(frozen=True)
class Composed:
    """The parts of a mail in one language, compiled."""

    subject: Template
    preheader: Template
    reply_to: Template | None
    html: Template
    text: Template
    shown: tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]  # values in the HTML and in the text part


class CannotCompose(Exception):  # noqa: N818 - told as a Problem by the caller
    """A mail that cannot be put together in a language."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Composer:
    """Puts the mails of a shelf together."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def mail(self, source: MailSource, tongue: Tongue) -> Composed:
        """A mail in a language. Raises CannotCompose."""
        front = {key: self.line(source.file, sheet, tongue) for key, sheet in source.front.items()}
        html = self._html(source.file, tongue)
        text = self._merged(source.text, tongue) if source.text else self._derived(source.file, html)
        shown = _names(html), _names(text)
        return Composed(
            front["subject"], front["preheader"], front.get("reply_to"),
            self._template(source.file, html, tongue.tag, is_html=True), self._template(source.text or source.file, text, tongue.tag, is_html=False), shown,
        )  # fmt: skip

    def text(self, file: File, tongue: Tongue) -> Template:
        """A file of plain text. Raises CannotCompose."""
        return self._template(file, self._merged(file, tongue), tongue.tag, is_html=False)

    def line(self, file: File, sheet: Sheet, tongue: Tongue) -> Template:
        """A text at the head of a file. Raises CannotCompose."""
        return self._template(file, self._merge(file, sheet, tongue, is_html=False), tongue.tag, is_html=False)

    def has_fixed_words(self, source: MailSource, tag: str) -> bool:
        """Whether a mail still says something when all that catalogues can replace is taken out of it."""
        silent = Tongue(tag, lambda message: Words(("", ""), SOURCE_RULE))
        try:
            parts = [written(_split(self._html(source.file, silent))[1], is_html=True).text]
            texts = [written(self._merged(source.text, silent), is_html=False).text] if source.text else []
        except (CannotCompose, Disordered):
            return True
        return any(map(visible_words, parts)) or any(map(has_letters, texts))

    def source_html(self, file: File, tongue: Tongue) -> Template:
        """The HTML or MJML of a mail put together, but neither compiled from MJML nor inlined."""
        return self._template(file, self._merged(file, tongue), tongue.tag, is_html=True, fitted=False)

    def _merged(self, file: File, tongue: Tongue) -> list[nodes.Node]:
        return self._merge(file, file.sheet, tongue, is_html=file.is_html)

    def _merge(self, file: File, sheet: Sheet, tongue: Tongue, *, is_html: bool) -> list[nodes.Node]:
        if sheet.tree is None:
            raise CannotCompose(next(iter(sheet.reading.problems)))
        try:
            return Merger(self.shelf, tongue, is_html=is_html).document(file.path, sheet.tree)
        except CannotMerge as fault:
            raise CannotCompose(
                Problem(fault.path, fault.line, None, fault.code, fault.found, fault.expected)
            ) from fault

    def _html(self, file: File, tongue: Tongue) -> list[nodes.Node]:
        """The finished HTML: MJML compiled, styles in the tags."""
        merged = self._merged(file, tongue)
        code, expected = "HF517", "style and mail must keep values and conditions in order"
        head, body = _split(merged)
        try:
            marked = written(body, is_html=True)
            text = marked.text
            if file.is_mjml:
                code, expected = "HF515", "see docs/templates.md for what MJML can hold"
                text = mjml.compiled(marked)
            done = inlined(text)
            return head + read_back(marked, done) if done != marked.text else merged
        except (Disordered, mjml.CannotCompile, CannotInline) as fault:
            raise CannotCompose(Problem(file.path, None, None, code, str(fault), expected)) from fault

    def _derived(self, file: File, html: Sequence[nodes.Node]) -> list[nodes.Node]:
        head, body = _split(html)
        made = [clone(node) for node in head]
        for node in made:
            if isinstance(node, nodes.AssignBlock):
                node.body = self._derived(file, node.body)
        try:
            marked = written(body, is_html=True)
            return made + read_back(marked, outline(marked.text), may_lose=True)
        except Disordered as fault:
            found = f"the plain text cannot be derived from this HTML: {fault}"
            problem = Problem(file.path, None, None, "HF511", found, "write the text part as a .txt file beside it")
            raise CannotCompose(problem) from fault

    def _template(
        self, file: File, statements: list[nodes.Node], tag: str, *, is_html: bool, fitted: bool = True
    ) -> Template:
        environment = self.shelf.environments[is_html]
        if fitted:
            try:
                fit(statements, tag, is_html=is_html)
            except Unfit as fault:
                raise CannotCompose(
                    Problem(file.path, fault.line, None, "HF507", fault.found, fault.expected)
                ) from fault
        return compiled(environment, statements, file.path)


def compiled(environment: MailEnvironment, statements: list[nodes.Node], path: str) -> Template:
    """Statements as a template."""
    tree = nodes.Template(statements, lineno=1)
    tree.set_environment(environment)
    for node in tree.find_all(nodes.Node):
        node.lineno = node.lineno or 1
    code = environment.compile(tree, path, path)
    return environment.template_class.from_code(environment, code, dict(environment.globals))


def _split(statements: Sequence[nodes.Node]) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """What is set before anything is printed, and the rest."""
    first = next(
        (no for no, node in enumerate(statements) if not isinstance(node, nodes.Assign | nodes.AssignBlock)), 0
    )
    return list(statements[:first]), list(statements[first:])


def _names(statements: Sequence[nodes.Node]) -> frozenset[tuple[str, str]]:
    """The values some statements read."""
    found = (member for statement in statements for member in _members(statement))
    return frozenset((member.node.name, member.attr) for member in found if isinstance(member.node, nodes.Name))


def _members(statement: nodes.Node) -> list[nodes.Getattr]:
    own = [statement] if isinstance(statement, nodes.Getattr) else []
    return own + list(statement.find_all(nodes.Getattr))
