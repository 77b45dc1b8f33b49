"""The desk's own assignments against a model: tickets and agents come, change and go in any order."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sav.domain.caller import Caller
from sav.domain.errors import SavError
from sav.domain.occasion import Occasion
from sav.domain.ticket_lifecycle import PRIORITIES, WORKED_ON
from sav.models.tables import Agent, Event, Ticket
from sav.operations import assign_open_tickets as assignment
from sav.operations.assign_open_tickets import AssignmentRules, assign_open_tickets
from sav.operations.assign_ticket import assign_ticket
from sav.operations.converse import reply_to_ticket
from sav.operations.edit_ticket import delete_ticket, edit_ticket
from sav.operations.open_ticket import DeskRules, NewTicket, open_ticket
from sav.operations.roster import change_agent, set_availability
from sav.operations.settle_ticket import close_ticket, resolve_ticket
from tests.factories.agents import make_agent
from tests.plugins.desk import empty_tables

EXAMPLES = 25
STEPS = 25

ADMIN, OWNER = Caller(99, "admin"), Caller(1, "customer")
AGENTS = (7, 8, 9)
CATEGORIES = (None, "billing", "delivery", "legal")
RULES = AssignmentRules(except_categories=frozenset({"legal"}))
DESK = DeskRules(number_prefix="TICKET", customer_maximum_priority="urgent")

TICKET = st.integers(0, 30)
AGENT = st.sampled_from(AGENTS)
CATEGORY = st.sampled_from(CATEGORIES)
PRIORITY = st.sampled_from(PRIORITIES)


class Desk(RuleBasedStateMachine):
    """One desk with three agents, and a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        empty_tables()
        self.now = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)
        for user_id in AGENTS:
            make_agent(user_id, capacity=2, available=True)

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def by(self, caller: Caller) -> Occasion:
        return Occasion(caller, self.tick(), "test-request")

    def pick(self, number: int) -> int:
        ids = [ticket.id for ticket in Ticket.select().order_by(Ticket.id)]
        return ids[number % len(ids)] if ids else 0

    @rule(priority=PRIORITY, category=CATEGORY, how_many=st.integers(1, 3))
    def open(self, priority: Any, category: Any, how_many: int) -> None:
        for _ in range(how_many):
            new = NewTicket(subject="Lost", description="Parcel", priority=priority, category=category)
            open_ticket(occasion=self.by(OWNER), new=new, rules=DESK)

    @rule(number=TICKET, agent_id=AGENT)
    def assign(self, number: int, agent_id: int) -> None:
        self._try(assign_ticket, ADMIN, number, agent_id=agent_id)

    @rule(number=TICKET)
    def resolve(self, number: int) -> None:
        self._try(resolve_ticket, ADMIN, number, resolution="Sent again.")

    @rule(number=TICKET)
    def close(self, number: int) -> None:
        self._try(close_ticket, ADMIN, number)

    @rule(number=TICKET)
    def delete(self, number: int) -> None:
        self._try(delete_ticket, ADMIN, number)

    @rule(number=TICKET)
    def customer_replies(self, number: int) -> None:
        self._try(reply_to_ticket, OWNER, number, content="Still broken.")

    @rule(
        number=TICKET, fields=st.fixed_dictionaries({}, optional={"priority": PRIORITY, "category": CATEGORY})
    )
    def edit(self, number: int, fields: dict[str, Any]) -> None:
        self._try(edit_ticket, ADMIN, number, fields=fields, customer_maximum_priority="urgent")

    @rule(number=TICKET)
    def unassign(self, number: int) -> None:
        self._try(edit_ticket, ADMIN, number, fields={"status": "open"}, customer_maximum_priority="urgent")

    @rule(number=TICKET)
    def escalate(self, number: int) -> None:
        Ticket.update(escalated_at=self.tick()).where(Ticket.id == self.pick(number)).execute()

    @rule(agent_id=AGENT, available=st.booleans())
    def come_or_go(self, agent_id: int, available: bool) -> None:
        set_availability(occasion=self.by(Caller(agent_id, "agent")), available=available)

    @rule(
        agent_id=AGENT,
        fields=st.fixed_dictionaries(
            {},
            optional={
                "active": st.booleans(),
                "capacity": st.integers(0, 4),
                "categories": st.lists(st.sampled_from(CATEGORIES[1:]), max_size=2, unique=True),
            },
        ),
    )
    def change_roster(self, agent_id: int, fields: dict[str, Any]) -> None:
        change_agent(occasion=self.by(ADMIN), user_id=agent_id, fields=fields, default_capacity=2)

    @rule(a_transaction=st.sampled_from((1, 2, 50)))
    def drain(self, a_transaction: int) -> None:
        """Checks each assignment against what the model would have done at that moment."""
        first = self._events() + 1
        before = {ticket.id: ticket for ticket in Ticket.select()}
        loads = self._loads()
        agents = {agent.user_id: agent for agent in Agent.select()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(assignment, "ASSIGNMENTS_A_TRANSACTION", a_transaction)
            assert assign_open_tickets(rules=RULES, clock=self.tick)
        given = Event.select().where(Event.id >= first, Event.name == "ticket.assigned").order_by(Event.id)
        for event in given:
            expected = self._next(before, agents, loads)
            assert expected == (event.ticket_id, event.data["agent_id"])
            ticket_id, agent_id = expected
            before[ticket_id].status = "assigned"
            loads[agent_id] = loads.get(agent_id, 0) + 1
            agents[agent_id].last_assigned_at = event.occurred_at
        assert self._next(before, agents, loads) is None, "somebody could have taken it"

    @invariant()
    def open_means_nobodys(self) -> None:
        for ticket in Ticket.select():
            if ticket.status == "open":
                assert ticket.assigned_to is None
            elif ticket.status in WORKED_ON:
                assert ticket.assigned_to is not None

    def _try(self, operation: Any, caller: Caller, number: int, **fields: Any) -> None:
        with contextlib.suppress(SavError):
            operation(occasion=self.by(caller), ticket_id=self.pick(number), **fields)

    def _events(self) -> int:
        last = Event.select().order_by(Event.id.desc()).first()
        return last.id if last else 0

    def _loads(self) -> dict[int, int]:
        loads: dict[int, int] = {}
        for ticket in Ticket.select().where(Ticket.deleted_at.is_null()):
            if ticket.status in WORKED_ON:
                loads[ticket.assigned_to] = loads.get(ticket.assigned_to, 0) + 1
        return loads

    def _next(
        self, tickets: dict[int, Ticket], agents: dict[int, Agent], loads: dict[int, int]
    ) -> tuple[int, int] | None:
        """By brute force: who gets which ticket next."""
        waiting = [t for t in tickets.values() if t.status == "open" and t.deleted_at is None]
        waiting.sort(
            key=lambda t: (
                not (t.priority == "urgent" and t.escalated_at),
                -PRIORITIES.index(t.priority),
                t.id,
            )
        )
        for ticket in waiting:
            if ticket.category == "legal":
                continue
            able = [
                agent
                for agent in agents.values()
                if agent.active
                and agent.available
                and loads.get(agent.user_id, 0) < agent.capacity
                and (not agent.categories or ticket.category in agent.categories)
            ]
            if able:
                early = datetime(1, 1, 1, tzinfo=UTC)
                best = min(
                    able,
                    key=lambda a: (loads.get(a.user_id, 0), a.last_assigned_at or early, a.user_id),
                )
                return ticket.id, best.user_id
        return None


@pytest.mark.timeout(300)
def test_the_desk_does_what_the_model_says(empty_database: dict[str, str]) -> None:
    run_state_machine_as_test(
        Desk,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
