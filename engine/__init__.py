"""Holdfast: retention campaigns as code."""

from engine.api import Project

__all__ = ["Project"]
