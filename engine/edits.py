"""What an edit of the rules changes: a plan with today's rules beside one with those of the last run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.api import Project
from engine.errors import SetupError
from engine.pipeline import Plan
from engine.store import Store

Case = tuple[str, int]
"""Rule, and a hash of customer, occurrence and step: a million cases must fit into memory twice."""

_DECIDING = ("config.yaml", "rules/")
"""Files that decisions depend on; an edited mail changes none."""

_CASES = (
    "SELECT d.rule_no, hash(p.customer_id, d.occurrence, coalesce(d.step_id, '')), "
    "CASE WHEN d.outcome = 'send' THEN 'due' ELSE CAST(d.reason AS VARCHAR) END "
    "FROM decision AS d JOIN person AS p USING (cust) "
    "WHERE d.outcome = 'send' OR d.reason IN ('too_late', 'superseded')"
)


@dataclass(frozen=True)
class Edit:
    """Cases by rule that come out differently because of the edit."""

    newly_due: dict[str, int] = field(default_factory=dict)
    no_longer_due: dict[str, int] = field(default_factory=dict)
    newly_too_late: dict[str, int] = field(default_factory=dict)
    newly_superseded: dict[str, int] = field(default_factory=dict)

    def changes(self) -> list[tuple[str, dict[str, int]]]:
        """Each kind of change in words, with its cases by rule."""
        return [
            ("newly due", self.newly_due), ("no longer due", self.no_longer_due),
            ("now too late", self.newly_too_late), ("now superseded", self.newly_superseded),
        ]  # fmt: skip

    def with_another(self, other: Edit) -> Edit:
        """Both together; they are about different rules."""
        return Edit(*(mine | theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


def earlier_project(project: Project, store: Store) -> Project | None:
    """The project as the last run had it, if anything decisions depend on has been edited since.

    None as well when this version of Holdfast cannot read it any more.
    """
    sha = store.snapshots.latest_sha()
    if sha is None or sha == project.snapshot_sha:
        return None
    files = store.snapshots.load(sha)
    if _deciding(files) == _deciding(project.files):
        return None
    try:
        return project.at_snapshot(files)
    except SetupError:
        return None


def compare(before: Plan, after: Plan) -> Edit:
    """What is different in `after`. A renamed rule's cases are compared under its present name."""
    present = {name: rule.id for rule in after.rules for name in (rule.id, *rule.was)}
    old, new = _cases(before, present), _cases(after, present)
    return Edit(
        newly_due=_by_rule(new["due"] - old["due"]),
        no_longer_due=_by_rule(old["due"] - new["due"]),
        newly_too_late=_by_rule(new["too_late"] - old["too_late"]),
        newly_superseded=_by_rule(new["superseded"] - old["superseded"]),
    )


def _deciding(files: Mapping[str, str]) -> dict[str, str]:
    return {path: text for path, text in files.items() if path.startswith(_DECIDING)}


def _cases(plan: Plan, present: dict[str, str]) -> dict[str, set[Case]]:
    found: dict[str, set[Case]] = {"due": set(), "too_late": set(), "superseded": set()}
    reader = plan.db.cursor().execute(_CASES)
    while batch := reader.fetchmany(10_000):
        for number, case, what in batch:
            rule = plan.rules[int(number)].id
            found[what].add((present.get(rule, rule), int(case)))
    return found


def _by_rule(cases: set[Case]) -> dict[str, int]:
    return dict(sorted(Counter(case[0] for case in cases).items()))
