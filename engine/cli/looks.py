"""A mail that is looked at, in words: the same on the screen and in the gallery."""

from __future__ import annotations

from engine.addresses import Mailbox
from engine.messages import Mail
from engine.preview import Look


def heading(look: Look) -> str:
    """`gone-quiet, step 2 (again), en`."""
    variant = f", variant {look.variant}" if look.variant else ""
    return f"{look.rule.id}, step {look.step.no + 1} ({look.step.id}{variant}), {look.tag}"


def remarks(look: Look) -> list[str]:
    """What to know about whom a mail was made for and in which language."""
    found = []
    if look.person is not None and not look.person.is_found:
        who = look.person.customer_id
        found.append(
            f"the rule does not find {who} today, so all facts in it are made up; "
            f"`holdfast explain {who} --rule {look.rule.id}` tells why"
        )
    if look.falls_back:
        found.append(f"not available in {look.locale}: the whole mail falls back to {look.tag}")
    return found


def headers(mail: Mail) -> list[tuple[str, str]]:
    """The headers worth seeing, in their order, with the preheader among them."""
    reply_to = [("Reply-To", mailbox_text(mail.reply_to))] if mail.reply_to else []
    return [
        ("From", mailbox_text(mail.sender)), *reply_to, ("To", mailbox_text(mail.to)), ("Subject", mail.subject),
        ("Preheader", mail.preheader or "none"), *mail.headers,
    ]  # fmt: skip


def sizes(mail: Mail) -> str:
    """`31.4 kB of HTML, 1.2 kB of text`."""
    return f"{len(mail.html.encode()) / 1024:.1f} kB of HTML, {len(mail.text.encode()) / 1024:.1f} kB of text"


def mailbox_text(mailbox: Mailbox) -> str:
    """`Ann <ann@example.com>`."""
    return f"{mailbox.name} <{mailbox.address}>" if mailbox.name else mailbox.address
