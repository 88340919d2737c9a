"""A project, ready to use: `Project.load(path).plan(as_of)` gives the decisions a run would make, as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from engine.channels import CHANNELS
from engine.clock import to_naive_utc, utc_now
from engine.messages import Renderer, Sender, Templates, Workspace, load_templates
from engine.messages.clicks import KeepLinks
from engine.pipeline import Plan, Request, make_plan
from engine.project.loading import ProjectFiles, load_project, project_from_files
from engine.project.rules import Rule
from engine.project.settings import Settings
from engine.schedule import default_as_of, scheduled_instant
from engine.store import Store
from engine.triggers import triggers


@dataclass(frozen=True)
class Project:
    """A loaded project folder: settings, rules and compiled templates, all checked against one another."""

    loaded: ProjectFiles
    templates: Templates

    @classmethod
    def load(cls, path: str | Path) -> Project:
        """Read the folder. Raises SetupError with every problem of every file."""
        return cls._of(load_project(Path(path), triggers(), _channel_models()))

    @classmethod
    def _of(cls, loaded: ProjectFiles) -> Project:
        return cls(loaded, load_templates(loaded.files, default_locale=loaded.settings.workspace.locale))

    def renderer(
        self, templates_of: Callable[[str], Templates], keep_links: KeepLinks | None = None, *, live: bool | None = None
    ) -> Renderer:
        """Renders messages by the project's settings; `templates_of` gives the templates of a snapshot.

        Where mail is live, the secret that signs links must be set; `live` False does without, for looking.
        """
        settings, own = self.settings, self.settings.workspace
        workspace = Workspace(
            own.name, own.locale, own.currency, own.timezone, own.postal_address or "", own.public_url or ""
        )
        senders = {class_: Sender.of(sender.from_, sender.reply_to) for class_, sender in settings.sender.items()}
        return Renderer(
            templates_of,
            workspace,
            senders,
            [settings.signing_secret(live=self.live if live is None else live)],
            keep_links,
        )

    def at_snapshot(self, files: Mapping[str, str]) -> Project:
        """The project as it was when these files were pinned, in the same folder."""
        return self._of(project_from_files(files, self.root, triggers(), _channel_models()))

    @property
    def root(self) -> Path:
        """The project folder."""
        return self.loaded.root

    @property
    def settings(self) -> Settings:
        """config.yaml."""
        return self.loaded.settings

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in order of their place."""
        return self.loaded.rules

    @property
    def files(self) -> Mapping[str, str]:
        """Every file's text, by its path in the folder."""
        return self.loaded.files

    @property
    def snapshot_sha(self) -> str:
        """The identity of everything a run uses."""
        return self.loaded.snapshot_sha

    @property
    def live(self) -> bool:
        """Whether any channel reaches real people."""
        return any(CHANNELS[kind].live for kind in self.settings.uses.values())

    @property
    def default_schedule(self) -> str:
        """The schedule of rules that name none: the first."""
        return next(iter(self.settings.schedules))

    def open_store(self) -> Store:
        """The state database, made when it is not there."""
        return Store.open(self.settings.state.url.reveal(), self.root)

    def find_store(self) -> Store | None:
        """The state database, or None before the first run; nothing is created."""
        url = self.settings.state.url.reveal()
        return Store.open(url, self.root) if Store.exists(url, self.root) else None

    def instant(self, as_of: datetime | date | None, schedule: str | None = None) -> datetime:
        """Naive UTC of `as_of`: a date means its scheduled instant, None what a run started now would take.

        A datetime without a zone is UTC.
        """
        schedule = schedule or self.default_schedule
        if as_of is None:
            return default_as_of(self.settings, schedule, utc_now())
        if isinstance(as_of, datetime):
            return to_naive_utc(as_of)
        return scheduled_instant(self.settings, schedule, as_of)

    def plan(
        self,
        as_of: datetime | date | None = None,
        *,
        rules: Sequence[str] | None = None,
        store: Store | None = None,
        progress: Callable[[str], None] = lambda text: None,
    ) -> Plan:
        """The decisions a run at `as_of` would make; nothing is written.

        `rules`: only these, drafts among them too; by default all but drafts. `store`: what was sent before; by
        default the project's own state, if it has one.
        """
        schedule = self._schedule_of(rules)
        chosen = tuple(
            as_if_active(rule) if rules else rule for rule in self.rules
            if (rule.id in rules if rules else rule.status != "draft" and rule.schedule == schedule)
        )  # fmt: skip
        own = self.find_store() if store is None else None
        try:
            request = Request(self.instant(as_of, schedule), schedule, chosen, believe_tables=True)
            return self.decide(request, store or own, progress=progress)
        finally:
            if own is not None:
                own.close()

    def decide(
        self, request: Request, store: Store | None, *, progress: Callable[[str], None] = lambda text: None
    ) -> Plan:
        """The pipeline for one request."""
        return make_plan(self.loaded, self.templates, request, store, live=self.live, progress=progress)

    def _schedule_of(self, rules: Sequence[str] | None) -> str:
        named = [rule.schedule for rule in self.rules if rules and rule.id in rules]
        return named[0] if named else self.default_schedule


def as_if_active(rule: Rule) -> Rule:
    """A draft that is asked for by name is planned as if it were switched on: that is what one wants to see."""
    return replace(rule, status="active") if rule.status == "draft" else rule


def _channel_models() -> Mapping[str, type]:
    return {name: channel.Settings for name, channel in CHANNELS.items()}
