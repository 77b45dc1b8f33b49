"""A ticket's detail: its messages come with it, and for those who may not see it nothing is read."""

from itertools import product
from typing import Any, get_args

import pytest

from sav.domain.caller import Caller, Role
from sav.domain.errors import NotFound
from sav.domain.permissions import TicketFacts, may_see, sees_internal
from sav.domain.ticket_lifecycle import STATUSES
from sav.models.tables import Message, Ticket
from sav.queries import ticket_detail
from tests.factories.messages import make_message
from tests.factories.tickets import WRITTEN_AT, make_ticket

CALLER = 7
RELATIONS = {
    "owner": {"user_id": CALLER},
    "assignee": {"user_id": 1, "assigned_to": CALLER},
    "none": {"user_id": 1},
    "guest": {"user_id": None},
}


@pytest.fixture(autouse=True)
def tables(empty_database: dict[str, str]) -> None:
    pass


def conversation(ticket: Ticket) -> dict[bool, list[int]]:
    """The ids of its messages, by whether their reader sees notes."""
    public = make_message(ticket, user_id=1, author_role="customer").id
    note = make_message(ticket, user_id=8, author_role="agent", is_internal=True).id
    return {False: [public], True: [public, note]}


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("relation", RELATIONS)
def test_messages_are_read_for_whom_may_see_the_ticket_and_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch, role: Role, relation: str
) -> None:
    read: list[list[Message]] = []
    both = ticket_detail.rows_of_both

    def noting(*asked: Any, **values: Any) -> Any:
        tickets, messages = both(*asked, **values)
        read.append(messages)
        return tickets, messages

    monkeypatch.setattr(ticket_detail, "rows_of_both", noting)
    for status, is_deleted, has_token in product(STATUSES, (False, True), (False, True)):
        ticket = make_ticket(
            status=status, deleted_at=WRITTEN_AT if is_deleted else None, **RELATIONS[relation]
        )
        expected = conversation(ticket)
        caller = Caller(None if role == "guest" else CALLER, role, ticket_id=ticket.id if has_token else None)
        facts = TicketFacts(ticket.user_id, ticket.assigned_to, ticket.status, ticket.id)
        if may_see(caller, facts) and not is_deleted:
            detail = ticket_detail.visible_detail(caller, ticket.id)
            assert [message.id for message in detail.messages] == expected[sees_internal(caller)]
        else:
            with pytest.raises(NotFound):
                ticket_detail.visible_detail(caller, ticket.id)
            assert read[-1] == []
    assert len(read) == 4 * len(STATUSES)
