"""The life of a ticket, against the contract's table, cell by cell."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import sampled_from

from sav.domain.ticket_lifecycle import (
    ACTION_FOR_STATUS,
    ACTIONS,
    SETTLED,
    STATUSES,
    TRANSITIONS,
    InvalidTransition,
    allowed_actions,
    next_status,
)

# CONTRACT §3, copied by hand: a dash is a 409. Nothing of it is taken from the code.
CONTRACT = """
                  assign    start        wait              resolve   close   customer_reply  unassign
open              assigned  -            -                 resolved  closed  open            -
assigned          assigned  in_progress  waiting_customer  resolved  closed  assigned        open
in_progress       assigned  -            waiting_customer  resolved  closed  in_progress     open
waiting_customer  assigned  in_progress  -                 resolved  closed  in_progress     open
resolved          -         -            -                 -         closed  in_progress     -
closed            -         -            -                 -         -       -               -
"""
_HEAD, *_LINES = (line.split() for line in CONTRACT.strip().splitlines())
TABLE: dict[tuple[str, str], str] = {
    (line[0], action): following for line in _LINES for action, following in zip(_HEAD, line[1:], strict=True)
}
FORBIDDEN = "-"
CELLS = [pytest.param(*pair, following, id="-".join(pair)) for pair, following in TABLE.items()]


def allowed_by_contract(status: str) -> list[str]:
    return [action for action in _HEAD if TABLE[status, action] != FORBIDDEN]


def test_the_code_knows_exactly_the_contracts_statuses_and_actions() -> None:
    assert {(status, action) for status in STATUSES for action in ACTIONS} == set(TABLE)
    assert len(TABLE) == 6 * 7


@pytest.mark.parametrize(("status", "action", "following"), CELLS)
def test_every_status_and_action(status: Any, action: Any, following: str) -> None:
    if following == FORBIDDEN:
        with pytest.raises(InvalidTransition) as refused:
            next_status(status=status, action=action, has_assignee=True)
        assert list(refused.value.allowed) == allowed_by_contract(status)
        assert (refused.value.status, refused.value.action) == (status, action)
        assert (status, action) not in TRANSITIONS
    else:
        assert next_status(status=status, action=action, has_assignee=True) == following
        assert TRANSITIONS[status, action] == following


@pytest.mark.parametrize(("status", "action", "following"), CELLS)
def test_without_an_assignee_only_the_reopening_ends_elsewhere(
    status: Any, action: Any, following: str
) -> None:
    expected = "open" if (status, action) == ("resolved", "customer_reply") else following
    if expected == FORBIDDEN:
        with pytest.raises(InvalidTransition):
            next_status(status=status, action=action, has_assignee=False)
    else:
        assert next_status(status=status, action=action, has_assignee=False) == expected


@pytest.mark.parametrize("status", STATUSES)
def test_the_allowed_actions_are_the_tables_line(status: Any) -> None:
    assert list(allowed_actions(status)) == allowed_by_contract(status)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("resolved", "does not allow the action start; allowed: close, customer_reply."),
        ("closed", "does not allow the action start; allowed: none."),
    ],
)
def test_a_refusal_names_what_is_allowed(status: Any, sentence: str) -> None:
    with pytest.raises(InvalidTransition, match=sentence) as refused:
        next_status(status=status, action="start", has_assignee=True)
    assert refused.value.code == "invalid_transition"
    assert status in refused.value.detail


def test_each_status_can_be_asked_for_by_name() -> None:
    assert ACTION_FOR_STATUS == {
        "open": "unassign",
        "assigned": "assign",
        "in_progress": "start",
        "waiting_customer": "wait",
        "resolved": "resolve",
        "closed": "close",
    }


def test_nobody_works_on_what_is_settled() -> None:
    assert {"resolved", "closed"} == SETTLED


class LifeOfATicket(RuleBasedStateMachine):
    """Any sequence of actions, with the little that operations do around the table."""

    def __init__(self) -> None:
        super().__init__()
        self.status: Any = "open"
        self.has_assignee = False
        self.was_closed = False

    def move(self, action: Any) -> None:
        self.status = next_status(status=self.status, action=action, has_assignee=self.has_assignee)
        if action == "assign":
            self.has_assignee = True
        if action == "unassign":
            self.has_assignee = False

    @rule(action=sampled_from(ACTIONS))
    def act(self, action: Any) -> None:
        before = self.status
        if action in allowed_actions(before):
            if before == "open" and action == "resolve":
                self.move("assign")
            self.move(action)
        else:
            with pytest.raises(InvalidTransition):
                self.move(action)
            assert self.status == before
        self.was_closed = self.was_closed or self.status == "closed"

    @precondition(lambda self: self.status == "resolved")
    @rule()
    def lose_the_assignee(self) -> None:
        """An account is erased; its settled tickets belong to nobody."""
        self.has_assignee = False

    @invariant()
    def a_known_status(self) -> None:
        assert self.status in STATUSES

    @invariant()
    def work_is_somebodys(self) -> None:
        if self.status in ("assigned", "in_progress", "waiting_customer"):
            assert self.has_assignee

    @invariant()
    def open_means_nobodys(self) -> None:
        if self.status == "open":
            assert not self.has_assignee

    @invariant()
    def closed_is_for_good(self) -> None:
        assert (self.status == "closed") == self.was_closed
        assert ("close" in allowed_actions(self.status)) != self.was_closed

    @invariant()
    def the_customer_is_always_heard_before_that(self) -> None:
        assert ("customer_reply" in allowed_actions(self.status)) != self.was_closed


TestLifeOfATicket = LifeOfATicket.TestCase
TestLifeOfATicket.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
