"""Who is asking, and how much they may: a token bucket for each visitor, in memory, for so many visitors at most."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

# Mail providers press the unsubscribe button for all their users from a few addresses: what is signed by us is cheap.
# Who tries tokens out has about forty guesses, then two a second.
CAPACITY = 1_000.0
REFILL_PER_S = 50.0
COST_OF_A_VISIT = 1.0
COST_OF_A_MISS = 25.0
MOST_VISITORS = 20_000
_IPV6_NETWORK_BITS = 64  # one customer of an access provider has that many addresses to himself

Address = IPv4Address | IPv6Address


class Visitors:
    """Tells visitors apart and keeps their buckets. `trusted`: proxies whose X-Forwarded-For is believed."""

    def __init__(
        self, trusted: Sequence[IPv4Network | IPv6Network], clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._trusted = tuple(trusted)
        self._clock_s = clock_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was

    def charge(self, name: str, cost: float) -> float:
        """Take `cost` from a visitor's bucket; 0, or the seconds to wait when there is not enough left."""
        now_s = self._clock_s()
        left, at_s = self._buckets.pop(name, (CAPACITY, now_s))
        left = min(CAPACITY, left + (now_s - at_s) * REFILL_PER_S)
        wait_s = 0.0 if left >= COST_OF_A_VISIT else (COST_OF_A_VISIT - left) / REFILL_PER_S
        if not wait_s:
            left = max(left - cost, -CAPACITY)
        self._buckets[name] = (left, now_s)
        if len(self._buckets) > MOST_VISITORS:
            self._buckets.popitem(last=False)
        return math.ceil(wait_s)

    def name(self, scope: Scope) -> str:
        """Whose bucket a request takes from: an IPv4 address, or the network of an IPv6 one."""
        address = self._address(scope)
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, _IPV6_NETWORK_BITS), strict=False))
        return str(address)

    def _address(self, scope: Scope) -> Address | None:
        peer = _address_of((scope.get("client") or ("",))[0])
        if peer is None or not self._is_trusted(peer):
            return peer
        # The last entry was written by the proxy nearest to us, the others by whoever was before it, or made up.
        for text in reversed(",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")):
            address = _address_of(text.strip())
            if address is None:
                return peer
            if not self._is_trusted(address):
                return address
        return peer

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def is_local(scope: Scope) -> bool:
    """Whether the request comes from this machine, and from nobody through it: a proxy says for whom it asks."""
    peer = _address_of((scope.get("client") or ("",))[0])
    headers = Headers(scope=scope)
    return peer is not None and peer.is_loopback and "x-forwarded-for" not in headers and "forwarded" not in headers


def _address_of(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
