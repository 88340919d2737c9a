"""Every mail rendered for everybody the rules match: a dress rehearsal, of which nothing is written or sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from engine.api import Project
from engine.errors import Problem
from engine.messages import Renderer, RenderFailed
from engine.pipeline import Plan
from engine.preview import Specimen, looking
from engine.project.rules import Rule
from engine.recording import pack_values

MATCHED = ("send", "hold_out", "shadow", "defer", "held")
"""Outcomes of those who get a mail, or would but for something else."""

_BATCH = 1_000
_EXAMPLES = 3  # customers named for each reason

Progress = Callable[[int, int], None]


@dataclass
class Failing:
    """How many fail for one reason, and the first of them."""

    count: int = 0
    customers: list[str] = field(default_factory=list)


@dataclass
class Tried:
    """One mail or note of one rule: how many were rendered, and why the others could not be."""

    rule: Rule
    template: str
    rendered: int = 0
    failures: dict[str, Failing] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many would fail."""
        return sum(failing.count for failing in self.failures.values())

    def problems(self, path: str) -> Iterator[Problem]:
        """One for each reason, at the file of the mail."""
        for reason, failing in self.failures.items():
            of = self.rendered + self.failed
            found = f"rule {self.rule.id}: {failing.count:,} of {of:,} would fail: {reason}"
            yield Problem(path, None, None, "HF528", found, f"for example {', '.join(failing.customers)}")


def try_out(project: Project, plan: Plan, on_progress: Progress = lambda done, of: None) -> list[Tried]:
    """Render the mail of every decision that would send, or would but for something else; by rule and mail.

    Who is in several variants of a step, because none was drawn yet, counts in each.
    """
    pack_values(plan, project.templates, MATCHED)
    total = plan.db.execute(f"SELECT count(*) FROM decision AS d WHERE {_MATCHED}").fetchall()[0][0]
    zones = plan.evaluation.warehouse.zones
    renderer, done = looking(project), 0
    tried: dict[tuple[int, str], Tried] = {}
    reader = plan.db.cursor().execute(_ROWS)
    while batch := reader.fetchmany(_BATCH):
        for number, customer, occurrence, step_no, template, zone_no, address, values in batch:
            rule = plan.rules[number]
            step = rule.steps[step_no or 0]
            for name in [template] if template else step.templates:
                one = tried.setdefault((number, name), Tried(rule, name))
                specimen = Specimen(
                    name, rule.class_, values, zones[zone_no], address, rule=rule.id, step=step.id,
                    customer_id=customer, occurrence=occurrence, topic=rule.topic,
                )  # fmt: skip
                is_note = not project.settings.reaches_customer(step.channel)
                _try(renderer, plan, one, specimen, is_note=is_note)
        done += len(batch)
        on_progress(done, total)
    return [tried[key] for key in sorted(tried)]


def _try(renderer: Renderer, plan: Plan, one: Tried, specimen: Specimen, *, is_note: bool) -> None:
    try:
        if is_note:
            renderer.note(specimen, plan.request.as_of)
        else:
            renderer.render(specimen, plan.request.as_of)
        one.rendered += 1
    except RenderFailed as fault:
        failing = one.failures.setdefault(str(fault), Failing())
        failing.count += 1
        if len(failing.customers) < _EXAMPLES:
            failing.customers.append(specimen.customer_id)


_MATCHED = f"d.outcome IN ({', '.join(repr(outcome) for outcome in MATCHED)})"

# Without an address nothing is wrong with the mail: whoever has none is looked for by the plan itself.
_ROWS = f"""
    SELECT d.rule_no, p.customer_id, d.occurrence, d.step_no, d.template, p.zone_no,
        coalesce(p.address, 'nobody@example.com'), coalesce(v.own, v.other, '{{}}')
    FROM decision AS d JOIN person AS p USING (cust)
    LEFT JOIN message_values AS v ON v.rule_no = d.rule_no AND v.cust = d.cust AND v.occurrence = d.occurrence
    WHERE {_MATCHED} AND p.address_state <> 'nobody' ORDER BY d.rule_no, p.customer_id"""
