"""The circumstances of a write: who acts, when, and in which request."""

import re
from dataclasses import dataclass
from datetime import datetime

from sav.domain.caller import Caller

_PRINTABLE = re.compile(r"[\x20-\x7e]{1,128}")


def is_sane_request_id(text: object) -> bool:
    """Whether an id from outside may go into logs, events and headers: printable ASCII, up to 128."""
    return isinstance(text, str) and _PRINTABLE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Occasion:
    """Read once at the edge, and handed down: neither a rule nor an operation looks at the clock."""

    caller: Caller
    now: datetime
    request_id: str | None = None
