"""What one mail may cost, and what is known about the mail now being rendered in this thread.

Bounded per mail: steps (loop turns, macro calls), characters produced, the longest text on the way, and the time since
the start. They are checked between Jinja's operations: they end any loop, any recursion and any growing text. What
they cannot do is interrupt one operation on a text of `LONGEST_TEXT` characters (about a millisecond), or cap the
memory of the process as a whole.
"""

from __future__ import annotations

import threading
import time

from engine.messages.values import ValueFault

MOST_STEPS = 20_000
LONGEST_TEXT = 1_000_000  # characters of a finished part, or of any text on the way to it
MOST_CHARACTERS = 4 * LONGEST_TEXT
MOST_SECONDS = 2.0
LONGEST_RANGE = 1_000
LARGEST_NUMBER = 10**18


class BoundExceeded(ValueFault):
    """A template wants more than a mail may cost."""


class Rendering(threading.local):
    """The mail in work: its language and zone, and what it may still spend."""

    def __init__(self) -> None:
        self.begin(locale="en", zone="UTC", currency="EUR", right_to_left=False)

    def begin(self, *, locale: str, zone: str, currency: str, right_to_left: bool) -> None:
        """Start a mail with a full purse."""
        self.locale, self.zone, self.currency = locale, zone, currency
        self.right_to_left = right_to_left
        self.steps = MOST_STEPS
        self.characters = MOST_CHARACTERS
        self.deadline = time.monotonic() + MOST_SECONDS

    def charge(self, characters: int) -> None:
        """One more step, producing so many characters."""
        self.steps -= 1
        self.characters -= characters
        if self.steps < 0 or self.characters < 0:
            raise BoundExceeded("the template loops or repeats more than a mail may")
        if self.steps % 64 == 0 and time.monotonic() > self.deadline:
            raise BoundExceeded(f"the template takes longer than {MOST_SECONDS:g} s")

    def charge_text(self, characters: int) -> None:
        """As `charge`, for one text that must also stay below `LONGEST_TEXT`. Call it before making the text."""
        if characters > LONGEST_TEXT:
            raise BoundExceeded(f"a text grows beyond {LONGEST_TEXT} characters")
        self.charge(characters)


rendering = Rendering()


def bounded_range(*bounds: int) -> range:
    """`range`, of at most 1,000 numbers."""
    numbers = range(*bounds)
    if len(numbers) > LONGEST_RANGE:
        raise BoundExceeded(f"range() may give at most {LONGEST_RANGE} numbers")
    return numbers
