"""How forms are described in the OpenAPI document, from which tests make their requests."""

from __future__ import annotations

from typing import Any


def form(*fields: str) -> dict[str, Any]:
    """A request body with these fields, none of them required, in both ways a form is sent."""
    text = {"type": "string"}
    schema = {
        "type": "object",
        "properties": {name: {"oneOf": [text, {"type": "array", "items": text}]} for name in fields},
    }
    kinds = ("application/x-www-form-urlencoded", "multipart/form-data")
    return {"requestBody": {"required": False, "content": {kind: {"schema": schema} for kind in kinds}}}
