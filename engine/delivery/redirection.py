"""Test mode: whatever the plan says, mail reaches nobody but the people who test."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from engine.addresses import Mailbox
from engine.messages.mail import Mail

MARK = "[test]"


def marked(subject: str) -> str:
    """The subject with the mark before it, once."""
    return subject if subject.startswith(MARK) else f"{MARK} {subject}"


@dataclass(frozen=True)
class Redirection:
    """`only_to`: canonical addresses, or `@domain` for all of a domain. `rewrite_to`: who gets all other mail instead."""

    only_to: Collection[str]
    rewrite_to: str | None

    def of(self, mail: Mail) -> Mail | None:
        """The mail as it may leave, or None when it must not.

        A mail that goes to somebody else than planned is marked in its subject, says nothing of whom it was for, and
        has lost the headers by which a mailbox unsubscribes with one click.
        """
        _, _, domain = mail.to.address.rpartition("@")
        if mail.to.address in {*self.only_to, self.rewrite_to} or f"@{domain}" in self.only_to:
            return mail
        if self.rewrite_to is None:
            return None
        return replace(mail, to=Mailbox("", self.rewrite_to), subject=marked(mail.subject), headers=())
