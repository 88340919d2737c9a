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

_KEY_HEX = 32  # hex digits of the message key in a token


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
        self._signers = {
            purpose: _Signer(
                list(secrets),
                salt=f"holdfast.link.{purpose}",
                sep=".",
                key_derivation="hmac",
                digest_method=sha256,
                algorithm=_Sha256(),
            )
            for purpose in PATHS
        }

    def url(self, purpose: Purpose, message_key: str) -> str:
        """The link of one purpose for one message. The same message always gets the same link."""
        payload = urlsafe_b64encode(bytes.fromhex(message_key[:_KEY_HEX])).rstrip(b"=")
        return f"{self.public_url}/{PATHS[purpose]}/{self._signers[purpose].sign(payload).decode()}"

    def read(self, purpose: Purpose, token: str) -> str | None:
        """The first 32 hex digits of the message key a token stands for; None for anything not signed for this purpose.

        The signature is compared in constant time.
        """
        try:
            payload = self._signers[purpose].unsign(token.encode())
            return urlsafe_b64decode(payload + b"==").hex()
        except (BadData, ValueError):
            return None
