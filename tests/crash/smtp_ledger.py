"""A real SMTP server that remembers whom it accepted mail for."""

from __future__ import annotations

import socket
from collections import Counter
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller


class SmtpLedger:
    """Listens on loopback; `accepted` counts messages per recipient."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - the server's own name
        self.accepted.update(envelope.rcpt_tos)
        return "250 taken"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()
