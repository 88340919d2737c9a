"""Everything that can go wrong, in two families.

    HoldfastError                 one sentence for a person, and the command's exit code
    ├── SetupError        exit 2  rules, settings, templates or tables are wrong; nothing was done
    ├── HeldError         exit 3  the engine waits for a person's word
    └── UnavailableError  exit 4  a database or provider cannot be reached; nothing was lost

A problem of a single message or row is never an exception that ends a run: it is recorded with its
reason and the run goes on. The two families do not inherit from one another, so carrying on after a
failed item can never hide a wrong setup.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One fault in what the user wrote, with its place.

    `line` and `column` count from 1; None where the place is not known (a position is never made up).
    """

    path: str
    line: int | None
    column: int | None
    code: str
    found: str
    expected: str = ""
    suggestion: str | None = None
    severity: Severity = "error"

    @property
    def place(self) -> str:
        """`path:line:column`, as far as it is known."""
        return ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)

    def __str__(self) -> str:
        text = f"{self.place}: " + ("warning: " if self.severity == "warning" else "") + self.found
        if self.expected:
            text += f"; {self.expected}"
        text = text.rstrip(".") + "."
        if self.suggestion:
            text += f" Did you mean {self.suggestion}?"
        return f"{text} [{self.code}]"

    @property
    def order(self) -> tuple[str, int, int, str]:
        """Sort key: by place, then code."""
        return (self.path, self.line or 0, self.column or 0, self.code)


class HoldfastError(Exception):
    """Base of all errors a command reports in one sentence."""

    exit_code = 1


class SetupError(HoldfastError):
    """What the user wrote is wrong. Carries every problem found, sorted by place."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem] | Problem) -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.problems = tuple(sorted(found, key=lambda problem: problem.order))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class HeldError(HoldfastError):
    """The engine stopped before doing something that needs a person's approval."""

    exit_code = 3


class UnavailableError(HoldfastError):
    """A database, file or provider could not be reached. Nothing was lost; try again later."""

    exit_code = 4


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to `word`, in double quotes, or None when nothing is close."""
    matches = get_close_matches(word.casefold(), {name.casefold(): name for name in known}, n=1, cutoff=0.6)
    originals = {name.casefold(): name for name in known} if matches else {}
    return f'"{originals[matches[0]]}"' if matches else None
