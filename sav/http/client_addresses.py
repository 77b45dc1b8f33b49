"""Whose request it is, as far as an address can tell."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
IPV6_PREFIX = 64
"""What one household or one machine is given of IPv6: its addresses are one client."""


def client_of(*, peer: str | None, forwarded_for: str | None, trusted: Sequence[Network]) -> str:
    """The client's address, IPv6 as its /64 network.

    `peer` is who has connected. What X-Forwarded-For says is believed from trusted proxies alone: it is read
    from its end, where the nearest proxy has written, up to the first address that is none of theirs.
    """
    client = _parsed(peer or "")
    for hop in reversed((forwarded_for or "").split(",")):
        if client is None or not _is_among(client, trusted):
            break
        further = _parsed(hop.strip())
        if further is None:
            # A proxy that writes no address has told nothing: the last one that is known counts.
            break
        client = further
    return UNKNOWN if client is None else _as_client(client)


def _as_client(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address.packed, IPV6_PREFIX), strict=False))
    return str(address)


def _is_among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _parsed(text: str) -> Address | None:
    """An address, with or without a port beside it; IPv4 in the clothes of IPv6 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
