"""Takes a person out of all that is no ticket of theirs: tables are looked through piece by piece."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
import peewee

from sav.domain.addresses import same_spelling
from sav.domain.effects import HANDLE_RECEIVED_EVENT
from sav.domain.privacy import ERASED, Subject, concerns, letter_concerns, text_concerns
from sav.domain.sight_slots import ROSTER
from sav.domain.signed_tokens import address_hash
from sav.models.person_sight import written_by
from sav.models.sight_counters import advance_counters
from sav.models.tables import (
    Agent,
    Contact,
    DueEffect,
    ErasureTicket,
    IdempotencyKey,
    MailDelivery,
    MailPreference,
    Message,
    MessageReceipt,
    PrivacyRequest,
    ReceivedEvent,
)
from sav.operations.effect_claims import DESK
from sav.operations.erase_ticket import Counts, forget_deliveries, outdate
from sav.operations.privacy_requests import NOTHING_LEFT
from sav.operations.service_secrets import known_link_secret

ROWS_A_LOOK = 2000
"""How many rows of a table one transaction looks at."""
KEYS_A_LOOK = 500
NO_FINGERPRINT = "0" * 64
"""That of no request: whoever repeats one whose answer was erased hears `idempotency_mismatch`, and it is
not carried out again."""
IDENTITY_LENGTH = 32


def erase_account(request: PrivacyRequest, subject: Subject, now: datetime) -> bool:
    """Contacts, who wants no mails, the roster's name and address, and which requests like this one they have
    made as an admin; in the caller's transaction."""
    ids = sorted(subject.user_ids)
    counts: Counts = Counter(
        contacts=Contact.delete().where(Contact.user_id.in_(ids)).execute(),
        mail_preferences=_forget_preferences(subject.addresses),
        agents=Agent.update(name=None, email=None, active=False, available=False, updated_at=now)
        .where(Agent.user_id.in_(ids), Agent.name.is_null(False) | Agent.email.is_null(False) | Agent.active)
        .execute(),
    )
    if counts["agents"]:
        advance_counters([ROSTER])
    _forget_who_asked(ids)
    add(request, counts)
    return True


def _forget_who_asked(user_ids: list[int]) -> None:
    asked = PrivacyRequest.select(PrivacyRequest.id).where(PrivacyRequest.requested_by.in_(user_ids))
    # By their ids: a search would lock the rows of all requests, which others are at work on.
    if found := [request.id for request in asked]:
        PrivacyRequest.update(requested_by=None).where(PrivacyRequest.id.in_(found)).execute()


def _forget_preferences(addresses: frozenset[str]) -> int:
    # Not those of an address that an account is only written to: whoever reads its mails has said that they
    # want no more, and that need not be who has typed it.
    secret = known_link_secret()
    if secret is None or not addresses:
        return 0
    hashes = {address_hash(same_spelling(address), secret=secret) for address in addresses}
    deleted: int = MailPreference.delete().where(MailPreference.address_hash.in_(sorted(hashes))).execute()
    return deleted


def erase_authorship(request: PrivacyRequest, subject: Subject, now: datetime) -> bool:
    """Their name and address beside what they wrote in other people's tickets, as staff, and when they have
    read what there."""
    first, last, is_last = _piece(Message, request)
    rows = [row for row in written_by(subject, after=first, until=last) if row.author_name != ERASED]
    if rows:
        outdate(sorted({row.ticket_id for row in rows}))
        Message.update(author_name=ERASED, author_email="", version=Message.version + 1).where(
            Message.id.in_([row.id for row in rows])
        ).execute()
    receipts = _forget_receipts(subject, after=first, until=last)
    add(request, Counter(messages_elsewhere=len(rows), receipts_elsewhere=receipts))
    return is_last


def _forget_receipts(subject: Subject, *, after: int, until: int) -> int:
    # No answer shows who has read what: nothing that is kept is old by that.
    theirs = MessageReceipt.delete().where(
        MessageReceipt.message_id > after,
        MessageReceipt.message_id <= until,
        MessageReceipt.reader_id.in_(sorted(subject.user_ids)),
    )
    deleted: int = theirs.execute()
    return deleted


def erase_deliveries(request: PrivacyRequest, subject: Subject, now: datetime) -> bool:
    """Mails to their address about whatever ticket, and what is owed for them."""
    first, last, is_last = _piece(MailDelivery, request)
    found = MailDelivery.select(MailDelivery.id, MailDelivery.recipient).where(
        MailDelivery.id > first,
        MailDelivery.id <= last,
        peewee.fn.LOWER(MailDelivery.recipient).in_(sorted(subject.addresses)),
    )
    ids = [row.id for row in found if subject.is_address(row.recipient)] if subject.addresses else []
    add(request, Counter(mail_deliveries=forget_deliveries(ids)))
    return is_last


def erase_received(request: PrivacyRequest, subject: Subject, now: datetime) -> bool:
    """What other services told of them; of what was not handled yet nothing comes any more."""
    first, last, is_last = _piece(ReceivedEvent, request)
    rows = ReceivedEvent.select(ReceivedEvent.id, ReceivedEvent.envelope).where(
        ReceivedEvent.id > first,
        ReceivedEvent.id <= last,
        ReceivedEvent.envelope != NOTHING_LEFT,
    )
    ids = [row.id for row in rows if concerns(orjson.loads(row.envelope), subject)]
    if ids:
        ReceivedEvent.update(envelope=NOTHING_LEFT, request_id=None).where(
            ReceivedEvent.id.in_(ids)
        ).execute()
        DueEffect.delete().where(
            DueEffect.ticket_id == DESK,
            DueEffect.effect == HANDLE_RECEIVED_EVENT,
            DueEffect.sequence.in_(ids),
        ).execute()
    add(request, Counter(received_events=len(ids)))
    if is_last:
        # Whoever was just handling one of them may have learned the address again. From here on they cannot.
        erase_account(request, subject, now)
    return is_last


def _piece(table: Any, request: PrivacyRequest) -> tuple[int, int, bool]:
    """The rows to look at next: after which id, until which, and whether they are the last; moves the request
    on."""
    first, last = request.place, request.place + ROWS_A_LOOK
    request.place = last
    largest = table.select(peewee.fn.MAX(table.id)).scalar() or 0
    return first, last, last >= largest


def add(request: PrivacyRequest, found: Counts) -> None:
    """Adds to what the request has counted; whoever holds it saves it."""
    request.counts = dict(Counter(request.counts) + found)


def kept_answers() -> Iterator[list[IdempotencyKey]]:
    """All kept first answers, a few at a time."""
    caller, key_hash = "", ""
    while True:
        after = (IdempotencyKey.caller > caller) | (
            (IdempotencyKey.caller == caller) & (IdempotencyKey.key_hash > key_hash)
        )
        query = IdempotencyKey.select().where(after)
        batch = list(query.order_by(IdempotencyKey.caller, IdempotencyKey.key_hash).limit(KEYS_A_LOOK))
        if not batch:
            return
        yield batch
        caller, key_hash = batch[-1].caller, batch[-1].key_hash


def erase_answers(request: PrivacyRequest, subject: Subject, answers: list[IdempotencyKey]) -> None:
    """Empties those of the answers that are theirs, or about their tickets; in the caller's transaction."""
    about = [(key, _ticket_ids(key)) for key in answers]
    asked = sorted({ticket_id for _, ids in about for ticket_id in ids})
    found = ErasureTicket.select(ErasureTicket.ticket_id).where(
        ErasureTicket.erasure_id == request.id, ErasureTicket.ticket_id.in_(asked)
    )
    erased = {row.ticket_id for row in found} if asked else set()
    counts: Counts = Counter()
    for key, ticket_ids in about:
        if key.fingerprint != NO_FINGERPRINT and (
            _is_callers(key.caller, subject) or not erased.isdisjoint(ticket_ids)
        ):
            mine = (IdempotencyKey.caller == key.caller) & (IdempotencyKey.key_hash == key.key_hash)
            counts["idempotency_keys"] += (
                IdempotencyKey.update(fingerprint=NO_FINGERPRINT, headers={}, body=None).where(mine).execute()
            )
    add(request, counts)


def _is_callers(caller: str, subject: Subject) -> bool:
    kind, _, name = caller.partition(":")
    if kind == "email":
        hashes = {
            hashlib.sha256(address.encode()).hexdigest()[:IDENTITY_LENGTH] for address in subject.addresses
        }
        return name in hashes
    return kind != "guest" and subject.is_account(name)


def _ticket_ids(key: IdempotencyKey) -> set[int]:
    """The tickets that an answer is about; one that is encrypted says nothing but whose guest has asked."""
    kind, _, name = key.caller.partition(":")
    found: set[Any] = {int(name)} if kind == "guest" and name.isdecimal() else set()
    try:
        waiting = [orjson.loads(key.body or "null")]
    except orjson.JSONDecodeError:
        waiting = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
            found |= {value.get("ticket_id"), value.get("id") if "ticket_number" in value else None}
    return {ticket_id for ticket_id in found if isinstance(ticket_id, int)}


def is_about(body: bytes, subject: Subject) -> bool:
    """Whether a message of another service, however broken, is about them."""
    if text_concerns(body.decode("utf-8", errors="replace"), subject):
        return True
    try:
        # What stands in it in other letters, escaped.
        return letter_concerns(orjson.loads(body), subject)
    except orjson.JSONDecodeError:
        return False
