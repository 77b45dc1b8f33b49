"""Asking for a person's data, or for its erasure: a row, and the effect that it owes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import peewee

from sav.domain.effects import BUILD_EXPORT, ERASE_PERSON
from sav.domain.errors import Forbidden
from sav.domain.foreign_events import UserDeleted
from sav.domain.occasion import Occasion
from sav.domain.privacy import RequestKind, RequestSource, Subject, person_hashes, subject_hash
from sav.models.database import database, for_update, is_duplicate, retry_deadlocks, transaction
from sav.models.person_sight import subject_named
from sav.models.tables import DueEffect, ExportPerson, PrivacyRequest, ReceivedEvent
from sav.operations import hints
from sav.operations.effect_claims import DESK, Claim, finish_effect
from sav.operations.event_log import RELAY_GRACE
from sav.operations.idempotency import FirstAnswer
from sav.operations.service_secrets import privacy_secret

EFFECT_OF: Mapping[RequestKind, str] = {"export": BUILD_EXPORT, "erasure": ERASE_PERSON}
FIRST_STEP = "find"
T = TypeVar("T")
NOTHING_LEFT = "{}"
"""What is kept of an event of another service that was about somebody."""


def request_privacy(
    *,
    kind: RequestKind,
    occasion: Occasion,
    user_id: int | None,
    email: str | None,
    source: RequestSource,
    first_answer: FirstAnswer[PrivacyRequest] | None = None,
) -> PrivacyRequest:
    """Asks for it; for who asks again before it is done, it is the same request. For admins and scripts."""
    if occasion.caller.role not in ("admin", "system"):
        raise Forbidden
    secret = privacy_secret()
    named = subject_hash(secret=secret, user_id=user_id, email=email)

    @retry_deadlocks
    def ask() -> PrivacyRequest:
        with transaction():
            if first_answer:
                first_answer.claim(now=occasion.now)
            subject = subject_named(user_id=user_id, email=email, accounts_by_email=True)
            request = _ask(kind, subject, named, source, occasion, secret)
            if first_answer:
                first_answer.keep(request)
            return request

    return _unless_asked_meanwhile(ask)


def erase_deleted_user(*, claim: Claim, user: UserDeleted, occasion: Occasion) -> None:
    """Asks for the erasure of a user who is gone elsewhere, and forgets who told us."""
    secret = privacy_secret()
    named = subject_hash(secret=secret, user_id=user.user_id, email=user.email)

    @retry_deadlocks
    def ask() -> None:
        with transaction():
            if not finish_effect(claim):
                return
            subject = subject_named(user_id=user.user_id, email=user.email, accounts_by_email=False)
            _ask("erasure", subject, named, "event", occasion, secret)
            ReceivedEvent.update(envelope=NOTHING_LEFT, request_id=None).where(
                ReceivedEvent.id == claim.sequence
            ).execute()

    _unless_asked_meanwhile(ask)


def _unless_asked_meanwhile(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except peewee.IntegrityError as error:
        if not is_duplicate(error):
            raise
    # Somebody else has asked for the same at this very moment; now theirs is found.
    return ask()


def _ask(
    kind: RequestKind,
    subject: Subject,
    named: str,
    source: RequestSource,
    occasion: Occasion,
    secret: bytes,
) -> PrivacyRequest:
    active_key = f"{kind}:{named}"
    active: PrivacyRequest | None = PrivacyRequest.get_or_none(PrivacyRequest.active_key == active_key)
    if active is not None:
        return active
    request: PrivacyRequest = PrivacyRequest.create(
        kind=kind,
        source=source,
        requested_by=occasion.caller.user_id,
        request_id=occasion.request_id,
        subject_hash=named,
        subject=subject.document(),
        active_key=active_key,
        step=FIRST_STEP,
        counts={},
        created_at=occasion.now,
        updated_at=occasion.now,
    )
    if kind == "export":
        hashes = sorted(person_hashes(subject, secret=secret))
        ExportPerson.insert_many(
            [{"person_hash": person, "export_id": request.id} for person in hashes]
        ).execute()
    _owe(EFFECT_OF[kind], request.id, occasion.now)
    return request


def _owe(effect: str, request_id: int, now: datetime) -> None:
    DueEffect.insert(
        effect=effect, ticket_id=DESK, sequence=request_id, due_at=now + RELAY_GRACE, created_at=now
    ).execute()
    database.after_commit(lambda: hints.give({hints.Hint(effect, DESK)}))


def locked_request(request_id: int) -> PrivacyRequest:
    """The request, its row locked, in the caller's transaction."""
    row: PrivacyRequest = for_update(PrivacyRequest.select().where(PrivacyRequest.id == request_id)).get()
    return row


def is_unfinished(request: PrivacyRequest) -> bool:
    """Whether somebody is, or will be, at work on it."""
    return request.state in ("waiting", "running")
