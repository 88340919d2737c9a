"""The fictional company behind the sample: Corkline sells shared planning boards to small teams around the world."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

BILLING_ZONE = "Europe/London"
"""The billing export writes local times of the head office; `config.yaml` says so with `timezone:`."""

FREE_REPORTS = 25
"""Shared reports included in the free plan."""

PRICES_MINOR: dict[str, dict[str, int]] = {
    "pro": {"EUR": 1200, "GBP": 1000, "USD": 1400, "JPY": 1800},
    "team": {"EUR": 4900, "GBP": 4200, "USD": 5500, "JPY": 7500},
}
"""Price of a month, in the currency's minor unit; a year costs ten of them."""

Name = tuple[str, str]
"""A name as its bearer writes it, and in letters fit for an address."""


@dataclass(frozen=True)
class Market:
    """Where customers come from. `given` and `family` are common names, combined freely."""

    country: str
    timezone: str
    locales: tuple[tuple[str, int], ...]
    currency: str
    given: tuple[Name, ...]
    family: tuple[Name, ...]


def _plain(words: str) -> tuple[Name, ...]:
    return tuple((word, word.lower()) for word in words.split())


def _spelled(words: str) -> tuple[Name, ...]:
    pairs = (word.split("=") for word in words.split())
    return tuple((written, latin) for written, latin in pairs)


_ENGLISH = _plain("Alex Sam Robin Jamie Morgan Taylor Casey Riley Jordan Avery Quinn Rowan Charlie Frankie Ellis Drew")
_ENGLISH_FAMILY = _plain("Field Marsh Rivers Stone Lake Wood Hill Brook Heath Shaw Ford Reed West Lane Moor Dale")
_GERMAN = _spelled(
    "Kim=kim Luca=luca Toni=toni Robin=robin Mika=mika Jona=jona Sascha=sascha Alex=alex Jörg=joerg Änne=aenne "
    "Noa=noa Maxi=maxi Eike=eike Charly=charly Günter=guenter Käthe=kaethe"
)
_GERMAN_FAMILY = _spelled(
    "Feld=feld Bach=bach Stein=stein Berg=berg Wald=wald Brück=brueck Heide=heide Kühn=kuehn Moor=moor Bühl=buehl"
)
_FRENCH = _spelled(
    "Camille=camille Dominique=dominique Claude=claude Élie=elie Sacha=sacha Noé=noe Andréa=andrea Maxime=maxime "
    "Charlie=charlie Léo=leo Maé=mae Alix=alix"
)
_FRENCH_FAMILY = _spelled("Rivière=riviere Fontaine=fontaine Champ=champ Forêt=foret Colline=colline Pré=pre Val=val")
_HEBREW = _spelled("נועם=noam טל=tal עדי=adi שחר=shahar ליאור=lior יובל=yuval גל=gal רוני=roni שקד=shaked אור=or")
_HEBREW_FAMILY = _spelled("נחל=nahal הר=har אגם=agam שדה=sade ים=yam גן=gan אלון=alon")
_JAPANESE = _plain("Aoi Hikaru Makoto Nao Ren Yuki Haru Kaoru Sora Rin")
_JAPANESE_FAMILY = _plain("Mori Kawa Ishi Hara Oka Sawa Shima")
_INDIAN = _plain("Kiran Arya Jaya Chandra Amrit Roop Shakti Nidhi Anmol Kamal")
_INDIAN_FAMILY = _plain("Rao Nair Das Sen Bose Roy")

MARKETS: tuple[tuple[Market, int], ...] = (
    (Market("GB", "Europe/London", (("en-GB", 4), ("en", 1)), "GBP", _ENGLISH, _ENGLISH_FAMILY), 24),
    (Market("DE", "Europe/Berlin", (("de-DE", 6), ("de", 2), ("en", 1)), "EUR", _GERMAN, _GERMAN_FAMILY), 17),
    (Market("AT", "Europe/Vienna", (("de-AT", 1),), "EUR", _GERMAN, _GERMAN_FAMILY), 3),
    (Market("FR", "Europe/Paris", (("fr-FR", 3), ("fr", 1)), "EUR", _FRENCH, _FRENCH_FAMILY), 9),
    (Market("US", "America/New_York", (("en-US", 1),), "USD", _ENGLISH, _ENGLISH_FAMILY), 17),
    (Market("US", "America/Los_Angeles", (("en-US", 1),), "USD", _ENGLISH, _ENGLISH_FAMILY), 11),
    (Market("JP", "Asia/Tokyo", (("ja", 2), ("en", 1)), "JPY", _JAPANESE, _JAPANESE_FAMILY), 5),
    (Market("NZ", "Pacific/Auckland", (("en-NZ", 1),), "USD", _ENGLISH, _ENGLISH_FAMILY), 5),
    (Market("IN", "Asia/Kolkata", (("en-IN", 1),), "USD", _INDIAN, _INDIAN_FAMILY), 6),
    # "iw" is the old code for Hebrew and still comes out of older systems.
    (Market("IL", "Asia/Jerusalem", (("he-IL", 3), ("iw", 1)), "USD", _HEBREW, _HEBREW_FAMILY), 3),
)

SOFT, DETAILS, HARD, AUTHENTICATION, STOP, FRAUD, UNKNOWN = (
    ("insufficient_funds", "generic_decline", "do_not_honor", "processing_error", "try_again_later"),
    ("expired_card", "incorrect_cvc", "incorrect_number"),
    ("card_not_supported", "account_closed", "lost_card", "transaction_not_allowed"),
    ("authentication_required",),
    ("stop_payment_order", "revocation_of_authorization"),
    ("fraudulent",),
    ("declined_by_partner_bank",),
)
DECLINES = ((SOFT, 50), (DETAILS, 20), (HARD, 12), (AUTHENTICATION, 11), (STOP, 6), (FRAUD, 2), (UNKNOWN, 2))
"""Why charges fail, with weights. The last code stands in no table: it must be treated softly and be reported."""


def price_minor(plan: str, interval: str, currency: str) -> int:
    """What one period costs, in the currency's minor unit."""
    return PRICES_MINOR[plan][currency] * (10 if interval == "year" else 1)


@cache
def _offset(timezone: str, day: date) -> timedelta:
    offset = datetime.combine(day, time(12), ZoneInfo(timezone)).utcoffset()
    return offset or timedelta(0)


def utc_of(timezone: str, day: date, minute: int) -> datetime:
    """The naive UTC instant of a local minute of the day (0-1439), with the offset that holds at that day's noon."""
    local = datetime.combine(day, time(0)) + timedelta(minutes=minute)
    return local - _offset(timezone, day)


def local_of(timezone: str, instant: datetime) -> datetime:
    """The naive local time of a naive UTC instant, with the offset that holds at that day's noon."""
    return instant + _offset(timezone, instant.date())
