"""`preview`: mails as they would come out, for a made-up customer or a real one, without a trace."""

from __future__ import annotations

import email
import email.policy
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cli_shop import CONFIG, MAIL, QUIET, Shop

LADDER = (
    QUIET
    + "  - after: 10 days\n    variants:\n      a: {send: hello, share: 50%}\n      b: {send: we-miss-you, share: 50%}\n"
)

GERMAN = MAIL.format(subject="Wir vermissen dich").replace("Dear", "Liebe Grüße")

DARK = """---
subject: A dark one
preheader: Never white
---
<html lang="{{ lang }}" dir="{{ dir }}"><head><meta name="color-scheme" content="light dark">
<style>:root { color-scheme: light dark; } @media (prefers-color-scheme: dark) { .sheet { background: #101010 !important; } }</style></head>
<body><p class="sheet">Dear {{ customer.name }}, last seen {{ fact.last_event_at | date }}</p>
<p>{{ workspace.postal_address }} <a href="{{ links.unsubscribe }}">Unsubscribe</a> <a href="{{ links.preferences }}">Preferences</a></p>
</body></html>
"""

TASK_RULE = """rule: call
status: active
topic: care
trigger:
  inactivity: {for: 30 days, event: login}
steps:
  - send: call-them
    channel: people
"""

NOTE = "---\ntitle: Call {{ customer.name }}\n---\nThey have been away since {{ fact.last_event_at | date }}.\n"


def files(shop: Shop) -> list[str]:
    return sorted(str(path) for path in shop.folder.rglob("*"))


def test_a_mail_is_shown_with_its_headers_size_and_text_for_a_made_up_customer(shop: Shop) -> None:
    before = files(shop)
    shown = shop.run("preview", "quiet")
    assert shown.exit_code == 0, shown.output
    for line in ("From", "To  ", "Subject", "Preheader", "List-Unsubscribe", "Size", "kB of HTML"):
        assert line in shown.stdout
    assert "Dear Ann O'Neill" in shown.stdout
    assert "ann@example.com" in shown.stdout
    assert files(shop) == before


def test_a_customer_s_own_values_and_address_are_shown_when_asked_for(shop: Shop) -> None:
    (mail,) = shop.json("preview", "quiet", "--customer", "c03")["mails"]
    assert (mail["to"], mail["found"]) == ("Customer 3 <c03@example.com>", True)
    assert "Dear Customer 3" in mail["text"]


def test_the_facts_are_those_of_the_case_the_rule_finds(shop: Shop) -> None:
    shop.write("templates/we-miss-you/mail.html", DARK)
    (mail,) = shop.json("preview", "quiet", "--customer", "c03")["mails"]
    assert "Dear Customer 3, last seen April 1, 2026" in mail["text"]


def test_a_customer_the_rule_does_not_find_is_told_and_gets_made_up_facts(shop: Shop) -> None:
    shop.write("templates/we-miss-you/mail.html", DARK)
    shown = shop.run("preview", "quiet", "--customer", "c02")
    assert "the rule does not find c02 today, so all facts in it are made up" in shown.stdout
    assert "holdfast explain c02 --rule quiet" in shown.stdout
    assert "Dear Customer 2, last seen" in shown.stdout
    assert "April 1, 2026" not in shown.stdout


def test_somebody_who_is_no_customer_is_an_error(shop: Shop) -> None:
    result = shop.run("preview", "quiet", "--customer", "nobody")
    assert result.exit_code == 2
    assert 'no customer "nobody"' in result.stderr


def test_nothing_is_shown_of_somebody_who_was_erased(ran: Shop) -> None:
    assert ran.run("erase", "c03", "--yes").exit_code == 0
    result = ran.run("preview", "quiet", "--customer", "c03")
    assert result.exit_code == 2
    assert "Customer 3" not in result.output


def test_steps_follow_one_another_each_with_its_variants(shop: Shop) -> None:
    shop.write("rules/quiet.yaml", LADDER)
    mails = shop.json("preview", "quiet")["mails"]
    assert [(mail["step"], mail["variant"], mail["subject"]) for mail in mails] == [
        (1, None, "We miss you"), (2, "a", "Good to have you"), (2, "b", "We miss you"),
    ]  # fmt: skip
    assert [mail["variant"] for mail in shop.json("preview", "quiet", "--step", "2")["mails"]] == ["a", "b"]
    result = shop.run("preview", "quiet", "--step", "3")
    assert (result.exit_code, "quiet has 2 steps" in result.stderr) == (2, True)


def test_another_language_is_shown_when_there_is_one_and_the_default_when_not(shop: Shop) -> None:
    shop.write("templates/we-miss-you/mail.de.html", GERMAN)
    (german,) = shop.json("preview", "quiet", "--locale", "de-AT")["mails"]
    assert (german["subject"], german["language"], german["falls_back"]) == ("Wir vermissen dich", "de", False)
    shown = shop.run("preview", "quiet", "--locale", "he")
    assert "not available in he: the whole mail falls back to en" in shown.stdout
    languages = [mail["language"] for mail in shop.json("preview", "quiet", "--all-locales")["mails"]]
    assert languages == ["en", "de"]
    assert shop.run("preview", "quiet", "--locale", "klingonisch").exit_code == 2


def test_the_customer_s_language_is_the_default(shop: Shop) -> None:
    shop.write("templates/we-miss-you/mail.de.html", GERMAN)
    customers = shop.folder / "customers.csv"
    head, *rows = customers.read_text().splitlines()
    customers.write_text("\n".join([f"{head},locale", *(f"{row},de" for row in rows)]) + "\n")
    (mail,) = shop.json("preview", "quiet", "--customer", "c03")["mails"]
    assert mail["subject"] == "Wir vermissen dich"
    (mail,) = shop.json("preview", "quiet", "--customer", "c03", "--locale", "en")["mails"]
    assert mail["subject"] == "We miss you"


def test_out_writes_pages_texts_and_mails_that_mail_programs_open(shop: Shop, tmp_path: Path) -> None:
    shop.write("rules/quiet.yaml", LADDER)
    document = shop.json("preview", "quiet", "--out", str(tmp_path / "out"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(
        f"quiet-{name}.{kind}" for name in ("1", "2-a", "2-b") for kind in ("html", "txt", "eml")
    )  # fmt: skip
    assert sorted(Path(file).name for file in document["files"]) == names
    mail = email.message_from_bytes((tmp_path / "out/quiet-1.eml").read_bytes(), policy=email.policy.default)
    assert mail["Subject"] == "We miss you"
    assert "Ann O'Neill" in (tmp_path / "out/quiet-1.html").read_text().replace("&#39;", "'")
    shop.run("preview", "quiet", "--step", "1", "--locale", "en", "--out", str(tmp_path / "languages"))
    assert (tmp_path / "languages/quiet-1-en.html").exists()


def test_a_note_is_shown_by_its_title_and_text(shop: Shop) -> None:
    shop.write("config.yaml", CONFIG + "channels:\n  email: {use: outbox_dir}\n  people: {use: task}\n")
    shop.write("rules/call.yaml", TASK_RULE)
    shop.write("templates/call-them/note.txt", NOTE)
    (note,) = shop.json("preview", "call", "--customer", "c03")["mails"]
    assert note["title"] == "Call Customer 3"
    assert "away since" in note["text"]
    assert "Call Customer 3" in shop.run("preview", "call", "--customer", "c03").stdout


def test_what_cannot_be_made_says_why_and_fails(shop: Shop) -> None:
    mail = shop.folder / "templates/hello/mail.html"
    mail.write_text(mail.read_text().replace("Dear {{ customer.name }}", "{{ fact.anchor_on | money }}"))
    customers = shop.folder / "customers.csv"
    customers.write_text(customers.read_text().replace("Customer 3,", ","))
    result = shop.run("preview", "quiet", "--customer", "c03")
    assert result.exit_code == 1
    assert "customer.name is empty for this customer" in result.stderr


def test_warnings_about_the_mail_stand_beside_it(shop: Shop) -> None:
    shop.write("templates/we-miss-you/mail.html", MAIL.format(subject="COME BACK RIGHT NOW!!!"))
    shown = shop.run("preview", "quiet").stdout
    assert "[HF521]" in shown
    (mail,) = shop.json("preview", "quiet")["mails"]
    assert "HF521" in {warning["code"] for warning in mail["warnings"]}


# The gallery.


class Reader(HTMLParser):
    """Frames, headings and whatever a page would load from elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.frames: list[dict[str, str | None]] = []
        self.headings: list[str] = []
        self.loaded: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "iframe":
            self.frames.append(given)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        self.loaded += [str(given[name]) for name in ("src", "href") if given.get(name) and tag != "a"]


def test_the_gallery_shows_every_mail_three_times_and_needs_no_network(shop: Shop, tmp_path: Path) -> None:
    shop.write("templates/we-miss-you/mail.de.html", GERMAN)
    result = shop.run("preview", "--gallery", "--all-locales", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    page = Reader((tmp_path / "index.html").read_text())
    assert len(page.frames) == 3 * 3  # two mails, one of them in two languages
    assert [frame["width"] for frame in page.frames[:3]] == ["642", "642", "392"]
    assert all(frame["loading"] == "lazy" and "allow-scripts" not in str(frame["sandbox"]) for frame in page.frames)
    assert all(frame["title"] for frame in page.frames)
    assert page.loaded == []
    assert page.headings[:3] == ["h1", "h2", "h3"]


def test_without_a_gallery_a_rule_must_be_named(shop: Shop) -> None:
    result = shop.run("preview")
    assert result.exit_code == 2
    assert "--gallery" in result.stderr


def test_a_mail_cannot_break_out_of_its_frame(shop: Shop, tmp_path: Path) -> None:
    shop.write("templates/we-miss-you/mail.html", MAIL.format(subject="'\"></iframe><script>alert(1)</script>'"))
    shop.run("preview", "quiet", "--gallery", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    assert "<script>alert" not in page
    assert len(Reader(page).frames) == 3


def test_each_frame_is_forced_into_its_colours(shop: Shop, tmp_path: Path) -> None:
    shop.write("templates/we-miss-you/mail.html", DARK)
    shop.run("preview", "quiet", "--gallery", "--out", str(tmp_path))
    light, dark, phone = Reader((tmp_path / "index.html").read_text()).frames
    for frame in (light, dark, phone):
        assert "prefers-color-scheme" not in str(frame["srcdoc"])
        assert "light dark" not in str(frame["srcdoc"])
    assert 'content="light"' in str(light["srcdoc"])
    assert 'content="dark"' in str(dark["srcdoc"])


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_shows_the_dark_frame_dark_and_the_others_light(shop: Shop, tmp_path: Path) -> None:
    shop.write("templates/we-miss-you/mail.html", DARK)
    shop.run("preview", "quiet", "--gallery", "--out", str(tmp_path))
    page = tmp_path / "index.html"
    probe = (
        "<script>addEventListener('load', () => document.title = JSON.stringify([...document.querySelectorAll('iframe')]"
        ".map(frame => frame.contentWindow.getComputedStyle(frame.contentDocument.querySelector('.sheet')).backgroundColor)))"
        "</script></body>"
    )
    page.write_text(page.read_text().replace("</body>\n</html>", probe + "</html>").replace('loading="lazy"', ""))
    chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    shown = subprocess.run([*chromium, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120).stdout
    colours = json.loads(re.search(r"<title>(\[.*?\])</title>", shown)[1])  # type: ignore[index]
    assert colours == ["rgba(0, 0, 0, 0)", "rgb(16, 16, 16)", "rgba(0, 0, 0, 0)"]
