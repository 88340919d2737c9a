"""What customers say: answers to the half-yearly survey, and tickets of the support desk."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from engine.sample.billing import Account
from engine.sample.people import Person
from engine.sample.records import Response, Ticket

SURVEY = "nps"
FIRST_ASKED_DAYS, ASKED_EVERY_DAYS = 60, 182
"""Days from the sign-up to the first question, and from one to the next."""
ANSWERED_PERCENT = 30
KEPT_DAYS = 365
"""Answers and tickets older than this are not in the export."""

SCORES = ((10, 20), (9, 24), (8, 20), (7, 13), (6, 8), (5, 6), (4, 3), (3, 3), (2, 1), (1, 1), (0, 1))
"""Score, and how common it is."""

Remark = tuple[str, str, str]
"""Reason, and the comment in English and in German."""

PLEASED: tuple[Remark, ...] = (
    ("ease_of_use", "The whole team was on it in one afternoon.", "Nach einem Nachmittag war das ganze Team dabei."),
    ("sharing", "Shared reports have replaced our Monday meeting.", "Die Berichte ersetzen unsere Montagsrunde."),
    ("support", "Quick answers by people who know the product.", "Schnelle Antworten von Leuten, die sich auskennen."),
)
LUKEWARM: tuple[Remark, ...] = (
    ("missing_feature", "Good, but I miss a calendar view.", "Gut, aber mir fehlt eine Kalenderansicht."),
    ("price", "Fair for what it does.", "Angemessen für das, was es kann."),
)
DISPLEASED: tuple[Remark, ...] = (
    ("price", "We pay for ten people and use it with four.", "Wir zahlen für zehn und arbeiten zu viert damit."),
    ("speed", "Boards with many cards take ages to open.", "Volle Boards brauchen ewig, bis sie offen sind."),
    ("missing_feature", "We need cards that repeat.", "Wir brauchen Karten, die sich wiederholen."),
    ("support", "I asked twice and got one standard answer.", "Zweimal gefragt, einmal eine Standardantwort."),
)

Question = tuple[str, str, str]
"""Priority, and the text in English and in German."""

QUESTIONS: tuple[Question, ...] = (
    ("normal", "How do I move a board to another project?", "Wie verschiebe ich ein Board in ein anderes Projekt?"),
    ("normal", "Please put our VAT number on the invoices.", "Bitte unsere USt-IdNr. auf die Rechnungen setzen."),
    ("normal", "Can guests see comments on a shared report?", "Sehen Gäste die Kommentare in einem Bericht?"),
    ("normal", "Somebody left. Who gets their boards?", "Jemand ist gegangen. Wer bekommt die Boards?"),
    ("low", "Is there a dark mode for the phone?", "Gibt es einen dunklen Modus fürs Telefon?"),
    ("high", "Boards open slowly since this morning.", "Seit heute früh öffnen sich Boards sehr langsam."),
)

GRIEVANCES: tuple[Question, ...] = (
    ("normal", "The export fails for the third time. We want a refund.",
     "Der Export geht zum dritten Mal nicht. Wir möchten unser Geld zurück."),
    ("high", "Nobody answers. If this goes on we will have to cancel our account.",
     "Niemand antwortet. Wenn das so weitergeht, müssen wir kündigen."),
    ("high", "All boards were down the whole morning. This is unacceptable.",
     "Alle Boards waren den ganzen Morgen nicht erreichbar. Das ist inakzeptabel."),
)  # fmt: skip

TICKET_PERCENT, GRIEVANCE_PERCENT = 5, 8
"""Chance of a ticket in 30 days of service, and of one that is a grievance."""

ANSWERED_AFTER_HOURS = ((2, 20), (7, 25), (22, 25), (47, 17), (70, 8), (120, 3), (290, 2))
"""Hours to the last answer, and how common they are."""

ANSWERS = {
    "C00057": (31, 2, DISPLEASED[1]),
    "C00069": (200, 9, PLEASED[0]),
    "C00041": (55, 10, PLEASED[1]),
    "C00118": (205, 6, DISPLEASED[2]),
    "C00045": (60, 9, PLEASED[2]),
}
"""Customers who answered so many hours before the export, with a score: whatever the day, somebody was just asked."""

OPEN = {"C00072": (75, QUESTIONS[0]), "C00083": (30, GRIEVANCES[1]), "C00093": (27, GRIEVANCES[0])}
"""Customers whose ticket, opened so many hours before the export, has not been answered yet."""


def responses(person: Person, account: Account, now: datetime) -> Iterator[Response]:
    """The answers of one customer in the year before `now` (exclusive)."""
    draws = person.stream("survey")
    recent = ANSWERS.get(person.customer_id)
    last = now - timedelta(hours=recent[0]) if recent else now
    asked_at, number = person.signed_up_at + timedelta(days=FIRST_ASKED_DAYS), 1
    while asked_at < now:
        at = asked_at + timedelta(minutes=draws.between(20, 4000))
        answers, score, speaks = draws.chance(ANSWERED_PERCENT), draws.weighted(SCORES), draws.chance(70)
        remark = draws.pick(PLEASED if score > 8 else LUKEWARM if score > 6 else DISPLEASED)
        if answers and now - timedelta(days=KEPT_DAYS) <= at < last and account.serves(at):
            yield _response(person, number, score, remark if speaks else None, at)
        asked_at, number = asked_at + timedelta(days=ASKED_EVERY_DAYS), number + 1
    if recent:
        yield _response(person, number, recent[1], recent[2], last)


def tickets(person: Person, account: Account, now: datetime) -> Iterator[Ticket]:
    """The tickets of one customer in the year before `now` (exclusive)."""
    draws = person.stream("support")
    month, number = person.signed_up_at, 1
    while month < now:
        opened_at = month + timedelta(minutes=draws.below(30 * 24 * 60))
        asks, grieves = draws.chance(TICKET_PERCENT), draws.chance(GRIEVANCE_PERCENT)
        question = draws.pick(GRIEVANCES if grieves else QUESTIONS)
        closed_at = opened_at + timedelta(hours=draws.weighted(ANSWERED_AFTER_HOURS), minutes=draws.below(60))
        if asks and now - timedelta(days=KEPT_DAYS) <= opened_at < now and account.serves(opened_at):
            yield _ticket(person, number, question, opened_at, closed_at if closed_at < now else None)
        month, number = month + timedelta(days=30), number + 1
    if person.customer_id in OPEN:
        hours, question = OPEN[person.customer_id]
        yield _ticket(person, number, question, now - timedelta(hours=hours), None)


def _response(person: Person, number: int, score: int, remark: Remark | None, at: datetime) -> Response:
    reason, english, german = remark or (None, None, None)
    comment = german if _is_german(person) else english
    return Response(f"R{person.customer_id[1:]}-{number}", person.customer_id, SURVEY, score, reason, comment, at)


def _ticket(person: Person, number: int, question: Question, opened_at: datetime, closed_at: datetime | None) -> Ticket:
    priority, english, german = question
    text = german if _is_german(person) else english
    return Ticket(f"T{person.customer_id[1:]}-{number}", person.customer_id, opened_at, closed_at, priority, text)


def _is_german(person: Person) -> bool:
    return person.locale.startswith("de")
