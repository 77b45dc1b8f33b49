"""Erases a person: step by step, each step in small transactions, from wherever it was broken off.

Every transaction locks the request's row, so that two who believe to be at work on it take turns, and adds
what it has erased to the request's counts: so the receipt is right whoever died on the way. A step is done
again from its last commit, and finds nothing where it has been.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog

from sav.domain.effects import ERASE_PERSON
from sav.domain.privacy import Subject, erased_hashes
from sav.models.database import retry_deadlocks, transaction
from sav.models.person_sight import person_tickets
from sav.models.tables import Attachment, Contact, ErasureTicket, ExportPerson, PrivacyRequest
from sav.operations.effect_claims import Claim, finish_effect, keep_lease, put_off
from sav.operations.erase_ticket import (
    FOUND,
    ROWS_A_PART,
    Counts,
    erase_files,
    erase_part,
    next_part,
    outdate,
)
from sav.operations.erase_traces import (
    add,
    erase_account,
    erase_answers,
    erase_authorship,
    erase_deliveries,
    erase_received,
    kept_answers,
)
from sav.operations.privacy_requests import FIRST_STEP, is_unfinished, locked_request
from sav.operations.receipts import signed
from sav.operations.service_secrets import privacy_secret
from sav.storage.object_store import ObjectStore

ROUND = timedelta(seconds=20)
"""For how long one call is at work, before its worker has time for others."""
PAUSE = timedelta(seconds=1)
SIGN_EVERY = timedelta(seconds=5)
"""How often it is said that somebody is at work, well within a lease."""
STORE_PAUSE = timedelta(seconds=2)
"""How often it is asked whether all objects are gone."""
TICKETS_A_LOOK = 500
TICKETS_A_TRANSACTION = 10
"""So few that nobody waits long for one of them, and so many that commits are not most of the work."""
RECEIPT_VERSION = 1

Traces = Callable[[Subject, "frozenset[int]", Callable[[], None]], Mapping[str, int]]
"""Takes a person, and erased tickets, out of what lies outside database and store; says what was there.

The last argument is to be called every now and then: it says that somebody is at work.
"""
Outcome = Literal["more", "waiting", "finished"]
log = structlog.get_logger(__name__)


def no_traces(subject: Subject, ticket_ids: frozenset[int], go_on: Callable[[], None]) -> Mapping[str, int]:
    """Where there is nothing outside."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """What an erasure needs from outside."""

    store: ObjectStore
    clock: Callable[[], datetime]
    traces: Traces = no_traces
    service_name: str = "sav-service"


def erase_person(claim: Claim, *, eraser: Eraser) -> None:
    """Goes on with the erasure for a while; raises `StorageUnavailable`, and whatever `traces` raises."""
    stop_at = eraser.clock() + ROUND
    while keep_lease(claim, now=eraser.clock()):
        outcome = _go_on(claim, eraser)
        if outcome == "finished":
            return
        if outcome == "waiting":
            put_off(claim=claim, until=eraser.clock() + STORE_PAUSE, reason="waits for the store")
            return
        if eraser.clock() >= stop_at:
            put_off(claim=claim, until=eraser.clock() + PAUSE, reason="goes on")
            return


def _go_on(claim: Claim, eraser: Eraser) -> Outcome:
    request: PrivacyRequest | None = PrivacyRequest.get_or_none(PrivacyRequest.id == claim.sequence)
    if request is None or not is_unfinished(request):
        with transaction():
            finish_effect(claim)
        return "finished"
    step = _STEPS.get(request.step)
    if step is not None:
        _do_in_transaction(request.id, request.step, step, eraser.clock())
        return "more"
    if request.step in _OUTSIDE:
        _OUTSIDE[request.step](request, eraser, claim)
        _move_on(request.id, request.step, eraser.clock())
        return "more"
    return _conclude(claim, request, eraser)


@retry_deadlocks
def _do_in_transaction(request_id: int, name: str, step: _Step, now: datetime) -> None:
    with transaction():
        request = locked_request(request_id)
        if request.step != name or not is_unfinished(request):
            # Somebody else has been here.
            return
        if request.state == "waiting":
            request.state, request.started_at = "running", now
        if step(request, Subject.from_document(request.subject), now):
            request.step, request.place = _after(name), 0
        request.updated_at = now
        request.save(only=request.dirty_fields)


@retry_deadlocks
def _move_on(request_id: int, name: str, now: datetime) -> None:
    with transaction():
        request = locked_request(request_id)
        if request.step == name:
            request.step, request.place, request.updated_at = _after(name), 0, now
            request.save(only=request.dirty_fields)


def _find(request: PrivacyRequest, subject: Subject, now: datetime) -> bool:
    ids = person_tickets(subject, after=request.place)
    if not ids:
        return True
    known = ErasureTicket.select(ErasureTicket.ticket_id).where(
        ErasureTicket.erasure_id == request.id, ErasureTicket.ticket_id.in_(ids)
    )
    new = sorted(set(ids) - {row.ticket_id for row in known})
    # What was done and is theirs again, by whatever hand, is done again.
    ErasureTicket.update(stage=FOUND, place=0).where(
        ErasureTicket.erasure_id == request.id, ErasureTicket.ticket_id.in_(ids)
    ).execute()
    if new:
        ErasureTicket.insert_many(
            [{"erasure_id": request.id, "ticket_id": ticket_id, "stage": FOUND} for ticket_id in new]
        ).execute()
    request.place = ids[-1]
    return False


def _erase_tickets(request: PrivacyRequest, subject: Subject, now: datetime) -> bool:
    erased: Counts = Counter()
    for _ in range(TICKETS_A_TRANSACTION):
        part = next_part(request.id)
        if part is None:
            add(request, erased)
            return True
        erased += erase_part(part, subject=subject, now=now)
        if erased.total() >= ROWS_A_PART:
            break
    add(request, erased)
    return False


def _erase_kept_answers(request: PrivacyRequest, eraser: Eraser, claim: Claim) -> None:
    subject = Subject.from_document(request.subject)
    for answers in kept_answers():
        keep_lease(claim, now=eraser.clock())
        _in_part(request.id, lambda row, batch=answers: erase_answers(row, subject, batch))  # type: ignore[misc]


def _end_exports(request: PrivacyRequest, eraser: Eraser, claim: Claim) -> None:
    """Removes the archives with their data; one that is just being made finds that it is not wanted."""
    for export in _exports_of(request, secret=privacy_secret()):
        if export.state == "finished" and export.object_key is not None:
            eraser.store.delete(export.object_key)
        _in_part(request.id, lambda row, seen=export: _end_export(row, seen, eraser.clock()))  # type: ignore[misc]


def _exports_of(request: PrivacyRequest, *, secret: bytes) -> list[PrivacyRequest]:
    """The exports about the person of whom there is, or may yet be, an archive."""
    hashes = erased_hashes(Subject.from_document(request.subject), secret=secret)
    about = ExportPerson.select(ExportPerson.export_id).where(ExportPerson.person_hash.in_(sorted(hashes)))
    return list(PrivacyRequest.select().where(PrivacyRequest.id.in_(about)).order_by(PrivacyRequest.id))


def _end_export(request: PrivacyRequest, seen: PrivacyRequest, now: datetime) -> None:
    export = locked_request(seen.id)
    if (export.state, export.object_key) != (seen.state, seen.object_key) or export.state == "expired":
        # It goes on while we look: whoever concludes comes back to it.
        return
    ended: dict[str, Any] = {"state": "expired", "subject": None, "active_key": None, "updated_at": now}
    if is_unfinished(export) and export.object_key is not None:
        # Its object may come at any moment. Whoever makes it, or goes on for them, takes it away.
        PrivacyRequest.update(ended).where(PrivacyRequest.id == export.id).execute()
    else:
        PrivacyRequest.update({**ended, "object_key": None}).where(PrivacyRequest.id == export.id).execute()
        ExportPerson.delete().where(ExportPerson.export_id == export.id).execute()
    add(request, Counter(exports=1))


def _erase_outside(request: PrivacyRequest, eraser: Eraser, claim: Claim) -> None:
    rows = ErasureTicket.select(ErasureTicket.ticket_id).where(ErasureTicket.erasure_id == request.id)
    found = eraser.traces(
        Subject.from_document(request.subject),
        frozenset(row.ticket_id for row in rows),
        _Sign(claim, eraser.clock),
    )
    _in_part(request.id, lambda row: add(row, Counter(found)))


class _Sign:
    """Prolongs the lease whenever a while has gone by."""

    def __init__(self, claim: Claim, clock: Callable[[], datetime]) -> None:
        self._claim = claim
        self._clock = clock
        self._next = clock() + SIGN_EVERY

    def __call__(self) -> None:
        if self._clock() >= self._next:
            # Should it be somebody else's by now: two who erase the same do no harm.
            keep_lease(self._claim, now=self._clock())
            self._next = self._clock() + SIGN_EVERY


@retry_deadlocks
def _in_part(request_id: int, change: Callable[[PrivacyRequest], Any]) -> None:
    with transaction():
        request = locked_request(request_id)
        change(request)
        request.save(only=request.dirty_fields)


@retry_deadlocks
def _conclude(claim: Claim, request: PrivacyRequest, eraser: Eraser) -> Outcome:
    """Ends it, once all objects are certainly gone and nothing has come meanwhile."""
    now, secret = eraser.clock(), privacy_secret()
    with transaction():
        request = locked_request(request.id)
        if back_to := _step_of_what_came(Subject.from_document(request.subject)):
            request.step, request.place = back_to, 0
            request.save(only=request.dirty_fields)
            return "more"
        if exports := _exports_of(request, secret=secret):
            if all(export.state == "expired" for export in exports):
                return "waiting"
            request.step = "exports"
            request.save(only=request.dirty_fields)
            return "more"
        files = _files_left(request.id)
        if files:
            for ticket_id in sorted({file.ticket_id for file in files}):
                if hidden := erase_files(ticket_id, now=now):
                    outdate([ticket_id])
                    add(request, Counter(attachments=hidden))
            request.save(only=request.dirty_fields)
            return "waiting"
        ErasureTicket.delete().where(ErasureTicket.erasure_id == request.id).execute()
        request.state, request.step = "finished", "done"
        request.finished_at = request.updated_at = now
        request.subject = request.active_key = None
        request.receipt = signed(_statement(request, eraser.service_name), secret=secret)
        request.save(only=request.dirty_fields)
        finish_effect(claim)
    log.info("person erased", action=ERASE_PERSON, erasure_id=request.id, counts=request.counts)
    return "finished"


def _step_of_what_came(subject: Subject) -> str | None:
    """Where to begin again because of what has come meanwhile; None when nothing has."""
    if person_tickets(subject):
        return FIRST_STEP
    if Contact.select().where(Contact.user_id.in_(sorted(subject.user_ids))).exists():
        return "account"
    return None


def _files_left(erasure_id: int) -> list[Attachment]:
    mine = ErasureTicket.select(ErasureTicket.ticket_id).where(ErasureTicket.erasure_id == erasure_id)
    left = Attachment.select(Attachment.ticket_id).where(Attachment.ticket_id.in_(mine))
    return list(left.limit(TICKETS_A_LOOK))


def _statement(request: PrivacyRequest, service_name: str) -> dict[str, Any]:
    """What the receipt says: of the person a keyed hash alone."""
    return {
        "version": RECEIPT_VERSION,
        "service": service_name,
        "erasure_id": request.id,
        "subject_hash": request.subject_hash,
        "requested_at": _instant(request.created_at),
        "finished_at": _instant(request.finished_at),
        "erased": dict(sorted(request.counts.items())),
    }


def _instant(instant: datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if instant else None


_Step = Callable[[PrivacyRequest, Subject, datetime], bool]
_STEPS: Mapping[str, _Step] = {
    FIRST_STEP: _find,
    "tickets": _erase_tickets,
    "authorship": erase_authorship,
    "deliveries": erase_deliveries,
    "account": erase_account,
    "received": erase_received,
}
"""Those in the database: each does a part in a transaction, and says whether it was the last."""
_OUTSIDE: Mapping[str, Callable[[PrivacyRequest, Eraser, Claim], None]] = {
    "answers": _erase_kept_answers,
    "exports": _end_exports,
    "outside": _erase_outside,
}
"""Those with transactions of their own, or with none; done again as a whole when they were broken off."""
# Whoever holds the dead letters may put one back, which is then handled like any other: what other services
# told, and what was learned from it, is looked for only after nobody holds them any more.
_ORDER = (
    FIRST_STEP, "tickets", "authorship", "deliveries", "answers", "exports", "outside", "account", "received",
    "conclude",
)  # fmt: skip


def _after(name: str) -> str:
    return _ORDER[_ORDER.index(name) + 1]
