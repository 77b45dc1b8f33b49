"""What an erasure removes from where only the workers look: dead letters, and the file of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from sav.actors.amqp import connect, ensure_queue
from sav.actors.dead_letters import DeadLetters
from sav.actors.event_file import EventFile
from sav.domain.privacy import Subject
from sav.operations.erase_traces import is_about
from sav.settings import Settings

log = structlog.get_logger(__name__)


class OutsideTraces:
    """The broker's dead letters, and the embedded broker's file, each where there is one.

    Messages in the queues of other services are theirs to erase; those in ours are hints, and name nobody.
    """

    def __init__(self, settings: Settings, *, event_file: EventFile | None) -> None:
        self._settings = settings
        self._event_file = event_file

    def __call__(
        self, subject: Subject, ticket_ids: frozenset[int], go_on: Callable[[], None]
    ) -> Mapping[str, int]:
        """Says how many of each were there; raises `BrokerTrouble`, `OSError`."""
        found: dict[str, int] = {}
        if self._settings.SAV_BROKER == "rabbitmq":
            found["dead_letters"] = self._discard_letters(subject, go_on)
        if self._event_file is not None:
            found["event_lines"] = self._event_file.erase(ticket_ids, subject, go_on)
        return found

    def _discard_letters(self, subject: Subject, go_on: Callable[[], None]) -> int:
        discarded = 0
        self._ensure_queue()
        with DeadLetters(self._settings) as letters:
            letters.be_the_reader()
            # Once more until none is left: whoever has just ended gives theirs back.
            while letters.count():
                for letter in letters.read():
                    go_on()
                    if is_about(letter.body, subject):
                        letters.discard(letter)
                        discarded += 1
        return discarded

    def _ensure_queue(self) -> None:
        # Before the first letter there may be none, which is no reason to wait for one.
        connection = connect(self._settings)
        try:
            ensure_queue(
                connection,
                f"{self._settings.RABBITMQ_QUEUE}.dead",
                queue_type=self._settings.RABBITMQ_QUEUE_TYPE,
            )
        finally:
            connection.close()
