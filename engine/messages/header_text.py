"""Text that is safe inside one header line.

A subject, a display name or a header value must be one physical line: a carriage return or line feed would start
another header, and U+2028, U+2029 and U+0085 count as line breaks in some mail software (`MIMEText` lets them through).
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_LINE = 998  # octets a header line may have: RFC 5322 2.1.1
LONGEST_NAME = 100  # characters of a display name

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BIDI_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")


class HeaderTextError(ValueError):
    """A text that must not go into a header; the message says why."""


def one_line(text: str, what: str) -> str:
    """`text` with blanks at the ends removed; empty or more than one line is refused."""
    line = text.strip(" \t")
    if not line:
        raise HeaderTextError(f"the {what} is empty")
    if _CONTROL.search(line):
        raise HeaderTextError(f"the {what} holds a line break or another control character")
    return line


def checked_line(text: str, what: str) -> str:
    """As `one_line`; longer than a header line may be is refused, too."""
    line = one_line(text, what)
    if len(line.encode()) > LONGEST_LINE:
        raise HeaderTextError(f"the {what} is longer than {LONGEST_LINE} bytes")
    return line


def single_line(text: str) -> str:
    """A customer's own text made fit for a header: control characters and line breaks become single blanks."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return " ".join(_CONTROL.sub(" ", text).split())


def display_name(text: str | None) -> str:
    """A customer's name for the To line; "" when nothing presentable is left.

    A name that looks like an address is left out: some software shows it in place of the real one.
    """
    if not text or "@" in text:
        return ""
    name = _BIDI_OVERRIDES.sub("", single_line(text)).replace('"', "").replace("<", "").replace(">", "").strip()
    return unicodedata.normalize("NFC", name)[:LONGEST_NAME].strip()
