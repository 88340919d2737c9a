"""What commands write: text for people, one JSON document for programs, progress on the error stream.

A command does both, `say` and `table` for people and `emit` for programs; the screen keeps what was asked for. On a
terminal there is colour; in a pipe lines are plain, whole and aligned with spaces.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from engine.cli.wording import count, json_value

Part = str | tuple[str, str]
"""Text, or text with a style: "bold", "dim", "green", "red", "yellow", "cyan"."""

Cell = Part | int | None


class Screen:
    """Where one command writes, and the project folder it is about."""

    def __init__(self, folder: Path, as_json: bool = False, debug: bool = False) -> None:
        self.folder, self.as_json, self.debug = folder, as_json, debug
        _survive_any_encoding()
        piped = not sys.stdout.isatty()
        self._out = Console(file=sys.stdout, highlight=False, soft_wrap=piped, emoji=False, markup=False)
        self._err = Console(file=sys.stderr, highlight=False, soft_wrap=True, emoji=False, markup=False)

    @property
    def is_terminal(self) -> bool:
        """Whether a person is looking, rather than a pipe or a file."""
        return self._out.is_terminal

    def say(self, *parts: Part) -> None:
        """One line of text; none of it in JSON."""
        if not self.as_json:
            self._out.print(_text(parts))

    def title(self, text: str) -> None:
        """A heading with a blank line before it."""
        self.say()
        self.say((text, "bold"))

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Cell]], indent: int = 0) -> None:
        """Aligned columns. Whole numbers stand right and get thousands separators."""
        if self.as_json:
            return
        lines = [list(row) for row in rows]
        if self.is_terminal:
            self._out.print(Padding(_drawn(headings, lines), (0, 0, 0, indent), expand=False))
            return
        for line in _aligned(headings, lines):
            self._out.print(Text(" " * indent + line))

    def emit(self, document: object) -> None:
        """The command's JSON document, with instants as ISO 8601 in UTC; nothing in text."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, default=json_value, indent=2, ensure_ascii=False) + "\n")

    def warn(self, *parts: Part) -> None:
        """One line on the error stream, whatever the format."""
        self._err.print(_text(parts))

    def raw(self, text: str) -> None:
        """Text as it is: a schema, an exported list."""
        sys.stdout.write(text)

    def traceback(self) -> None:
        """The traceback of the exception being handled."""
        self._err.print_exception(show_locals=False)

    @contextmanager
    def meter(self) -> Iterator[Meter]:
        """Progress of something that may take more than a second; shown on a terminal only, gone when it is over."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), _Bar(bar_width=24), _Share())
        with Progress(
            *columns, TimeElapsedColumn(), console=self._err, transient=True, disable=not self._err.is_terminal
        ) as progress:
            yield Meter(progress)


class _Bar(BarColumn):
    """A bar where the end is known."""

    def render(self, task: Task) -> ProgressBar:
        bar = super().render(task)
        return bar if task.total else ProgressBar(width=0)


class _Share(MofNCompleteColumn):
    """`3/8` where the end is known."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total else Text("")


class Meter:
    """One line of progress at a time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._name = ""

    def stage(self, text: str) -> None:
        """What is being done now, for as long as it takes."""
        self._show(text, None, None)

    def part(self, text: str, done: int, of: int) -> None:
        """`done` of `of` of something."""
        self._show(text, done, of)

    def _show(self, text: str, done: int | None, of: int | None) -> None:
        if self._task is None or self._name != text.partition(":")[0]:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(text, total=of)
        self._name = text.partition(":")[0]
        self._progress.update(self._task, description=text, completed=done, total=of)


def _text(parts: Iterable[Part]) -> Text:
    return Text.assemble(*parts)


def _cell(cell: Cell) -> Part:
    if isinstance(cell, int):
        return count(cell)
    return "" if cell is None else cell


def _plain(cell: Cell) -> str:
    part = _cell(cell)
    return part if isinstance(part, str) else part[0]


def _is_right(lines: Sequence[Sequence[Cell]], place: int) -> bool:
    """Whether a column holds numbers."""
    return any(isinstance(line[place], int) for line in lines)


def _aligned(headings: Sequence[str], lines: Sequence[Sequence[Cell]]) -> list[str]:
    right = [_is_right(lines, place) for place in range(len(headings))]
    cells = [[_plain(cell) for cell in line] for line in lines]
    if any(headings):
        cells.insert(0, list(headings))
    widths = [max((len(row[place]) for row in cells), default=0) for place in range(len(headings))]
    return [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]


def _drawn(headings: Sequence[str], lines: Sequence[Sequence[Cell]]) -> Table:
    columns = [
        Column(
            heading, justify="right" if _is_right(lines, place) else "left", overflow="fold", header_style="bold dim"
        )
        for place, heading in enumerate(headings)
    ]
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=any(headings))
    for line in lines:
        table.add_row(*(_text([_cell(cell)]) for cell in line))
    return table


def _survive_any_encoding() -> None:
    """A terminal that cannot show a character shows a question mark; that is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
