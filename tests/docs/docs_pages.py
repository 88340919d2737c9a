"""The pages of the repository as the tests look at them: headings, links, fenced blocks."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for folder in (ROOT, DOCS) for path in folder.glob("*.md"))

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME_ABOVE = re.compile(r"^`([^`\n]+)`\n\n\Z", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block. `file`: the name of the file it stands for, when the page gives one."""

    page: str
    line: int
    language: str
    file: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """All fenced blocks of a page, in order."""
    page = path.read_text("utf-8")
    for found in _FENCE.finditer(page):
        named = _NAME_ABOVE.search(page[: found.start()])
        line = page.count("\n", 0, found.start()) + 1
        yield Block(path.name, line, found[1], named[1] if named else None, found[2])


def all_blocks(*languages: str) -> list[Block]:
    """The blocks of all pages in these languages."""
    return [block for path in PAGES for block in blocks(path) if block.language in languages]


def headings(path: Path) -> list[str]:
    """The texts of all headings of a page."""
    prose = _FENCE.sub("", path.read_text("utf-8"))
    return re.findall(r"^#{1,4} (.+)$", prose, re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """What a link may name behind `#`, as GitHub makes it of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(path)}


def links(path: Path) -> list[str]:
    """Targets of all links of a page."""
    return re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", path.read_text("utf-8")))


@cache
def generator() -> ModuleType:
    """docs/generate.py, with the folder of the script in front, as Python puts it."""
    sys.path.insert(0, str(DOCS))
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_generate"] = module
    spec.loader.exec_module(module)
    return module
