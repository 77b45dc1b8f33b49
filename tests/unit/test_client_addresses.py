"""Whose request it is: the peer's, unless a proxy that is trusted says whose."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sav.http.client_addresses import UNKNOWN, client_of

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "", "203.0.113.9"),
        # A stranger's word about itself.
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        # A trusted proxy's.
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        # What the client itself had sent stands before what the proxy has added.
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "10.9.9.9, 198.51.100.1", "198.51.100.1"),
        # A chain of proxies.
        ("10.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", None, "10.0.0.1"),
        # A proxy that writes nonsense: it is itself all that is known.
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, , ", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, 999.1.1.1, 10.0.0.2", "10.0.0.2"),
        # IPv6: a household, not one of its 2**64 addresses.
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", None, "2001:db8:1:2::/64"),
        ("fd00::1", "[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", None, "fe80::/64"),
        # IPv4 in the clothes of IPv6.
        ("::ffff:203.0.113.9", None, "203.0.113.9"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        # A socket without addresses.
        ("", None, UNKNOWN),
        (None, "1.2.3.4", UNKNOWN),
        ("@", "1.2.3.4", UNKNOWN),
    ],
)
def test_client(peer: str | None, forwarded_for: str | None, client: str) -> None:
    assert client_of(peer=peer, forwarded_for=forwarded_for, trusted=TRUSTED) == client


@given(forged=st.text(max_size=60))
def test_whatever_a_client_forges_its_proxy_has_the_last_word(forged: str) -> None:
    client = client_of(peer="10.0.0.1", forwarded_for=f"{forged}, 198.51.100.1", trusted=TRUSTED)
    assert client == "198.51.100.1"


@given(forged=st.text(max_size=60))
def test_without_a_trusted_proxy_the_header_is_not_looked_at(forged: str) -> None:
    assert client_of(peer="10.0.0.1", forwarded_for=forged, trusted=()) == "10.0.0.1"
