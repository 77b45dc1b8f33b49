"""A person is erased everywhere: every table and column, object, queue and log line is searched."""

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
import structlog

from sav.actors.broker import HintDispatcher, effects_queue, rabbitmq_broker
from sav.domain.caller import Caller
from sav.domain.effects import BUILD_EXPORT, ERASE_PERSON
from sav.domain.signed_tokens import survey_token, unsubscribed_address
from sav.domain.statistics import Span
from sav.http import statistics_documents
from sav.models.database import database, is_sqlite
from sav.models.tables import (
    Attachment,
    Contact,
    DueEffect,
    ErasureTicket,
    Event,
    MailDelivery,
    MailPreference,
    Message,
    PrivacyRequest,
    ReceivedEvent,
    ServiceSecret,
    Ticket,
)
from sav.operations import erase_ticket, hints
from sav.operations.count_tickets import count_for_a_while
from sav.operations.export_rows import EXPORTED
from sav.operations.hints import Bundle
from sav.operations.mail_preferences import unsubscribe, unsubscribe_token_for
from sav.operations.rebuild_search import rebuild, rebuild_steps
from sav.operations.receipts import BadReceipt, public_key, verified
from sav.operations.service_secrets import link_secret, privacy_secret
from sav.queries.statistics import read_statistics
from sav.settings import Settings
from tests.actors.erasing import Workers, downloaded, erase
from tests.actors.hands.conftest import DeadQueue, dead_queue  # noqa: F401 - a fixture
from tests.factories.messages import make_message
from tests.factories.person import (
    AGENT,
    EMAIL,
    MARKER,
    OTHER,
    PERSON,
    forget_what_is_not_due,
    live,
    told,
)
from tests.factories.tickets import make_ticket
from tests.plugins.desk import Api

DOCUMENT = Path(__file__).parents[2] / "docs" / "privacy.md"


def columns_with(text: str) -> set[tuple[str, str]]:
    """Every table and column of the database, whoever made it, in which a text stands somewhere."""
    found = set()
    for table in database.get_tables():
        if table.startswith("ticket_search"):
            # SQLite's index: TestTheIndex looks into it.
            continue
        names = [column.name for column in database.get_columns(table)]
        quoted = ", ".join(f"`{name}`" for name in names)
        for row in database.execute_sql(f"SELECT {quoted} FROM `{table}`").fetchall():  # noqa: S608
            found |= {
                (table, name) for name, value in zip(names, row, strict=True) if text in str(value).lower()
            }
    return found


DOCUMENTS = {
    "tickets": "support_tickets", "messages": "ticket_messages", "attachments": "ticket_attachments",
    "history": "ticket_events", "mails": "mail_deliveries", "receipts": "message_receipts",
    "received_events": "received_events",
}  # fmt: skip
KINDS = {
    "contact": "contacts", "agent": "agents", "wants_no_mails": "mail_preferences",
    "message": "ticket_messages", "attachment": "ticket_attachments", "receipt": "message_receipts",
}  # fmt: skip
COLUMNS = {"published": "data"}
"""From which tables and columns the documents of an archive are: by the document, or by a row's kind."""


def columns_told(archive: zipfile.ZipFile, text: str) -> set[tuple[str, str]]:
    """Every table and column of which an archive tells something with a text in it."""
    return {
        (KINDS.get(row.get("kind")) or DOCUMENTS[name], COLUMNS.get(field, field))
        for name in EXPORTED
        for row in json.loads(archive.read(f"{name}.json"))
        for field, value in row.items()
        if text in json.dumps(value).lower()
    }


def objects_with(api: Api, text: str) -> list[str]:
    """Keys that have a text in their name or in their bytes."""
    store: Any = api.desk.storage
    found = []
    for key in store.keys:
        with store.open(key) as blocks:
            content = b"".join(blocks)
        if text in key.lower() or text.encode() in content.lower():
            found.append(key)
    return found


@pytest.fixture
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


class TestTheMarker:
    """What the person left is first found in all these places, and then in none."""

    EVERYWHERE: ClassVar = {
        ("agents", "email"), ("agents", "name"), ("contacts", "email"), ("contacts", "name"),
        ("contacts", "verified_email"),
        ("idempotency_keys", "body"), ("mail_deliveries", "recipient"), ("mail_deliveries", "recipient_name"),
        ("received_events", "envelope"), ("received_events", "request_id"),
        ("support_tickets", "subject"), ("support_tickets", "description"),
        ("support_tickets", "contact_email"), ("support_tickets", "contact_name"),
        ("support_tickets", "tags"), ("support_tickets", "metadata"), ("support_tickets", "internal_notes"),
        ("support_tickets", "resolution_notes"), ("support_tickets", "satisfaction_comment"),
        ("ticket_attachments", "file_name"), ("ticket_attachments", "file_path"),
        ("ticket_events", "changes"), ("ticket_events", "data"), ("ticket_events", "request_id"),
        ("ticket_messages", "author_email"), ("ticket_messages", "author_name"),
        ("ticket_messages", "content"), ("ticket_tags", "tag"), ("privacy_requests", "subject"),
    }  # fmt: skip

    NOT_TOLD: ClassVar = {
        MARKER: {
            # Copies: of answers, of tags, and of a file's name in the store.
            ("idempotency_keys", "body"), ("ticket_tags", "tag"), ("ticket_attachments", "file_path"),
            # The desk's own.
            ("support_tickets", "internal_notes"), ("ticket_events", "changes"),
            # Ids of requests.
            ("ticket_events", "request_id"), ("received_events", "request_id"),
        },
        str(PERSON): {
            ("idempotency_keys", "body"), ("idempotency_keys", "caller"),
            ("ticket_events", "actor_id"), ("ticket_events", "changes"),
            # What is in their hands as staff, and how much.
            ("support_tickets", "assigned_to"), ("counted_tickets", "assigned_to"),
            ("desk_counts", "label"),
        },
    }  # fmt: skip
    """What stands in the database and not in an archive: docs/privacy.md says it."""

    @pytest.fixture
    def hinted(self, settings: Settings, dead_queue: DeadQueue) -> Any:  # noqa: F811
        """The workers' own queue, which nobody empties: all that they were ever told."""
        queue = effects_queue(settings)
        dispatch = HintDispatcher(rabbitmq_broker(settings), queue_name=queue)
        # What the broker declares with its queue, the tests' settings remove.
        dispatch(Bundle("publish_event", (0,)))
        hints.listen(lambda hint: dispatch(Bundle(hint.effect, (hint.ticket_id,))))
        yield lambda: dead_queue.bodies(queue)
        hints.listen(lambda hint: None)
        dispatch.release()

    @pytest.fixture
    def planted(
        self,
        api: Api,
        workers: Workers,
        hinted: Any,
        dead_queue: DeadQueue,  # noqa: F811
        log_lines: list[Any],
    ) -> Any:
        ids = live(api)
        told("user.registered", {"user_id": PERSON, "email": EMAIL, "email_verified": True}, event_id="e-0")
        told("order.issue", {"order_id": 5, "user_id": PERSON, "description": MARKER}, event_id="e-1")
        told(
            "product.issue_reported", {"product_id": 5, "email": EMAIL, "description": MARKER}, event_id="e-2"
        )
        forget_what_is_not_due()
        workers.run()
        forget_what_is_not_due()
        # Of these nobody has done anything yet.
        told("order.issue", {"order_id": 6, "user_id": PERSON, "description": MARKER}, event_id="e-3")
        self._still_owed(api, ids["open"])
        assert count_for_a_while()
        dead_queue.declare()
        dead_queue.bury(json.dumps({"event": "no.such", "data": {"user_id": PERSON}}).encode(), "unknown")
        dead_queue.bury(f"no JSON of {EMAIL}".encode(), "not JSON")
        dead_queue.bury(b'{"event": "no.such", "data": {"user_id": 2}}', "unknown")
        return ids

    def _still_owed(self, api: Api, ticket_id: int) -> None:
        said = api.customer(PERSON, email=EMAIL).post(
            f"/tickets/{ticket_id}/messages",
            {"content": f"And once more, {MARKER}"},
            headers={"X-Request-ID": f"request-of-{MARKER}"},
        )
        assert said.status_code == 201

    def test_is_nowhere_any_more(
        self,
        api: Api,
        workers: Workers,
        planted: Any,
        hinted: Any,
        dead_queue: DeadQueue,  # noqa: F811
        log_lines: list[Any],
        tmp_path: Path,
    ) -> None:
        asked = api.admin().post(
            "/privacy/erasures", {"user_id": PERSON, "email": EMAIL}, headers={"Idempotency-Key": "e-1"}
        )
        assert columns_with(MARKER) >= self.EVERYWHERE
        assert len(objects_with(api, MARKER)) >= 3
        assert MARKER in (tmp_path / "events.jsonl").read_text()

        workers.run()

        assert columns_with(MARKER) == set()
        assert objects_with(api, MARKER) == []
        hints_given = hinted()
        assert len(hints_given) > 10
        assert [body for body in hints_given if MARKER in body.decode().lower()] == []
        assert MARKER not in (tmp_path / "events.jsonl").read_text()
        assert [json.loads(body)["data"] for body in dead_queue.bodies()] == [{"user_id": 2}]
        # The ids of requests are their callers' choice, and there to be followed.
        told_of = [{**line, "request_id": None} for line in log_lines]
        assert MARKER not in json.dumps(told_of, default=str).lower()
        erasure = api.admin().get(asked.headers["location"]).json
        assert erasure["state"] == "finished"
        assert MARKER not in json.dumps(erasure)
        counts = erasure["counts"]
        assert counts["dead_letters"] == 2
        assert counts["tickets"] == 6, "closed, open, deleted, a guest's, and what two events became"

    def test_the_id_is_left_only_where_the_document_says_so(
        self, api: Api, workers: Workers, planted: Any
    ) -> None:
        erase(api, workers, user_id=PERSON, email=EMAIL)

        assert columns_with(str(PERSON)) == {
            ("agents", "user_id"),
            ("counted_tickets", "assigned_to"),
            ("desk_counts", "label"),
            ("idempotency_keys", "caller"),
            ("support_tickets", "assigned_to"),
            ("ticket_attachments", "user_id"),
            ("ticket_messages", "user_id"),
            ("ticket_events", "actor_id"),
            ("ticket_events", "changes"),
            ("ticket_events", "data"),
        }
        # And there as a member of the staff alone.
        assert {row.ticket_id for row in Message.select().where(Message.user_id == PERSON)} == {
            planted["others"]
        }
        assert {row.ticket_id for row in Event.select().where(Event.actor_id == PERSON)} == {
            planted["others"]
        }
        assert {row.ticket_id for row in Attachment.select().where(Attachment.user_id == PERSON)} == {
            planted["others"]
        }

    @pytest.mark.parametrize("mark", [MARKER, str(PERSON)])
    def test_an_archive_holds_all_of_it_but_what_is_named(
        self, api: Api, workers: Workers, planted: Any, mark: str
    ) -> None:
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON, "email": EMAIL})
        workers.run(BUILD_EXPORT)
        told_of = columns_told(downloaded(api, asked.headers["location"]), mark)
        assert columns_with(mark) == told_of | self.NOT_TOLD[mark]
        assert told_of & self.NOT_TOLD[mark] == set()

    def test_no_kept_answer_tells_of_it(self, api: Api, workers: Workers, planted: Any) -> None:
        """Of any cache: each is warm when the erasure comes."""
        readers = (api.admin(), api.agent(AGENT), api.customer(PERSON, email=EMAIL))
        paths = [
            "/tickets",
            "/agents",
            *(f"/tickets/{planted[name]}" for name in ("closed", "open", "guests")),
        ]
        paths += [f"/tickets/{planted['closed']}/{part}" for part in ("messages", "attachments", "history")]

        def told_to(reader: Api) -> str:
            return " ".join(reader.get(path).text for path in paths).lower()

        assert all(told_to(reader).count(MARKER) > 5 for reader in readers for _ in range(2))
        erase(api, workers, user_id=PERSON, email=EMAIL)
        assert [told_to(reader).count(MARKER) for reader in readers] == [0, 0, 0]

    def test_others_keep_what_is_theirs(self, api: Api, workers: Workers, planted: Any) -> None:
        other = api.customer(OTHER)
        before = other.get(f"/tickets/{planted['others']}").json
        erase(api, workers, user_id=PERSON, email=EMAIL)
        after = other.get(f"/tickets/{planted['others']}").json

        said = after["messages"]["data"] if isinstance(after["messages"], dict) else after["messages"]
        assert [(message["content"], message["author_name"]) for message in said] == [
            ("Where is it?", "Otto Other"),
            ("I look into it.", "[erased]"),
        ]
        assert (after["subject"], after["description"]) == (before["subject"], before["description"])
        assert Attachment.select().where(Attachment.ticket_id == planted["others"]).count() == 2
        assert Contact.select().where(Contact.user_id == OTHER).exists()

    def test_every_table_is_in_the_list_of_places(self, empty_database: dict[str, str]) -> None:
        listed = DOCUMENT.read_text(encoding="utf-8")
        missing = [table for table in database.get_tables() if f"`{table}`" not in listed]
        assert missing == [], "docs/privacy.md says what of persons is in each table"


class TestTheIndex:
    """The full-text index keeps the words of what was changed until it is made anew, or merged."""

    @staticmethod
    def words_like(word: str) -> int:
        if is_sqlite():
            blocks = database.execute_sql("SELECT block FROM ticket_search_data").fetchall()
            return sum(word.encode() in bytes(block) for (block,) in blocks)
        (name,) = database.execute_sql("SELECT CONCAT(DATABASE(), '/support_tickets')").fetchone()
        # Which table is shown is said to the whole server: one test at a time.
        database.execute_sql("SELECT GET_LOCK('sav_tests_index_shown', 60)")
        database.execute_sql("SET GLOBAL innodb_ft_aux_table = %s", (name,))
        shown = "SELECT COUNT(*) FROM information_schema.INNODB_FT_INDEX_{} WHERE word LIKE %s"
        found = [
            database.execute_sql(shown.format(part), (word,)).fetchone()[0] for part in ("TABLE", "CACHE")
        ]
        database.execute_sql("SELECT RELEASE_LOCK('sav_tests_index_shown')")
        return sum(found)

    def test_forgets_them_when_it_is_made_anew(
        self, api: Api, workers: Workers, empty_database: dict[str, str]
    ) -> None:
        for number in range(20):
            make_ticket("closed", user_id=PERSON, subject=f"About {MARKER}", description=f"{MARKER} {number}")
        assert self.words_like(MARKER) > 0
        erase(api, workers, user_id=PERSON)
        assert columns_with(MARKER) == set()
        for step in rebuild_steps():
            rebuild(step)
        assert self.words_like(MARKER) == 0
        if is_sqlite():
            # Whoever gets the file can read its free pages and its journal.
            file = Path(empty_database["DB_DATABASE"])
            parts = file.parent.glob(f"{file.name}*")
            assert [part.name for part in parts if MARKER.encode() in part.read_bytes()] == []


def numbers_of(api: Api, who: str) -> dict[str, Any]:
    caller = Caller(99 if who == "admin" else 7, who)  # type: ignore[arg-type]
    read = read_statistics(caller=caller, span=Span(), zone=ZoneInfo("UTC"), now=api.clock.now)
    return statistics_documents.statistics_document(read)


def test_statistics_are_the_same_to_the_unit(api: Api, workers: Workers) -> None:
    """Of tickets that were done with; one that was not is closed, and counts as that."""
    ids = live(api)
    api.admin().post(f"/tickets/{ids['open']}/close")
    api.admin().post(f"/tickets/{ids['guests']}/close")
    forget_what_is_not_due()
    workers.run()
    before = {who: numbers_of(api, who) for who in ("admin", "agent")}
    erase(api, workers, user_id=PERSON, email=EMAIL)
    after = {who: numbers_of(api, who) for who in ("admin", "agent")}

    for who in ("admin", "agent"):
        for agent in (*before[who]["agents"], *after[who]["agents"]):
            # A name is no number.
            agent.pop("name")
    assert after == before
    assert before["admin"]["total"] == 4


def test_an_open_ticket_is_closed_and_no_mail_says_so(api: Api, workers: Workers) -> None:
    opened = api.customer(PERSON, email=EMAIL).opened(subject=f"About {MARKER}")
    forget_what_is_not_due()
    erase(api, workers, user_id=PERSON)

    ticket = Ticket.get_by_id(opened["id"])
    assert (ticket.status, ticket.user_id, ticket.subject) == ("closed", None, "[erased]")
    closing = Event.get(Event.name == "ticket.closed")
    assert (closing.data["reason"], closing.data["closed_by"], closing.data["user_id"]) == (
        "erased",
        "auto",
        None,
    )
    assert MailDelivery.select().count() == 0


def test_what_was_still_to_be_published_goes_out_in_order_and_names_nobody(
    api: Api, workers: Workers, tmp_path: Path
) -> None:
    opened = api.customer(PERSON).opened(subject=f"About {MARKER}")
    forget_what_is_not_due()
    asked = api.admin().post("/privacy/erasures", {"user_id": PERSON})
    workers.run(ERASE_PERSON)
    assert not (tmp_path / "events.jsonl").exists(), "nothing has been published yet"
    workers.run()

    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(line["event"], line["sequence"]) for line in lines] == [
        ("ticket.created", 1),
        ("ticket.closed", 2),
    ]
    assert [line["data"]["user_id"] for line in lines] == [None, None]
    assert lines[0]["data"]["subject"] == "[erased]"
    assert lines[0]["data"]["ticket_id"] == opened["id"]
    assert asked.json["state"] == "waiting"


def test_the_number_the_token_and_the_survey_open_nothing_any_more(api: Api, workers: Workers) -> None:
    words = {"subject": "Guest", "description": "Hello", "email": EMAIL}
    opened = api.post("/public/tickets", words).json
    number = opened["ticket_number"]
    mine = Ticket.get(Ticket.ticket_number == number)
    customers = api.customer(PERSON).opened()
    forget_what_is_not_due()
    link = survey_token(
        secret=link_secret(), ticket_id=mine.id, expires_at=datetime.now(UTC) + timedelta(days=900)
    )
    erase(api, workers, user_id=PERSON, email=EMAIL)

    assert api.get(f"/public/tickets/{number}").status_code == 404
    assert api.get(f"/public/tickets/{customers['ticket_number']}").status_code == 404
    said = api.post(
        f"/public/tickets/{number}/messages",
        {"content": "Me again"},
        headers={"X-Ticket-Token": opened["access_token"]},
    )
    assert said.status_code == 404
    assert api.get(f"/public/surveys/{link}").status_code == 404
    assert api.post(f"/public/surveys/{link}", {"rating": 1}).status_code == 404
    assert api.customer(PERSON).get(f"/tickets/{customers['id']}").status_code == 404


def test_a_repeated_request_is_neither_answered_nor_done_again(api: Api, workers: Workers) -> None:
    person, key = api.customer(PERSON), {"Idempotency-Key": "k-1"}
    body = {"subject": f"About {MARKER}", "description": "It never came."}
    person.post("/tickets", body, headers=key)
    forget_what_is_not_due()
    erase(api, workers, user_id=PERSON)

    again = person.post("/tickets", body, headers=key)
    assert (again.status_code, again.json["code"]) == (422, "idempotency_mismatch")
    assert Ticket.select().count() == 1


def test_whoever_wanted_no_mails_is_forgotten_too(api: Api, workers: Workers) -> None:
    token = unsubscribe_token_for(EMAIL, secret=link_secret())
    unsubscribe(hash_of_address=unsubscribed_address(token, secret=link_secret()), now=api.clock.now)
    assert MailPreference.select().exists()
    erase(api, workers, email=EMAIL)
    assert not MailPreference.select().exists()


def test_that_a_stranger_wants_no_mails_is_not_forgotten_with_whoever_has_typed_their_address(
    api: Api, workers: Workers
) -> None:
    api.customer(PERSON, email="stranger@example.com").opened()
    forget_what_is_not_due()
    token = unsubscribe_token_for("stranger@example.com", secret=link_secret())
    unsubscribe(hash_of_address=unsubscribed_address(token, secret=link_secret()), now=api.clock.now)
    asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
    workers.run(BUILD_EXPORT)
    account = json.loads(downloaded(api, asked.headers["location"]).read("account.json"))
    erase(api, workers, user_id=PERSON)
    assert [row["kind"] for row in account] == ["contact"]
    assert MailPreference.select().count() == 1


def test_a_receipt_can_be_verified_and_not_be_changed(api: Api, workers: Workers) -> None:
    api.customer(PERSON).opened()
    forget_what_is_not_due()
    receipt = erase(api, workers, user_id=PERSON)["receipt"]
    key = public_key(privacy_secret())

    assert verified(receipt, public_key=key)["erased"]["tickets"] == 1
    for forged in ({}, {**receipt, "statement": {**receipt["statement"], "erasure_id": 999}}, None):
        with pytest.raises(BadReceipt):
            verified(forged, public_key=key)


class TestAskedAgain:
    def test_while_it_is_at_work_it_is_the_same(self, api: Api) -> None:
        first = api.admin().post("/privacy/erasures", {"user_id": PERSON})
        second = api.admin(98).post("/privacy/erasures", {"user_id": PERSON})
        assert first.json["id"] == second.json["id"]
        assert DueEffect.select().where(DueEffect.effect == ERASE_PERSON).count() == 1

    def test_when_it_is_done_there_is_nothing_left_to_erase(self, api: Api, workers: Workers) -> None:
        api.customer(PERSON).opened()
        forget_what_is_not_due()
        assert erase(api, workers, user_id=PERSON)["counts"]["tickets"] == 1
        again = erase(api, workers, user_id=PERSON)
        assert {name: number for name, number in again["counts"].items() if number} == {}
        assert Event.select().where(Event.name == "ticket.erased").count() == 1

    def test_what_came_meanwhile_is_erased_too(self, api: Api, workers: Workers) -> None:
        api.customer(PERSON).opened()
        asked = api.admin().post("/privacy/erasures", {"user_id": PERSON}).json
        # As if the search had just ended.
        PrivacyRequest.update(step="outside").where(PrivacyRequest.id == asked["id"]).execute()
        forget_what_is_not_due()
        workers.run()
        assert Ticket.get().subject == "[erased]"
        assert PrivacyRequest.get_by_id(asked["id"]).state == "finished"


def test_duplicates_of_user_deleted_are_one_erasure(api: Api, workers: Workers) -> None:
    api.customer(PERSON).opened(subject=f"About {MARKER}")
    guest = make_ticket("closed", user_id=None, contact_email=EMAIL)
    forget_what_is_not_due()
    for _ in range(3):
        told("user.deleted", {"user_id": PERSON, "email": EMAIL}, event_id="gone-1")
    told("user.deleted", {"user_id": PERSON, "email": EMAIL}, event_id="gone-2")
    workers.run()

    assert PrivacyRequest.select().count() == 1
    erasure = PrivacyRequest.get()
    assert (erasure.source, erasure.state, erasure.subject) == ("event", "finished", None)
    assert columns_with(MARKER) == set()
    assert Ticket.get_by_id(guest.id).contact_email is None
    assert ReceivedEvent.select().count() == 2


def test_an_address_in_somebody_elses_ticket_is_not_the_persons(api: Api, workers: Workers) -> None:
    gift = make_ticket("closed", user_id=OTHER, contact_email=EMAIL, subject="A gift that never came")
    told("user.deleted", {"user_id": PERSON, "email": EMAIL}, event_id="gone-1")
    workers.run()
    assert Ticket.get_by_id(gift.id).subject == "A gift that never came"
    assert Ticket.get_by_id(gift.id).user_id == OTHER


def test_an_address_that_nobody_verified_takes_no_guests_ticket_along(api: Api, workers: Workers) -> None:
    guest = make_ticket("closed", user_id=None, contact_email=EMAIL)
    told("user.deleted", {"user_id": PERSON, "email": EMAIL, "email_verified": False}, event_id="gone-1")
    workers.run()
    assert Ticket.get_by_id(guest.id).contact_email == EMAIL


class TestBrokenOff:
    def test_a_large_ticket_is_erased_in_parts_that_go_on_after_each_other(
        self, api: Api, workers: Workers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(erase_ticket, "ROWS_A_PART", 3)
        ticket = make_ticket("closed", user_id=PERSON)
        for number in range(10):
            make_message(ticket, user_id=PERSON, content=f"{MARKER} {number}")
        counts = erase(api, workers, user_id=PERSON)["counts"]
        assert (counts["tickets"], counts["messages"]) == (1, 10)
        assert columns_with(MARKER) == set()

    @pytest.mark.parametrize("survived", [1, 3, 8])
    def test_dying_after_whatever_transaction_changes_nothing_in_the_end(
        self, api: Api, workers: Workers, monkeypatch: pytest.MonkeyPatch, survived: int
    ) -> None:
        live(api)
        forget_what_is_not_due()
        workers.run()
        asked = api.admin().post("/privacy/erasures", {"user_id": PERSON, "email": EMAIL})
        dying = _Dying(after=survived)
        monkeypatch.setattr("sav.operations.erase_person.keep_lease", dying)
        with pytest.raises(_Killed):
            workers.run(ERASE_PERSON)
        monkeypatch.undo()
        workers.run()

        erasure = api.admin().get(asked.headers["location"]).json
        assert erasure["state"] == "finished"
        assert columns_with(MARKER) == set()
        assert erasure["counts"]["tickets"] == 4
        assert erasure["counts"]["closed_tickets"] == 2
        assert erasure["counts"]["attachments"] == 4
        assert Event.select().where(Event.name == "ticket.erased").count() == 4
        assert ErasureTicket.select().count() == 0


class _Killed(BaseException):
    """No exception that anybody handles, as no process handles kill -9."""


class _Dying:
    def __init__(self, *, after: int) -> None:
        self.left = after

    def __call__(self, *_: Any, **__: Any) -> bool:
        self.left -= 1
        if self.left < 0:
            raise _Killed
        return True


def test_it_is_not_finished_before_the_store_has_confirmed(api: Api, workers: Workers) -> None:
    ids = live(api)
    forget_what_is_not_due()
    workers.run()
    store: Any = api.desk.storage
    asked = api.admin().post("/privacy/erasures", {"user_id": PERSON, "email": EMAIL})
    store.is_there = False
    for _ in range(40):
        DueEffect.update(leased_until=None, lease_owner=None).execute()
        workers.effects[ERASE_PERSON]((0,))
        for ticket_id in ids.values():
            workers.effects["remove_objects"]((ticket_id,))
    waiting = api.admin().get(asked.headers["location"]).json
    assert (waiting["state"], waiting["step"]) == ("running", "conclude")
    assert objects_with_names(api) != []

    store.is_there = True
    workers.run()
    assert api.admin().get(asked.headers["location"]).json["state"] == "finished"
    assert objects_with(api, MARKER) == []


def objects_with_names(api: Api) -> list[str]:
    store: Any = api.desk.storage
    return [key for key in store.keys if MARKER in key]


class TestExport:
    def test_holds_everything_but_what_is_the_staffs(self, api: Api, workers: Workers) -> None:
        ids = live(api)
        told("order.issue", {"order_id": 5, "user_id": PERSON, "description": MARKER}, event_id="e-1")
        forget_what_is_not_due()
        workers.run()
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON, "email": EMAIL})
        assert asked.status_code == 202
        assert api.admin().get(f"{asked.headers['location']}/download").json["code"] == "export_not_ready"
        forget_what_is_not_due()
        workers.run()

        export = api.admin().get(asked.headers["location"]).json
        assert export["state"] == "finished"
        archive = downloaded(api, asked.headers["location"])
        manifest = json.loads(archive.read("manifest.json"))
        assert set(archive.namelist()) == {*manifest["files"], "manifest.json"}
        tickets = json.loads(archive.read("tickets.json"))
        assert {ticket["id"] for ticket in tickets} >= {
            ids["closed"],
            ids["open"],
            ids["deleted"],
            ids["guests"],
        }
        assert ids["others"] not in {ticket["id"] for ticket in tickets}
        whole = b"".join(archive.read(name) for name in archive.namelist()).decode(errors="replace")
        assert f"{MARKER} was here." in whole
        assert f"bytes of {MARKER}" in whole
        assert "is angry" not in whole
        assert "note-" not in whole
        assert "agent@example.com" not in whole
        assert {"account.json", "mails.json", "history.json", "received_events.json"} <= set(
            archive.namelist()
        )
        assert json.loads(archive.read("received_events.json"))[0]["envelope"]["data"]["user_id"] == PERSON

    def test_the_manifest_is_right(self, api: Api, workers: Workers) -> None:
        import hashlib

        live(api)
        forget_what_is_not_due()
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
        workers.run(BUILD_EXPORT)
        archive = downloaded(api, asked.headers["location"])
        described = json.loads(archive.read("manifest.json"))["files"]
        for name, said in described.items():
            content = archive.read(name)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (said["bytes"], said["sha256"])
            if name.endswith(".json"):
                assert len(json.loads(content)) == said["rows"]

    def test_an_account_is_found_by_its_verified_address(self, api: Api, workers: Workers) -> None:
        api.customer(PERSON, email=EMAIL).opened(subject=f"About {MARKER}")
        registered = {"user_id": PERSON, "email": EMAIL, "email_verified": True}
        told("user.registered", registered, event_id="r-1")
        workers.run("handle_received_event")
        asked = api.admin().post("/privacy/exports", {"email": EMAIL.upper()})
        workers.run(BUILD_EXPORT)
        tickets = json.loads(downloaded(api, asked.headers["location"]).read("tickets.json"))
        assert [ticket["subject"] for ticket in tickets] == [f"About {MARKER}"]

    def test_a_link_leads_to_it_for_five_minutes(self, api: Api, workers: Workers) -> None:
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
        workers.run(BUILD_EXPORT)
        answer = api.admin().get(f"{asked.headers['location']}/download", query_string="redirect=false").json
        assert answer["url"].startswith("http")
        until = datetime.fromisoformat(answer["expires_at"].replace("Z", "+00:00"))
        assert until == api.clock.now + timedelta(minutes=5)
        assert api.admin().get(f"{asked.headers['location']}/download").status_code == 302

    def test_ends_with_its_time_and_with_its_person(self, api: Api, workers: Workers) -> None:
        api.customer(PERSON).opened(subject=f"About {MARKER}")
        forget_what_is_not_due()
        first = api.admin().post("/privacy/exports", {"user_id": PERSON})
        workers.run(BUILD_EXPORT)
        PrivacyRequest.update(expires_at=datetime.now(UTC) - timedelta(seconds=1)).execute()
        second = api.admin().post("/privacy/exports", {"user_id": PERSON, "email": EMAIL})
        workers.run(BUILD_EXPORT)
        store: Any = api.desk.storage
        assert len(store.keys) == 2

        DueEffect.insert(
            effect="sweep_files", ticket_id=0, sequence=1, due_at=api.clock.now, created_at=api.clock.now
        ).execute()
        workers.run("sweep_files")
        assert api.admin().get(first.headers["location"]).json["state"] == "expired"
        gone = api.admin().get(f"{first.headers['location']}/download")
        assert (gone.status_code, gone.json["code"]) == (404, "export_gone")
        assert api.admin().get(second.headers["location"]).json["state"] == "finished"
        assert len(store.keys) == 1

        erase(api, workers, user_id=PERSON)
        assert api.admin().get(second.headers["location"]).json["state"] == "expired"
        assert store.keys == []

    def test_one_that_is_asked_for_by_the_erased_is_not_made(self, api: Api, workers: Workers) -> None:
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
        api.admin().post("/privacy/erasures", {"user_id": PERSON})
        workers.run(ERASE_PERSON)
        workers.run()
        assert api.admin().get(asked.headers["location"]).json["state"] == "expired"
        store: Any = api.desk.storage
        assert store.keys == []

    def test_a_store_that_goes_away_is_waited_for(self, api: Api, workers: Workers) -> None:
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
        store: Any = api.desk.storage
        store.is_there = False
        workers.effects[BUILD_EXPORT]((0,))
        assert api.admin().get(asked.headers["location"]).json["state"] == "running"
        store.is_there = True
        workers.run(BUILD_EXPORT)
        assert api.admin().get(asked.headers["location"]).json["state"] == "finished"


def test_old_deliveries_are_not_kept_for_ever(api: Api, workers: Workers) -> None:
    old, new = datetime.now(UTC) - timedelta(days=91), datetime.now(UTC) - timedelta(days=89)
    for number, (state, at) in enumerate([("sent", old), ("sent", new), ("due", old), ("failed", old)]):
        MailDelivery.create(
            message_id=f"{number}@x", ticket_id=1, sequence=number, kind="closed", recipient="a@b.fr",
            locale="fr", state=state, due_at=at, updated_at=at,
        )  # fmt: skip
    DueEffect.insert(effect="housekeeping", ticket_id=0, sequence=1, due_at=old, created_at=old).execute()
    workers.effects["housekeeping"]((0,))
    assert [row.sequence for row in MailDelivery.select().order_by(MailDelivery.id)] == [1, 2]


def test_asking_needs_somebody_to_ask_about(api: Api) -> None:
    for body in ({}, {"user_id": None}, {"user_id": None, "email": None}):
        refused = api.admin().post("/privacy/erasures", body)
        assert refused.status_code == 422, refused.text
    assert PrivacyRequest.select().count() == 0


def test_the_secret_is_no_part_of_any_answer(api: Api) -> None:
    asked = api.admin().post("/privacy/exports", {"user_id": PERSON, "email": EMAIL})
    assert MARKER not in asked.text
    assert str(PERSON) not in asked.text
    assert ServiceSecret.select().where(ServiceSecret.name == "privacy").exists()
