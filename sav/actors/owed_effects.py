"""Does the effects that a ticket, or the desk, owes: a few at a time, each given back when it fails."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from sav.models.database import DATABASE_ERRORS, DatabaseUnavailable, is_connection_lost
from sav.operations.effect_claims import DESK, Claim, claim_effects, give_back

EFFECTS_A_CLAIM = 20
"""How many a worker takes at a time: few enough to be done long before the lease ends."""


def do_owed_effects(effect: str, do: Callable[[Claim], None], *, ticket_id: int = DESK) -> None:
    """Does everything of this kind that the ticket (or the desk) owes and that nobody else is doing.

    `do` must end with `finish_effect`, in the transaction of what it does.
    """
    owner = str(uuid4())
    while claims := claim_effects(
        effect=effect, ticket_id=ticket_id, owner=owner, now=datetime.now(UTC), limit=EFFECTS_A_CLAIM
    ):
        for claim in claims:
            _try(claim, do)


def _try(claim: Claim, do: Callable[[Claim], None]) -> None:
    try:
        do(claim)
    except Exception as error:
        if _is_the_databases_fault(error):
            # The lease ends, and the relay finds the token again; it was no try.
            raise
        give_back(claim=claim, error=error, now=datetime.now(UTC))


def _is_the_databases_fault(error: Exception) -> bool:
    if isinstance(error, DatabaseUnavailable):
        return True
    return isinstance(error, DATABASE_ERRORS) and is_connection_lost(error)
