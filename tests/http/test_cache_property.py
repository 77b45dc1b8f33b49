"""Whatever happens to a desk, in whatever order and by whichever process: what is kept is never old.

Two processes with caches serve and write, a worker writes beside them, and a third process reads everything
anew. After each step somebody is given the same by all of them, byte by byte.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sav.actors.foreign_envelope import parse_foreign_event
from sav.actors.handle_received_event import handle_received_event
from sav.actors.owed_effects import do_owed_effects
from sav.domain.caller import SYSTEM
from sav.domain.effects import HANDLE_RECEIVED_EVENT
from sav.domain.errors import NotFound
from sav.domain.events import TicketEscalated
from sav.domain.occasion import Occasion
from sav.models.tables import Agent, Attachment, Message, Ticket
from sav.operations.assign_open_tickets import AssignmentRules, assign_open_tickets
from sav.operations.close_quiet_tickets import close_quiet_tickets
from sav.operations.count_tickets import count_changed_tickets
from sav.operations.received_events import receive_event
from sav.operations.ticket_change import change_ticket
from sav.telemetry.metrics import COUNTED
from tests.factories.forms import PNG, form
from tests.plugins.desk import Api, empty_tables

MAIL = "ana@example.com"
# Two customers whose counters are the same, one of their own, and two agents.
CUSTOMERS, AGENTS = (1, 1 + 4_096, 2), (7, 8)


@dataclass(frozen=True)
class Step:
    """Who does what, to which of the rows that are there, where; who looks afterwards, and where."""

    does: str
    which: int
    other: int
    by: int
    looks: int
    at: int


@dataclass
class World:
    """Two processes that keep answers, one that does not, and what a worker does."""

    processes: tuple[Api, Api]
    without: Api

    def someone(self, step: Step) -> Api:
        return self.callers(self.processes[step.by % 2])[step.other % 6]

    @staticmethod
    def callers(api: Api) -> list[Api]:
        return [
            *(api.customer(customer) for customer in CUSTOMERS),
            *(api.agent(agent) for agent in AGENTS),
            api.admin(),
        ]

    def one(self, table: Any, step: Step) -> Any:
        rows = list(table.select().order_by(table.id))
        return rows[step.which % len(rows)] if rows else None

    def path(self, step: Step) -> str:
        ticket = self.one(Ticket, step)
        return f"/tickets/{ticket.id}" if ticket else "/tickets/1"

    def part(self, what: str, table: Any, step: Step) -> str:
        row = self.one(table, step)
        return f"/tickets/{row.ticket_id}/{what}/{row.id}" if row else "/tickets/1"

    def admin(self, step: Step) -> Api:
        return self.processes[step.by % 2].admin()

    # --- What is done

    def open(self, step: Step) -> None:
        owner = {"contact_email": MAIL} if step.other % 3 == 0 else {"user_id": CUSTOMERS[step.other % 3]}
        new = {"subject": "Lost parcel", "description": "It never came.", "tags": ["vip"], **owner}
        assert self.admin(step).post("/tickets", new).status_code == 201

    def edit(self, step: Step) -> None:
        changes = [{"subject": f"Changed {step.other}"}, {"tags": []}, {"internal_notes": "!"}]
        self.someone(step).put(self.path(step), changes[step.other % 3])

    def status(self, step: Step) -> None:
        named = ("open", "in_progress", "waiting_customer", "resolved", "closed", "assigned")
        self.admin(step).put(self.path(step), {"status": named[step.other % 6]})

    def assign(self, step: Step) -> None:
        self.admin(step).post(f"{self.path(step)}/assign", {"agent_id": AGENTS[step.other % 2]})

    def resolve(self, step: Step) -> None:
        self.someone(step).post(f"{self.path(step)}/resolve", {"resolution": "Sent again."})

    def close(self, step: Step) -> None:
        self.someone(step).post(f"{self.path(step)}/close")

    def rate(self, step: Step) -> None:
        self.someone(step).post(f"{self.path(step)}/satisfaction", {"rating": 1 + step.other % 5})

    def delete(self, step: Step) -> None:
        if step.other % 2:
            self.admin(step).delete(self.path(step))

    def reply(self, step: Step) -> None:
        self.someone(step).post(f"{self.path(step)}/messages", {"content": "And?"})

    def note(self, step: Step) -> None:
        self.admin(step).post(f"{self.path(step)}/messages", {"content": "Hm.", "is_internal": True})

    def read(self, step: Step) -> None:
        self.someone(step).post(f"{self.path(step)}/messages/mark-all-read")

    def correct(self, step: Step) -> None:
        self.admin(step).put(self.part("messages", Message, step), {"content": f"Corrected {step.other}"})

    def delete_message(self, step: Step) -> None:
        self.admin(step).delete(self.part("messages", Message, step))

    def attach(self, step: Step) -> None:
        message = self.one(Message, step)
        fields = {"message_id": message.id} if message and step.other % 2 else {}
        self.admin(step).post(f"{self.path(step)}/attachments", **form(("file", "a.png", PNG), **fields))

    def delete_file(self, step: Step) -> None:
        self.admin(step).delete(self.part("attachments", Attachment, step))

    def agent(self, step: Step) -> None:
        fields = [
            {"name": f"Name {step.which}"},
            {"capacity": step.which % 5},
            {"active": bool(step.which % 2)},
        ]
        self.admin(step).put(f"/agents/{AGENTS[step.other % 2]}", fields[step.by % 3])

    def register(self, step: Step) -> None:
        data = {"user_id": CUSTOMERS[step.other % 3], "email": MAIL, "email_verified": True}
        self.receive({"event": "user.registered", "data": data})

    def report(self, step: Step) -> None:
        data = {"order_id": step.which, "user_id": CUSTOMERS[step.other % 3], "description": "Broken."}
        self.receive({"event": "order.issue", "id": f"{step}", "data": data})

    def receive(self, envelope: dict[str, Any]) -> None:
        parsed, now = parse_foreign_event(orjson.dumps(envelope), message_id=None), datetime.now(UTC)
        receive_event(
            dedup_key=parsed.dedup_key, name=parsed.name, text=parsed.text, request_id=None, now=now
        )
        do_owed_effects(HANDLE_RECEIVED_EVENT, partial(handle_received_event, number_prefix="TICKET"))

    def give_out(self, step: Step) -> None:
        Agent.update(available=True).execute()
        assign_open_tickets(rules=AssignmentRules(), clock=self.without.clock)

    def escalate(self, step: Step) -> None:
        ticket, now = self.one(Ticket, step), self.without.clock()
        try:
            with change_ticket(ticket.id if ticket else 0, occasion=Occasion(SYSTEM, now)) as change:
                change.set(escalated_at=now)
                change.record(
                    TicketEscalated(priority="urgent", reason="no_first_response", waited_seconds=1)
                )
        except NotFound:
            pass

    def close_quiet(self, step: Step) -> None:
        close_quiet_tickets(quiet_for=timedelta(hours=step.other), clock=self.without.clock)

    def count(self, step: Step) -> None:
        count_changed_tickets(limit=1 + step.other % 4)

    def wait(self, step: Step) -> None:
        self.without.clock.forward(hours=step.other)

    # --- What is seen

    def is_the_same_for(self, step: Step) -> None:
        everybody = self.callers(self.without)
        for reader in everybody:
            self.is_read_alike(reader, "/tickets", "")
        reader = everybody[step.looks % 6]
        file = self.part("attachments", Attachment, step)
        for path, query in (
            ("/tickets", "status=open&tag=vip&sort=-updated_at&include_total=true&per_page=1"),
            ("/tickets/statistics", ("", "tz=Asia/Kathmandu")[step.at % 2]),
            (self.path(step), ""),
            (f"{self.path(step)}/attachments", ""),
            (file, ""),
            (f"{file}/download", "redirect=false"),
            (f"/tickets/{self.message(step)}", ""),
        ):
            self.is_read_alike(reader, path, query)
        # Nothing has happened since, so what is given now was kept.
        hits = hits_so_far()
        self.given(self.within(self.processes[step.at % 2], reader), "/tickets", "")
        assert hits_so_far() == hits + 1

    def is_read_alike(self, reader: Api, path: str, query: str) -> None:
        fresh = self.given(reader, path, query)
        for api in self.processes:
            assert self.given(self.within(api, reader), path, query) == fresh, (path, query)

    @staticmethod
    def within(process: Api, caller: Api) -> Api:
        return Api(process.client, process.desk, process.clock, caller.headers)

    def message(self, step: Step) -> str:
        row = self.one(Message, step)
        return f"{row.ticket_id}/attachments/message/{row.id}" if row else "1"

    @staticmethod
    def given(caller: Api, path: str, query: str) -> tuple[Any, ...]:
        answer = caller.get(path, query_string=query)
        content = answer.content if answer.status_code == 200 else b""
        return answer.status_code, answer.headers.get("ETag"), answer.headers.get("Link"), content


STEPS: dict[str, Callable[[World, Step], None]] = {
    name: getattr(World, name)
    for name in (
        "open", "edit", "status", "assign", "resolve", "close", "rate", "delete", "reply", "note", "read",
        "correct", "delete_message", "attach", "delete_file", "agent", "register", "report", "give_out",
        "escalate", "close_quiet", "count", "wait",
    )
}  # fmt: skip
# Whoever has a ticket loses sight of it when another one gets it: that more often than the rest.
OFTEN = [*STEPS, "assign", "assign", "assign", "open"]
small = st.integers(0, 11)
steps = st.builds(
    Step, does=st.sampled_from(OFTEN), which=small, other=small, by=small, looks=small, at=small
)


@settings(
    max_examples=8,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(life=st.lists(steps, min_size=5, max_size=15))
@pytest.mark.timeout(600)
def test_whatever_happens_nobody_is_given_what_was(api: Api, life: list[Step]) -> None:
    empty_tables()
    world = World((api.process(), api.process()), api.process(megabytes=0))
    for number in range(2):
        world.open(Step("open", number, number + 1, number, 0, 0))
    for step in life:
        STEPS[step.does](world, step)
        world.is_the_same_for(step)


def hits_so_far() -> float:
    return sum(
        sample.value
        for family in COUNTED.collect()
        for sample in family.samples
        if sample.name == "sav_cache_reads_total" and sample.labels["outcome"] == "hit"
    )
