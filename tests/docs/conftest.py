"""A folder into which the examples of the pages are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli.root import app

Run = Callable[..., Any]


@pytest.fixture
def holdfast(tmp_path: Path) -> Run:
    """`holdfast("plan", "--as-of", …)` in `tmp_path`: the JSON document a command writes; its exit code must fit."""

    def run(*words: str, exit_code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["-C", str(tmp_path), "--format", "json", *words])
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)

    return run
