"""The template files of a project: read and checked once, found again by name and language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import BaseLoader, TemplateSyntaxError, nodes

from engine.errors import Problem, SetupError, did_you_mean
from engine.messages import grammar, mjml
from engine.messages.grammar import Reading
from engine.messages.locales import canonical, chain
from engine.messages.plain_text import visible_words
from engine.messages.sandbox import MailEnvironment
from engine.messages.translation import message_of
from engine.project.yaml_source import Node, load_documents

FOLDER = "templates/"
LONGEST_FILE = 256_000  # characters

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_LOCALIZED = re.compile(r"(?P<stem>.+)\.(?P<tag>[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)\.(?P<ending>html|mjml|txt)\Z")


@dataclass(frozen=True)
class Sheet:
    """One text that was read: a file, or a line at the head of one."""

    reading: Reading
    tree: nodes.Template | None  # None when it has problems


@dataclass
class File:
    """One file below `templates/`. `path` includes that folder; `name` does not, and is what templates write."""

    name: str
    body: str  # its line numbers are those of the file
    front: Node | None
    sheet: Sheet = field(default_factory=lambda: Sheet(Reading(), None))
    problems: list[Problem] = field(default_factory=list)

    @property
    def path(self) -> str:
        """As the user knows it."""
        return FOLDER + self.name

    @property
    def is_mjml(self) -> bool:
        """Whether it is compiled to HTML first."""
        return self.name.endswith(".mjml")

    @property
    def is_html(self) -> bool:
        """Whether values in it are escaped."""
        return self.is_mjml or self.name.endswith(".html")

    def refuse(self, code: str, found: str, expected: str) -> None:
        """Note a problem of the file as a whole."""
        self.problems.append(Problem(self.path, None, None, code, found, expected))

    @property
    def has_words(self) -> bool:
        """Whether it holds words of some language that no catalogue can replace, rather than only structure."""
        literal = " ".join(_literal(self.sheet.tree)) if self.sheet.tree else ""
        return visible_words(literal) if self.is_html else any(character.isalpha() for character in literal)


class Shelf:
    """All files, and which of them serves a name in a language."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.environments = {html: MailEnvironment(_Nowhere(), html=html) for html in (True, False)}
        self.files: dict[str, File] = {}
        for path in sorted(texts):
            if path.startswith(FOLDER) and path.endswith((".html", ".mjml", ".txt")):
                name = path.removeprefix(FOLDER)
                self.files[name] = self._read(name, texts[path])
        self.tags: dict[str, str] = {}  # file -> the language in its name
        self._localized = self._index()

    def _index(self) -> dict[tuple[str, str], str]:
        """(`layouts/base.html`, `he`) -> `layouts/base.iw.html`."""
        found: dict[tuple[str, str], str] = {}
        for name, file in self.files.items():
            split = _LOCALIZED.fullmatch(name)
            tag = canonical(split["tag"]) if split else None
            if split is None or tag is None:
                continue
            key = (f"{split['stem']}.{split['ending']}", tag)
            if key in found:
                file.refuse("HF510", f'a second text for "{tag}"', f"{FOLDER}{found[key]} is the first; keep one")
            self.tags[name] = tag
            found.setdefault(key, name)
        return found

    def tree(self, name: str, tag: str) -> tuple[str, nodes.Template]:
        """The path and tree of the file that serves `name` in a language. Both were seen to be there before."""
        file = self.files[self.resolve(name, tag) or name]
        return file.path, file.sheet.tree or nodes.Template([], lineno=1)

    def resolve(self, name: str, tag: str) -> str | None:
        """The file that serves `name` in a language: its own, a wider one's, or the one without a language."""
        for wider in chain(tag):
            if (name, wider) in self._localized:
                return self._localized[name, wider]
        return name if name in self.files else None

    def locales_of(self, *names: str) -> dict[str, str]:
        """Language -> file, for every localized variant of a file, or of any of several."""
        return {tag: file for (base, tag), file in self._localized.items() if base in names}

    def suggestion(self, name: str) -> str | None:
        """The file name closest to a wrong one."""
        return did_you_mean(name, self.files)

    def _read(self, name: str, text: str) -> File:
        if len(text) > LONGEST_FILE:
            file = File(name, "", None)
            file.refuse("HF510", f"{len(text):,} characters", f"a template may hold {LONGEST_FILE:,}")
            return file
        file = _with_front_matter(name, text.removeprefix("\ufeff"))
        file.sheet = self._parsed(file.body, file.path, html=file.is_html)
        file.problems += file.sheet.reading.problems
        if file.is_mjml:
            file.problems += [
                Problem(file.path, line, None, "HF515", found, expected, guess)
                for line, found, expected, guess in mjml.faults(file.body)
            ]
        return file

    def line_of_text(self, text: str, path: str, line: int) -> Sheet:
        """A short text without markup, such as a subject, that begins on `line` of its file."""
        return self._parsed("\n" * (line - 1) + text, path, html=False, strip=True)

    def _parsed(self, source: str, path: str, *, html: bool, strip: bool = False) -> Sheet:
        environment = self.environments[html]
        try:
            tree = environment.parse(source, path, path)
            if strip:
                _drop_leading_lines(tree)
            reading = grammar.read(tree, path, environment, is_html=html)
        except TemplateSyntaxError as fault:
            return _unreadable(path, fault.lineno, (fault.message or "a template that cannot be read").rstrip("."))
        except RecursionError:
            return _unreadable(path, None, "nested too deeply")
        return Sheet(reading, None if reading.problems else tree)


def _unreadable(path: str, line: int | None, found: str) -> Sheet:
    return Sheet(Reading(problems=[Problem(path, line, None, "HF501", found, "expected Jinja")]), None)


def _drop_leading_lines(tree: Any) -> None:
    """Remove the line feeds that only put a text on its own line number."""
    for output in tree.body[:1]:
        first = output.nodes[0] if getattr(output, "nodes", None) else None
        if first is not None and hasattr(first, "data"):
            first.data = first.data.lstrip("\n")


def _with_front_matter(name: str, text: str) -> File:
    match = _FRONT_MATTER.match(text)
    if match is None:
        return File(name, text, None)
    lines = match[0].count("\n")
    file = File(name, "{#" + "\n" * lines + "#}" + text[match.end() :], None)
    try:
        documents = load_documents(match[1], FOLDER + name, 2)
    except SetupError as error:
        file.problems += error.problems
    else:
        file.front = documents[0] if documents else None
    return file


class _Nowhere(BaseLoader):
    """Files are put together by the engine, not by Jinja."""


def _literal(node: nodes.Node) -> Iterator[str]:
    """The text of a template outside its `trans` blocks."""
    if isinstance(node, nodes.TemplateData):
        yield node.data
    if message_of(node) is None:
        for child in node.iter_child_nodes():
            yield from _literal(child)
