"""Secrets: config.yaml says where they are, never what they are."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from engine.errors import Problem, SetupError
from engine.project.faults import Fault
from engine.project.nodes import Placed

_REFERENCE = re.compile(r"\$\{(?:file:(?P<file>[^${}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*))\}")
_LARGEST_FILE = 65_536  # bytes; a key, a certificate, never more
_EXPECTED = "expected ${VARIABLE} or ${file:path}"


@dataclass(frozen=True)
class Secret:
    """A reference, `${VARIABLE}` or `${file:path}`; looked up by `reveal`, and only then.

    A relative path is taken from `root`, the project folder. The place is that in config.yaml, for messages.
    """

    reference: str
    root: Path = Path()
    line: int | None = None
    column: int | None = None

    def reveal(self) -> str:
        """The secret itself. Raises `SetupError` HF204 naming the variable or file that is missing or empty."""
        return _REFERENCE.sub(self._look_up, self.reference)

    @property
    def is_set(self) -> bool:
        """Whether `reveal` would succeed."""
        try:
            self.reveal()
        except SetupError:
            return False
        return True

    def _look_up(self, reference: re.Match[str]) -> str:
        found = _from_file(self.root / reference["file"]) if reference["file"] else os.environ.get(reference["name"])
        if found:
            return found
        what = (
            f'the file "{reference["file"]}"' if reference["file"] else f"the environment variable {reference['name']}"
        )
        raise SetupError(
            Problem(
                "config.yaml",
                self.line,
                self.column,
                "HF204",
                f"{what} is missing or empty",
                "set it, or change this line",
            )
        )

    @classmethod
    def _check(cls, text: str) -> None:
        if not _REFERENCE.fullmatch(text):
            raise Fault("HF203", "a secret in plain text", _EXPECTED)

    @classmethod
    def _of(cls, value: object, info: ValidationInfo) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise Fault("HF122", "not a single text", _EXPECTED)
        cls._check(value)
        line, column = value.node.place if isinstance(value, Placed) else (None, None)
        context = info.context if isinstance(info.context, Mapping) else {}
        return cls(str(value), context.get("root", Path()), line, column)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._of)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True)
class Url(Secret):
    """A database's address. Parts of it, or all, may be references; a password must be."""

    @classmethod
    def _check(cls, text: str) -> None:
        bare = _REFERENCE.sub("", text)
        if re.search(r"://[^/@]*:[^/@]+@", bare) or re.search(r"[?&](password|token|secret)=[^&]", bare, re.IGNORECASE):
            raise Fault("HF203", "a password in plain text", f"{_EXPECTED} in its place")
        if bare and not re.match(r"(sqlite|duckdb|postgresql)://", text):
            expected = "expected duckdb://, duckdb:///file, sqlite:///file or postgresql://…"
            raise Fault("HF212", "a database address this version does not know", expected)


def _from_file(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_LARGEST_FILE).strip()
    except (OSError, UnicodeDecodeError):
        return None
