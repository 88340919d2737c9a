"""A wire that cannot be led into the house: the address it connects to is the address that was checked.

The name is resolved once, every address it has is looked at, and the connection goes to one of those very addresses.
So neither a name that points inside, nor one that changes between the look and the call, nor a number written in hex
or octal (the resolver reads those) gets anywhere. Redirects are answers like any other and are not followed.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from engine.channels.wire import Wire

LONGEST_S = 5.0  # to connect, and for the answer

# What stands for another address, or for none outside. IANA's special-purpose registry, RFC 6890 and its successors.
_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64, RFC 6052: the IPv4 address is in the last 32 bits
_CLOSED = (
    IPv6Network("::/96"),  # IPv4-compatible, long given up
    IPv6Network("64:ff9b:1::/48"),  # NAT64 within a network
    IPv6Network("2001::/32"),  # Teredo
    IPv6Network("2002::/16"),  # 6to4
    IPv6Network("fec0::/10"),  # site-local, long given up
)
_CLOSED_IPV4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))


class Forbidden(OSError):  # noqa: N818 - an outcome, told apart from other failures to connect
    """The name leads to an address inside."""


def is_outside(address: str) -> bool:
    """Whether an address, as the resolver writes it, is one of the public internet."""
    return _is_outside(ip_address(address.partition("%")[0]))


def _is_outside(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_outside(address.ipv4_mapped)
        if address in _TRANSLATED:
            return _is_outside(IPv4Address(int(address) & 0xFFFF_FFFF))
        if any(address in closed for closed in _CLOSED):
            return False
    elif any(address in closed for closed in _CLOSED_IPV4):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class GuardedWire(Wire):
    """A connection to one `https://host[:port]`. `allowed`: hosts that may lie inside.

    `http://` goes to an allowed host on this machine only.
    """

    def __init__(self, url: str, timeout_s: float, allowed: Collection[str] = ()) -> None:
        super().__init__(url, min(timeout_s, LONGEST_S))
        self.is_allowed = self.host in {host.lower() for host in allowed}

    def _connect(self) -> socket.socket:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        self._check(addresses)
        line = self._call(addresses)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._tls.wrap_socket(line, server_hostname=self.host) if self._tls else line

    def _check(self, addresses: Collection[str]) -> None:
        """One address inside among several is reason enough: whoever set it up meant something by it."""
        if not self.is_tls and not (self.is_allowed and all(map(_is_loopback, addresses))):
            raise Forbidden(f"{self.host} is called without TLS, and that is for allowed hosts on this machine only")
        if not self.is_allowed and not all(map(is_outside, addresses)):
            raise Forbidden(f"{self.host} leads to an address inside, which `allow` does not name")

    def _call(self, addresses: Collection[str]) -> socket.socket:
        fault: OSError = OSError(f"{self.host} has no address")
        for address in addresses:
            try:
                return socket.create_connection((address, self.port), self.timeout_s)
            except OSError as failed:
                fault = failed
        raise fault


def _is_loopback(address: str) -> bool:
    return ip_address(address.partition("%")[0]).is_loopback
