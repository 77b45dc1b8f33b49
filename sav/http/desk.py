"""What the HTTP tier is made of, built once by the composition root and handed to every resource."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sav.domain.locales import Locale
from sav.domain.ticket_lifecycle import Priority
from sav.http.answer_caches import AnswerCaches
from sav.http.authentication import TokenVerifier
from sav.http.contact_door import ContactDoor
from sav.http.forms import UploadRoom
from sav.http.rate_limits import PublicDoor
from sav.http.roster_door import RosterDoor
from sav.models.replica import Replica
from sav.operations.attach_files import ArrivalState
from sav.operations.open_ticket import DeskRules
from sav.storage.object_store import ObjectStore
from sav.telemetry.parts import Sample


class Checkable(Protocol):
    """Something outside that can be asked whether it answers; raises when it does not."""

    def check(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The desk's rules and the outside world, as the resources need them."""

    service_name: str
    version: str
    is_behind_tls: bool = False
    """Whether browsers reach the service over TLS alone."""
    verifier: TokenVerifier
    roster: RosterDoor
    contacts: ContactDoor = field(default_factory=ContactDoor)
    default_locale: Locale = "fr"
    clock: Callable[[], datetime]
    number_prefix: str
    customer_maximum_priority: Priority
    agent_default_capacity: int
    storage: ObjectStore
    uploads: UploadRoom
    arrival: ArrivalState
    """What a new file is: there to be downloaded, or in quarantine until it is scanned."""
    broker: Checkable
    public_door: PublicDoor
    caches: AnswerCaches = field(default_factory=AnswerCaches)
    replica: Replica | None = None
    """Where what is not kept ready is read, if it can be; None where there is but one database."""
    queue_depths: Callable[[], list[Sample]] | None = None
    """How much waits in the broker's queues; None where there is no broker."""

    @property
    def rules(self) -> DeskRules:
        return DeskRules(self.number_prefix, self.customer_maximum_priority)
