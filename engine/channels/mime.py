"""A mail as the bytes that SMTP carries and .eml files hold.

Only `EmailMessage` with the SMTP policy writes headers: it refuses line breaks, which the older classes let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from engine.addresses import Mailbox
from engine.messages.mail import Mail

_POLICY = SMTP.clone(cte_type="7bit")


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
