"""Whether searches find what the texts hold."""

from collections.abc import Iterator, Sequence

from sav.models.tables import Ticket
from sav.queries.ticket_search import Search


def searched_for(ticket_ids: Sequence[int]) -> Iterator[tuple[int, bool]]:
    """For each of these tickets: whether a search for its longest word finds it."""
    for ticket in Ticket.select(Ticket.id, Ticket.subject, Ticket.description).where(
        Ticket.id.in_(list(ticket_ids))
    ):
        # The longest is a rare one as a rule, which the index looks up in no time.
        words = Search(f"{ticket.subject} {ticket.description}").indexed
        if not words:
            yield ticket.id, True
            continue
        found = Ticket.select(Ticket.id).where(Ticket.id == ticket.id, Search(max(words, key=len)).by_index())
        yield ticket.id, found.exists()
