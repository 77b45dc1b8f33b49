"""What other services tell us has its effect once, however often and by however many it is handled."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import orjson
import pytest

from sav.actors import handle_received_event
from sav.actors.foreign_envelope import parse_foreign_event
from sav.actors.owed_effects import do_owed_effects
from sav.domain.effects import HANDLE_RECEIVED_EVENT, RETRY_POLICIES
from sav.models.tables import DueEffect, Event, Message, ReceivedEvent, Ticket, TicketNumberSequence
from sav.operations.received_events import receive_event
from sav.operations.settle_ticket import close_ticket, resolve_ticket
from tests.actors.threads import at_the_same_time
from tests.plugins.desk import occasion

pytestmark = pytest.mark.usefixtures("empty_database")


def receive(event: str, data: dict[str, Any], *, event_id: str | None = None) -> bool:
    members = {} if event_id is None else {"id": event_id}
    content = orjson.dumps({"event": event, "data": data, **members})
    parsed = parse_foreign_event(content, message_id=None)
    return receive_event(
        dedup_key=parsed.dedup_key,
        name=parsed.name,
        text=parsed.text,
        request_id="req-1",
        now=datetime.now(UTC),
    )


def handle() -> None:
    do = partial(handle_received_event.handle_received_event, number_prefix="TICKET")
    do_owed_effects(HANDLE_RECEIVED_EVENT, do)


def owed() -> int:
    return DueEffect.select().where(DueEffect.effect == HANDLE_RECEIVED_EVENT).count()


def test_an_order_issue_becomes_a_ticket_of_the_customer() -> None:
    receive("order.issue", {"order_id": 12, "user_id": 5, "issue_type": "late", "priority": "high"})
    handle()

    ticket = Ticket.get()
    assert (ticket.user_id, ticket.category, ticket.priority, ticket.status) == (5, "order", "high", "open")
    assert ticket.metadata == {"order_id": 12, "issue_type": "late"}
    assert ticket.subject == "Order 12: late"
    created = Event.get()
    assert (created.name, created.published_sequence, created.request_id) == ("ticket.created", 1, "req-1")
    assert owed() == 0


def test_somebody_without_an_account_gets_a_guests_number() -> None:
    receive("order.issue", {"order_id": 12, "email": "guest@example.com"})
    handle()

    ticket = Ticket.get()
    assert (ticket.user_id, ticket.contact_email) == (None, "guest@example.com")
    assert len(ticket.ticket_number.split("-")) == 4


def test_a_duplicate_is_recognised_before_and_after_it_was_handled() -> None:
    assert receive("order.issue", {"order_id": 1, "user_id": 5}, event_id="e1")
    assert not receive("order.issue", {"order_id": 1, "user_id": 5}, event_id="e1")
    handle()
    assert not receive("order.issue", {"order_id": 1, "user_id": 5}, event_id="e1")
    handle()

    assert (Ticket.select().count(), ReceivedEvent.select().count(), Message.select().count()) == (1, 1, 0)


def test_a_second_issue_with_the_order_is_a_message_of_the_first_ones_ticket() -> None:
    receive("order.issue", {"order_id": 1, "user_id": 5, "issue_type": "late"}, event_id="e1")
    receive(
        "order.issue",
        {"order_id": 1, "user_id": 5, "issue_type": "late", "description": "Still nothing"},
        event_id="e2",
    )
    receive("order.issue", {"order_id": 1, "user_id": 5, "issue_type": "broken"}, event_id="e3")
    receive("order.issue", {"order_id": 1, "user_id": 6, "issue_type": "late"}, event_id="e4")
    handle()

    assert Ticket.select().count() == 3
    message = Message.get()
    assert (message.content, message.author_role, message.user_id) == ("Still nothing", "customer", 5)
    assert message.ticket_id == Ticket.select().order_by(Ticket.id).first().id


@pytest.mark.parametrize("settle", [resolve_ticket, close_ticket], ids=["resolved", "closed"])
def test_an_issue_after_the_end_is_a_new_ticket(settle: Any) -> None:
    receive("order.issue", {"order_id": 1, "user_id": 5}, event_id="e1")
    handle()
    details = {"resolution": "Sent again"} if settle is resolve_ticket else {}
    settle(occasion=occasion("admin", 99), ticket_id=Ticket.get().id, **details)
    receive("order.issue", {"order_id": 1, "user_id": 5}, event_id="e2")
    receive("order.issue", {"order_id": 1, "user_id": 5}, event_id="e3")
    handle()

    assert Ticket.select().count() == 2
    assert Message.get().ticket_id == Ticket.select().order_by(Ticket.id.desc()).first().id


def test_a_product_issue_becomes_a_ticket() -> None:
    receive(
        "product.issue_reported",
        {"product_id": "P-3", "user_id": 5, "description": "It burns", "severity": "critical"},
    )
    handle()

    ticket = Ticket.get()
    assert (ticket.category, ticket.priority, ticket.description) == ("product", "urgent", "It burns")
    assert ticket.metadata == {"product_id": "P-3"}


class TestRegistration:
    @pytest.fixture(autouse=True)
    def guest_tickets(self, empty_database: dict[str, str]) -> None:
        for number, email in enumerate(
            ["Ana@example.com", "ana@example.com", "anä@example.com", "bo@example.com"]
        ):
            receive("order.issue", {"order_id": number, "email": email})
        handle()

    def owners(self) -> list[int | None]:
        return [ticket.user_id for ticket in Ticket.select().order_by(Ticket.id)]

    def test_links_the_tickets_of_a_verified_email(self) -> None:
        receive("user.registered", {"user_id": 5, "email": "ana@example.com", "email_verified": True})
        handle()

        assert self.owners() == [5, 5, None, None]
        change = Event.select().where(Event.name == "ticket.updated").first()
        assert change.changes == {"user_id": {"from": None, "to": 5}}
        assert owed() == 0

    def test_links_nothing_to_an_email_that_nobody_verified(self) -> None:
        receive("user.registered", {"user_id": 5, "email": "ana@example.com"})
        handle()

        assert self.owners() == [None] * 4
        assert owed() == 0

    def test_never_takes_a_ticket_from_somebody(self) -> None:
        receive("user.registered", {"user_id": 5, "email": "ana@example.com", "email_verified": True})
        receive("user.registered", {"user_id": 6, "email": "ana@example.com", "email_verified": True})
        handle()

        assert self.owners() == [5, 5, None, None]


def test_fifty_reports_handled_by_four_at_once_are_one_ticket() -> None:
    for number in range(50):
        receive(
            "order.issue",
            {"order_id": 1, "user_id": 5, "description": f"no. {number}"},
            event_id=f"e{number}",
        )
    at_the_same_time(*[handle] * 4)

    assert Ticket.select().count() == 1
    assert Message.select().count() == 49
    ticket = Ticket.get()
    sequences = [event.sequence for event in Event.select().order_by(Event.sequence)]
    assert sequences == list(range(1, ticket.event_count + 1))
    assert owed() == 0


def test_one_event_received_by_eight_at_once_is_one() -> None:
    answers = at_the_same_time(
        *[lambda: receive("order.issue", {"order_id": 1, "user_id": 5}, event_id="e")] * 8
    )

    assert sorted(answers) == [False] * 7 + [True]
    assert owed() == 1


class TestFailure:
    def test_leaves_nothing_behind_and_is_tried_again(self) -> None:
        receive("order.issue", {"order_id": 1, "user_id": 5})
        with patch.object(handle_received_event, "report_order_issue", side_effect=ZeroDivisionError):
            handle()
        token = DueEffect.get()
        assert (token.tries, token.last_error, token.failed_at) == (1, "ZeroDivisionError", None)
        assert Ticket.select().count() == 0

        handle()
        assert Ticket.select().count() == 0, "it waits for its next try"
        DueEffect.update(leased_until=datetime.now(UTC) - timedelta(seconds=1)).execute()
        handle()
        assert Ticket.select().count() == 1

    def test_is_given_up_in_the_end_and_stays_visible(self) -> None:
        receive("order.issue", {"order_id": 1, "user_id": 5})
        tries = RETRY_POLICIES[HANDLE_RECEIVED_EVENT].tries
        assert tries is not None
        with patch.object(handle_received_event, "report_order_issue", side_effect=ZeroDivisionError):
            for _ in range(tries + 2):
                DueEffect.update(leased_until=None).execute()
                handle()

        token = DueEffect.get()
        assert (token.tries, token.failed_at is not None) == (tries, True)

    def test_of_one_event_holds_up_no_other(self) -> None:
        receive("order.issue", {"order_id": 1, "user_id": 5}, event_id="bad")
        receive(
            "product.issue_reported", {"product_id": 1, "user_id": 5, "description": "x"}, event_id="good"
        )
        with patch.object(handle_received_event, "report_order_issue", side_effect=ZeroDivisionError):
            handle()

        assert Ticket.get().category == "product"


def test_a_worker_that_lost_its_lease_does_nothing() -> None:
    receive("order.issue", {"order_id": 1, "user_id": 5})
    original = handle_received_event.report_order_issue

    def late(**arguments: Any) -> None:
        DueEffect.update(lease_owner="somebody else").execute()
        original(**arguments)

    with patch.object(handle_received_event, "report_order_issue", late):
        handle()

    assert Ticket.select().count() == 0
    assert owed() == 1


def test_numbers_are_taken_only_for_tickets() -> None:
    receive("user.registered", {"user_id": 5, "email": "ana@example.com", "email_verified": True})
    handle()

    assert TicketNumberSequence.select().count() == 0
