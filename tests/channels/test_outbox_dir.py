from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

from channel_world import CUSTOM_ARGS
from hypothesis import given
from hypothesis import strategies as st

from engine.addresses import Mailbox
from engine.channels import CHANNELS, Place, Result
from engine.channels.mime import mime_bytes
from engine.messages.header_text import display_name, single_line
from engine.messages.mail import Mail


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def folder(path: Path) -> object:
    channel = CHANNELS["outbox_dir"]
    return channel.open(channel.Settings.model_validate({"path": "out"}), Place(path, 1.0))


def test_the_file_is_a_whole_mail(tmp_path: Path, mail: Mail) -> None:
    assert folder(tmp_path).send(mail, CUSTOM_ARGS).provider_id == "ab" * 20 + ".eml"  # type: ignore[attr-defined]
    message = parsed((tmp_path / "out" / ("ab" * 20 + ".eml")).read_bytes())
    assert message["From"] == "Acme Ünit <hello@example.com>"
    assert message["To"] == "Ann Lee <ann@example.com>"
    assert message["Reply-To"] == "help@example.com"
    assert message["Subject"] == "Grüße, „Ann“ & co"
    assert message["Message-ID"] == "<abab@example.com>"
    assert message["Date"] == "Mon, 23 Nov 2026 09:00:05 +0000"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["X-Holdfast-Attempt"] == "42"
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().replace("\r\n", "\n") == mail.text
    assert html.get_content().replace("\r\n", "\n").rstrip("\n") == mail.html


def test_trying_twice_leaves_one_file_and_no_traces(tmp_path: Path, mail: Mail) -> None:
    session = folder(tmp_path)
    for _ in range(2):
        session.send(mail, CUSTOM_ARGS)  # type: ignore[attr-defined]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ab" * 20 + ".eml"]


def test_the_same_mail_has_the_same_bytes_all_of_them_ascii_in_short_lines(mail: Mail) -> None:
    content = mime_bytes(mail, CUSTOM_ARGS)
    assert content == mime_bytes(mail, CUSTOM_ARGS)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")


def test_a_folder_that_cannot_be_written_to_is_a_channel_that_is_down(tmp_path: Path, mail: Mail) -> None:
    (tmp_path / "out").write_text("a file is in the way")
    assert folder(tmp_path).send(mail, CUSTOM_ARGS).result is Result.CHANNEL_DOWN  # type: ignore[attr-defined]


_HOSTILE = st.text(
    st.sampled_from('ab \r\n\t\x00\x0b\x0c\x1c\x85\u2028\u2029\x7f:<>@",;=?é\U0001f600\u202e'), max_size=60
)


@given(_HOSTILE, _HOSTILE)
def test_no_name_or_subject_adds_a_header(name: str, subject: str) -> None:
    from channel_world import MAIL

    safe = replace(MAIL, to=Mailbox(display_name(name), "ann@example.com"), subject=single_line(subject) or "-")
    message = parsed(mime_bytes(safe, {}))
    assert sorted(message.keys()) == sorted(
        ["From", "To", "Reply-To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post",
         "MIME-Version", "Content-Type"]
    )  # fmt: skip
    assert [one.addr_spec for one in message["To"].addresses] == ["ann@example.com"]


def test_the_unsubscribe_link_stands_in_its_header_as_mail_programs_look_for_it(mail: Mail) -> None:
    link = "<https://mail.example.com/u/" + "a" * 22 + "." + "b" * 43 + ">"
    long = replace(mail, headers=(("List-Unsubscribe", link), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")))
    lines = mime_bytes(long, CUSTOM_ARGS).decode("ascii").split("\r\n")
    assert f"List-Unsubscribe: {link}" in lines
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert max(map(len, lines)) <= 998
