"""The text part of a mail, derived from its HTML once, when the templates are loaded.

Markup becomes line breaks, links become `words <address>`. What stands in `head`, `style`, `script`, comments and hidden
elements is left out. Marks of values and conditions (`marked_text`) stay where they are.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SPACE_AT_BREAKS = re.compile(r" *\n *")
#: An item ends with a break and the next begins with one.
_BREAK_BETWEEN_ITEMS = re.compile(r"(?<!\n)\n\n(?=- )")
#: The next turn of a loop begins with a break of its own.
_BREAK_BEHIND_MARK = re.compile(r"(⟦[bme]\d+⟧)\n")
_MARK = re.compile(r"⟦\w+⟧")
_PARAGRAPHS = frozenset(
    (
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "table",
        "blockquote",
        "header",
        "footer",
        "section",
        "pre",
        "hr",
    )
)
_LINES = frozenset({"div", "tr", "li", "br", "dt", "dd", "address", "figcaption"})
_CELLS = frozenset({"td", "th"})
_SKIPPED = frozenset({"head", "style", "script", "title", "template", "svg", "mj-head"})
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)


def outline(html: str) -> str:
    """The text of an HTML document, marks in it. White space is put in order after rendering, by `tidy`."""
    written = _Outline()
    written.feed(html)
    written.close()
    text = _SPACE_AT_BREAKS.sub("\n", "".join(written.written))
    return _BREAK_BETWEEN_ITEMS.sub("\n", _BREAK_BEHIND_MARK.sub(r"\1", text))


def visible_words(html: str) -> bool:
    """Whether there are words for the reader, which then belong to a language."""
    page = _Outline(with_links=False)
    page.feed(html)
    page.close()
    return any(map(has_letters, page.written))


def has_letters(text: str) -> bool:
    """Whether a text has words, apart from the marks in it."""
    return any(character.isalpha() for character in _MARK.sub("", text))


def tidy(text: str) -> str:
    """One blank between words, at most one empty line between paragraphs, none at the ends."""
    for run, instead, is_there in _TIDYING:
        if any(sign in text for sign in is_there):
            text = run.sub(instead, text)
    return text.strip() + "\n"


#: What to replace by what, and the signs without one of which there is nothing to replace: most texts need half of it.
_TIDYING = (
    (re.compile(r"[\t\r\f\v]+"), " ", ("\t", "\r", "\f", "\v")),
    (re.compile(r"  +"), " ", ("  ",)),
    (re.compile(r" ?\n ?"), "\n", (" \n", "\n ")),
    (re.compile(r"\n{3,}"), "\n\n", ("\n\n\n",)),
)


class _Outline(HTMLParser):
    """Writes what a reader of the page would read, top to bottom."""

    def __init__(self, *, with_links: bool = True) -> None:
        super().__init__(convert_charrefs=True)
        self.with_links = with_links
        self.written: list[str] = []
        self.links: list[tuple[str, int]] = []
        self.skipped: list[str] = []  # open elements from the outermost one left out

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        given = {name: value or "" for name, value in attrs}
        if self.skipped or tag in _SKIPPED or "hidden" in given or _HIDDEN.search(given.get("style", "")):
            if tag not in _VOID:
                self.skipped.append(tag)
            return
        self._break(tag)
        if tag == "li":
            self.written.append("- ")
        elif tag == "hr":
            self.written.append("---\n\n")
        elif tag == "img" and given.get("alt"):
            self.written.append(given["alt"])
        elif tag == "a":
            self.links.append((given.get("href", "").strip(), len(self.written)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<br/>`: begins; only elements that can have content end."""
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends; a stray end tag closes nothing."""
        if self.skipped:
            if tag in self.skipped:
                while self.skipped.pop() != tag:
                    pass
            return
        if tag == "a" and self.links:
            self._close_link(*self.links.pop())
        self._break(tag)

    def handle_data(self, data: str) -> None:
        """Words between tags; line breaks in the source mean nothing."""
        if not self.skipped:
            self.written.append(re.sub(r"[ \t\r\n\f]+", " ", data))

    def handle_comment(self, data: str) -> None:
        """Comments are not read aloud, but a condition may stand in one."""
        if not self.skipped and _MARK.fullmatch(data):
            self.written.append(data)

    def _close_link(self, address: str, begun: int) -> None:
        words = "".join(self.written[begun:]).strip()
        if not self.with_links or not address or address.startswith("#") or words == address:
            return
        self.written.append(f" <{address}>" if words else f"<{address}>")

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.written.append("\n\n")
        elif tag in _LINES:
            self.written.append("\n")
        elif tag in _CELLS:
            self.written.append(" ")
