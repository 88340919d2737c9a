"""The JSON Schema (2020-12) of a rule, for editors: completion and a first check while typing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from engine.project.rule_text import RuleText, read_exit
from engine.project.settings_values import read_off
from engine.project.trigger_spec import TriggerSpec
from engine.project.types import StrictModel, read_list

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rule_schema(triggers: Mapping[str, TriggerSpec]) -> dict[str, Any]:
    """The schema of one document under rules/, with each trigger's parameters."""
    schema = _schema(RuleText)
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    for name in sorted(triggers):
        params = _schema(triggers[name].params)
        definitions |= params.pop("$defs", {})
        definitions[f"trigger-{name}"] = params
    schema["properties"]["trigger"] = _trigger(definitions, sorted(triggers))
    schema["required"] = ["rule", "trigger"]
    return {"$schema": DIALECT} | schema | {"title": "A Holdfast rule"}


class _AsWritten(GenerateJsonSchema):
    """What people may write: no nulls (a key without a value is refused), and one where a list is meant."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        return {key: value for key, value in described.items() if (key, value) != ("default", None)}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        described = super().function_before_schema(schema)
        if schema["function"]["function"] is read_list:
            return {"oneOf": [described["items"], described]}
        if schema["function"]["function"] is read_off:
            return {"oneOf": [{"const": "off"}, described]}
        return described

    def function_wrap_schema(self, schema: core_schema.WrapValidatorFunctionSchema) -> JsonSchemaValue:
        described = super().function_wrap_schema(schema)
        return {"oneOf": [{"type": "string"}, described]} if schema["function"]["function"] is read_exit else described

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schema(model: type[StrictModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True, schema_generator=_AsWritten)


def _trigger(definitions: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """One key out of the known ones, or the bare name of a trigger that needs no parameters."""
    bare = [name for name in names if not definitions[f"trigger-{name}"].get("required")]
    mapping = {
        "type": "object",
        "properties": {name: {"$ref": f"#/$defs/trigger-{name}"} for name in names},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"description": "The one condition that finds customers.", "oneOf": [mapping, {"enum": bare}]}
