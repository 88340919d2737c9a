"""Settings with one schedule."""

from __future__ import annotations

from datetime import time
from typing import Any

from engine.project.settings import Settings, Warehouse, Workspace


def settings_of(zone: str, at: time, catch_up: Any = "latest") -> Settings:
    return Settings.model_construct(
        workspace=Workspace.model_construct(timezone=zone), warehouse=Warehouse.model_construct(),
        schedules={"daily": at}, catch_up=catch_up,
    )  # fmt: skip
