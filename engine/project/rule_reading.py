"""From a document under rules/ to a rule."""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import Problem, SetupError, did_you_mean
from engine.project.nodes import Node, without
from engine.project.rule_checks import Surroundings, rule_problems, step_id
from engine.project.rule_text import AGGREGATES, DAYS, FactText, GoalText, RuleText, StepText
from engine.project.rules import FactSpec, Goal, Recipients, Rule, Step, TriggerUse, Variant
from engine.project.settings import Settings
from engine.project.settings_values import Guard
from engine.project.trigger_spec import TriggerSpec
from engine.project.validation import listing, validate
from engine.project.written import WrittenRule


def read_rule(
    node: Node, path: str, source: str, triggers: Mapping[str, TriggerSpec], around: Surroundings
) -> tuple[Rule, WrittenRule]:
    """The rule of one document; `source` is its text. Raises `SetupError` with every problem found in it."""
    text_problems, trigger_problems = [], []
    try:
        text = validate(RuleText, without(node, "trigger"), path, {"path": path})
    except SetupError as error:
        text_problems = list(error.problems)
    try:
        trigger = _read_trigger(node, path, triggers)
    except SetupError as error:
        trigger_problems = list(error.problems) if isinstance(node.value, dict) else []
    if text_problems or trigger_problems:
        raise SetupError(text_problems + trigger_problems)
    written = WrittenRule(path, node, text, trigger)
    problems = list(rule_problems(written, around))
    if problems:
        raise SetupError(problems)
    return _resolve(written, source, around.settings), written


def _read_trigger(node: Node, path: str, triggers: Mapping[str, TriggerSpec]) -> TriggerUse:
    name, place, params = _named_trigger(node, path)
    if name not in triggers:
        found = f'unknown trigger "{name}"'
        problem = Problem(path, *place, "HF305", found, listing("expected", triggers), did_you_mean(name, triggers))
        raise SetupError(problem)
    spec = triggers[name]
    read = validate(spec.params, params, path)
    return TriggerUse(name, read, spec.defaults(read), spec.facts(read))


def _named_trigger(node: Node, path: str) -> tuple[str, tuple[int, int], Node]:
    """The trigger's name, its place, and its parameters. A name alone stands for one without parameters."""
    written = node.value.get("trigger") if isinstance(node.value, dict) else None
    if written is None or not written.value:
        place = (written or node).place
        raise SetupError(Problem(path, *place, "HF303", "a rule without a trigger", "expected trigger: {…}"))
    if isinstance(written.value, str):
        return written.value, written.place, Node({}, written.line, written.column)
    if not isinstance(written.value, dict):
        raise SetupError(Problem(path, *written.place, "HF122", "a list", "expected one trigger with its parameters"))
    first, *others = written.value
    if others:
        found = f'a second trigger "{others[0]}"'
        raise SetupError(
            Problem(path, *written.keys[others[0]], "HF304", found, f'a rule has one; here that is "{first}"')
        )
    params = written.value[first]
    return first, written.keys[first], Node({}, *params.place) if params.value is None else params


def _resolve(written: WrittenRule, source: str, settings: Settings | None) -> Rule:
    text, defaults = written.text, written.trigger.defaults
    return Rule(
        id=text.rule,
        was=text.was,
        description=text.description or "",
        owner=text.owner,
        status=text.status,
        class_=text.class_,
        ground=text.ground,
        topic=text.topic or text.class_,
        priority=text.priority,
        trigger=written.trigger,
        where=text.where,
        steps=tuple(_step(no, step) for no, step in enumerate(text.steps)),
        holdout=text.holdout,
        repeat_after=text.repeat_after if text.says("repeat_after") else defaults.repeat_after,
        goal=_goal(text.goal) if text.goal else None,
        schedule=text.schedule or _default_schedule(settings),
        send_at=text.send_at,
        days=frozenset(DAYS.index(day) for day in text.days),
        quiet_hours=(text.quiet_hours or "off") if text.says("quiet_hours") else None,
        send_within=text.send_within,
        existing=text.existing or defaults.existing,
        scope=text.scope,
        facts={name: _fact(fact) for name, fact in text.facts.items()},
        blocks=text.blocks,
        blocks_for=text.blocks_for,
        exit_when=text.exit_when,
        daily_limit=text.daily_limit,
        capped=text.capped,
        guard=(_guard(text.guard, settings) or "off") if text.says("guard") else None,
        resend=text.resend,
        path=written.path,
        line=written.node.line,
        text=source,
        about=text.about,
        recipients=Recipients(text.recipients.where, text.recipients.at_most) if text.recipients else Recipients(),
    )


def _step(no: int, step: StepText) -> Step:
    variants = {name: Variant(variant.send, variant.share) for name, variant in (step.variants or {}).items()}
    return Step(
        step_id(step), no, step.after, step.wait, step.before, step.send, variants, step.where, step.send_at,
        step.send_within, step.channel,
    )  # fmt: skip


def _goal(goal: GoalText) -> Goal:
    given = {key: getattr(goal, key) is not None for key in ("paid", "renewed", "in_service")}
    return Goal(event=goal.event or (), within=goal.within, ends=goal.ends, **given)


def _fact(fact: FactText) -> FactSpec:
    aggregate = next(key for key in AGGREGATES if getattr(fact, key) is not None)
    return FactSpec(aggregate, getattr(fact, aggregate), fact.within)


def _default_schedule(settings: Settings | None) -> str:
    """`daily`, or the only schedule there is."""
    names = list(settings.schedules) if settings else []
    return names[0] if len(names) == 1 else "daily"


def _guard(own: Guard | None, settings: Settings | None) -> Guard | None:
    """The rule's bounds over the workspace's."""
    workspace = settings.guard if settings else None
    return (workspace or Guard()).model_copy(update=own.model_dump(exclude_unset=True)) if own else None
