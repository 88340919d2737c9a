"""Writes the generated parts of the pages in this folder, from the engine itself.

    python docs/generate.py            write what has changed
    python docs/generate.py --check    name the pages that are out of date; exit code 1 if there are any

A page is written by hand; what stands between `<!-- generated: NAME -->` and `<!-- end -->` is replaced by what the
function of that name in `PARTS` gives. `errors.md` is made whole.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import example_rules
import written_values
from pydantic import BaseModel

from engine.channels import CHANNELS
from engine.cli.root import COMMANDS, Commands, root
from engine.codes import errors_page
from engine.planning.reasons import Outcome, Reason
from engine.project.rule_text import FactText, GoalText, RecipientsText, RuleText, StepText, VariantText
from engine.project.settings import Settings
from engine.project.types import StrictModel
from engine.triggers import Needs, Trigger, triggers
from engine.warehouse.tables import TABLES, Kind, Table

HERE = Path(__file__).resolve().parent
_PART = re.compile(r"(<!-- generated: (?P<name>[^>]+?) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Every page with generated parts, as it should be now."""
    made = {path: _filled(path.read_text("utf-8")) for path in sorted(HERE.glob("*.md")) if path.name != "errors.md"}
    return {HERE / "errors.md": errors_page(), **made}


def _filled(page: str) -> str:
    return _PART.sub(lambda part: f"{part[1]}\n{_part(part['name'])}\n\n", page)


def _part(name: str) -> str:
    kind, _, about = name.partition(" ")
    return PARTS[kind](about).strip("\n")


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown."""
    titles = list(headings)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


# ── Reasons ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def outcomes(_: str) -> str:
    """Every outcome with its sentence."""
    return "\n\n".join(f"### {outcome}\n\n{outcome.doc}" for outcome in Outcome)


def reasons(_: str) -> str:
    """Every reason with its sentence and the outcome it leads to."""
    return "\n\n".join(f"### {reason}\n\n{_leads_to(reason)}{reason.doc}" for reason in Reason)


def _leads_to(reason: Reason) -> str:
    return f"`{reason.outcome}`: " if reason.outcome else ""


# ── Triggers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def trigger_reference(_: str) -> str:
    """A section for each trigger; its class docstring is its manual."""
    return "\n\n".join(_trigger(trigger) for _, trigger in sorted(triggers().items()))


def _trigger(trigger: Trigger) -> str:
    manual = inspect.getdoc(type(trigger)) or ""
    params = example_rules.params_of(trigger, manual)
    notes = [
        f"- **Occurrence**: {trigger.about}.", _facts(trigger, params), _needs(trigger.needs(params)),
        _defaults(trigger, params),
    ]  # fmt: skip
    parts = [f"### {trigger.name}", _with_fences(manual), _parameters(trigger.params), _lines(notes)]
    return "\n\n".join(parts)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(line for line in lines if line)


def _with_fences(manual: str) -> str:
    """Indented YAML as a fenced block."""
    fenced = re.sub(r"(?m)(^    .*\n)+", lambda block: f"```yaml\n{dedent(block[0])}```\n", manual)
    return fenced.replace("trigger:\n", "# in a rule\ntrigger:\n", 1)


def _parameters(params: type[StrictModel]) -> str:
    rows = list(_rows(params))
    return table(("parameter", "written as", "default"), rows) if rows else "No parameters."


def _facts(trigger: Trigger, params: object) -> str:
    facts = [f"`fact.{name}` ({kind})" for name, kind in trigger.facts(params).items()]
    row = trigger.row_table_of(params)
    if row:
        facts.append(f"every column of its row of {row}")
    return f"- **Facts**: {', '.join(facts)}." if facts else ""


def _needs(needs: Needs) -> str:
    required = [_columns(table, columns) for table, columns in needs.required.items()]
    optional = [_columns(table, columns) for table, columns in needs.optional.items() if columns]
    text = f"- **Reads**: {'; '.join(required) or 'what it names'}."
    return text + (f" Uses when they are there: {'; '.join(optional)}." if optional else "")


def _columns(table_name: str, columns: Iterable[str]) -> str:
    names = ", ".join(f"`{column}`" for column in columns)
    return f"{table_name} ({names})" if names else table_name


def _defaults(trigger: Trigger, params: object) -> str:
    given = trigger.defaults(params)
    said = []
    if given.repeat_after:
        said.append(f"`repeat_after: {given.repeat_after}`")
    if given.existing != "skip":
        said.append(f"`existing: {given.existing}`")
    if given.anchored_on_date:
        said.append("each step says `before` or `after`")
    if trigger.scoped:
        said.append("finds customers in service only, where subscriptions are mapped (`scope: everyone` lifts it)")
    return f"- **Unless the rule says otherwise**: {'; '.join(said)}." if said else ""


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_KEYS: Mapping[str, type[StrictModel]] = {
    "rule": RuleText, "step": StepText, "variant": VariantText, "goal": GoalText, "fact": FactText,
    "recipients": RecipientsText,
}  # fmt: skip


def keys(about: str) -> str:
    """The keys of a rule, a step, a variant, a goal or a fact."""
    return table(("key", "written as", "default"), _rows(_KEYS[about]))


def _rows(model: type[BaseModel], prefix: str = "") -> Iterable[tuple[str, str, str]]:
    for key in written_values.keys_of(model):
        yield f"`{prefix}{key.name}`", key.written_as, _default(key.default)


def _default(written: str) -> str:
    return f"`{written}`" if written and written != written_values.REQUIRED else written


def settings(section: str) -> str:
    """The settings below one top-level key of config.yaml, or of one kind of channel."""
    if section.startswith("channels "):
        kind = section.removeprefix("channels ")
        return table(("setting", "written as", "default"), _rows(CHANNELS[kind].Settings, "channels.<name>."))
    rows = [
        (f"`{setting.path}`", setting.written_as, _default(setting.default))
        for setting in written_values.settings_of(Settings)
        if setting.path.split(".")[0] in section.split()
    ]
    return table(("setting", "written as", "default"), rows)


# ── Tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def tables(_: str) -> str:
    """A section for each table of the contract."""
    return "\n\n".join(_table(one) for one in TABLES.values())


def _table(one: Table) -> str:
    rows = [(f"`{name}`", str(kind), _asked(one, name)) for name, kind in one.columns.items()]
    freshest = f"Its newest fact is the newest `{one.freshest}`. " if one.freshest else ""
    key = f"`{one.key}` is unique." if one.unique else f"`{one.key}` names a row in `holdfast data issues`."
    return f"### {one.name}\n\n{freshest}{key}\n\n{table(('column', 'kind', ''), rows)}"


def _asked(one: Table, name: str) -> str:
    required = "required" if name in one.required else ""
    low, high = one.ranges.get(name, (None, None))
    bounds = "" if low is None else f"{low} to {high}" if high != 2**53 else "not negative"
    return ", ".join(part for part in (required, bounds) if part)


def kinds(_: str) -> str:
    """Each kind of column with the type it has in conditions."""
    return table(("kind", "in `where`"), ((f"`{kind}`", kind.type) for kind in Kind))


# ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────

_EVERYWHERE = {"--format", "--debug", "--help"}


def overview(_: str) -> str:
    """All commands in the groups of `holdfast` alone."""
    rows = [(f"[`{name}`](#{name})", text) for group in COMMANDS.values() for name, (_, text) in group.items()]
    return table(("command", "does"), rows)


def command_reference(path: str) -> str:
    """How one command is called: its usage, its arguments and options, and what its JSON holds."""
    one = find_command(path)
    parameters = [parameter for parameter in one.params if not _EVERYWHERE & set(parameter.opts)]
    arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    options = [parameter for parameter in parameters if parameter.param_type_name == "option"]
    words = [_metavar(argument) for argument in arguments] + [_usage(option) for option in options]
    rows = [(f"`{_metavar(argument)}`", argument.help or "") for argument in arguments if argument.help]
    rows += [(f"`{_option(option)}`", option.help or "") for option in options]
    json = re.search(r"JSON[:,].*", " ".join((one.help or "").split()))
    said = [f"```text\nholdfast {' '.join([path, *words])}\n```", table(("", ""), rows) if rows else ""]
    return "\n\n".join(part for part in (*said, json[0] if json else "") if part)


def find_command(path: str) -> Any:
    """The command of a path such as `data check`, as the parser knows it."""
    first, _, second = path.partition(" ")
    found: Any = Commands(name="holdfast", callback=root).get_command(None, first)
    return found.commands[second] if second else found


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _option(parameter: Any) -> str:
    return str(parameter.opts[0]) + ("" if parameter.is_flag else f" {_metavar(parameter)}")


def _usage(parameter: Any) -> str:
    written = _option(parameter) if parameter.required else f"[{_option(parameter)}]"
    return written + ("..." if parameter.multiple else "")


PARTS: dict[str, Callable[[str], str]] = {
    "outcomes": outcomes, "reasons": reasons, "triggers": trigger_reference, "keys": keys, "settings": settings,
    "tables": tables, "kinds": kinds, "commands": overview, "command": command_reference,
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check only say which are out of date."""
    stale = {path: text for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        sys.stdout.write(
            f"{path.relative_to(HERE.parent)} {'is out of date' if '--check' in arguments else 'written'}\n"
        )
        if "--check" not in arguments:
            path.write_text(text, "utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
