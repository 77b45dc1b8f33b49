"""The circumstances of a write: who acts, when, and in which request."""

from dataclasses import dataclass
from datetime import datetime

from sav.domain.caller import Caller


@dataclass(frozen=True, slots=True)
class Occasion:
    """Read once at the edge, and handed down: neither a rule nor an operation looks at the clock."""

    caller: Caller
    now: datetime
    request_id: str | None = None
