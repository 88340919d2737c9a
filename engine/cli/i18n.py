"""`i18n extract` and `i18n check`: the texts of mails in other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.api import Project
from engine.cli.command import RequestError, command
from engine.cli.opening import open_project
from engine.cli.root import small_app
from engine.cli.screen import Screen
from engine.cli.wording import number_of
from engine.messages.catalogue_files import Standing, path_of, standing, updated
from engine.messages.catalogues import FOLDER
from engine.messages.locales import canonical

app = small_app(help="The texts of mails in other languages: gettext catalogues.", no_args_is_help=True)

Languages = Annotated[
    list[str] | None, typer.Argument(metavar="LANGUAGE…", help="such as he or pt-BR; without any, those there are")
]


@app.command("extract")
@command
def extract(screen: Screen, languages: Languages = None) -> None:
    """Write every text of the mails into the catalogues of these languages, for translators to fill in.

    What is translated stays. A language that has no catalogue yet gets one when it is named. JSON: `catalogues` (path,
    missing, fuzzy).
    """
    project = open_project(screen)
    tags = _tags(project, languages)
    written = []
    for tag in tags:
        path = path_of(tag)
        text = updated(tag, project.files.get(path), project.templates.mails.values(), project.files)
        _write(screen.folder / path, text)
        written.append(standing(tag, text, project.templates.mails.values()))
    screen.emit(
        {"catalogues": [{"path": one.path, "missing": len(one.missing), "fuzzy": len(one.fuzzy)} for one in written]}
    )
    for one in written:
        todo = f"{number_of(len(one.missing), 'text')} to translate" if one.missing else "every text is translated"
        screen.say(f"{one.path}: {todo}" + (f", {len(one.fuzzy)} to look over" if one.fuzzy else ""))


@app.command("check")
@command
def check_languages(screen: Screen, languages: Languages = None) -> int | None:
    """How far each language is: mails that can be sent in it, texts that are missing, doubtful or no longer used.

    A mail is sent in a language only when every text of it is there; until then it goes out whole in the workspace's
    language. Exit code 1 when a language named lacks something. JSON: `languages` (tag, path, complete, mails, missing,
    fuzzy, unused, blocked).
    """
    project = open_project(screen)
    mails = project.templates.mails
    found = [standing(tag, project.files[path_of(tag)], mails.values()) for tag in _tags(project, languages, new=False)]
    screen.emit({"languages": [{**vars(one), "complete": len(one.complete), "mails": len(mails)} for one in found]})
    rows = [
        [(one.tag, "bold"), f"{len(one.complete)} of {len(mails)}", len(one.missing) or None, len(one.fuzzy) or None, len(one.unused) or None]
        for one in found
    ]  # fmt: skip
    screen.table(["language", "whole mails", "missing", "fuzzy", "unused"], rows)
    for one in found:
        _show_texts(screen, one, is_asked_for=bool(languages))
        if one.blocked:
            screen.title(f"{one.tag}, mails with words outside trans, which go out in the workspace's language")
            screen.say("  " + ", ".join(one.blocked))
    return 1 if languages and any(one.missing or one.fuzzy or one.blocked for one in found) else None


def _show_texts(screen: Screen, one: Standing, *, is_asked_for: bool) -> None:
    for title, texts in (("missing", one.missing), ("fuzzy", one.fuzzy), ("unused", one.unused)):
        shown = texts if is_asked_for else texts[:3]
        if shown:
            more = f" (the first {len(shown)} of {len(texts)})" if len(shown) < len(texts) else ""
            screen.title(f"{one.tag}, {title}{more}")
            for text in shown:
                screen.say(f"  {text}")


def _tags(project: Project, languages: list[str] | None, *, new: bool = True) -> list[str]:
    there = sorted(path.removeprefix(FOLDER).removesuffix(".po") for path in project.files if path.startswith(FOLDER))
    if not languages:
        if not there and new:
            raise RequestError("there is no catalogue yet; name a language, as in `holdfast i18n extract he`")
        return there
    tags = []
    for name in languages:
        tag = canonical(name)
        if tag is None or (not new and tag not in there):
            raise RequestError(f'no {"catalogue for " if tag else "language "}"{name}"')
        tags.append(tag)
    return tags


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
