"""The files of a project folder, as text and within bounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engine.errors import Problem, SetupError
from engine.project.yaml_source import MAX_CHARACTERS

CONFIG = "config.yaml"
MAX_FILES = 10_000
MAX_DEPTH = 20
SUFFIXES = {
    "rules": (".yaml", ".yml", ".sql"),
    "templates": (".html", ".txt", ".mjml", ".po", ".css"),
}
"""What is read in each folder. Other files (notes, pictures, an editor's leavings) are passed over."""

_EXPECTED = "expected a readable file inside the project folder"


def read_files(root: Path) -> dict[str, str]:
    """Paths relative to `root`, with forward slashes, and their texts. Raises `SetupError` with every problem.

    Links that lead out of the folder, linked folders, files of other encodings and large files are refused, so that
    what was read is what the folder holds.
    """
    if not (root / CONFIG).is_file():
        raise SetupError(Problem(CONFIG, None, None, "HF201", f'no {CONFIG} in "{root}"', "expected a project folder"))
    problems: list[Problem] = []
    home = root.resolve()
    paths = [root / CONFIG, *(path for folder in SUFFIXES for path in _found(root / folder, folder, problems))]
    if len(paths) > MAX_FILES:
        raise SetupError(
            Problem(str(root), None, None, "HF110", f"{len(paths):,} files", f"expected at most {MAX_FILES:,}")
        )
    texts = {path.relative_to(root).as_posix(): _text(path, root, home, problems) for path in paths}
    if problems:
        raise SetupError(problems)
    return texts


def _found(folder: Path, kind: str, problems: list[Problem], depth: int = 1) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if entry.is_symlink() or depth >= MAX_DEPTH:
                problems.append(
                    Problem(_shown(path, kind), None, None, "HF114", "a linked or too deep folder", _EXPECTED)
                )
            else:
                yield from _found(path, kind, problems, depth + 1)
        elif entry.name.endswith(SUFFIXES[kind]):
            yield path


def _shown(path: Path, kind: str) -> str:
    parts = path.parts
    return "/".join(parts[parts.index(kind) :])


def _text(path: Path, root: Path, home: Path, problems: list[Problem]) -> str:
    name = path.relative_to(root).as_posix()
    try:
        raw = _read_within(path, home)
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        problems.append(Problem(name, None, None, "HF114", (error.strerror or str(error)).lower(), _EXPECTED))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(Problem(name, line, None, "HF103", "bytes that are not UTF-8", "save the file as UTF-8"))
    else:
        if len(text) <= MAX_CHARACTERS:
            return text
        expected = f"a file may hold {MAX_CHARACTERS:,}"
        problems.append(Problem(name, None, None, "HF110", "too many characters", expected))
    return ""


def _read_within(path: Path, home: Path) -> bytes:
    """The file's bytes, one more than allowed at most."""
    if not path.resolve().is_relative_to(home):
        raise OSError("a link that leads out of the project folder")
    with path.open("rb") as file:
        return file.read(4 * MAX_CHARACTERS + 1)
