"""What the company's own people or systems are told about a customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from engine.project.durations import Duration


@dataclass(frozen=True, slots=True)
class Note:
    """Title and text about one customer, with everything a channel needs that does not reach the customer.

    `values` are those its template reads, by namespace. `assignee` and `due_in` are what the template says, None where
    it says nothing. `local_date` is the workspace's date when it was made.
    """

    message_key: str
    rule: str
    step: str
    customer_id: str
    occurrence: str
    class_: str
    topic: str
    title: str
    text: str
    values: Mapping[str, Mapping[str, object]]
    assignee: str | None
    due_in: Duration | None
    local_date: date
