"""`smtp`: any mail server, over one kept connection per worker."""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from engine.channels.answers import answer
from engine.channels.base import Answer, Channel, Place, Result
from engine.channels.mime import mime_bytes
from engine.messages.mail import Mail
from engine.project.secret import Secret
from engine.project.types import Line, StrictModel

Security = Literal["starttls", "ssl", "none"]


class Settings(StrictModel):
    """Keys of `use: smtp`.

    `security`: `starttls` (default) begins in the open and requires the server to go over to TLS, `ssl` is TLS from
    the first byte (port 465), `none` sends everything readable by anybody on the way. There is no falling back.
    `ca_file`: certificates to trust besides the system's, for a server with a certificate of one's own making.
    """

    host: Line
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    security: Security = "starttls"
    user: Line | None = None
    password: Secret | None = None
    ca_file: Line | None = None


@dataclass(frozen=True)
class Login:
    """What a session needs to know, secrets looked up."""

    host: str
    port: int
    security: Security
    user: str | None
    password: str | None
    tls: ssl.SSLContext
    timeout_s: float


class _Refused(Exception):  # noqa: N818 - a signal inside this file
    """The server said no to one command."""

    def __init__(self, code: int, said: bytes) -> None:
        super().__init__(f"{code} {said.decode('utf-8', 'replace')}")
        self.code = code


class Connection:
    """One connection, opened when first needed and again after it broke."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self.server: smtplib.SMTP | None = None

    def send(self, mail: Mail, custom_args: Mapping[str, str]) -> Answer:
        """Try once. A server that hung up on an idle connection is called again first: nothing had been sent."""
        content = mime_bytes(mail, custom_args)
        was_open = self.server is not None
        try:
            server = self._announced(mail)
        except smtplib.SMTPServerDisconnected as fault:
            self._drop()
            return self.send(mail, custom_args) if was_open else _unreachable(fault)
        except (_Refused, smtplib.SMTPException, OSError) as fault:
            return self._before_the_body(fault)
        return self._hand_over(server, content)

    def close(self) -> None:
        """Say goodbye if the line still stands."""
        if self.server is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                self.server.quit()
        self._drop()

    def _announced(self, mail: Mail) -> smtplib.SMTP:
        """The server, ready for the body. Nothing is delivered before the body is complete."""
        server = self.server or self._connect()
        _demand(server.mail(mail.sender.address))
        _demand(server.rcpt(mail.to.address))
        _demand(server.docmd("DATA"), expected=354)
        return server

    def _connect(self) -> smtplib.SMTP:
        login = self.login
        if login.security == "ssl":
            self.server = smtplib.SMTP_SSL(login.host, login.port, timeout=login.timeout_s, context=login.tls)
        else:
            self.server = smtplib.SMTP(login.host, login.port, timeout=login.timeout_s)
        if login.security == "starttls":
            self.server.starttls(context=login.tls)  # raises when the server does not offer it
        self.server.ehlo_or_helo_if_needed()
        if login.user is not None:
            self.server.login(login.user, login.password or "")
        return self.server

    def _hand_over(self, server: smtplib.SMTP, content: bytes) -> Answer:
        """The body, and what the server says to its final dot. Silence from here on leaves the mail in doubt."""
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        try:
            server.send(stuffed + b".\r\n")
            code, said = server.getreply()
        except (smtplib.SMTPException, OSError) as fault:
            self._drop()
            return answer(Result.IN_DOUBT, f"no answer after the body: {fault}")
        if code == 421:
            self._drop()
        result = Result.ACCEPTED if code // 100 == 2 else Result.REFUSED if code // 100 == 5 else Result.RETRY
        return answer(result, f"{code} {said.decode('utf-8', 'replace')}", provider_id=_queue_id(said))

    def _before_the_body(self, fault: Exception) -> Answer:
        """Certainly not sent. A refusal of this one mail keeps the connection; everything else gives it up."""
        if isinstance(fault, _Refused) and fault.code != 421 and self._reset():
            return answer(Result.REFUSED if fault.code // 100 == 5 else Result.RETRY, str(fault))
        self._drop()
        return (
            answer(Result.CHANNEL_DOWN, f"{type(fault).__name__}: {fault}") if _for_good(fault) else _unreachable(fault)
        )

    def _reset(self) -> bool:
        try:
            return self.server is not None and self.server.rset()[0] == 250
        except (smtplib.SMTPException, OSError):
            return False

    def _drop(self) -> None:
        if self.server is not None:
            self.server.close()
        self.server = None


def _demand(reply: tuple[int, bytes], expected: int = 250) -> None:
    code, said = reply
    if code != expected and not (expected == 250 and code == 251):  # 251: will forward
        raise _Refused(code, said)


def _unreachable(fault: Exception) -> Answer:
    return answer(Result.RETRY, f"{type(fault).__name__}: {fault}", of_channel=True)


def _for_good(fault: Exception) -> bool:
    """Whether a person must act before this server takes any mail: wrong password, no TLS, an untrusted certificate."""
    if isinstance(fault, ssl.SSLCertVerificationError | smtplib.SMTPNotSupportedError):
        return True
    code = getattr(fault, "smtp_code", 0)
    return isinstance(fault, smtplib.SMTPResponseException) and code // 100 == 5


def _queue_id(said: bytes) -> str | None:
    """The server's own name for the mail, as most of them give it: `2.0.0 Ok: queued as 4XyZ`."""
    found = re.search(rb"queued as ([A-Za-z0-9.-]{4,64})", said, re.IGNORECASE)
    return found[1].decode() if found else None


def _open(settings: Settings, place: Place) -> Connection:
    tls = ssl.create_default_context()
    if settings.ca_file:
        tls.load_verify_locations(place.root / settings.ca_file)
    password = settings.password.reveal() if settings.password else None
    return Connection(
        Login(settings.host, settings.port, settings.security, settings.user, password, tls, place.timeout_s)
    )


CHANNEL = Channel("smtp", Settings, live=True, open=_open)
