"""Failed payments as a report: what is open, what became of the others, and what the mails had to do with it."""

from engine.dunning.open_cases import OpenCase
from engine.dunning.reading import Cases, read_cases
from engine.dunning.report import Report, report

__all__ = ["Cases", "OpenCase", "Report", "read_cases", "report"]
