from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from channel_world import CUSTOM_ARGS
from smtp_servers import Faults, SmtpServer, certificate

from engine.channels import CHANNELS, Answer, Place, Result, Session
from engine.errors import SetupError
from engine.messages.mail import Mail

CHANNEL = CHANNELS["smtp"]


def connect(port: int, folder: Path = Path(), timeout_s: float = 5.0, **settings: object) -> Session:
    given = {"host": "127.0.0.1", "port": port, "security": "none", **settings}
    return CHANNEL.open(CHANNEL.Settings.model_validate(given), Place(folder, timeout_s))


def answer_to(faults: Faults, mail: Mail) -> tuple[Answer, int]:
    with SmtpServer(faults) as server:
        session = connect(server.port)
        answer = session.send(mail, CUSTOM_ARGS)
        session.close()
        return answer, len(server.arrived)


@pytest.mark.parametrize(
    ("faults", "result", "of_channel"),
    [
        (Faults(rcpt="550 5.1.1 no such user ann@example.com"), Result.REFUSED, False),
        (Faults(rcpt="451 4.7.1 greylisted"), Result.RETRY, False),
        (Faults(rcpt="421 4.3.2 shutting down"), Result.RETRY, True),
        (Faults(mail="550 sender unknown"), Result.REFUSED, False),
        (Faults(data="451 4.3.0 later"), Result.RETRY, False),
        (Faults(data="554 no"), Result.REFUSED, False),
        (Faults(dot="451 4.3.0 later"), Result.RETRY, False),
        (Faults(dot="552 too big"), Result.REFUSED, False),
        (Faults(dot="421 going away"), Result.RETRY, False),
        (Faults(greeting="421 too busy"), Result.RETRY, True),
        (Faults(greeting="554 not you"), Result.CHANNEL_DOWN, False),
        (Faults(hang_up="connect"), Result.RETRY, True),
        (Faults(hang_up="rcpt"), Result.RETRY, True),
    ],
)
def test_replies_are_told_apart(faults: Faults, result: Result, of_channel: bool, mail: Mail) -> None:
    answer, arrived = answer_to(faults, mail)
    assert (answer.result, answer.of_channel) == (result, of_channel)
    assert arrived == 0


def test_silence_after_the_final_dot_leaves_the_mail_in_doubt(mail: Mail) -> None:
    answer, arrived = answer_to(Faults(hang_up="dot"), mail)
    assert (answer.result, arrived) == (Result.IN_DOUBT, 1)


def test_a_line_cut_after_the_250_does_not_change_the_answer(mail: Mail) -> None:
    with SmtpServer(Faults(hang_up="after_250")) as server:
        session = connect(server.port)
        assert session.send(mail, CUSTOM_ARGS).result is Result.ACCEPTED
        import time

        time.sleep(0.2)
        assert session.send(mail, CUSTOM_ARGS).result is Result.ACCEPTED
        assert len(server.arrived) == 2
        session.close()


def test_one_connection_serves_many_mails_and_a_refused_one_does_not_end_it(mail: Mail) -> None:
    with SmtpServer() as server:
        session = connect(server.port)
        session.send(mail, CUSTOM_ARGS)
        server.faults.rcpt = "550 no"
        assert session.send(mail, CUSTOM_ARGS).result is Result.REFUSED
        server.faults.rcpt = ""
        assert session.send(mail, CUSTOM_ARGS).result is Result.ACCEPTED
        session.close()
        assert server.connections == 1


def test_the_servers_name_for_the_mail_is_kept_and_addresses_are_masked(mail: Mail) -> None:
    with SmtpServer() as server:
        session = connect(server.port)
        assert session.send(mail, CUSTOM_ARGS).provider_id == "4XyZ123"
        server.faults.rcpt = "550 5.1.1 <ann@example.com> unknown"
        assert "ann@" not in session.send(mail, CUSTOM_ARGS).detail
        session.close()


def test_the_body_arrives_as_it_was_written_dots_and_all(mail: Mail) -> None:
    import email
    import email.policy

    with SmtpServer() as server:
        session = connect(server.port)
        session.send(replace(mail, text=".\n..\nx\n"), CUSTOM_ARGS)
        session.close()
        message = email.message_from_bytes(server.arrived[0].content, policy=email.policy.default)
        text = message.get_body(("plain",))  # type: ignore[attr-defined]
        assert text.get_content().replace("\r\n", "\n") == ".\n..\nx\n"


def test_nobody_listening_is_a_retry_of_the_channel(mail: Mail) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        answer = connect(closed.getsockname()[1]).send(mail, CUSTOM_ARGS)
    assert (answer.result, answer.of_channel) == (Result.RETRY, True)


def test_a_server_that_never_answers_is_given_up_in_time(mail: Mail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = connect(silent.getsockname()[1], timeout_s=0.3).send(mail, CUSTOM_ARGS)
    assert (answer.result, answer.of_channel) == (Result.RETRY, True)


# Encryption.


def test_starttls_is_required_unless_settings_say_otherwise(mail: Mail) -> None:
    with SmtpServer() as server:
        session = connect(server.port, security="starttls")
        assert session.send(mail, CUSTOM_ARGS).result is Result.CHANNEL_DOWN
        assert server.arrived == []
    assert CHANNEL.Settings.model_validate({"host": "x"}).security == "starttls"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("trusted", "expired"), [(False, False), (True, True)])
def test_a_certificate_that_cannot_be_trusted_ends_the_channel_and_nothing_is_sent(
    mail: Mail, tmp_path: Path, trusted: bool, expired: bool
) -> None:
    with certificate(tmp_path, expired=expired) as (context, file), SmtpServer(tls=context) as server:
        more = {"ca_file": str(file)} if trusted else {}
        session = connect(server.port, tmp_path, security="starttls", **more)
        assert session.send(mail, CUSTOM_ARGS).result is Result.CHANNEL_DOWN
        assert server.arrived == []


def test_mail_goes_over_an_encrypted_line(mail: Mail, tmp_path: Path) -> None:
    with certificate(tmp_path) as (context, file), SmtpServer(tls=context) as server:
        session = connect(server.port, tmp_path, security="starttls", ca_file=str(file))
        assert session.send(mail, CUSTOM_ARGS).result is Result.ACCEPTED
        assert server.arrived[0].encrypted
        session.close()


def test_a_wrong_password_ends_the_channel(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "wrong")
    with SmtpServer(password="right") as server:
        session = connect(server.port, user="me", password="${SMTP_PASSWORD}")
        assert session.send(mail, CUSTOM_ARGS).result is Result.CHANNEL_DOWN
        monkeypatch.setenv("SMTP_PASSWORD", "right")
        assert (
            connect(server.port, user="me", password="${SMTP_PASSWORD}").send(mail, CUSTOM_ARGS).result
            is Result.ACCEPTED
        )


def test_a_password_that_is_not_set_is_told_when_the_channel_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMTP_PASSWORD", raising=False)
    with pytest.raises(SetupError, match="SMTP_PASSWORD"):
        connect(25, user="me", password="${SMTP_PASSWORD}")
