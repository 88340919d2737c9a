"""`pause`, `resume`, `go-live` and `adopt`: what people decide."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.channels import CHANNELS
from engine.cli.command import RequestError, command
from engine.cli.opening import open_project, open_settings, open_state, require_known
from engine.cli.screen import Screen
from engine.cli.wording import number_of
from engine.clock import utc_now
from engine.errors import HeldError, SetupError
from engine.presence import adopt
from engine.project.settings import Settings
from engine.store import Store

EVERYTHING = "*"

RuleArgument = Annotated[str | None, typer.Argument(metavar="[RULE]", help="a rule; without one, everything")]


@command
def pause(screen: Screen, rule: RuleArgument = None) -> None:
    """Stop a rule, or everything, at once: nothing of it is planned or sent until `resume`. Works while a run is on.

    JSON: `paused` (rule, or * for everything, to instant).
    """
    _require_rule(screen, rule)
    with open_state(screen, open_settings(screen), create=True) as store:
        store.switches.pause(rule or EVERYTHING, utc_now())
        screen.emit({"paused": store.switches.paused()})
    again = f"resume {rule}" if rule else "resume"
    screen.say(("Paused: ", "yellow"), (rule or "everything", "bold"), f". `holdfast {again}` lifts it.")


@command
def resume(screen: Screen, rule: RuleArgument = None) -> None:
    """Lift a pause. What waited goes on with the next run and delivery, unless it has become too late.

    JSON: `lifted` (false when there was no such pause), `paused`.
    """
    with open_state(screen, open_settings(screen)) as store:
        lifted = store.switches.resume(rule or EVERYTHING)
        left = store.switches.paused()
    screen.emit({"lifted": lifted, "paused": left})
    what = rule or "everything"
    screen.say(
        (what, "bold"), " goes on" if lifted else " was not paused as a whole" if not rule else " was not paused"
    )
    for other in left:
        words = "everything" if other == EVERYTHING else other
        screen.say(("! ", "yellow"), f"still paused: {words}")


def _require_rule(screen: Screen, rule: str | None) -> None:
    """A misspelt rule must not leave the real one running. With a project that does not load, any name is taken."""
    if rule is None:
        return
    try:
        known = {name for one in open_project(screen).rules for name in (one.id, *one.was)}
    except SetupError:
        screen.warn(("The rules cannot be read now, so the name was not checked.", "yellow"))
        return
    require_known(rule, known, "rule")


@command
def go_live(
    screen: Screen,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Begin a new state for real sending; days of trying must not use up real customers' first steps.

    Runs, decisions and mails of the trial are forgotten; suppressions and pauses stay. JSON: `went_live`,
    `suppressions`, `paused`.
    """
    project = open_project(screen)
    settings = project.settings
    if not project.live:
        raise RequestError(
            "config.yaml still writes mail to a folder; choose `use: smtp` or `use: sendgrid` under channels first"
        )
    settings.signing_secret(live=True)
    settings.salt(live=True)
    with open_state(screen, settings, create=True) as store:
        if store.install.environment() == "live":
            raise RequestError("this state has sent real mail already; there is nothing to begin anew")
        if not yes and not _agreed(screen, store, settings):
            raise HeldError("nothing was changed; say --yes to go live without being asked")
        store.go_live()
        kept, paused = sum(1 for _ in store.suppressions.listed()), store.switches.paused()
    screen.emit({"went_live": True, "suppressions": kept, "paused": paused})
    screen.say(("Live. ", "bold green"), f"A new state has begun; {number_of(kept, 'suppression')} stayed. "
               "`holdfast plan` shows what the first run will send.")  # fmt: skip


def _agreed(screen: Screen, store: Store, settings: Settings) -> bool:
    """Ask a person, who must be there."""
    if not screen.is_terminal or screen.as_json:
        return False
    status = store.status(utc_now())
    mails = sum(status.outbox.values())
    kinds = ", ".join(kind for kind in settings.uses.values() if CHANNELS[kind].live)
    screen.say(f"From the next run on, mail goes to real people by {kinds}.")
    screen.say(f"This forgets what was tried: {number_of(len(status.runs), 'run')}, {number_of(mails, 'mail')}. "
               "`holdfast backup FILE` keeps a copy.")  # fmt: skip
    return typer.confirm("Go live?", default=False)


@command
def adopt_state(
    screen: Screen,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Take a state into use that was moved here or restored from a copy; until then it sends no real mail.

    A restored state has forgotten what it sent since the copy was made: those days are planned again, and none of
    their mails leaves, because they may have been sent. JSON: `forgotten_from`, `forgotten_until`, `runs`, `messages`.
    """
    project = open_project(screen)
    with open_state(screen, project.settings) as store:
        if not yes and not _is_the_only_one(screen):
            raise HeldError("nothing was changed; say --yes to adopt this state without being asked")
        with screen.meter() as meter:
            done = adopt(project, store, utc_now(), meter.stage)
    screen.emit(vars(done))
    screen.say(("Adopted. ", "bold green"), "This state sends from here.")
    if done.forgotten_until:
        screen.say(f"{number_of(done.runs, 'forgotten run')} planned again; {number_of(done.messages, 'mail')} of that "
                   "time will not be sent, because they may have been: `holdfast outbox list --state unknown`.")  # fmt: skip
        screen.say(("! ", "yellow"), "Who unsubscribed in that time is forgotten too, but for what the provider kept: "
                   "`holdfast suppress pull` asks SendGrid for its lists.")  # fmt: skip


def _is_the_only_one(screen: Screen) -> bool:
    if not screen.is_terminal or screen.as_json:
        return False
    screen.say("Make sure that no other Holdfast is at work with this state or a copy of it.")
    return typer.confirm("Is this the only one?", default=False)
