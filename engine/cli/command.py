"""What all commands share: `--format`, `--debug`, and errors that end in one sentence and the right exit code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from engine.cli.screen import Screen
from engine.cli.wording import number_of, problem_document
from engine.errors import HoldfastError, Problem, SetupError

DONE, SOME_FAILED, WRONG, HELD, UNAVAILABLE = 0, 1, 2, 3, 4
OUR_FAULT = 70  # EX_SOFTWARE of sysexits.h: a fault in Holdfast itself
STOPPED = 130  # 128 + SIGINT, as shells have it


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


class RequestError(HoldfastError):
    """The command was asked for something that is not there or makes no sense."""

    exit_code = WRONG


class Shared:
    """What was said before the command's name."""

    def __init__(self, folder: Path, format_: Format, debug: bool) -> None:
        self.folder, self.format, self.debug = folder, format_, debug


FormatOption = Annotated[Format | None, typer.Option("--format", help="text for people, json for programs")]
DebugOption = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]


def command(function: Callable[..., int | None]) -> Callable[..., None]:
    """A command: gets a Screen in place of the context, returns its exit code (None is 0), may raise HoldfastError."""

    @wraps(function)
    def run(ctx: typer.Context, output_format: Format | None, debug: bool, **arguments: Any) -> None:
        shared: Shared = ctx.obj
        screen = Screen(shared.folder, (output_format or shared.format) is Format.JSON, debug or shared.debug)
        code = guarded(screen, lambda: function(screen, **arguments))
        if code:
            raise typer.Exit(code)

    own = inspect.signature(function, eval_str=True)
    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in list(own.parameters.values())[1:]),
        inspect.Parameter("output_format", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=FormatOption),
        inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DebugOption),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {
        **get_type_hints(function, include_extras=True), **{one.name: one.annotation for one in parameters}
    }  # fmt: skip
    del run.__wrapped__  # or typer would look through to the function itself
    return run


def guarded(screen: Screen, work: Callable[[], int | None]) -> int:
    """The exit code of `work`; whatever goes wrong is told in words."""
    try:
        return work() or DONE
    except HoldfastError as error:
        if screen.debug:
            screen.traceback()
        _tell(screen, error)
        return error.exit_code
    except KeyboardInterrupt:
        screen.warn("Stopped. Nothing is lost: the same command goes on where this one ended.")
        return STOPPED
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except OSError as error:
        if screen.debug:
            screen.traceback()
        return _fail(screen, UNAVAILABLE, f"{error.filename or 'a file'}: {error.strerror or error}")
    except Exception as error:  # noqa: BLE001 - a fault of ours must not greet a marketer with a traceback
        if screen.debug:
            screen.traceback()
        said = next(iter(str(error).splitlines()), "")
        sentence = f"a fault in Holdfast itself ({type(error).__name__}: {said[:300]})"
        return _fail(screen, OUR_FAULT, f"{sentence}; the same command with --debug shows where")


def _tell(screen: Screen, error: HoldfastError) -> None:
    if not isinstance(error, SetupError):
        _fail(screen, error.exit_code, str(error))
        return
    screen.emit({
        "error": "setup", "exit_code": error.exit_code,
        "problems": [problem_document(problem) for problem in error.problems],
    })  # fmt: skip
    if not screen.as_json:
        for problem in error.problems:
            tell_problem(screen, problem)
        screen.warn()
        screen.warn((number_of(len(error.problems), "problem"), "bold red"), "; nothing was done")


def tell_problem(screen: Screen, problem: Problem) -> None:
    """One problem on one line of the error stream, its place first, so that editors can jump there."""
    rest = str(problem).removeprefix(f"{problem.place}: ")
    severity = "yellow" if problem.severity == "warning" else "red"
    screen.warn((problem.place, "bold"), ": ", (rest, severity))


def _fail(screen: Screen, code: int, sentence: str) -> int:
    words = {HELD: "held", UNAVAILABLE: "unavailable", WRONG: "request"}
    screen.emit({"error": words.get(code, "fault"), "exit_code": code, "message": sentence})
    if not screen.as_json:
        first, _, rest = sentence.partition(" ")
        screen.warn((f"{first.capitalize() if first.islower() and first.isalpha() else first} {rest}", "red"))
    return code
