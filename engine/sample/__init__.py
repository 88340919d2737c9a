"""The sample company: its tables, made up afresh for any day, and its project folder."""

from engine.sample.generator import write_sample
from engine.sample.project import copy_project

__all__ = ["copy_project", "write_sample"]
