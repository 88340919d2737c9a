"""A value that does not read as what its place asks for, before its place is known."""

from __future__ import annotations


class Fault(ValueError):  # noqa: N818 - it becomes a Problem; the words of a fault are the user's, not Python's
    """Raised by the readers of single values; `validate` turns it into a problem at the value's position.

    `offset` counts characters from the start of the value's text, for values that have an inside (expressions, lists
    in one text); None means the value as a whole.
    """

    def __init__(
        self, code: str, found: str, expected: str = "", suggestion: str | None = None, offset: int | None = None
    ) -> None:
        super().__init__(found)
        self.code = code
        self.found = found
        self.expected = expected
        self.suggestion = suggestion
        self.offset = offset
