"""Who is told what: every fact, by everybody, about a ticket that is somebody's or nobody's."""

from typing import Any

import pytest

from sav.domain.events import CATALOGUE
from sav.domain.notifications import Happened, TicketNow, notices

CUSTOMER, AGENT, ADMIN = 1, 7, 99
Told = list[tuple[str, str, int | None]]


def told(name: str, actor: tuple[int | None, str], *, assigned_to: int | None = AGENT, **more: Any) -> Told:
    ticket = {"user_id": CUSTOMER, "assigned_to": assigned_to, "is_deleted": False, "is_rated": False}
    data = more.pop("data", {})
    fact = Happened(name=name, data=data, actor_id=actor[0], actor_role=actor[1])
    return [(n.kind, n.side, n.agent_id) for n in notices(fact, TicketNow(**{**ticket, **more}))]


BY_CUSTOMER, BY_AGENT, BY_ADMIN = (CUSTOMER, "customer"), (AGENT, "agent"), (ADMIN, "admin")
BY_ITSELF = (None, "system")
REQUESTER: Any = {kind: [(kind, "requester", None)] for kind in ("received", "reply", "resolved", "closed")}


@pytest.mark.parametrize("actor", [BY_CUSTOMER, BY_AGENT, BY_ADMIN, BY_ITSELF])
def test_a_new_ticket_is_acknowledged_whoever_opened_it(actor: Any) -> None:
    assert told("ticket.created", actor) == REQUESTER["received"]


@pytest.mark.parametrize("role", ["agent", "admin"])
def test_an_answer_of_staff_goes_to_the_customer(role: str) -> None:
    assert told("ticket.message.new", (AGENT, role), data={"author_role": role}) == REQUESTER["reply"]


@pytest.mark.parametrize("role", ["customer", "guest"])
def test_a_reply_of_the_customer_goes_to_whoever_has_the_ticket(role: str) -> None:
    data = {"author_role": role}
    actor = (CUSTOMER if role == "customer" else None, role)
    assert told("ticket.message.new", actor, data=data) == [("customer_replied", "staff", AGENT)]
    assert told("ticket.message.new", actor, data=data, assigned_to=None) == [
        ("customer_replied", "staff", None)
    ]


def test_an_agent_with_a_problem_of_their_own_is_not_told_what_they_wrote() -> None:
    data = {"author_role": "customer"}
    assert told("ticket.message.new", BY_AGENT, data=data, user_id=AGENT) == []
    assert told("ticket.resolved", BY_AGENT, user_id=AGENT) == []


def test_the_customer_hears_of_the_solution() -> None:
    assert told("ticket.resolved", BY_AGENT) == REQUESTER["resolved"]


@pytest.mark.parametrize("actor", [BY_CUSTOMER, BY_AGENT, BY_ITSELF])
def test_everybody_is_asked_after_the_end_unless_they_have_said_so(actor: Any) -> None:
    assert told("ticket.closed", actor) == REQUESTER["closed"]
    assert told("ticket.closed", actor, is_rated=True) == (
        [] if actor == BY_CUSTOMER else REQUESTER["closed"]
    )


def test_a_ticket_is_announced_to_its_agent_unless_they_took_it() -> None:
    data = {"agent_id": AGENT}
    assert told("ticket.assigned", BY_ADMIN, data=data) == [("assigned", "staff", AGENT)]
    assert told("ticket.assigned", BY_ITSELF, data=data) == [("assigned", "staff", AGENT)]
    assert told("ticket.assigned", BY_AGENT, data=data) == []
    assert told("ticket.assigned", BY_ADMIN, data=data, assigned_to=8) == []


def test_an_escalation_goes_to_whoever_has_the_ticket_or_to_the_desk() -> None:
    assert told("ticket.escalated", BY_ITSELF) == [("escalated", "staff", AGENT)]
    assert told("ticket.escalated", BY_ITSELF, assigned_to=None) == [("escalated", "staff", None)]


def test_a_virus_is_told_to_whoever_has_the_ticket_or_to_the_desk() -> None:
    data = {"attachment_id": 3, "virus": "Eicar"}
    assert told("ticket.attachment.refused", BY_ITSELF, data=data) == [("file_refused", "staff", AGENT)]
    assert told("ticket.attachment.refused", BY_ITSELF, data=data, assigned_to=None) == [
        ("file_refused", "staff", None)
    ]


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_nothing_is_told_of_a_deleted_ticket_and_nothing_fails(name: str) -> None:
    data = {"author_role": "customer", "agent_id": AGENT}
    assert told(name, BY_ADMIN, data=data, is_deleted=True) == []
    told(name, BY_ADMIN, data=data)


@pytest.mark.parametrize(
    "name",
    [
        "ticket.note.added",
        "ticket.updated",
        "ticket.message.edited",
        "ticket.message.deleted",
        "ticket.deleted",
        "ticket.satisfaction.received",
        "ticket.status_changed",
        "ticket.reopened",
    ],
)
def test_what_is_internal_or_small_is_told_to_nobody(name: str) -> None:
    assert told(name, BY_AGENT, data={"message_id": 5}) == []
