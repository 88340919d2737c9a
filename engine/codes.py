"""Every error and warning code with its title and what to do about it: one table, from which the docs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["load", "data", "run"]


@dataclass(frozen=True)
class Code:
    """One row. `stage`: the earliest moment it can be known: from the project's files, from the tables, in a run."""

    code: str
    stage: Stage
    title: str
    help: str


_ROWS: tuple[Code, ...] = ()

CODES: dict[str, Code] = {row.code: row for row in _ROWS}
