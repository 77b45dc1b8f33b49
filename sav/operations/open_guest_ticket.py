"""Opens a ticket for somebody without an account."""

import secrets
from dataclasses import dataclass

from sav.domain.access_tokens import TOKEN_BYTES, access_token, hash_of_token
from sav.domain.occasion import Occasion
from sav.models.database import retry_deadlocks, transaction
from sav.models.tables import Ticket
from sav.operations.idempotency import FirstAnswer
from sav.operations.open_ticket import NewTicket, new_ticket_number, write_new_ticket


@dataclass(frozen=True, slots=True)
class GuestTicket:
    """A guest's new ticket, and the token that lets them write to it: nobody can read it again."""

    ticket: Ticket
    access_token: str


@retry_deadlocks
def open_guest_ticket(
    *,
    occasion: Occasion,
    new: NewTicket,
    number_prefix: str,
    first_answer: FirstAnswer[GuestTicket] | None = None,
) -> GuestTicket:
    """Opens a ticket that its number reads and its token answers; raises what `FirstAnswer.record` raises.

    Who takes it for a repetition asks `FirstAnswer.look` first: here it would have taken a number already.
    """
    number = new_ticket_number(prefix=number_prefix, now=occasion.now, for_guest=True)
    token = access_token(secrets.token_bytes(TOKEN_BYTES))
    with transaction():
        ticket = write_new_ticket(
            occasion=occasion,
            new=new,
            number=number,
            user_id=None,
            access_token_hash=hash_of_token(token),
        )
        opened = GuestTicket(ticket, token)
        if first_answer:
            first_answer.record(opened, now=occasion.now)
    return opened
