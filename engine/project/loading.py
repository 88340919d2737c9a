"""A project folder, read as a whole: every problem of every file at once, or a project that holds together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from engine.errors import Problem, SetupError
from engine.project.file_reading import CONFIG, read_files
from engine.project.nodes import Node
from engine.project.project_checks import project_problems
from engine.project.rule_checks import Surroundings
from engine.project.rule_reading import read_rule
from engine.project.rules import Rule
from engine.project.settings import Settings, read_settings
from engine.project.trigger_spec import TriggerSpec
from engine.project.written import WrittenRule
from engine.project.yaml_source import load_documents

__all__ = ["ProjectFiles", "load_project", "project_from_files", "read_files", "snapshot_sha", "vanished_rules"]


@dataclass(frozen=True)
class ProjectFiles:
    """A project that loads. `files` maps paths relative to `root` to their text; rules stand in order of place."""

    root: Path
    files: Mapping[str, str]
    settings: Settings
    rules: tuple[Rule, ...]
    warnings: tuple[Problem, ...] = field(default=())

    @cached_property
    def snapshot_sha(self) -> str:
        """The identity of everything a run uses, as 64 hex digits."""
        return snapshot_sha(self.files)


def snapshot_sha(files: Mapping[str, str]) -> str:
    """SHA-256 over the files in order of path, each path and text preceded by its length in bytes."""
    digest = hashlib.sha256()
    for path in sorted(files):
        for part in (path.encode(), files[path].encode()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def load_project(
    path: Path, triggers: Mapping[str, TriggerSpec], channels: Mapping[str, type[BaseModel]]
) -> ProjectFiles:
    """The project in the folder `path`. Raises `SetupError` with every problem of all files, sorted by place.

    `triggers` and `channels` are the kinds this installation has, by the names used in rules and after `use:`.
    """
    return project_from_files(read_files(path), path, triggers, channels)


def project_from_files(
    files: Mapping[str, str], root: Path, triggers: Mapping[str, TriggerSpec], channels: Mapping[str, type[BaseModel]]
) -> ProjectFiles:
    """The same from texts already read, such as those of the snapshot a run is pinned to."""
    problems: list[Problem] = []
    settings = _settings(files[CONFIG], root, channels, problems)
    around = Surroundings(
        files,
        frozenset(_template_names(files, "mail.html", "mail.mjml")),
        settings,
        frozenset(_template_names(files, "note.txt")),
    )
    rules: list[Rule] = []
    written: list[WrittenRule] = []
    for path in sorted(files):
        for node, source in _rule_documents(path, files[path], problems):
            try:
                rule, text = read_rule(node, path, source, triggers, around)
                rules.append(rule)
                written.append(text)
            except SetupError as error:
                problems += error.problems
    problems += project_problems(rules, written, settings, complete=not problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or settings is None:
        raise SetupError(errors)
    return ProjectFiles(root, files, settings, tuple(rules), tuple(sorted(problems, key=lambda problem: problem.order)))


def vanished_rules(rules: Iterable[Rule], earlier: Iterable[str]) -> list[Problem]:
    """A warning for each rule id the last run knew that neither is nor `was` a present rule's."""
    known = {name for rule in rules for name in (rule.id, *rule.was)}
    expected = "if it was renamed, say was: [{}] under its new name"
    return [
        Problem("rules", None, None, "HF329", f'the rule "{name}" is gone', expected.format(name), severity="warning")
        for name in sorted(set(earlier) - known)
    ]


def _settings(
    text: str, root: Path, channels: Mapping[str, type[BaseModel]], problems: list[Problem]
) -> Settings | None:
    try:
        documents = load_documents(text, CONFIG)
        if len(documents) == 1:
            return read_settings(documents[0], CONFIG, channels, root)
    except SetupError as error:
        problems += error.problems
        return None
    if documents:
        place = documents[1].place
        problems.append(Problem(CONFIG, *place, "HF111", "a second document", "settings stand in one document"))
    else:
        problems.append(Problem(CONFIG, None, None, "HF112", "an empty file", "expected workspace: and warehouse:"))
    return None


def _rule_documents(path: str, text: str, problems: list[Problem]) -> Iterator[tuple[Node, str]]:
    """Each document of a rule file with its own stretch of the text."""
    if not (path.startswith("rules/") and path.endswith((".yaml", ".yml"))):
        return
    try:
        documents = load_documents(text, path)
    except SetupError as error:
        problems += error.problems
        return
    if not documents:
        problems.append(Problem(path, None, None, "HF112", "an empty file", "expected at least one rule"))
    lines = text.splitlines(keepends=True)
    for node in documents:
        body = lines[node.line - 1 :]
        end = next((no for no, line in enumerate(body) if line.startswith(("---", "...")) and no), len(body))
        yield node, "".join(body[:end])


def _template_names(files: Iterable[str], *names: str) -> Iterator[str]:
    for path in files:
        folder, _, name = path.rpartition("/")
        if folder.startswith("templates/") and name in names:
            yield folder.removeprefix("templates/")
