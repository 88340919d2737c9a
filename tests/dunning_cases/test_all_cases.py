"""Every edge case has a test."""

from __future__ import annotations

import re
from pathlib import Path


def test_all_thirty_four_cases_have_a_test() -> None:
    text = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_case_*.py"))
    assert {int(number) for number in re.findall(r'"""Case (\d+)\."""', text)} == set(range(1, 35))
