"""E-mail addresses: what can be one, and two spellings of the same."""

import re
from email.headerregistry import Address

MAX_ADDRESS_LENGTH = 254
"""What RFC 5321 leaves of a path."""

_ADDRESS = re.compile(r"[^@\s\x00-\x1f\x7f<>(),:;\"\\\[\]]{1,64}@[^@\s\x00-\x1f\x7f<>(),:;\"\\\[\]]{1,253}")
_NAMED = re.compile(
    r"\s*(?:\"(?P<quoted>[^\"\\\r\n]*)\"|(?P<plain>[^<>\"\r\n]*?))\s*<(?P<address>[^<>]+)>\s*"
)


def is_address(text: str) -> bool:
    """Whether a mail could be sent there: one `@`, nothing that means something in a header, a domain."""
    if len(text) > MAX_ADDRESS_LENGTH or not _ADDRESS.fullmatch(text) or not text.isprintable():
        return False
    local, _, domain = text.rpartition("@")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return False
    return ascii_domain(domain) is not None


def ascii_domain(domain: str) -> str | None:
    """The domain as DNS and mail servers know it (`xn--…`); None when it can be none."""
    try:
        name = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    labels = name.split(".")
    return name if all(re.fullmatch(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?", label) for label in labels) else None


def wire_address(address: str) -> str:
    """The address as it goes to a mail server: its domain in ASCII, what is before it untouched."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{ascii_domain(domain) or domain}"


def same_spelling(address: str) -> str:
    """One spelling for what is one mailbox to everybody but the most pedantic server."""
    return wire_address(address.strip()).lower()


def named_address(text: str) -> tuple[str, str]:
    """Name and address of `Name <a@b>` or `a@b`; raises `ValueError`."""
    named = _NAMED.fullmatch(text)
    name = (named["quoted"] or named["plain"] or "") if named else ""
    address = named["address"] if named else text.strip()
    if not is_address(address) or not name.isprintable():
        raise ValueError("must be an address, as `sav@example.com` or `After-sales <sav@example.com>`")
    # What the standard library refuses later would be refused at every single mail.
    wire = wire_address(address)
    if wire.isascii():
        Address(name, addr_spec=wire)
    return name, address
