"""`sendgrid`: Twilio SendGrid's v3 API.

The official package builds the request and owns the API object. Only its transport is replaced: it opens a connection
per call and reads whatever the server sends for as long as it sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import python_http_client
import sendgrid
from pydantic import BeforeValidator, Field
from sendgrid.helpers.mail import (
    Content,
    CustomArg,
    Email,
    From,
    Header,
    MailSettings,
    Personalization,
    ReplyTo,
    SandBoxMode,
    To,
)
from sendgrid.helpers.mail import Mail as RequestBody

from engine.addresses import Mailbox
from engine.channels.answers import answer
from engine.channels.base import Answer, Channel, Place, Result
from engine.channels.wire import NotSent, Reply, Unclear, Wire, retry_after_s
from engine.messages.mail import Mail
from engine.project.secret import Secret
from engine.project.types import StrictModel, read_list


class Settings(StrictModel):
    """Keys of `use: sendgrid`.

    `api_url`: `https://api.eu.sendgrid.com` for an account in the EU region. `sandbox: true` has mails checked and
    thrown away; they never count as sent. `events_key`: what SendGrid shows as the verification key of the event
    webhook; while it is being changed, the old and the new one.
    """

    api_key: Secret
    api_url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$")] = (
        "https://api.sendgrid.com"
    )
    sandbox: bool = False
    events_key: Annotated[tuple[Secret, ...], BeforeValidator(read_list)] = ()


class KeptAliveClient(python_http_client.Client):  # type: ignore[misc]
    """The package's client, posting over one kept connection. `client.mail.send.post(request_body=…)` as ever."""

    def __init__(self, wire: Wire, **options: Any) -> None:
        super().__init__(**options)
        self.wire = wire
        given = {**self.request_headers, "Content-Type": "application/json"}
        self.header_lines = "".join(f"{name}: {value}\r\n" for name, value in given.items()).encode("ascii")
        self.path = self._build_url(None).removeprefix(self.host)

    def _build_client(self, name: str | None = None) -> KeptAliveClient:
        """The client one step further down the path."""
        return KeptAliveClient(
            self.wire,
            host=self.host,
            version=self._version,
            request_headers=self.request_headers,
            url_path=[*self._url_path, name] if name else self._url_path,
        )

    def post(self, request_body: Mapping[str, object]) -> Reply:
        """One call. Raises NotSent or Unclear when there is no answer."""
        return self.wire.post(self.path, self.header_lines, json.dumps(request_body).encode("ascii"))


class Api:
    """One API object of one thread."""

    def __init__(self, settings: Settings, timeout_s: float) -> None:
        self.wire = Wire(settings.api_url, timeout_s)
        api = sendgrid.SendGridAPIClient(settings.api_key.reveal(), host=settings.api_url)
        api.client = KeptAliveClient(self.wire, host=api.host, version=3, request_headers=api._default_headers)
        self.endpoint = api.client.mail.send
        self.sandbox = settings.sandbox

    def send(self, mail: Mail, custom_args: Mapping[str, str]) -> Answer:
        """Try once."""
        body = request_body(mail, custom_args, sandbox=self.sandbox)
        try:
            return classify(self.endpoint.post(request_body=body))
        except NotSent as fault:
            return answer(Result.RETRY, str(fault), of_channel=True)
        except Unclear as fault:
            return answer(Result.IN_DOUBT, str(fault))

    def close(self) -> None:
        """Hang up."""
        self.wire.close()


def request_body(mail: Mail, custom_args: Mapping[str, str], *, sandbox: bool = False) -> dict[str, object]:
    """The JSON of one request: one recipient, so that a lost answer leaves one mail in doubt and not a thousand."""
    request = RequestBody()
    request.from_email = _named(From(), mail.sender)
    request.subject = mail.subject
    request.add_content(Content("text/plain", mail.text))
    request.add_content(Content("text/html", mail.html))
    if mail.reply_to:
        request.reply_to = _named(ReplyTo(), mail.reply_to)
    for name, value in (("Message-ID", mail.message_id), *mail.headers):
        request.add_header(Header(name, value))
    person = Personalization()
    person.add_to(_named(To(), mail.to))
    for name, value in custom_args.items():
        person.add_custom_arg(CustomArg(name, value))
    request.add_personalization(person)
    if sandbox:
        request.mail_settings = MailSettings(sandbox_mode=SandBoxMode(enable=True))
    body: dict[str, object] = request.get()
    return body


def _named(email: Email, mailbox: Mailbox) -> Email:
    """Filled in field by field: given a whole text, the package would guess its parts with `parseaddr`."""
    email.email, email.name = mailbox.address, mailbox.name or None
    return email


#: Statuses that say something about the account, the key or the address of the API, and so about every mail.
_CHANNEL_DOWN = frozenset({401, 403, 404, 405, 406, 407, 410, 415, 451})


def classify(reply: Reply) -> Answer:
    """What a status means. The body is only ever quoted, never believed.

    Statuses: https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/responses
    """
    if reply.status == 202:
        return answer(Result.ACCEPTED, provider_id=reply.headers.get("x-message-id"))
    said = f"{reply.status} {reply.body[:1000].decode('utf-8', 'replace')}".strip()
    if reply.status == 200:
        return answer(Result.SANDBOXED, said)
    if reply.status == 429:
        return answer(Result.RETRY, said, retry_after_s=retry_after_s(reply.headers), of_channel=True)
    if reply.status in _CHANNEL_DOWN or 300 <= reply.status < 400:
        return answer(Result.CHANNEL_DOWN, said)
    return answer(Result.REFUSED if 400 <= reply.status < 500 else Result.IN_DOUBT, said)


def _open(settings: Settings, place: Place) -> Api:
    return Api(settings, place.timeout_s)


CHANNEL = Channel("sendgrid", Settings, live=True, open=_open)
