"""The scripts that measure are no tests, but they must still begin."""

from __future__ import annotations

import subprocess
import sys

import pytest
from docs_pages import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "bench").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_bench_finds_all_it_needs_of_the_engine(name: str) -> None:
    begin = f"import runpy, sys; sys.path.insert(0, 'bench'); runpy.run_path('bench/{name}', run_name='read')"
    done = subprocess.run([sys.executable, "-c", begin], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
