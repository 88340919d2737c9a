"""Repeatable numbers: the same name gives the same sequence on every machine and Python version.

Each customer draws from streams of their own, so adding customers or changing what one of them does leaves all
others as they were.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from hashlib import shake_256
from itertools import chain, count
from typing import TypeVar

T = TypeVar("T")

_BLOCK = struct.Struct(">128Q")
"""Numbers drawn from one hash: 128 of 64 bits."""


def _blocks(name: str) -> Iterator[tuple[int, ...]]:
    return (_BLOCK.unpack(shake_256(f"{name}/{block}".encode()).digest(_BLOCK.size)) for block in count())


class Stream:
    """An endless sequence of draws, fixed by its name alone."""

    def __init__(self, name: str) -> None:
        self._next = chain.from_iterable(_blocks(name)).__next__

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1. The bias of the remainder is under 2**-40 for the bounds used here."""
        return self._next() % bound

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self._next() % (high - low + 1)

    def chance(self, percent: int) -> bool:
        """True in `percent` of 100 draws."""
        return self._next() % 100 < percent

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, all equally likely."""
        return choices[self._next() % len(choices)]

    def weighted(self, choices: Sequence[tuple[T, int]]) -> T:
        """One of the choices, likely in proportion to its weight."""
        left = self._next() % sum(weight for _, weight in choices)
        for choice, weight in choices:
            if left < weight:
                return choice
            left -= weight
        raise AssertionError("the weights sum to more than any draw")
