"""A mail server for tests that can misbehave at every stage."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Arrived:
    sender: str
    recipient: str
    content: bytes
    encrypted: bool


@dataclass
class Faults:
    """Replies instead of the usual ones. `hang_up`: a stage at which the line is cut: connect, rcpt, dot, after_250."""

    greeting: str = ""
    mail: str = ""
    rcpt: str = ""
    data: str = ""
    dot: str = ""
    hang_up: str = ""


@dataclass
class _Handler:
    server: SmtpServer

    async def handle_MAIL(  # noqa: N802 - the name aiosmtpd looks for
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.server.faults.mail:
            return self.server.faults.mail
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the name aiosmtpd looks for
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.server.faults.hang_up == "rcpt":
            _cut(smtp)
        if self.server.faults.rcpt:
            return self.server.faults.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, smtp: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        faults = self.server.faults
        if not faults.dot:
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            recipient = envelope.rcpt_tos[0]
            self.server.arrived.append(Arrived(str(envelope.mail_from), recipient, content, session.ssl is not None))
        if faults.hang_up == "dot":
            _cut(smtp)
        if faults.hang_up == "after_250":
            asyncio.get_running_loop().call_later(0.05, _cut, smtp)
        return faults.dot or "250 2.0.0 Ok: queued as 4XyZ123"


def _cut(smtp: SMTP) -> None:
    smtp.transport.abort()  # type: ignore[union-attr]


class _Smtp(SMTP):
    def __init__(self, handler: _Handler, **options: Any) -> None:
        self.faults = handler.server.faults
        self.has_greeted = False
        handler.server.connections += 1
        super().__init__(handler, **options)

    async def push(self, status: Any) -> None:
        if self.faults.greeting and not self.has_greeted:
            status = self.faults.greeting
        self.has_greeted = True
        await super().push(status)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.faults.hang_up == "connect":
            transport.abort()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if self.faults.data:
            await self.push(self.faults.data)
        else:
            await super().smtp_DATA(arg)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Smtp(self.handler, **self.SMTP_kwargs)


@dataclass
class SmtpServer:
    """Listens on a free port while it is entered. With `tls`, it offers STARTTLS."""

    faults: Faults = field(default_factory=Faults)
    tls: ssl.SSLContext | None = None
    password: str | None = None
    arrived: list[Arrived] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def __enter__(self) -> Self:
        options: dict[str, Any] = {"tls_context": self.tls} if self.tls else {}
        if self.password is not None:
            options |= {"authenticator": self._check, "auth_required": True, "auth_require_tls": False}
        self._controller = _Controller(_Handler(self), hostname="127.0.0.1", port=_free_port(), **options)
        self._controller.start()
        self.port = self._controller.port
        self.connections = 0  # starting makes one of its own
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def _check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any) -> AuthResult:
        good = isinstance(login, LoginPassword) and login.password == (self.password or "").encode()
        return AuthResult(success=good, handled=False)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def certificate(folder: Path, *, expired: bool = False) -> Iterator[tuple[ssl.SSLContext, Path]]:
    """A server context with a certificate for 127.0.0.1 that signs itself, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    ends = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    yield context, cert_file
