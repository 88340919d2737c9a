"""Signed links in mails: who a click is from, without saying it.

A token carries the beginning of the message key (128 bits; the key itself is a digest) and a signature. No address, no
customer id: whoever reads the link learns nothing, whoever lacks the secret can make none. Tokens do not expire:
an unsubscribe link works for as long as the mail exists.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Literal

from itsdangerous import BadData, Signer
from itsdangerous.signer import SigningAlgorithm

Purpose = Literal["unsubscribe", "preferences"]
#: What each link is for, and its path below the public URL.
PATHS: dict[Purpose, str] = {"unsubscribe": "u", "preferences": "p"}
CLICK_PATH = "c"

_KEY_HEX = 32  # hex digits of the message key in a token, and of a destination's id


def link_id(url: str) -> str:
    """The id of a destination: the beginning of its SHA-256, so that the same place has one id in all mails."""
    return sha256(url.encode()).hexdigest()[:_KEY_HEX]


class _Sha256(SigningAlgorithm):
    """HMAC with SHA-256, the key taken in once.

    Not `hmac.digest`: that lets go of the interpreter lock for each signature, and waits for it again behind all the
    threads that send.
    """

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        """The signature; `Signer` compares it in constant time."""
        signing = _keyed(key).copy()
        signing.update(value)
        return signing.digest()


@cache
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod=sha256)


class _Signer(Signer):
    """With the key of its purpose worked out once, not for every signature."""

    @cache  # noqa: B019 - one signer per purpose lives as long as the process
    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        """The signing key of one secret."""
        return super().derive_key(secret_key)


class Links:
    """Makes and reads the links of one workspace. `secrets`: oldest first; the last one signs, all are accepted."""

    def __init__(self, public_url: str, secrets: Sequence[str]) -> None:
        self.public_url = public_url.rstrip("/")
        self._signers = {purpose: _signer(secrets, purpose) for purpose in PATHS}
        self._click_signer = _signer(secrets, "click")

    def url(self, purpose: Purpose, message_key: str) -> str:
        """The link of one purpose for one message. The same message always gets the same link."""
        token = _signed(self._signers[purpose], message_key[:_KEY_HEX])
        return f"{self.public_url}/{PATHS[purpose]}/{token}"

    def click_url(self, message_key: str, destination_id: str) -> str:
        """The link of one message that leads on to a stored destination."""
        token = _signed(self._click_signer, message_key[:_KEY_HEX] + destination_id)
        return f"{self.public_url}/{CLICK_PATH}/{token}"

    def read(self, purpose: Purpose, token: str) -> str | None:
        """The first 32 hex digits of the message key a token stands for; None for anything not signed for this purpose.

        The signature is compared in constant time.
        """
        return _read(self._signers[purpose], token)

    def read_click(self, token: str) -> tuple[str, str] | None:
        """The beginning of the message key and the destination's id; None for anything not signed for clicks."""
        found = _read(self._click_signer, token)
        return None if found is None else (found[:_KEY_HEX], found[_KEY_HEX:])


def _signer(secrets: Sequence[str], purpose: str) -> _Signer:
    return _Signer(
        list(secrets),
        salt=f"holdfast.link.{purpose}",
        sep=".",
        key_derivation="hmac",
        digest_method=sha256,
        algorithm=_Sha256(),
    )


def _signed(signer: _Signer, digits: str) -> str:
    return signer.sign(urlsafe_b64encode(bytes.fromhex(digits)).rstrip(b"=")).decode()


def _read(signer: _Signer, token: str) -> str | None:
    """The hex digits that were signed. The signature is compared in constant time."""
    try:
        return urlsafe_b64decode(signer.unsign(token.encode()) + b"==").hex()
    except (BadData, ValueError):
        return None
