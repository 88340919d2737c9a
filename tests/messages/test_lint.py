"""Each thing that costs readers, in a mail made to have it, and a mail that has none of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from engine.addresses import Mailbox
from engine.messages.lint import colour_of, contrast, lint
from engine.messages.mail import Mail

WORDS = "<p>" + "Your plan renews soon and nothing needs to be done about it by you at all today. " * 2 + "</p>"
GOOD = Mail(
    "k", Mailbox("A", "a@example.com"), Mailbox("", "b@example.com"), None, "Your plan renews on Friday", "Nothing to do.",
    f"<html><head><title>T</title></head><body><div style='display:none'>Nothing to do.</div>{WORDS}"
    "<a href='https://x.example'>Open</a><img src='https://x.example/a.png' alt=''></body></html>",
    "text", "<m@x>", datetime(2026, 11, 22),
)  # fmt: skip


def found(mail: Mail, class_: str = "marketing") -> list[str]:
    return [finding.code for finding in lint(mail, class_)]


def with_body(body: str) -> Mail:
    return replace(GOOD, html=GOOD.html.replace("</body>", body + "</body>"))


def test_a_good_mail_has_nothing_to_mend() -> None:
    assert found(GOOD) == found(GOOD, "service") == []


@pytest.mark.parametrize(
    ("mail", "code"),
    [
        (replace(GOOD, subject="x" * 61), "HF523"),
        (replace(GOOD, subject="YOUR PLAN RENEWS"), "HF521"),
        (replace(GOOD, subject="Last chance!!"), "HF521"),
        (replace(GOOD, subject="Re: your plan"), "HF521"),
        (replace(GOOD, preheader=""), "HF524"),
        (replace(GOOD, preheader="Nowhere"), "HF524"),
        (with_body("<img src='https://x.example/b.png'>"), "HF522"),
        (with_body("<a href='http://x.example'>x</a>"), "HF526"),
        (with_body("<a href='/path'>x</a>"), "HF526"),
        (with_body("<p>" + "word " * 21_000 + "</p>"), "HF525"),
        (replace(GOOD, html=GOOD.html.replace(WORDS, "")), "HF521"),
        (with_body("<p style='color:#999999'>faint</p>"), "HF527"),
        (with_body("<table><tr><td bgcolor='#0f6b62' style='color:#226655'>faint</td></tr></table>"), "HF527"),
        (with_body("<div style='background:#000'><p style='color:#333'>faint</p></div>"), "HF527"),
    ],
)
def test_what_costs_readers_is_found(mail: Mail, code: str) -> None:
    assert found(mail) == [code]


def test_large_letters_need_less_contrast() -> None:
    assert found(with_body("<h1 style='font-size:25px;color:#8a8a8a'>large</h1>")) == []
    assert found(with_body("<p style='font-size:15px;color:#8a8a8a'>small</p>")) == ["HF527"]


@pytest.mark.parametrize(
    "words", ["20% off for you", "Use the coupon SAVE", "two months free", "our special offer", "half price"]
)
def test_an_offer_belongs_into_marketing_only(words: str) -> None:
    for mail in (replace(GOOD, subject=words), with_body(f"<p>{words}</p>")):
        assert (found(mail, "service"), found(mail, "legal"), found(mail)) == (["HF520"], ["HF520"], [])


def test_ordinary_words_about_money_are_no_offer() -> None:
    text = "<p>The free plan stays. Your price rises by 5 %. We charge EUR 20 for the month. You saved your boards.</p>"
    assert found(with_body(text), "service") == []


def test_contrast_is_as_the_standard_says() -> None:
    """Published examples: black on white 21, #777777 on white 4.48, #767676 on white 4.54 (WebAIM)."""
    white = (255, 255, 255)
    assert contrast((0, 0, 0), white) == pytest.approx(21)
    assert contrast(colour_of("#777777") or white, white) == pytest.approx(4.48, abs=0.005)
    assert contrast(colour_of("#767676") or white, white) == pytest.approx(4.54, abs=0.005)
