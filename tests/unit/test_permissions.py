"""Who sees and does what, against the contract's table (§2), for every status."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from sav.domain.caller import NOBODY, SYSTEM, Caller, Role, guest_of
from sav.domain.errors import Conflict, Forbidden, SavError
from sav.domain.permissions import (
    EditWindowClosed,
    NotYourMessage,
    PriorityAboveLimit,
    TicketAction,
    TicketFacts,
    TicketNoLongerDeletable,
    TicketNoLongerEditable,
    holds_token,
    may_see,
    owns,
    require,
    require_message_change,
    require_priority,
    sees_internal,
)
from sav.domain.ticket_lifecycle import PRIORITIES, STATUSES

OWNER, STRANGER, ASSIGNEE, OTHER_AGENT, ADMIN = (
    Caller(1, "customer"),
    Caller(2, "customer"),
    Caller(7, "agent"),
    Caller(8, "agent"),
    Caller(99, "admin"),
)
CALLERS = {
    "owner": OWNER,
    "stranger": STRANGER,
    "assignee": ASSIGNEE,
    "other_agent": OTHER_AGENT,
    "admin": ADMIN,
    "system": SYSTEM,
}
NOW = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)

# Y: sees it. An open ticket has no assignee, so there is none to ask about.
SIGHT = """
             open  assigned  in_progress  waiting_customer  resolved  closed
owner        Y     Y         Y            Y                 Y         Y
stranger     n     n         n            n                 n         n
assignee     Y     Y         Y            Y                 Y         Y
other_agent  Y     n         n            n                 n         n
admin        Y     Y         Y            Y                 Y         Y
system       Y     Y         Y            Y                 Y         Y
"""
# For those who see the ticket. Y: may. n: their role may not (403). s: not in this state (409).
# Six letters are the six statuses in the order above; one letter means the same in all of them.
PERMISSION = """
                   owner   agent  admin  system
edit               YYYYss  Y      Y      Y
set_priority       Y       Y      Y      Y
close              Y       Y      Y      Y
delete             Ysssss  n      Y      Y
reply              Y       Y      Y      Y
change_status      n       Y      Y      Y
edit_staff_fields  n       Y      Y      Y
assign             n       Y      Y      Y
resolve            n       Y      Y      Y
write_note         n       Y      Y      Y
read_history       n       Y      Y      Y
attach             Y       Y      Y      Y
rate               Y       n      n      Y
"""


def read_table(text: str) -> dict[tuple[str, str], str]:
    head, *lines = (line.split() for line in text.strip().splitlines())
    return {(line[0], column): cell for line in lines for column, cell in zip(head, line[1:], strict=True)}


SIGHT_TABLE, PERMISSION_TABLE = read_table(SIGHT), read_table(PERMISSION)


def facts(status: Any) -> TicketFacts:
    return TicketFacts(
        user_id=OWNER.user_id, assigned_to=None if status == "open" else ASSIGNEE.user_id, status=status
    )


def verdict(caller: Caller, action: TicketAction, ticket: TicketFacts) -> str:
    try:
        require(caller, action, ticket)
    except Forbidden:
        return "n"
    except Conflict:
        return "s"
    return "Y"


def test_the_tables_name_every_status_action_and_caller() -> None:
    assert set(SIGHT_TABLE) == set(itertools.product(CALLERS, STATUSES))
    actions, columns = {action for action, _ in PERMISSION_TABLE}, {who for _, who in PERMISSION_TABLE}
    assert actions == set(get_args(TicketAction))
    assert columns == {"owner", "agent", "admin", "system"}


@pytest.mark.parametrize("who", CALLERS)
def test_sight(who: str) -> None:
    seen = {status: "Y" if may_see(CALLERS[who], facts(status)) else "n" for status in STATUSES}
    assert seen == {status: SIGHT_TABLE[who, status] for status in STATUSES}


@pytest.mark.parametrize("action", get_args(TicketAction))
@pytest.mark.parametrize("who", ["owner", "assignee", "other_agent", "admin", "system"])
def test_permission_of_those_who_see_the_ticket(who: str, action: TicketAction) -> None:
    column = "agent" if CALLERS[who].role == "agent" else who
    cell = PERMISSION_TABLE[action, column]
    expected = dict(zip(STATUSES, cell if len(cell) > 1 else cell * len(STATUSES), strict=True))
    visible = [status for status in STATUSES if SIGHT_TABLE[who, status] == "Y"]
    assert {status: verdict(CALLERS[who], action, facts(status)) for status in visible} == {
        status: expected[status] for status in visible
    }


def test_the_owner_hears_which_state_forbids_it() -> None:
    with pytest.raises(TicketNoLongerEditable):
        require(OWNER, "edit", facts("resolved"))
    with pytest.raises(TicketNoLongerDeletable):
        require(OWNER, "delete", facts("assigned"))


@pytest.mark.parametrize("role", ["customer", "agent", "admin"])
def test_staff_rate_the_tickets_they_own_themselves(role: Role) -> None:
    ticket = TicketFacts(user_id=5, assigned_to=5, status="closed")
    assert verdict(Caller(5, role), "rate", ticket) == "Y"


GUESTS_TICKET = 42


def guests_ticket(status: Any = "open", **fields: Any) -> TicketFacts:
    assigned_to = None if status == "open" else ASSIGNEE.user_id
    return TicketFacts(
        **{
            "user_id": None,
            "assigned_to": assigned_to,
            "status": status,
            "ticket_id": GUESTS_TICKET,
            **fields,
        }
    )


@pytest.mark.parametrize("status", STATUSES)
def test_a_guest_sees_the_one_ticket_whose_token_they_have_shown(status: Any) -> None:
    guest = guest_of(GUESTS_TICKET)
    assert may_see(guest, guests_ticket(status))
    assert holds_token(guest, guests_ticket(status))
    for other in (
        guests_ticket(status, ticket_id=GUESTS_TICKET + 1),
        guests_ticket(status, ticket_id=None),
        # It has become a customer's, whoever that is.
        guests_ticket(status, user_id=1),
    ):
        assert not may_see(guest, other)
        assert not holds_token(guest, other)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("ticket_id", [GUESTS_TICKET, None])
def test_who_has_shown_nothing_sees_nothing(status: Any, ticket_id: int | None) -> None:
    for user_id in (None, 1):
        assert not may_see(NOBODY, guests_ticket(status, ticket_id=ticket_id, user_id=user_id))
        assert not owns(NOBODY, guests_ticket(status, ticket_id=ticket_id, user_id=user_id))
    assert not sees_internal(NOBODY)


@pytest.mark.parametrize("caller", [OWNER, ASSIGNEE, ADMIN, SYSTEM])
def test_only_a_guest_holds_a_token(caller: Caller) -> None:
    assert not holds_token(replace(caller, ticket_id=GUESTS_TICKET), guests_ticket())


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", get_args(TicketAction))
def test_a_guest_replies_attaches_and_rates_and_does_nothing_else(action: TicketAction, status: Any) -> None:
    expected = "Y" if action in ("reply", "attach", "rate") else "n"
    assert verdict(guest_of(GUESTS_TICKET), action, guests_ticket(status)) == expected


def test_a_guest_rates_no_ticket_but_theirs() -> None:
    assert verdict(guest_of(GUESTS_TICKET), "rate", guests_ticket(ticket_id=7)) == "n"
    assert verdict(NOBODY, "rate", guests_ticket()) == "n"


def test_a_guest_changes_no_message() -> None:
    for author_id in (None, 1):
        with pytest.raises(NotYourMessage):
            require_message_change(guest_of(GUESTS_TICKET), author_id=author_id, written_at=NOW, now=NOW)


def test_a_guests_ticket_is_nobodys() -> None:
    ticket = TicketFacts(user_id=None, assigned_to=None, status="open")
    assert not owns(SYSTEM, ticket)
    assert not owns(Caller(None, "customer"), ticket)
    assert not may_see(OWNER, ticket)


@pytest.mark.parametrize(
    ("caller", "sees"),
    [(OWNER, False), (STRANGER, False), (ASSIGNEE, True), (OTHER_AGENT, True), (ADMIN, True), (SYSTEM, True)],
)
def test_internal_content_is_for_staff(caller: Caller, sees: bool) -> None:
    assert sees_internal(caller) is sees


@pytest.mark.parametrize(
    ("maximum", "allowed"),
    [
        ("low", ["low"]),
        ("normal", ["low", "normal"]),
        ("high", ["low", "normal", "high"]),
        ("urgent", ["low", "normal", "high", "urgent"]),
    ],
)
def test_customers_choose_a_priority_up_to_the_limit_and_staff_any(maximum: Any, allowed: list[str]) -> None:
    for priority, caller in itertools.product(PRIORITIES, CALLERS.values()):
        if caller.role != "customer" or priority in allowed:
            require_priority(caller, priority, customer_maximum=maximum)
        else:
            with pytest.raises(PriorityAboveLimit, match=f"up to {maximum}"):
                require_priority(caller, priority, customer_maximum=maximum)


LAST_INSTANT = timedelta(minutes=15)
IN_TIME, TOO_LATE = timedelta(minutes=1), LAST_INSTANT + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("caller", "author_id", "age", "refusal"),
    [
        (OWNER, 1, IN_TIME, None),
        (OWNER, 1, LAST_INSTANT, None),
        (OWNER, 1, TOO_LATE, EditWindowClosed),
        (OWNER, 7, IN_TIME, NotYourMessage),
        (OWNER, 7, TOO_LATE, NotYourMessage),
        (ASSIGNEE, 7, IN_TIME, None),
        (ASSIGNEE, 7, TOO_LATE, EditWindowClosed),
        (ASSIGNEE, 1, IN_TIME, NotYourMessage),
        (ASSIGNEE, None, IN_TIME, NotYourMessage),
        (SYSTEM, None, IN_TIME, NotYourMessage),
        (ADMIN, 99, TOO_LATE, None),
        (ADMIN, 1, TOO_LATE, None),
        (ADMIN, None, TOO_LATE, None),
    ],
)
def test_who_may_change_a_message_and_how_long(
    caller: Caller, author_id: int | None, age: timedelta, refusal: type[SavError] | None
) -> None:
    def change() -> None:
        require_message_change(caller, author_id=author_id, written_at=NOW - age, now=NOW)

    if refusal is None:
        change()
    else:
        with pytest.raises(refusal):
            change()
