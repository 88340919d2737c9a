"""From YAML nodes to models, with each of pydantic's findings put at its place and into plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.errors import Problem, SetupError, did_you_mean
from engine.project.faults import Fault
from engine.project.nodes import Node, Place, placed, position

MANY_KEYS = 12  # with more, the one that is meant says more than all of them
Model = TypeVar("Model", bound=BaseModel)

_KINDS = {
    "string_type": "a single text",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping of keys and values",
    "model_type": "a mapping of keys and values",
    "model_attributes_type": "a mapping of keys and values",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "time_type": "a time of day",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def validate(model: type[Model], node: Node, path: str, context: Mapping[str, Any] | None = None) -> Model:
    """An instance of `model` made from `node`. Raises `SetupError` with every problem, each at its own position.

    A key without a value is refused: it reads as a forgotten one. Field names that differ from their key (`class_`
    for `class`) go by the key only. `context` reaches the validators of the model's fields.
    """
    empty: dict[Place, Problem] = {}
    plain = _plain(node, path, empty)
    try:
        made = model.model_validate(plain, extra="forbid", by_alias=True, by_name=False, context=context)
    except ValidationError as error:
        found = [_problem(details, model, node, path) for details in error.errors(include_url=False)]
        others = [problem for problem in _first_by_place(found) if (problem.line, problem.column) not in empty]
        raise SetupError([*empty.values(), *others]) from None
    if empty:
        raise SetupError(empty.values())
    return made


def _plain(node: Node, path: str, empty: dict[Place, Problem]) -> Any:
    """The node as plain dicts, lists and placed texts; `empty` collects keys without a value, by the value's place."""
    if isinstance(node.value, dict):
        for key, value in node.value.items():
            if value.value is None:
                line, column = node.keys[key]
                problem = Problem(path, line, column, "HF130", f'"{key}" has no value', "write one, or remove the line")
                empty[value.place] = problem
        return {key: _plain(value, path, empty) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(value, path, empty) for value in node.value]
    return None if node.value is None else placed(node)


def _first_by_place(problems: Iterable[Problem]) -> list[Problem]:
    """One problem for each place: the members of a union each have their say about the same value."""
    kept: dict[tuple[int | None, int | None, str], Problem] = {}
    for problem in problems:
        kept.setdefault((problem.line, problem.column, problem.found if problem.code == "HF121" else ""), problem)
    return list(kept.values())


def _problem(details: ErrorDetails, model: type[BaseModel], root: Node, path: str) -> Problem:
    kind, location = details["type"], details["loc"]
    node, key_place = _find(root, location)
    is_key = location[-1:] == ("[key]",)
    if kind == "extra_forbidden":
        return _at(path, key_place or node.place, _unknown_key(str(location[-1]), _model_at(model, location[:-1])))
    if kind == "missing":
        return _at(path, node.place, Fault("HF121", f'the key "{location[-1]}" is missing', "it is required here"))
    fault = (details.get("ctx") or {}).get("error")
    if not isinstance(fault, Fault):
        fault = _reworded(kind, details, Node(str(location[-2]), 0, 0) if is_key else node)
    if is_key:
        return _at(path, key_place or node.place, fault)
    return _at(path, node.place if fault.offset is None else position(node.runs, fault.offset), fault)


def _at(path: str, place: Place, fault: Fault) -> Problem:
    return Problem(path, place[0], place[1], fault.code, fault.found, fault.expected, fault.suggestion)


def _find(root: Node, location: Sequence[int | str]) -> tuple[Node, Place | None]:
    """The deepest node along `location` and the place of its key, if it has one."""
    node, place = root, None
    for step in location:
        if isinstance(node.value, dict) and step in node.value:
            place, node = node.keys[str(step)], node.value[str(step)]
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            place, node = None, node.value[step]
    return node, place


def _reworded(kind: str, details: ErrorDetails, node: Node) -> Fault:
    context = details.get("ctx") or {}
    found = _shown(node)
    if kind in _KINDS:
        return Fault("HF122", found, f"expected {_KINDS[kind]}")
    if kind in {"literal_error", "enum"}:
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        suggestion = did_you_mean(str(node.value), words)
        return Fault("HF128", f"unknown word {found}", listing("expected", words), suggestion)
    if kind in _BOUNDS:
        key, words_ = _BOUNDS[kind]
        return Fault("HF129", f"{found} is out of range", f"expected {words_} {context[key]}")
    if kind in {"too_short", "string_too_short"}:
        return Fault("HF130", f"{found} without entries", f"expected at least {context.get('min_length')}")
    if kind in {"too_long", "string_too_long"}:
        return Fault("HF129", "too long", f"expected at most {context.get('max_length')}")
    return Fault("HF122", found, str(details["msg"])[:1].lower() + str(details["msg"])[1:])


def _shown(node: Node) -> str:
    if isinstance(node.value, str):
        return f'"{node.value[:60]}"'
    if node.value is None:
        return "nothing"
    return "a mapping" if isinstance(node.value, dict) else "a list"


def listing(lead: str, words: Iterable[str]) -> str:
    """`expected a, b or c`, sorted."""
    known = sorted(words)
    if len(known) < 2:
        return f"{lead} {''.join(known) or 'nothing'}"
    return f"{lead} {', '.join(known[:-1])} or {known[-1]}"


def _unknown_key(key: str, model: type[BaseModel] | None) -> Fault:
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    suggestion = did_you_mean(key, known)
    expected = "" if suggestion and len(known) > MANY_KEYS else listing("expected", known)
    return Fault("HF120", f'unknown key "{key}"', expected, suggestion)


def _model_at(model: type[BaseModel] | None, location: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that reads the mapping at `location`; steps that are no field (indexes, dict keys) are passed over."""
    for step in location:
        for name, field in model.model_fields.items() if model else ():
            if step == (field.alias or name):
                model = next(_models_in(field.annotation), None)
                break
    return model


def _models_in(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
