"""Whose data it is, and what stays of it after an erasure.

What stays is named here, and all else goes: a field that somebody adds to a fact is erased until it is
listed. Kept are numbers, times, ids of the desk's own things and words that the code has chosen, so that
statistics are the same before and after.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sav.domain.caller import STAFF
from sav.domain.email_addresses import mailbox
from sav.domain.errors import Conflict, NotFound
from sav.domain.events import TicketClosed

RequestKind = Literal["export", "erasure"]
RequestState = Literal["waiting", "running", "finished", "failed", "expired"]
RequestSource = Literal["admin", "script", "event"]

ERASED = "[erased]"
"""What stands where somebody's words were, and a word has to stand."""
HIDDEN_RECORD = "erased:"
"""How the id of a record begins whose ticket was erased."""
CLOSED_BECAUSE = "erased"
"""The reason of the closing of a ticket that was still worked on."""

KEPT_CHANGES = frozenset(
    {
        "status", "priority", "category", "assigned_to", "first_response_at", "resolved_at", "closed_at",
        "escalated_at", "unanswered_since", "satisfaction_rating", "reopen_count",
    }
)  # fmt: skip
"""The fields of which a ticket's history keeps from and to."""
KEPT_DATA = frozenset(
    {
        "ticket_id", "ticket_number", "priority", "category", "source", "agent_id", "previous_agent_id",
        "assigned_by", "resolution_seconds", "closed_by", "message_id", "author_role", "waited_seconds",
        "rating", "attachment_id", "virus", "reason",
    }
)  # fmt: skip
"""The fields of a fact that are kept as they are."""
_ALONE = r"(?<![\w.+-]){}(?![\w-]|\.\w)"
"""An address that is no piece of another one."""
_WORDS = frozenset({"subject"})
"""Those that no event may be without."""
_WRITTEN_REASONS = frozenset({TicketClosed.name})
"""The facts whose `reason` is somebody's own words, unless the desk itself gave it."""


class ExportNotReady(Conflict):
    """This export is still being made; ask again shortly."""

    code = "export_not_ready"


class ExportGone(NotFound):
    """This export has failed, has expired, or its person was erased; ask for a new one."""

    code = "export_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A person, as somebody names them: by the ids of their accounts, their e-mail address, or both.

    Mostly there is one id; an address by which several accounts are known stands for all of them.
    """

    user_ids: frozenset[int] = frozenset()
    email: str | None = None
    other_addresses: frozenset[str] = frozenset()
    """Those that nobody named and that are theirs all the same: verified to be, or of the staff."""

    def __post_init__(self) -> None:
        if not self.user_ids and self.email is None:
            raise ValueError("nobody is named")

    @classmethod
    def of(cls, *, user_id: int | None, email: str | None) -> "Subject":
        return cls(
            user_ids=frozenset() if user_id is None else frozenset({user_id}),
            email=mailbox(email) if email else None,
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Subject":
        return cls(
            user_ids=frozenset(document["user_ids"]),
            email=document["email"],
            other_addresses=frozenset(document["desk_addresses"]),
        )

    def document(self) -> dict[str, Any]:
        return {
            "user_ids": sorted(self.user_ids),
            "email": self.email,
            # The key is as old as the requests that wait.
            "desk_addresses": sorted(self.other_addresses),
        }

    @property
    def addresses(self) -> frozenset[str]:
        return self.other_addresses | ({self.email} if self.email else set())

    def is_address(self, address: str | None) -> bool:
        return address is not None and mailbox(address) in self.addresses

    def is_account(self, user_id: object) -> bool:
        # True is 1 to Python, and nobody's id.
        if isinstance(user_id, str):
            return user_id in {str(mine) for mine in self.user_ids}
        return isinstance(user_id, int) and not isinstance(user_id, bool) and user_id in self.user_ids


def subject_hash(*, secret: bytes, user_id: int | None, email: str | None) -> str:
    """What is kept of whom a request named: nobody without the secret can tell who it was."""
    named = f"{user_id or ''}\n{mailbox(email) if email else ''}"
    return hmac.new(secret, b"subject\0" + named.encode(), hashlib.sha256).hexdigest()


def hidden_record(*, origin: str, external_id: str, secret: bytes) -> str:
    """What stands for the id of a former system's record whose ticket was erased: it may be an address."""
    name = f"record\0{origin}\n{external_id}".encode()
    return HIDDEN_RECORD + hmac.new(secret, name, hashlib.sha256).hexdigest()


def person_hashes(subject: Subject, *, secret: bytes) -> frozenset[str]:
    """One for each id and for the address that was named: by them archives about one are found."""
    named = {subject.email} if subject.email else set()
    return _hashes(subject.user_ids, frozenset(named), secret)


def erased_hashes(subject: Subject, *, secret: bytes) -> frozenset[str]:
    """The same for whoever is erased, with all of their addresses: an archive may have been asked for by one
    that only since then is known to be theirs."""
    return _hashes(subject.user_ids, subject.addresses, secret)


def _hashes(user_ids: frozenset[int], addresses: frozenset[str], secret: bytes) -> frozenset[str]:
    ids = {subject_hash(secret=secret, user_id=user_id, email=None) for user_id in user_ids}
    return frozenset(ids | {subject_hash(secret=secret, user_id=None, email=email) for email in addresses})


def erased_data(name: str, data: Mapping[str, Any], *, actor_role: str, subject: Subject) -> dict[str, Any]:
    """What stays of a fact's data, with the same fields, so that its schema still holds."""
    return {
        field: _erased_field(name, field, value, actor_role=actor_role, subject=subject)
        for field, value in data.items()
    }


def _erased_field(name: str, field: str, value: Any, *, actor_role: str, subject: Subject) -> Any:
    if field in _WORDS:
        return ERASED
    if field not in KEPT_DATA:
        return None
    if field == "reason" and name in _WRITTEN_REASONS and actor_role != "system":
        return None
    if field == "closed_by" and actor_role not in STAFF and value != "auto":
        return None
    return None if field == "closed_by" and subject.is_account(value) else value


def erased_changes(changes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Which fields were changed, and from and to of those that are kept."""
    return {
        field: dict(ends) if field in KEPT_CHANGES else dict.fromkeys(ends) for field, ends in changes.items()
    }


def concerns(content: Any, subject: Subject) -> bool:
    """Whether a JSON document of another service is about the person, at whatever place it names them.

    One that names an account is about that account, whatever address stands in it.
    """
    leaves = list(_leaves("", content))
    if accounts := [value for name, value in leaves if name == "user_id" and value is not None]:
        return any(map(subject.is_account, accounts))
    return any(subject.is_address(value) for _, value in leaves if isinstance(value, str))


def text_concerns(text: str, subject: Subject) -> bool:
    """The same for a text: whether the address, or something like `user_id` with an id, stands in it."""
    small = mailbox(text)
    if any(re.search(_ALONE.format(re.escape(address)), small) for address in subject.addresses):
        return True
    ids = "|".join(map(str, sorted(subject.user_ids)))
    return bool(ids) and re.search(rf"user_?id\W{{1,8}}(?:{ids})(?!\d)", small) is not None


def letter_concerns(content: Any, subject: Subject) -> bool:
    """The same for a document that nothing could be made of: also by a text in it, or by `userId`."""
    return concerns(content, subject) or any(
        text_concerns(f"{name} {value}" if isinstance(value, str | int) else "", subject)
        for name, value in _leaves("", content)
    )


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value with the name that it has; depth is bounded by whoever parsed it."""
    waiting = [(name, value)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.items())
        elif isinstance(value, list):
            waiting.extend((name, item) for item in value)
        else:
            yield name, value
