"""What happens to tickets is in the log: one line each, with its request, and nothing that people wrote."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from sav.domain.events import CATALOGUE, TicketAssigned, TicketEscalated, TicketUpdated
from sav.models.database import transaction
from sav.operations.ticket_change import change_ticket, save_changes
from sav.telemetry.facts import Happening, message_of, tell, told_fields
from sav.telemetry.logs import HIDDEN, configure_logs
from tests.plugins.desk import Api, occasion

PRIVATE = ("Zanzibar", "camille.martin@example.org", "06 12 34 56 78")
ALWAYS = {"message", "action", "ticket_id", "event_id", "sequence", "actor_id", "actor_role", "request_id"}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


class Lines:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def begin(self) -> None:
        """Not before the test itself: pytest's own handlers, which it replaces, come anew for each phase."""
        configure_logs("production", "sav-service", "info")

    def read(self) -> list[dict[str, Any]]:
        """All since the last time; each is JSON, and none quotes anybody."""
        text = self._capsys.readouterr().err
        for private in PRIVATE:
            assert private not in text
        assert HIDDEN not in text
        return [json.loads(line) for line in text.splitlines()]

    def facts(self) -> list[dict[str, Any]]:
        return [line for line in self.read() if line["logger"] == "sav.telemetry.facts"]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    return Lines(capsys)


def test_the_life_of_a_ticket(api: Api, lines: Lines) -> None:
    lines.begin()
    customer, agent, who, private = api.customer(), api.agent(7), " ".join(PRIVATE), PRIVATE[0]
    agent.get("/agents/me")
    lines.read()
    ticket_id = customer.opened(subject=who, description=who, category=private, tags=[private])["id"]
    ticket = f"/tickets/{ticket_id}"
    for caller, path, body in (
        (agent, "/assign", {"agent_id": 7}),
        (agent, "/messages", {"content": who}),
        (agent, "/messages", {"content": who, "is_internal": True}),
        (customer, "/messages", {"content": who}),
        (agent, "/resolve", {"resolution": who}),
        (customer, "/satisfaction", {"rating": 5, "comment": who}),
        (agent, "/close", {"reason": who}),
    ):
        answer = caller.post(ticket + path, body, headers={"X-Request-ID": f"request{path}"})
        assert answer.status_code < 300, answer.text

    told = lines.facts()
    assert [line["message"] for line in told] == [
        "ticket created",
        "ticket assigned",
        "ticket message new",
        "ticket status changed",
        "ticket note added",
        "ticket message new",
        "ticket resolved",
        "ticket satisfaction received",
        "ticket closed",
    ]
    assert [line["sequence"] for line in told] == list(range(1, 10))
    for line in told:
        assert line.keys() >= ALWAYS
        assert (line["ticket_id"], line["level"]) == (ticket_id, "info")
        assert line["action"].replace(".", " ").replace("_", " ") == line["message"]
    created, assigned, reply, started, note, _, resolved, rated, closed = told
    assert (created["priority"], created["actor_id"], created["actor_role"]) == ("normal", 1, "customer")
    assert (assigned["agent_id"], assigned["previous_agent_id"], assigned["assigned_by"]) == (7, None, 7)
    assert (assigned["status_from"], assigned["status_to"]) == ("open", "assigned")
    assert (assigned["assigned_to_from"], assigned["assigned_to_to"]) == (None, 7)
    assert (started["status_from"], started["status_to"]) == ("assigned", "in_progress")
    assert isinstance(reply["message_id"], int)
    assert note["message_id"] != reply["message_id"]
    assert (resolved["status_from"], resolved["status_to"]) == ("in_progress", "resolved")
    assert "resolution_notes" in resolved["changed"]
    assert rated["rating"] == 5
    assert (closed["status_to"], closed["closed_by"], closed["request_id"]) == ("closed", 7, "request/close")


def test_transitions_without_an_event_of_their_own(api: Api, lines: Lines) -> None:
    lines.begin()
    agent = api.agent(7)
    agent.get("/agents/me")
    ticket = f"/tickets/{api.customer().opened()['id']}"
    agent.post(f"{ticket}/assign", {"agent_id": 7})
    lines.read()
    for status in ("in_progress", "waiting_customer", "open"):
        assert agent.put(ticket, {"status": status}).status_code == 200
    moves = [(line["status_from"], line["status_to"]) for line in lines.facts()]
    assert moves == [
        ("assigned", "in_progress"),
        ("in_progress", "waiting_customer"),
        ("waiting_customer", "open"),
    ]


def test_the_guest_of_a_ticket_is_not_in_the_log(api: Api, lines: Lines) -> None:
    lines.begin()
    body = {"contact_email": PRIVATE[1], "contact_name": PRIVATE[0], "source": "phone"}
    ticket = api.agent(7).opened(**body)
    text = json.dumps(lines.facts())
    # A guest's number opens the ticket.
    assert ticket["ticket_number"] not in text
    assert '"source": "phone"' in text


def test_what_was_rolled_back_is_not_told(api: Api, lines: Lines) -> None:
    lines.begin()
    ticket_id = api.customer().opened()["id"]
    lines.read()

    def change_and_fail() -> None:
        with change_ticket(ticket_id, occasion=occasion("admin", 99)) as change:
            change.set(category="other")
            change.record(TicketUpdated())
            save_changes([change])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    with transaction():
        pass
    assert lines.facts() == []


def test_an_escalation_is_told_with_its_ids_alone(api: Api, lines: Lines) -> None:
    lines.begin()
    ticket_id = api.customer().opened(priority="urgent")["id"]
    lines.read()
    with change_ticket(ticket_id, occasion=occasion("admin", 99)) as change:
        change.record(TicketEscalated(priority="urgent", reason=PRIVATE[0], waited_seconds=7201))
    (line,) = lines.facts()
    assert (line["action"], line["ticket_id"], line["waited_seconds"]) == (
        "ticket.escalated",
        ticket_id,
        7201,
    )


@pytest.mark.parametrize("fact", CATALOGUE.values(), ids=list(CATALOGUE))
def test_no_fact_has_a_field_that_is_told_as_free_text(fact: Any) -> None:
    assert message_of(fact).islower()
    for name in told_fields(fact):
        assert not {"subject", "category", "reason", "content", "file_name", "email"} & {name}


def test_telling_never_raises(api: Api, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    lines.begin()

    def fail(_: Any) -> None:
        raise RuntimeError(PRIVATE[0])

    monkeypatch.setattr("sav.telemetry.facts._count", fail)
    api.agent(7).get("/agents/me")
    assert api.customer().opened()["status"] == "open"
    assert [line["level"] for line in lines.facts()] == ["info", "error"]


def test_a_request_id_is_left_to_the_context_when_the_occasion_has_none(lines: Lines) -> None:
    lines.begin()
    structlog.contextvars.bind_contextvars(request_id="request-7")
    fact = TicketAssigned(agent_id=7, previous_agent_id=None, assigned_by="auto", reason="least_loaded")
    tell(
        [
            Happening(
                fact=fact, changes={}, ticket_id=1, priority="low", event_id="e", sequence=1, actor_id=None,
                actor_role="system", request_id=None, first_response_after=None,
            )
        ]
    )  # fmt: skip
    (line,) = lines.facts()
    assert line["request_id"] == "request-7"
    assert "reason" not in line
