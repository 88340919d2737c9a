"""Where in an HTML text the next inserted value will stand."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["text", "tag", "value", "comment", "code"]

#: Attributes whose value is an address to load or to go to.
LINK_ATTRIBUTES = frozenset({"href", "src", "action", "background", "formaction", "poster", "cite", "data", "srcset"})

_NAME_BEFORE_VALUE = re.compile(r"([^\s\"'<>/=]+)\s*=\s*$")
_TAG_NAME = re.compile(r"</?\s*([A-Za-z][\w:-]*)")


class HtmlPlace:
    """Follows markup piece by piece. Branches of a template are read one after the other, as they stand.

    `kind`: between tags; inside a tag but in no quoted value; inside the quoted value of `attribute`; inside a comment;
    inside the code of a `script`, `style` or `mj-style` element.
    """

    def __init__(self) -> None:
        self.kind: Kind = "text"
        self.attribute = ""
        self.at_start = False
        self._quote = ""
        self._tag = ""
        self._element = ""

    def inserted(self) -> None:
        """A value was printed here."""
        self.at_start = False
        self._tag += " " if self.kind == "tag" else ""

    def feed(self, markup: str) -> None:
        """Move past a piece of literal markup."""
        position = 0
        while position < len(markup):
            position = self._step(markup, position)

    def _step(self, markup: str, start: int) -> int:
        if self.kind == "text":
            return self._find_tag(markup, start)
        if self.kind == "comment":
            return self._leave(markup, start, "-->")
        if self.kind == "code":
            return self._leave_code(markup, start)
        if self.kind == "value":
            return self._leave_value(markup, start)
        return self._walk_tag(markup, start)

    def _find_tag(self, markup: str, start: int) -> int:
        opening = re.compile(r"<!--|<[/A-Za-z]").search(markup, start)
        if opening is None:
            return len(markup)
        self.kind = "comment" if opening[0] == "<!--" else "tag"
        self._tag = "<"
        return opening.end() if self.kind == "comment" else opening.start() + 1

    def _leave(self, markup: str, start: int, closing: str) -> int:
        end = markup.find(closing, start)
        if end < 0:
            return len(markup)
        self.kind = "text"
        return end + len(closing)

    def _leave_code(self, markup: str, start: int) -> int:
        end = re.compile(rf"</{self._element}", re.IGNORECASE).search(markup, start)
        if end is None:
            return len(markup)
        self.kind, self._tag = "tag", "<"
        return end.start() + 1

    def _leave_value(self, markup: str, start: int) -> int:
        end = markup.find(self._quote, start)
        if end < 0:
            self.at_start = self.at_start and not markup[start:].strip()
            return len(markup)
        self.kind, self._tag = "tag", self._tag + '""'
        return end + 1

    def _walk_tag(self, markup: str, start: int) -> int:
        end = re.compile(r"[\"'>]").search(markup, start)
        if end is None:
            self._tag += markup[start:]
            return len(markup)
        self._tag += markup[start : end.start()]
        if end[0] == ">":
            self._close_tag()
        else:
            name = _NAME_BEFORE_VALUE.search(self._tag)
            self.kind, self._quote, self.at_start = "value", end[0], True
            self.attribute = name[1].lower() if name else ""
        return end.end()

    def _close_tag(self) -> None:
        name = _TAG_NAME.match(self._tag)
        self._element = name[1].lower() if name and not self._tag.startswith("</") else ""
        self.kind = "code" if self._element in {"script", "style", "mj-style"} else "text"
