"""The side effects that can be owed, and how often and how late one that failed is tried again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

PUBLISH_EVENT = "publish_event"
"""Owed by a ticket: its facts are told to the other services, in order."""
HANDLE_RECEIVED_EVENT = "handle_received_event"
"""Owed by the desk: what another service has told becomes a ticket, a message or a link."""
ASSIGN_TICKETS = "assign_tickets"
"""Owed by the desk: open tickets are given to agents who have room, as many as there is room for."""
REMOVE_OBJECTS = "remove_objects"
"""Owed by a ticket: the objects of its deleted files are removed from the store, and then their rows."""
ESCALATE_TICKET = "escalate_ticket"
"""Owed by an urgent ticket: it escalates at its deadline, unless it was answered; its token waits."""
WATCH_ESCALATIONS = "watch_escalations"
"""Owed by the desk: urgent tickets are found whose deadline has passed, and that nothing reminds of."""
CLOSE_QUIET_TICKETS = "close_quiet_tickets"
"""Owed by the desk: tickets that were resolved long ago, and are quiet since, are closed."""
AGGREGATE_METRICS = "aggregate_metrics"
"""Owed by the desk: tickets that have changed are counted into the numbers that statistics are read from."""
SCAN_ATTACHMENT = "scan_attachment"
"""Owed by a ticket: a file in quarantine is shown to the virus scanner."""
HOUSEKEEPING = "housekeeping"
"""Owed by the desk: what has served its time is removed."""
NOTIFY = "notify"
"""Owed by a ticket: whoever should hear of a fact is written to; it makes the deliveries."""
SEND_MAIL = "send_mail"
"""Owed by the desk: one delivery is sent; the token's sequence is the delivery's id."""
SURVEYS = "surveys"
"""Owed by the desk: tickets that were closed without a word to their customer are made up for."""
SWEEP_FILES = "sweep_files"
"""Owed by the desk: files without an object, and objects without a file, are found and removed."""
ERASE_PERSON = "erase_person"
"""Owed by the desk: a person's data is erased, a part at a time; the token's sequence is the request's id."""
BUILD_EXPORT = "build_export"
"""Owed by the desk: a person's data is put into an archive; the token's sequence is the request's id."""

OWED_BY_DESK: frozenset[str] = frozenset({ASSIGN_TICKETS})
"""Those that facts owe, and that are about the desk as a whole instead of the fact's ticket."""

DONE_TOGETHER: frozenset[str] = frozenset({PUBLISH_EVENT, NOTIFY})
"""Those that a worker does for many tickets at once: each alone is quick, and waits for nobody outside
for long. Of the others each ticket's is followed by itself, so that a slow one keeps back nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`tries` in all (None: never given up), each after twice the pause: from `first` up to `longest`."""

    tries: int | None
    first: timedelta
    longest: timedelta

    def pause(self, tries_before: int) -> timedelta:
        """How long an effect waits that has failed, after `tries_before` earlier failures."""
        # The exponent is capped too: nobody knows how often an effect fails that is never given up.
        doublings: int = 2 ** min(tries_before, 20)
        return min(self.longest, self.first * doublings)

    def is_exhausted(self, tries: int) -> bool:
        return self.tries is not None and tries >= self.tries


RETRY_POLICIES: Mapping[str, RetryPolicy] = {
    # Only the broker can be at fault, and it comes back: an event is never given up, and the longest
    # pause bounds how late that is noticed.
    PUBLISH_EVENT: RetryPolicy(tries=None, first=timedelta(seconds=0.5), longest=timedelta(seconds=5)),
    # About an hour, enough for a release to be rolled back.
    HANDLE_RECEIVED_EVENT: RetryPolicy(tries=12, first=timedelta(seconds=2), longest=timedelta(minutes=30)),
    # It looks at the desk as it then is, and the next minute owes it anew: giving one up would end nothing.
    ASSIGN_TICKETS: RetryPolicy(tries=None, first=timedelta(seconds=1), longest=timedelta(minutes=1)),
    # The store comes back, as the broker does; what was deleted must not stay for ever.
    REMOVE_OBJECTS: RetryPolicy(tries=None, first=timedelta(seconds=1), longest=timedelta(minutes=5)),
    # Half an hour: after that the watch makes another token.
    ESCALATE_TICKET: RetryPolicy(tries=12, first=timedelta(seconds=1), longest=timedelta(minutes=5)),
    WATCH_ESCALATIONS: RetryPolicy(tries=8, first=timedelta(seconds=5), longest=timedelta(minutes=5)),
    CLOSE_QUIET_TICKETS: RetryPolicy(tries=10, first=timedelta(seconds=10), longest=timedelta(hours=1)),
    # The next hour owes it anew, and statistics are exact meanwhile, only slower.
    AGGREGATE_METRICS: RetryPolicy(tries=None, first=timedelta(seconds=10), longest=timedelta(minutes=10)),
    # The scanner comes back too; a file that it has not passed is never served, however long that takes.
    SCAN_ATTACHMENT: RetryPolicy(tries=None, first=timedelta(seconds=1), longest=timedelta(minutes=1)),
    HOUSEKEEPING: RetryPolicy(tries=10, first=timedelta(seconds=10), longest=timedelta(hours=1)),
    NOTIFY: RetryPolicy(tries=12, first=timedelta(seconds=2), longest=timedelta(minutes=30)),
    # About four days, as mail servers do. A mail server that is away costs few tries: it is left alone.
    SEND_MAIL: RetryPolicy(tries=150, first=timedelta(seconds=10), longest=timedelta(minutes=40)),
    SURVEYS: RetryPolicy(tries=10, first=timedelta(seconds=10), longest=timedelta(hours=1)),
    SWEEP_FILES: RetryPolicy(tries=10, first=timedelta(seconds=10), longest=timedelta(hours=1)),
    # Whoever asked was promised both; the database, the broker and the store come back.
    ERASE_PERSON: RetryPolicy(tries=None, first=timedelta(seconds=1), longest=timedelta(minutes=5)),
    BUILD_EXPORT: RetryPolicy(tries=None, first=timedelta(seconds=1), longest=timedelta(minutes=5)),
}
