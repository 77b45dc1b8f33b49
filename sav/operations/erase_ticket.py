"""Takes the persons out of one ticket, a part at a time; its number, its times and its numbers stay.

A small ticket is one part. Of a large one each part is a transaction, and the next goes on where it ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import peewee

from sav.domain.caller import SYSTEM
from sav.domain.effects import NOTIFY, SEND_MAIL
from sav.domain.events import TicketErased
from sav.domain.occasion import Occasion
from sav.domain.privacy import (
    CLOSED_BECAUSE,
    ERASED,
    HIDDEN_RECORD,
    Subject,
    erased_changes,
    erased_data,
    hidden_record,
)
from sav.domain.sight_slots import slots_of
from sav.domain.ticket_lifecycle import SETTLED
from sav.models.database import for_update
from sav.models.sight_counters import advance_counters
from sav.models.tables import (
    Attachment,
    DueEffect,
    ErasureTicket,
    Event,
    ImportedTicket,
    MailDelivery,
    Message,
    MessageReceipt,
    OrderIssueTicket,
    Ticket,
    TicketTag,
)
from sav.operations.effect_claims import DESK
from sav.operations.remove_objects import owe_removal
from sav.operations.service_secrets import privacy_secret
from sav.operations.settle_ticket import close
from sav.operations.ticket_change import TicketChange, save_changes, ticket_facts

ROWS_A_PART = 500
"""How many messages, mails and facts of a ticket one transaction changes."""
UPLOADS_LEFT = timedelta(hours=1)
"""For how long a file that is on its way in is left to its upload, which will find nowhere to go."""

FOUND, MESSAGES, MAILS, FACTS, DONE = "found", "messages", "mails", "facts", "done"
Counts = Counter[str]

NOBODYS: dict[str, Any] = {
    "user_id": None,
    "subject": ERASED,
    "description": ERASED,
    "contact_email": None,
    "contact_name": None,
    "locale": None,
    "access_token_hash": None,
    "resolution_notes": None,
    "internal_notes": None,
    "satisfaction_comment": None,
    "tags": [],
    "metadata": {},
}
"""What an erased ticket is, where it is not what it was."""


def erase_part(part: ErasureTicket, *, subject: Subject, now: datetime) -> Counts:
    """The next part of a ticket, in the caller's transaction; says what was erased, and moves `part` on."""
    counts: Counts = Counter()
    room = ROWS_A_PART
    if part.stage == FOUND:
        counts += _erase_head(part.ticket_id, subject, now)
        part.stage, part.place = MESSAGES, 0
    else:
        outdate([part.ticket_id])
    for stage, following, erase in _STAGES:
        if part.stage != stage:
            continue
        erased, part.place = erase(part.ticket_id, part.place, room, subject, now)
        counts += erased
        room -= erased.total()
        if room <= 0:
            break
        part.stage, part.place = following, 0
    mine = (ErasureTicket.erasure_id == part.erasure_id) & (ErasureTicket.ticket_id == part.ticket_id)
    ErasureTicket.update(stage=part.stage, place=part.place).where(mine).execute()
    return counts


def outdate(ticket_ids: Sequence[int]) -> None:
    """Says of tickets that whatever is kept of them is old, in the caller's transaction."""
    if not ticket_ids:
        return
    those = Ticket.id.in_(list(ticket_ids))
    Ticket.update(version=Ticket.version + 1, uncounted=True).where(those).execute()
    for ticket in Ticket.select(Ticket.id, Ticket.user_id, Ticket.assigned_to, Ticket.status).where(those):
        advance_counters(slots_of(ticket_facts(ticket)))


def _erase_head(ticket_id: int, subject: Subject, now: datetime) -> Counts:
    # A deleted one too: its rows are there all the same.
    ticket: Ticket | None = for_update(Ticket.select().where(Ticket.id == ticket_id)).first()
    if ticket is None:
        return Counter()
    change = TicketChange(ticket, Occasion(SYSTEM, now))
    counts = Counter(tickets=1)
    if ticket.status not in SETTLED and ticket.deleted_at is None:
        close(change, reason=CLOSED_BECAUSE)
        counts["closed_tickets"] += 1
    for name, value in NOBODYS.items():
        # Not by `set`: the history would remember what it was.
        setattr(ticket, name, value)
    change.record(TicketErased())
    save_changes([change])
    TicketTag.delete().where(TicketTag.ticket_id == ticket_id).execute()
    OrderIssueTicket.delete().where(OrderIssueTicket.ticket_id == ticket_id).execute()
    MessageReceipt.delete().where(
        MessageReceipt.ticket_id == ticket_id, MessageReceipt.reader_id.in_(sorted(subject.user_ids))
    ).execute()
    _hide_record(ticket_id)
    # Nobody is written to about it any more, about its closing neither.
    DueEffect.delete().where(DueEffect.ticket_id == ticket_id, DueEffect.effect == NOTIFY).execute()
    counts["attachments"] += erase_files(ticket_id, now=now)
    return counts


def _hide_record(ticket_id: int) -> None:
    """Puts a hash in place of a former system's id, by which no import brings the ticket back."""
    record: ImportedTicket | None = ImportedTicket.get_or_none(ImportedTicket.ticket_id == ticket_id)
    if record is None or record.external_id.startswith(HIDDEN_RECORD):
        return
    # It was made when the erasure was asked for.
    secret = privacy_secret()
    hidden = hidden_record(origin=record.origin, external_id=record.external_id, secret=secret)
    ImportedTicket.update(external_id=hidden).where(ImportedTicket.ticket_id == ticket_id).execute()


def erase_files(ticket_id: int, *, now: datetime) -> int:
    """Hides the ticket's files and owes the removal of their objects; returns how many there were.

    One that is on its way in is left to its upload while that can be alive, and comes to the same end.
    """
    doomed = (Attachment.ticket_id == ticket_id) & (
        Attachment.state.not_in(["pending", "deleted"])
        | ((Attachment.state == "pending") & (Attachment.updated_at < now - UPLOADS_LEFT))
    )
    ids = [file.id for file in Attachment.select(Attachment.id).where(doomed)]
    if ids:
        Attachment.update(state="deleted", file_name=ERASED, user_id=None, updated_at=now).where(
            Attachment.id.in_(ids)
        ).execute()
        owe_removal(ticket_id=ticket_id, attachment_id=min(ids), now=now)
    return len(ids)


def _erase_messages(
    ticket_id: int, place: int, room: int, subject: Subject, now: datetime
) -> tuple[Counts, int]:
    query = Message.select(Message.id).where(Message.ticket_id == ticket_id, Message.id > place)
    ids = [message.id for message in query.order_by(Message.id).limit(room)]
    if not ids:
        return Counter(), place
    those = Message.id.in_(ids)
    Message.update(content=ERASED, version=Message.version + 1, updated_at=now).where(those).execute()
    theirs = Message.author_role.in_(["customer", "guest"])
    if subject.user_ids:
        theirs |= Message.user_id.in_(sorted(subject.user_ids))
    Message.update(author_name=ERASED, author_email="", user_id=None).where(those, theirs).execute()
    return Counter(messages=len(ids)), ids[-1]


def _erase_mails(
    ticket_id: int, place: int, room: int, subject: Subject, now: datetime
) -> tuple[Counts, int]:
    query = MailDelivery.select(MailDelivery.id).where(MailDelivery.ticket_id == ticket_id)
    ids = [
        delivery.id for delivery in query.where(MailDelivery.id > place).order_by(MailDelivery.id).limit(room)
    ]
    return Counter(mail_deliveries=forget_deliveries(ids)), ids[-1] if ids else place


def forget_deliveries(ids: list[int]) -> int:
    """Deletes deliveries and what is owed for them, in the caller's transaction."""
    if not ids:
        return 0
    DueEffect.delete().where(
        DueEffect.ticket_id == DESK, DueEffect.effect == SEND_MAIL, DueEffect.sequence.in_(ids)
    ).execute()
    deleted: int = MailDelivery.delete().where(MailDelivery.id.in_(ids)).execute()
    return deleted


def _erase_facts(
    ticket_id: int, place: int, room: int, subject: Subject, now: datetime
) -> tuple[Counts, int]:
    query = Event.select().where(Event.ticket_id == ticket_id, Event.sequence > place)
    facts: list[Event] = list(query.order_by(Event.sequence).limit(room))
    for fact in facts:
        _erase_fact(fact, subject)
    return Counter(events=len(facts)), facts[-1].sequence if facts else place


def _erase_fact(fact: Event, subject: Subject) -> None:
    data = erased_data(fact.name, fact.data, actor_role=fact.actor_role, subject=subject)
    changes = erased_changes(fact.changes)
    is_theirs = fact.actor_role in ("customer", "guest") or subject.is_account(fact.actor_id)
    actor_id = None if is_theirs else fact.actor_id
    if (data, changes, actor_id, None) != (fact.data, fact.changes, fact.actor_id, fact.request_id):
        Event.update(data=data, changes=changes, actor_id=actor_id, request_id=None).where(
            Event.id == fact.id
        ).execute()


_STAGES = (
    (MESSAGES, MAILS, _erase_messages),
    (MAILS, FACTS, _erase_mails),
    (FACTS, DONE, _erase_facts),
)


def next_part(erasure_id: int) -> ErasureTicket | None:
    """The ticket that is to be gone on with."""
    query: peewee.ModelSelect[ErasureTicket] = ErasureTicket.select().where(
        ErasureTicket.erasure_id == erasure_id, ErasureTicket.stage.in_([FOUND, MESSAGES, MAILS, FACTS])
    )
    found: ErasureTicket | None = query.order_by(ErasureTicket.ticket_id).first()
    return found
