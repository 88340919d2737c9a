"""A project's mails the way Jinja2 itself would render them: layouts, imports and gettext worked through for each message.

The yardstick for `engine.messages`, which does that once, and what it must agree with to the byte. The same sandbox,
filters and checks of what is printed; the files as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import DictLoader, Template, nodes, pass_eval_context
from jinja2.nodes import EvalContext
from jinja2.parser import Parser
from markupsafe import Markup

from engine.messages.catalogues import Catalogues
from engine.messages.sandbox import MailEnvironment
from engine.messages.translation import Message, TransTag, folded, message_of

_FRONT_MATTER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)


class RuntimeTrans(TransTag):
    """`trans` as a call of gettext."""

    def parse(self, parser: Parser) -> nodes.With:
        """Called by Jinja."""
        block = super().parse(parser)
        message = message_of(block)
        assert message is not None
        named = [nodes.Keyword(name, value) for name, value in message.values.items()]
        ids = [nodes.Const(message.singular), nodes.Const(message.plural)]
        count = [nodes.Name(message.number, "load")] if message.number else []
        call = nodes.Call(nodes.Name("_say", "load"), ids + count, named, None, None, lineno=message.line)
        block.body = [nodes.Output([call], lineno=message.line)]
        return block


class Layered:
    """One language's mails. `template` gives a mail's HTML or MJML as Jinja2's own template."""

    def __init__(self, files: Mapping[str, str], tag: str) -> None:
        catalogues = Catalogues(files)

        def words(singular: str, plural: str | None, count: Any = None) -> str:
            found = catalogues.words(tag, Message(singular, plural, {}, None, 0))
            if plural is None:
                return found.forms[0] if found else singular
            if found is None:
                return singular if count == 1 else plural
            return found.forms[forms(_, count, found.rule)]

        @pass_eval_context
        def say(eval_ctx: EvalContext, singular: str, plural: str | None, *count: Any, **values: Any) -> Any:
            text = words(singular, plural, *count)
            shown = {name: environment.finalize(value) for name, value in values.items() if "{" + name + "}" in text}
            return (Markup(text) if eval_ctx.autoescape else text).format(**shown)

        def translated(text: str) -> str:
            return words(folded(text).replace("{", "{{").replace("}", "}}"), None).format()

        loader = DictLoader(
            {
                path.removeprefix("templates/"): _body(text)
                for path, text in files.items()
                if path.startswith("templates/")
            }
        )
        environment = MailEnvironment(loader, html=True)
        environment.extensions = {**environment.extensions, TransTag.identifier: RuntimeTrans(environment)}
        environment.globals = {**environment.globals, "_say": say, "_": translated}
        forms, _ = environment.filters["_form"], None
        self.environment = environment

    def template(self, name: str) -> Template:
        """Compiled once, as Jinja2 does."""
        return self.environment.get_template(name)


def _body(text: str) -> str:
    """Without its head, whose lines a comment takes, as the engine reads it."""
    head = _FRONT_MATTER.match(text)
    return "{#" + "\n" * head[0].count("\n") + "#}" + text[head.end() :] if head else text
