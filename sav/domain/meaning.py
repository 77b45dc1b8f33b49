"""What a field means, written beside its type: `agent_id: Annotated[int, Meaning("Who has it.", example=7)]`.

The types are unchanged by it; the pages about the events are made from it.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Meaning:
    """A sentence for whoever reads the field in another service, and a value that it might have."""

    sentence: str
    example: Any
