"""The rows: columns only. What may be written is decided in `operations`, what is read in `queries`."""

from typing import Any

import peewee

from sav.models.database import database
from sav.models.fields import JsonField, UtcDateTimeField


class Row(peewee.Model):
    class Meta:
        database = database


def revision_of(version: int, read_marks: int, event_count: int, *, internal: bool) -> str:
    """What a ticket's ETag says: the version, which If-Match compares, and the reads since.

    To whoever sees internal notes also how many facts there are: a note changes nothing else.
    """
    return f"{version}.{read_marks}.{event_count}" if internal else f"{version}.{read_marks}"


class Ticket(Row):
    """The head of a support ticket."""

    id = peewee.BigAutoField()
    ticket_number = peewee.CharField()
    user_id = peewee.BigIntegerField(null=True)
    assigned_to = peewee.BigIntegerField(null=True)
    subject = peewee.CharField()
    description = peewee.TextField()
    status: Any = peewee.CharField()
    priority: Any = peewee.CharField()
    category = peewee.CharField(null=True)
    source: Any = peewee.CharField()
    contact_email = peewee.CharField(null=True)
    contact_name = peewee.CharField(null=True)
    locale: Any = peewee.CharField(null=True)
    access_token_hash = peewee.CharField(null=True)
    first_response_at = UtcDateTimeField(null=True)
    resolved_at = UtcDateTimeField(null=True)
    closed_at = UtcDateTimeField(null=True)
    escalated_at = UtcDateTimeField(null=True)
    # While an urgent ticket waits for a public word of the staff.
    unanswered_since = UtcDateTimeField(null=True)
    resolution_notes = peewee.TextField(null=True)
    internal_notes = peewee.TextField(null=True)
    satisfaction_rating = peewee.IntegerField(null=True)
    satisfaction_comment = peewee.TextField(null=True)
    tags: Any = JsonField()
    metadata: Any = JsonField()
    reopen_count = peewee.IntegerField(default=0)
    version = peewee.IntegerField(default=1)
    # Grows when somebody reads a message, so that a cached detail is seen to be old
    # while nobody's If-Match breaks because the other side opened the ticket.
    read_marks = peewee.IntegerField(default=0)
    event_count = peewee.IntegerField(default=0)
    published_event_count = peewee.IntegerField(default=0)
    created_at = UtcDateTimeField()
    updated_at = UtcDateTimeField()
    deleted_at = UtcDateTimeField(null=True)
    # Set by every change, and taken away by whoever has counted the ticket into the desk's numbers.
    uncounted = peewee.BooleanField(default=True)
    # Computed by the database from `priority`; never written.
    priority_rank = peewee.SmallIntegerField(null=True)
    # No column: what whoever has read it may know of all files that there ever were.
    has_attachments = True

    class Meta:
        table_name = "support_tickets"

    def revision(self, *, internal: bool) -> str:
        """See `revision_of`."""
        return revision_of(self.version, self.read_marks, self.event_count, internal=internal)


_UNSHOWN = {
    "locale", "access_token_hash", "unanswered_since", "event_count", "published_event_count", "deleted_at",
    "uncounted",
}  # fmt: skip
SHOWN_OF_TICKETS = tuple(field for field in Ticket._meta.sorted_fields if field.name not in _UNSHOWN)
"""What reads select, for what they show and where a cursor stands: a column that is never looked at costs as
much as any other."""


class TicketTag(Row):
    """One tag of one ticket: the index behind the tag filter; `Ticket.tags` keeps their order."""

    ticket_id = peewee.BigIntegerField()
    tag = peewee.CharField()

    class Meta:
        table_name = "ticket_tags"
        primary_key = peewee.CompositeKey("tag", "ticket_id")


class Message(Row):
    """A public message or an internal note."""

    id = peewee.BigAutoField()
    ticket_id = peewee.BigIntegerField()
    user_id = peewee.BigIntegerField(null=True)
    author_role: Any = peewee.CharField()
    author_name = peewee.CharField()
    author_email = peewee.CharField()
    content = peewee.TextField()
    is_internal = peewee.BooleanField()
    is_read = peewee.BooleanField(default=False)
    read_at = UtcDateTimeField(null=True)
    version = peewee.IntegerField(default=1)
    created_at = UtcDateTimeField()
    updated_at = UtcDateTimeField()
    deleted_at = UtcDateTimeField(null=True)

    class Meta:
        table_name = "ticket_messages"

    @property
    def revision(self) -> str:
        """What an ETag says: the version, which If-Match compares, and whether it was read."""
        return f"{self.version}.{int(self.is_read)}"


class MessageReceipt(Row):
    """One reader has read one message."""

    message_id = peewee.BigIntegerField()
    reader_id = peewee.BigIntegerField()
    ticket_id = peewee.BigIntegerField()
    read_at = UtcDateTimeField()

    class Meta:
        table_name = "message_receipts"
        primary_key = peewee.CompositeKey("message_id", "reader_id")


class Attachment(Row):
    """A file of a ticket; `file_path` is its key in the object store.

    `pending` until its object is complete; then `available`, with a virus scanner first `quarantined`;
    `deleted`, also when the scanner has refused it, until its object is gone.
    """

    id = peewee.BigAutoField()
    ticket_id = peewee.BigIntegerField()
    message_id = peewee.BigIntegerField(null=True)
    user_id = peewee.BigIntegerField(null=True)
    file_name = peewee.CharField()
    file_path = peewee.CharField()
    file_type = peewee.CharField()
    file_size = peewee.BigIntegerField()
    mime_type = peewee.CharField()
    state: Any = peewee.CharField()
    created_at = UtcDateTimeField()
    updated_at = UtcDateTimeField()

    class Meta:
        table_name = "ticket_attachments"


class Agent(Row):
    """A member of the roster that assignment draws from; the key is the user's id."""

    user_id = peewee.BigIntegerField(primary_key=True)
    name = peewee.CharField(null=True)
    email = peewee.CharField(null=True)
    active = peewee.BooleanField(default=True)
    available = peewee.BooleanField(default=False)
    capacity = peewee.IntegerField()
    categories: Any = JsonField()
    last_assigned_at = UtcDateTimeField(null=True)
    created_at = UtcDateTimeField()
    updated_at = UtcDateTimeField()

    class Meta:
        table_name = "agents"


class Event(Row):
    """The event log: what happened to a ticket, in the order in which it happened.

    `sequence` counts all facts of a ticket; `published_sequence` counts those that leave the service.
    `changes` holds from and to of each field, for the history; it is never published.
    """

    id = peewee.BigAutoField()
    event_id = peewee.CharField()
    ticket_id = peewee.BigIntegerField()
    sequence = peewee.IntegerField()
    published_sequence = peewee.IntegerField(null=True)
    name = peewee.CharField()
    data: Any = JsonField()
    changes: Any = JsonField()
    actor_id = peewee.BigIntegerField(null=True)
    actor_role = peewee.CharField()
    request_id = peewee.CharField(null=True)
    occurred_at = UtcDateTimeField()

    class Meta:
        table_name = "ticket_events"


class DueEffect(Row):
    """A side effect that is owed: the row is the token, and whoever deletes it has done the effect.

    `due_at` says when the relay looks at it (next); a lease hides it from everybody else meanwhile.
    `created_at` says since when it is owed: of a deadline, its time, which may be to come.
    """

    id = peewee.BigAutoField()
    effect = peewee.CharField()
    ticket_id = peewee.BigIntegerField()
    sequence = peewee.IntegerField()
    due_at = UtcDateTimeField()
    lease_owner = peewee.CharField(null=True)
    leased_until = UtcDateTimeField(null=True)
    tries = peewee.IntegerField(default=0)
    last_error = peewee.CharField(null=True)
    failed_at = UtcDateTimeField(null=True)
    created_at = UtcDateTimeField()

    class Meta:
        table_name = "due_effects"


class TicketNumberSequence(Row):
    """How many ticket numbers a UTC day has given out."""

    day = peewee.CharField(primary_key=True)
    last_sequence = peewee.IntegerField()

    class Meta:
        table_name = "ticket_number_sequences"


class IdempotencyKey(Row):
    """The first answer to a request that carried an `Idempotency-Key`."""

    caller = peewee.CharField()
    key_hash = peewee.CharField()
    fingerprint = peewee.CharField()
    status = peewee.IntegerField(null=True)
    headers: Any = JsonField(null=True)
    body = peewee.TextField(null=True)
    created_at = UtcDateTimeField()

    class Meta:
        table_name = "idempotency_keys"
        primary_key = peewee.CompositeKey("caller", "key_hash")


class RateCounter(Row):
    """How often one subject has done one thing in one window of time; the key is a hash of the three."""

    key_hash = peewee.CharField(primary_key=True)
    hits = peewee.IntegerField()
    expires_at = UtcDateTimeField()

    class Meta:
        table_name = "rate_counters"


class SchedulerTick(Row):
    """A scheduled job, and the last slot of time for which it was made due."""

    job = peewee.CharField(primary_key=True)
    last_slot = peewee.BigIntegerField()
    recorded_at = UtcDateTimeField()

    class Meta:
        table_name = "scheduler_ticks"


class ReceivedEvent(Row):
    """An event of another service, kept so that its duplicates are recognised.

    `dedup_key` is the SHA-256 of whatever identifies it; `envelope` is its JSON text as it came.
    """

    id = peewee.BigAutoField()
    dedup_key = peewee.CharField()
    name = peewee.CharField()
    envelope = peewee.TextField()
    request_id = peewee.CharField(null=True)
    received_at = UtcDateTimeField()

    class Meta:
        table_name = "received_events"


class OrderIssueTicket(Row):
    """The ticket of one issue with one order: a second report of it finds the first one's ticket."""

    issue_key = peewee.CharField(primary_key=True)
    ticket_id = peewee.BigIntegerField(null=True)

    class Meta:
        table_name = "order_issues"


class ImportedTicket(Row):
    """The ticket that a record of a former system became; it outlives the ticket, which is not made again.

    `files_done` says how many of the record's files are attached.
    """

    origin = peewee.CharField()
    external_id = peewee.CharField()
    fingerprint = peewee.CharField()
    ticket_id = peewee.BigIntegerField()
    files_done = peewee.IntegerField(default=0)
    imported_at = UtcDateTimeField()

    class Meta:
        table_name = "imported_tickets"
        primary_key = peewee.CompositeKey("origin", "external_id")


class Contact(Row):
    """Where a registered customer is written to, as their token or another service has said.

    `verified_email` is the mailbox that was last verified to be theirs, wherever they are written to.
    """

    user_id = peewee.BigIntegerField(primary_key=True)
    email = peewee.CharField()
    verified_email = peewee.CharField(null=True)
    name = peewee.CharField(null=True)
    locale: Any = peewee.CharField(null=True)
    updated_at = UtcDateTimeField()

    class Meta:
        table_name = "contacts"


class MailDelivery(Row):
    """One mail to one address because of one fact.

    *due*, it is to be sent; *sent*, the mail server has taken it; *failed*, it was refused or given up;
    *recorded*, there was no mail server to send it by; *suppressed*, it is not sent, for `reason`.
    """

    id = peewee.BigAutoField()
    message_id = peewee.CharField()
    ticket_id = peewee.BigIntegerField()
    sequence = peewee.IntegerField()
    kind: Any = peewee.CharField()
    recipient = peewee.CharField()
    recipient_name = peewee.CharField(null=True)
    locale: Any = peewee.CharField()
    state: Any = peewee.CharField()
    reason: Any = peewee.CharField(null=True)
    tries = peewee.IntegerField(default=0)
    last_error = peewee.CharField(null=True)
    due_at = UtcDateTimeField()
    sent_at = UtcDateTimeField(null=True)
    updated_at = UtcDateTimeField()

    class Meta:
        table_name = "mail_deliveries"


class MailPreference(Row):
    """Whoever has this address wants no more mails of this kind; the address itself is not kept."""

    address_hash = peewee.CharField()
    kind = peewee.CharField()
    created_at = UtcDateTimeField()

    class Meta:
        table_name = "mail_preferences"
        primary_key = peewee.CompositeKey("address_hash", "kind")


class ServiceSecret(Row):
    """A secret that all processes share, made by whichever needed it first."""

    name = peewee.CharField(primary_key=True)
    secret = peewee.CharField()
    created_at = UtcDateTimeField()

    class Meta:
        table_name = "service_secrets"


class CountedTicket(Row):
    """What a ticket was counted as in `DeskCount`; a deleted ticket has no row."""

    ticket_id = peewee.BigIntegerField(primary_key=True)
    status: Any = peewee.CharField()
    priority: Any = peewee.CharField()
    category = peewee.CharField(null=True)
    source: Any = peewee.CharField()
    assigned_to = peewee.BigIntegerField(null=True)
    rating = peewee.IntegerField(null=True)
    escalated = peewee.BooleanField()
    reopened = peewee.BooleanField()
    created_at = UtcDateTimeField()
    resolved_at = UtcDateTimeField(null=True)
    closed_at = UtcDateTimeField(null=True)
    first_response_micros = peewee.BigIntegerField(null=True)
    resolution_micros = peewee.BigIntegerField(null=True)

    class Meta:
        table_name = "counted_tickets"


class SightCounter(Row):
    """How often something in somebody's sight has changed; `sav.domain.sight_slots` says what."""

    slot = peewee.IntegerField(primary_key=True)
    changes = peewee.BigIntegerField()

    class Meta:
        table_name = "sight_counters"


class DeskCount(Row):
    """How many marks of a kind, with a label, the counted tickets left in a slot of time."""

    kind: Any = peewee.CharField()
    slot = peewee.BigIntegerField()
    label = peewee.CharField()
    tickets = peewee.BigIntegerField()
    micros = peewee.BigIntegerField()

    class Meta:
        table_name = "desk_counts"
        primary_key = peewee.CompositeKey("kind", "slot", "label")


class PrivacyRequest(Row):
    """An export of a person's data, or its erasure.

    *waiting*, nobody has begun; *running*, somebody is at work, or has been and somebody goes on; *finished*;
    *failed*, for `failure`; *expired*, of an export, its archive is gone. `subject` says whom it is about
    until it is done; from then on there is `subject_hash` alone. `step` and `place` say how far it has come.
    """

    id = peewee.BigAutoField()
    kind: Any = peewee.CharField()
    state: Any = peewee.CharField(default="waiting")
    source: Any = peewee.CharField()
    requested_by = peewee.BigIntegerField(null=True)
    request_id = peewee.CharField(null=True)
    subject_hash = peewee.CharField()
    subject: Any = JsonField(null=True)
    active_key = peewee.CharField(null=True)
    step = peewee.CharField()
    place = peewee.BigIntegerField(default=0)
    counts: Any = JsonField()
    receipt: Any = JsonField(null=True)
    object_key = peewee.CharField(null=True)
    object_size = peewee.BigIntegerField(null=True)
    object_sha256 = peewee.CharField(null=True)
    failure = peewee.CharField(null=True)
    expires_at = UtcDateTimeField(null=True)
    created_at = UtcDateTimeField()
    started_at = UtcDateTimeField(null=True)
    finished_at = UtcDateTimeField(null=True)
    updated_at = UtcDateTimeField()

    class Meta:
        table_name = "privacy_requests"


class ErasureTicket(Row):
    """A ticket of a person who is being erased, and how far it has come; gone when the erasure is done."""

    erasure_id = peewee.BigIntegerField()
    ticket_id = peewee.BigIntegerField()
    stage: Any = peewee.CharField()
    place = peewee.BigIntegerField(default=0)

    class Meta:
        table_name = "erasure_tickets"
        primary_key = peewee.CompositeKey("erasure_id", "ticket_id")


class ExportPerson(Row):
    """Whom an export is about, as a keyed hash, while its archive is there."""

    person_hash = peewee.CharField()
    export_id = peewee.BigIntegerField()

    class Meta:
        table_name = "export_persons"
        primary_key = peewee.CompositeKey("person_hash", "export_id")


class WiderCount(Row):
    """The same over `width` quarters of an hour from `slot` on: sums of sums, so that a read takes fewer."""

    kind: Any = peewee.CharField()
    width = peewee.IntegerField()
    slot = peewee.BigIntegerField()
    label = peewee.CharField()
    tickets = peewee.BigIntegerField()
    micros = peewee.BigIntegerField()

    class Meta:
        table_name = "wider_counts"
        primary_key = peewee.CompositeKey("kind", "width", "slot", "label")
