"""A mail as the bytes that SMTP carries and .eml files hold.

Only `EmailMessage` with the SMTP policy writes headers: it refuses line breaks, which the older classes let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy

from engine.addresses import Mailbox
from engine.messages.mail import Mail

_WHOLE = frozenset({"list-unsubscribe", "message-id"})
"""Headers whose one long word must stay as it is: mail programs look for <https://…> and find no encoded word."""


class _MailPolicy(EmailPolicy):
    """The SMTP policy, which would encode a word that is longer than a line."""

    def fold(self, name: str, value: str) -> str:
        """The header as text."""
        if name.lower() in _WHOLE and value.isascii() and value.isprintable():
            return f"{name}: {value}{self.linesep}"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        """The header as bytes."""
        if name.lower() in _WHOLE:
            return self.fold(name, value).encode("ascii")
        return bytes(super().fold_binary(name, value))


_POLICY = _MailPolicy(linesep="\r\n", max_line_length=78, cte_type="7bit", raise_on_defect=False)


def mime_bytes(mail: Mail, custom_args: Mapping[str, str]) -> bytes:
    """The whole message, lines ended by CR LF, nothing but ASCII. The same mail always gives the same bytes.

    `custom_args` become `X-Holdfast-…` headers.
    """
    message = EmailMessage(policy=_POLICY)
    message["From"] = _address(mail.sender)
    message["To"] = _address(mail.to)
    if mail.reply_to:
        message["Reply-To"] = _address(mail.reply_to)
    message["Subject"] = mail.subject
    message["Date"] = mail.date.replace(tzinfo=UTC)
    message["Message-ID"] = mail.message_id
    for name, value in mail.headers:
        message[name] = value
    for name, value in custom_args.items():
        message[f"X-Holdfast-{name.replace('_', '-').title()}"] = value
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_{mail.message_key[:32]}")
    return message.as_bytes()


def _address(mailbox: Mailbox) -> Address:
    return Address(mailbox.name, addr_spec=mailbox.address)
