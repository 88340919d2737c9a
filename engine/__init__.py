"""Holdfast: retention campaigns as code. `Project.load(path).plan(as_of)` is the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.api import Project

__all__ = ["Project"]


def __getattr__(name: str) -> Any:
    """Load the engine when it is first asked for: `holdfast --help` need not wait for the database libraries."""
    if name == "Project":
        from engine.api import Project  # noqa: PLC0415

        return Project
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
