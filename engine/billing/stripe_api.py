"""Stripe's API, read only: the official client with bounds, its objects as plain JSON, its faults in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import stripe

from engine.billing.stripe_objects import Object
from engine.clock import utc_now
from engine.errors import Problem, SetupError, UnavailableError
from engine.project.billing_settings import Stripe

TIMEOUT_S = 10
RETRIES = 2
"""Besides the first call; the client waits between them, and longer each time."""

PAGE = 100


class GoneError(Exception):
    """The object is not there."""


@dataclass(frozen=True)
class Said:
    """Objects of one answer, and when it was given by Stripe's own clock (naive UTC, whole seconds)."""

    objects: tuple[Object, ...]
    at: datetime


class StripeApi:
    """Reads objects. Raises UnavailableError when Stripe cannot be asked now, SetupError when it never will answer."""

    def __init__(self, settings: Stripe) -> None:
        if settings.api_key is None:
            found, expected = "stripe.api_key is not set", "expected ${VARIABLE} or ${file:path}, of a restricted key"
            raise SetupError(Problem("config.yaml", None, None, "HF610", found, expected))
        self._client = stripe.StripeClient(
            settings.api_key.reveal(), base_addresses={"api": settings.api_url}, max_network_retries=RETRIES,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        )  # fmt: skip

    def invoice(self, ident: str) -> Said:
        """An invoice with its payments, as one answer. Raises GoneError."""
        invoices, intents = self._client.v1.invoices, self._client.v1.payment_intents
        found = self._ask(lambda: invoices.retrieve(ident))
        thing = found.objects[0]
        if isinstance(thing.get("payment_intent"), str):  # as before 2025-03-31
            asked = {"expand": ["latest_charge"]}
            further = self._ask(lambda: intents.retrieve(str(thing["payment_intent"]), asked))  # type: ignore[arg-type]
            return Said((thing, *further.objects), found.at)
        if "payment_intent" in thing:
            return found
        params = {"invoice": ident, "expand": ["data.payment.payment_intent.latest_charge"], "limit": PAGE}
        payments = self._ask(lambda: self._client.v1.invoice_payments.list(params))  # type: ignore[arg-type]
        return Said((thing, *payments.objects), found.at)

    def charge(self, ident: str) -> Said:
        """A charge. Raises GoneError."""
        return self._ask(lambda: self._client.v1.charges.retrieve(ident))

    def pages(self, what: str, params: Mapping[str, Any]) -> Iterator[Said]:
        """All objects of a list, a page at a time. `what`: the client's name for it, such as `invoices`."""
        service: Any = self._client.v1
        for part in what.split("."):
            service = getattr(service, part)
        given: dict[str, Any] = {**params, "limit": PAGE}
        while True:
            page = self._ask(lambda asked=dict(given): service.list(asked))  # type: ignore[misc]
            yield page
            if len(page.objects) < PAGE:
                return
            given["starting_after"] = page.objects[-1]["id"]

    def _ask(self, call: Callable[[], Any]) -> Said:
        try:
            answer = call()
        except stripe.InvalidRequestError as error:
            if error.http_status == 404:
                raise GoneError(str(error)) from None
            raise UnavailableError(f"Stripe refused a question: {_words(error)}") from None
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            found, expected = f"Stripe refuses stripe.api_key: {_words(error)}", "expected a key that may read"
            raise SetupError(Problem("config.yaml", None, None, "HF610", found, expected)) from None
        except stripe.StripeError as error:
            if error.http_status == 404:
                raise GoneError(str(error)) from None
            raise UnavailableError(f"Stripe cannot be asked now: {_words(error)}") from None
        thing = answer.to_dict()
        objects = tuple(thing["data"]) if thing.get("object") == "list" else (thing,)
        return Said(objects, _said_at(answer))


def _said_at(answer: Any) -> datetime:
    """By the answer's own date: our clock may run before Stripe's, and events told later would then look older."""
    headers = getattr(getattr(answer, "last_response", None), "headers", None) or {}
    try:
        at = parsedate_to_datetime(headers["Date"]).astimezone(UTC).replace(tzinfo=None)
    except (KeyError, TypeError, ValueError):
        at = utc_now()
    return at.replace(microsecond=0)


def _words(error: stripe.StripeError) -> str:
    lines = str(error.user_message or error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
