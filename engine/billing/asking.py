"""Questions put to Stripe: what no event said, and whether an invoice is still open just before a mail leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from engine.billing.applying import Findings, apply_stripe_events
from engine.billing.stripe_api import GoneError, Said, StripeApi
from engine.billing.stripe_objects import of_object
from engine.errors import HoldfastError
from engine.project.settings import Settings
from engine.store import OpenQuestion, Store

AT_ONCE = 4
"""Calls under way at the same time: far below what Stripe allows an account."""

MOST_AT_A_TIME = 200
"""Questions asked in one go; the others wait for the next."""

Answer = Said | GoneError | HoldfastError
"""What Stripe said, that it has no such object, or why it could not be asked."""


@dataclass(frozen=True)
class Asked:
    """Questions answered, those put off, and those whose object is gone."""

    answered: int = 0
    put_off: int = 0
    gone: int = 0
    problem: str = ""

    @property
    def questions(self) -> int:
        """How many were asked."""
        return self.answered + self.put_off + self.gone


def catch_up(settings: Settings, store: Store, now: datetime) -> int:
    """Apply what was heard, and ask for what is missing if there is a key to ask with; events applied.

    Quick when there is nothing to do. A Stripe that cannot be asked is no fault, nor is a key whose variable is not
    set: questions wait, with the reason.
    """
    if not settings.from_stripe:
        return 0
    applied = apply_stripe_events(store)
    if settings.stripe.api_key is None or not store.billing.open_questions():
        return applied
    try:
        api = StripeApi(settings.stripe)
    except HoldfastError as error:
        for question in store.billing.questions(now, MOST_AT_A_TIME):
            store.billing.put_off(question, str(error), now)
    else:
        ask_open_questions(api, store, now)
    return applied


def ask_open_questions(api: StripeApi, store: Store, now: datetime) -> Asked:
    """Ask what is due to be asked. Raises nothing for what cannot be answered now: it is put off."""
    counts = {"answered": 0, "put_off": 0, "gone": 0}
    problem = ""
    for question, answer in _answers(api, store, store.billing.questions(now, MOST_AT_A_TIME), now):
        if isinstance(answer, Said):
            counts["answered"] += 1
        elif isinstance(answer, GoneError):
            store.billing.drop(question.kind, question.id)
            counts["gone"] += 1
        else:
            problem = str(answer)
            store.billing.put_off(question, problem, now)
            counts["put_off"] += 1
    return Asked(**counts, problem=problem)


def read_again(api: StripeApi, store: Store, invoices: Sequence[str], now: datetime) -> dict[str, str]:
    """Read invoices through the API now; those that could not be read, with the reason.

    One that Stripe does not know is unread too: it was told of once and cannot be deleted any more, so the key is that
    of another account.
    """
    questions = [OpenQuestion("invoice", ident, 0) for ident in invoices]
    answers = _answers(api, store, questions, now)
    return {question.id: str(answer) for question, answer in answers if not isinstance(answer, Said)}


def _answers(
    api: StripeApi, store: Store, questions: Sequence[OpenQuestion], now: datetime
) -> Iterator[tuple[OpenQuestion, Answer]]:
    """Each question with its answer, several asked at once. What Stripe says has been taken in."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for question, answer in zip(questions, pool.map(lambda one: _answer(api, one), questions), strict=True):
            if isinstance(answer, Said):
                _take_in(store, question, answer, now)
            yield question, answer


def _answer(api: StripeApi, question: OpenQuestion) -> Answer:
    ask: Callable[[str], Said] = api.invoice if question.kind == "invoice" else api.charge
    try:
        return ask(question.id)
    except (GoneError, HoldfastError) as error:
        return error


def _take_in(store: Store, question: OpenQuestion, answer: Said, now: datetime) -> None:
    findings = Findings()
    for thing in answer.objects:
        findings.add(of_object(thing, answer.at))
    checked = [(question.id, now)] if question.kind == "invoice" else []
    asked = (question.kind, question.id)
    further = [one for one in findings.questions if one != asked]
    store.billing.take_in(findings.rows, findings.links, further, now, checked=checked, answered=[asked])
