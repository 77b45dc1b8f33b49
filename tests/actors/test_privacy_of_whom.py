"""Who is meant by an id and by an address, and that what goes on beside an erasure undoes nothing of it."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from sav.actors.dead_letters import DeadLetters, LettersBeingRead
from sav.domain.caller import SYSTEM
from sav.domain.effects import BUILD_EXPORT, ERASE_PERSON, HANDLE_RECEIVED_EVENT
from sav.domain.foreign_events import UserRegistered
from sav.domain.occasion import Occasion
from sav.models.person_sight import subject_named
from sav.models.tables import (
    Agent,
    Contact,
    DueEffect,
    ExportPerson,
    ImportedTicket,
    MailDelivery,
    Message,
    MessageReceipt,
    PrivacyRequest,
    ReceivedEvent,
    Ticket,
)
from sav.operations import build_export, erase_person, link_guest_tickets
from sav.operations.effect_claims import claim_effects
from sav.operations.import_tickets import known_records
from sav.operations.privacy_requests import request_privacy
from sav.settings import Settings
from tests.actors.erasing import Workers, downloaded, erase
from tests.actors.hands.conftest import DeadQueue, dead_queue  # noqa: F401 - a fixture
from tests.factories.attachments import make_attachment
from tests.factories.guest_tickets import make_guest_ticket
from tests.factories.messages import make_message
from tests.factories.person import EMAIL, MARKER, OTHER, PERSON, forget_what_is_not_due, told
from tests.factories.tickets import make_ticket
from tests.plugins.desk import Api

STRANGER = 4_100_077
PROVEN = {"user_id": PERSON, "email": EMAIL, "email_verified": True}


def registered(workers: Workers, event_id: str = "r-1", **data: Any) -> None:
    told("user.registered", {**PROVEN, **data}, event_id=event_id)
    workers.run(HANDLE_RECEIVED_EVENT)


def meant_by(email: str) -> frozenset[int]:
    """The accounts for which an address stands."""
    return subject_named(user_id=None, email=email, accounts_by_email=True).user_ids


class TestByAnAddress:
    def test_a_stranger_who_has_typed_it_is_not_meant(self, api: Api, workers: Workers) -> None:
        theirs = api.customer(STRANGER, email=EMAIL, name="Sam Stranger").opened(subject="The stranger's")
        told("order.issue", {"order_id": 5, "user_id": STRANGER, "email": EMAIL}, event_id="e-1")
        workers.run(HANDLE_RECEIVED_EVENT)
        told("order.issue", {"order_id": 6, "user_id": STRANGER, "email": EMAIL}, event_id="e-2")
        asked = api.admin().post("/privacy/exports", {"email": EMAIL})
        workers.run(BUILD_EXPORT)
        archive = downloaded(api, asked.headers["location"])
        erase(api, workers, email=EMAIL)

        assert json.loads(archive.read("tickets.json")) == []
        assert json.loads(archive.read("received_events.json")) == []
        assert "Stranger" not in b"".join(archive.read(name) for name in archive.namelist()).decode()
        assert Ticket.get_by_id(theirs["id"]).subject == "The stranger's"
        assert Contact.get_by_id(STRANGER).name == "Sam Stranger"
        assert Ticket.select().where(Ticket.user_id == STRANGER).count() == 3, "nothing of theirs was lost"
        assert Message.select().where(Message.author_name == "[erased]").count() == 0

    @pytest.mark.parametrize(("verified", "meant"), [(True, {PERSON}), (False, set()), (None, set())])
    def test_only_who_has_verified_it_is_meant(
        self,
        workers: Workers,
        verified: bool | None,
        meant: set[int],
    ) -> None:
        registered(workers, email_verified=verified)
        assert meant_by(EMAIL.upper()) == meant

    def test_another_address_in_a_token_takes_no_verified_one_away(self, api: Api, workers: Workers) -> None:
        registered(workers)
        api.customer(PERSON, email="new@example.com").opened()
        for address, meant in ((EMAIL, {PERSON}), ("new@example.com", set())):
            assert meant_by(address) == meant

    def test_who_verifies_it_later_has_it_alone(self, workers: Workers) -> None:
        registered(workers)
        registered(workers, event_id="r-2", user_id=OTHER)
        assert meant_by(EMAIL) == {OTHER}

    def test_who_was_given_a_guests_tickets_under_it_is_meant_though_nobody_noted_that_it_is_theirs(
        self, api: Api, workers: Workers
    ) -> None:
        # As before migration 0044, or by hand.
        make_guest_ticket(user_id=PERSON, contact_email=EMAIL)
        api.customer(PERSON, email="new@example.com").opened(subject="Under another address")
        asked = api.admin().post("/privacy/exports", {"email": EMAIL})
        workers.run(BUILD_EXPORT)
        told_of = json.loads(downloaded(api, asked.headers["location"]).read("tickets.json"))
        assert {ticket["subject"] for ticket in told_of} == {"Lost parcel", "Under another address"}

    def test_who_has_verified_another_one_since_is_meant_by_the_first_too(self, workers: Workers) -> None:
        make_guest_ticket(contact_email=EMAIL)
        registered(workers)
        registered(workers, event_id="r-2", email="new@example.com")
        assert (meant_by(EMAIL), meant_by("new@example.com")) == ({PERSON}, {PERSON})

    def test_but_not_when_somebody_else_has_it_since(self, workers: Workers) -> None:
        make_guest_ticket(contact_email=EMAIL)
        registered(workers)
        registered(workers, event_id="r-2", user_id=OTHER)
        assert meant_by(EMAIL) == {OTHER}

    @pytest.mark.parametrize("address", ["jose@example.com", "josé@example.com"])
    def test_who_was_given_those_of_another_spelling_is_not(self, workers: Workers, address: str) -> None:
        make_guest_ticket(user_id=PERSON, contact_email=address)
        for asked in ("jose@example.com", "josé@example.com", "JOSE@example.com"):
            assert meant_by(asked) == ({PERSON} if asked.lower() == address else set())

    def test_what_whoever_links_by_hand_vouches_for_is_noted(self, api: Api) -> None:
        api.customer(PERSON, email=EMAIL).opened()
        assert meant_by(EMAIL) == set()
        link_guest_tickets.link_tickets_of(email=EMAIL, user_id=PERSON, now=datetime.now(UTC))
        assert meant_by(EMAIL) == {PERSON}
        for email, user_id in (("new@example.com", PERSON), (EMAIL, OTHER)):
            link_guest_tickets.link_tickets_of(email=email, user_id=user_id, now=datetime.now(UTC))
        assert meant_by(EMAIL) == {PERSON}, "an old file takes nothing back"
        assert Contact.select().count() == 1, "nothing is learned of an account that nobody has told of"


class TestByAnId:
    def test_what_was_told_under_a_verified_address_is_theirs(self, api: Api, workers: Workers) -> None:
        registered(workers)
        told("product.issue_reported", {"product_id": 1, "email": EMAIL, "description": "x"}, event_id="e-1")
        erase(api, workers, user_id=PERSON)
        assert {row.envelope for row in ReceivedEvent.select()} == {"{}"}

    def test_so_is_that_of_a_guests_ticket_which_was_linked(self, api: Api, workers: Workers) -> None:
        told("product.issue_reported", {"product_id": 1, "email": EMAIL, "description": "x"}, event_id="e-1")
        workers.run(HANDLE_RECEIVED_EVENT)
        guests = Ticket.get()
        link_guest_tickets.link_tickets_of(email=EMAIL, user_id=PERSON, now=datetime.now(UTC))
        forget_what_is_not_due()
        erase(api, workers, user_id=PERSON)
        assert Ticket.get_by_id(guests.id).subject == "[erased]"
        assert ReceivedEvent.get().envelope == "{}"

    def test_an_address_that_they_have_only_typed_is_not(self, api: Api, workers: Workers) -> None:
        api.customer(STRANGER, email=EMAIL).opened()
        make_ticket("closed", user_id=STRANGER, contact_email=EMAIL)
        told("product.issue_reported", {"product_id": 1, "email": EMAIL, "description": "x"}, event_id="e-1")
        forget_what_is_not_due()
        erase(api, workers, user_id=STRANGER)
        assert ReceivedEvent.get().envelope != "{}"
        assert Ticket.select().where(Ticket.contact_email == EMAIL, Ticket.user_id.is_null()).count() == 1


class TestBeside:
    @pytest.fixture
    def claim(self) -> Any:
        """That of somebody who was just linking when the erasure came."""
        told("user.registered", PROVEN, event_id="r-1")
        found = claim_effects(
            effect=HANDLE_RECEIVED_EVENT, owner="slow", now=datetime.now(UTC) + timedelta(days=1), limit=1
        )
        return found[0]

    def test_who_is_linking_learns_no_address_again(
        self,
        api: Api,
        workers: Workers,
        claim: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        guests = make_ticket("closed", user_id=None, contact_email=EMAIL)
        find = link_guest_tickets.guest_ticket_ids

        def find_and_be_overtaken(email: str) -> list[int]:
            found = find(email)
            erase(api, workers, user_id=PERSON, email=EMAIL)
            return found

        monkeypatch.setattr(link_guest_tickets, "guest_ticket_ids", find_and_be_overtaken)
        user = UserRegistered(user_id=PERSON, email=EMAIL, email_verified=True, name=f"Zoe {MARKER}")
        link_guest_tickets.link_guest_tickets(claim=claim, user=user, now=datetime.now(UTC), request_id=None)
        assert Contact.select().count() == 0
        assert Ticket.get_by_id(guests.id).user_id is None

    def test_nor_gets_tickets_of_an_address_that_was_not_named(
        self,
        api: Api,
        workers: Workers,
        claim: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        guests = make_ticket("closed", user_id=None, contact_email=EMAIL)
        find = link_guest_tickets.guest_ticket_ids

        def find_and_be_overtaken(email: str) -> list[int]:
            erase(api, workers, user_id=PERSON)
            return find(email)

        monkeypatch.setattr(link_guest_tickets, "guest_ticket_ids", find_and_be_overtaken)
        user = UserRegistered(user_id=PERSON, email=EMAIL, email_verified=True, name=None)
        link_guest_tickets.link_guest_tickets(claim=claim, user=user, now=datetime.now(UTC), request_id=None)
        assert Ticket.get_by_id(guests.id).user_id is None
        assert Contact.select().count() == 0

    def test_what_was_learned_while_it_was_at_work_is_forgotten(
        self,
        api: Api,
        workers: Workers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # The contact comes between the step that forgets contacts and the one that takes events away.
        told("user.registered", PROVEN, event_id="r-1")
        step = erase_person._STEPS["received"]

        def linked_first(*arguments: Any) -> bool:
            if not Contact.select().exists():
                Contact.create(user_id=PERSON, email=EMAIL, updated_at=datetime.now(UTC))
            return step(*arguments)

        monkeypatch.setattr(erase_person, "_STEPS", {**erase_person._STEPS, "received": linked_first})
        erase(api, workers, user_id=PERSON, email=EMAIL)
        assert Contact.select().count() == 0

    def test_nor_is_it_finished_while_there_is_a_contact(
        self,
        api: Api,
        workers: Workers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # After all that was looked for.
        find_tickets, came = erase_person.person_tickets, []

        def told_first(*arguments: Any, **named: Any) -> list[int]:
            if not came and PrivacyRequest.get().step == "conclude":
                came.append(Contact.create(user_id=PERSON, email=EMAIL, updated_at=datetime.now(UTC)))
            return find_tickets(*arguments, **named)

        monkeypatch.setattr(erase_person, "person_tickets", told_first)
        erase(api, workers, user_id=PERSON)
        assert (len(came), Contact.select().count()) == (1, 0)

    def test_an_archive_under_an_address_that_was_verified_since_goes_with_the_account(
        self, api: Api, workers: Workers
    ) -> None:
        make_guest_ticket(contact_email=EMAIL)
        export = api.admin().post("/privacy/exports", {"email": EMAIL})
        workers.run(BUILD_EXPORT)
        registered(workers)
        store: Any = api.desk.storage
        assert len(store.keys) == 1
        forget_what_is_not_due()
        erase(api, workers, user_id=PERSON)
        assert api.admin().get(export.headers["location"]).json["state"] == "expired"
        assert store.keys == []

    def _asked_for_both(self, api: Api) -> tuple[Any, Any]:
        export = api.admin().post("/privacy/exports", {"user_id": PERSON})
        return export, lambda: api.admin().post("/privacy/erasures", {"user_id": PERSON})

    def test_an_archive_that_was_just_brought_when_its_worker_died_is_gone_before_the_erasure_is_done(
        self,
        api: Api,
        workers: Workers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        store: Any = api.desk.storage
        export, ask = self._asked_for_both(api)
        put, erasures = store.put, []

        def put_late_and_die(key: str, *arguments: Any, **named: Any) -> None:
            erasures.append(ask().headers["location"])
            DueEffect.update(leased_until=None, lease_owner=None).where(
                DueEffect.effect == ERASE_PERSON
            ).execute()
            workers.effects[ERASE_PERSON]((0,))
            waiting = api.admin().get(erasures[0]).json
            assert (waiting["state"], waiting["step"]) == ("running", "conclude"), "it waits for the archive"
            put(key, *arguments, **named)
            raise KeyboardInterrupt

        monkeypatch.setattr(store, "put", put_late_and_die)
        with pytest.raises(KeyboardInterrupt):
            workers.run(BUILD_EXPORT)
        monkeypatch.undo()
        assert len(store.keys) == 1
        assert api.admin().get(f"{export.headers['location']}/download").json["code"] == "export_gone"
        workers.run()

        assert store.keys == []
        assert api.admin().get(erasures[0]).json["state"] == "finished"
        assert api.admin().get(export.headers["location"]).json["state"] == "expired"
        assert ExportPerson.select().count() == 0
        assert PrivacyRequest.select().where(PrivacyRequest.object_key.is_null(False)).count() == 0

    def test_an_archive_whose_worker_died_is_made_anew_and_the_first_one_is_no_more(
        self,
        api: Api,
        workers: Workers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        store: Any = api.desk.storage
        export, _ = self._asked_for_both(api)
        end = build_export._end

        def die(*_: Any) -> bool:
            raise KeyboardInterrupt

        monkeypatch.setattr(build_export, "_end", die)
        with pytest.raises(KeyboardInterrupt):
            workers.run(BUILD_EXPORT)
        monkeypatch.setattr(build_export, "_end", end)
        first = list(store.keys)
        workers.run()
        assert api.admin().get(export.headers["location"]).json["state"] == "finished"
        assert (len(first), len(store.keys)) == (1, 1)
        assert first != list(store.keys)


class TestDeadLetters:
    def test_those_that_somebody_is_reading_are_waited_for(
        self,
        api: Api,
        workers: Workers,
        dead_queue: DeadQueue,  # noqa: F811
        settings: Settings,
    ) -> None:
        dead_queue.declare()
        dead_queue.bury(json.dumps({"event": "no.such", "data": {"user_id": PERSON}}).encode(), "unknown")
        asked = api.admin().post("/privacy/erasures", {"user_id": PERSON})
        with DeadLetters(settings) as letters:
            assert len(list(letters.read())) == 1
            DueEffect.update(leased_until=None, lease_owner=None).execute()
            workers.effects[ERASE_PERSON]((0,))
            waiting = api.admin().get(asked.headers["location"]).json
            assert (waiting["state"], waiting["step"]) == ("running", "outside")
        workers.run()
        assert api.admin().get(asked.headers["location"]).json["counts"]["dead_letters"] == 1
        assert dead_queue.bodies() == []

    def test_one_that_its_reader_puts_back_beside_it_brings_nothing_back(
        self,
        api: Api,
        workers: Workers,
        dead_queue: DeadQueue,  # noqa: F811
        settings: Settings,
    ) -> None:
        dead_queue.declare()
        asked = api.admin().post("/privacy/erasures", {"user_id": PERSON})
        with DeadLetters(settings) as letters:
            assert list(letters.read()) == []
            for _ in range(3):
                DueEffect.update(leased_until=None, lease_owner=None).execute()
                workers.effects[ERASE_PERSON]((0,))
            assert PrivacyRequest.get().step == "outside", "it waits for whoever reads"
            # What they had taken out is in the service's own queue again, and handled.
            registered(workers)
            assert Contact.get_by_id(PERSON).email == EMAIL
        workers.run()
        assert api.admin().get(asked.headers["location"]).json["state"] == "finished"
        assert Contact.select().count() == 0
        assert [row.envelope for row in ReceivedEvent.select()] == ["{}"]

    def test_two_do_not_read_at_once(self, dead_queue: DeadQueue, settings: Settings) -> None:  # noqa: F811
        dead_queue.declare()
        with DeadLetters(settings) as first, DeadLetters(settings) as second:
            assert (list(first.read()), list(first.read())) == ([], [])
            with pytest.raises(LettersBeingRead):
                list(second.read())
            assert second.count() == 0


def test_it_keeps_its_lease_while_it_looks_outside(api: Api, workers: Workers) -> None:
    signs = []

    def slowly(subject: Any, ticket_ids: frozenset[int], go_on: Any) -> dict[str, int]:
        token = DueEffect.effect == ERASE_PERSON
        for _ in range(3):
            clock.forward(seconds=20)
            go_on()
            signs.append(DueEffect.get(token).leased_until - clock.now)
        return {}

    clock = api.clock
    clock.now = datetime.now(UTC)
    api.admin().post("/privacy/erasures", {"user_id": PERSON})
    claim = claim_effects(effect=ERASE_PERSON, owner="me", now=clock.now + timedelta(days=1), limit=1)[0]
    eraser = erase_person.Eraser(store=api.desk.storage, clock=clock, traces=slowly)
    while PrivacyRequest.get().state != "finished":
        DueEffect.update(lease_owner="me", leased_until=None).where(
            DueEffect.effect == ERASE_PERSON
        ).execute()
        erase_person.erase_person(claim, eraser=eraser)
    assert len(signs) == 3
    assert min(signs) > timedelta(seconds=20)


def test_a_former_systems_id_goes_and_the_ticket_does_not_come_back(api: Api, workers: Workers) -> None:
    ticket = make_ticket("closed", user_id=PERSON)
    record = {"origin": "old-desk", "external_id": EMAIL, "fingerprint": "f" * 64, "ticket_id": ticket.id}
    ImportedTicket.insert(**record, imported_at=datetime.now(UTC)).execute()
    for _ in range(2):
        erase(api, workers, user_id=PERSON)
        Ticket.update(user_id=PERSON).where(Ticket.id == ticket.id).execute()
    assert MARKER not in ImportedTicket.get().external_id
    known = known_records([EMAIL, "another"], origin="old-desk")
    assert {name: row.ticket_id for name, row in known.items()} == {EMAIL: ticket.id}
    assert known_records([EMAIL], origin="another-desk") == {}


def test_what_they_have_read_as_staff_is_forgotten_and_what_others_have_read_is_not(
    api: Api, workers: Workers
) -> None:
    ticket = make_ticket("assigned", user_id=OTHER)
    make_message(ticket, user_id=OTHER)
    path = f"/tickets/{ticket.id}"
    for reader in (PERSON, 98):
        api.admin(reader).post(f"{path}/messages/mark-all-read")
    seen = [api.admin(reader).get(path).json for reader in (PERSON, 98)]
    counts = erase(api, workers, user_id=PERSON)["counts"]
    assert counts["receipts_elsewhere"] == 1
    assert [row.reader_id for row in MessageReceipt.select()] == [98]
    assert [api.admin(reader).get(path).json["version"] for reader in (PERSON, 98)] == [
        each["version"] for each in seen
    ], "nobody's If-Match breaks"
    assert api.admin(98).get(f"{path}/messages/unread-count").json == {"count": 0}


def test_which_admin_has_asked_goes_with_the_admin(api: Api, workers: Workers) -> None:
    for admin in (PERSON, 98):
        api.admin(admin).post("/privacy/erasures", {"user_id": 100 + admin})
    workers.run()
    erase(api, workers, user_id=PERSON)
    assert [row.requested_by for row in PrivacyRequest.select().order_by(PrivacyRequest.id)] == [None, 98, 99]


class TestExport:
    def test_holds_mails_about_others_without_what_they_were_about(self, api: Api, workers: Workers) -> None:
        Agent.create(
            user_id=PERSON, email=EMAIL, capacity=1, categories=[], created_at=api.clock.now,
            updated_at=api.clock.now,
        )  # fmt: skip
        mine, others = make_ticket("closed", user_id=PERSON), make_ticket("closed", user_id=OTHER)
        for number, (ticket, kind, recipient) in enumerate(
            [
                (others, "assigned", EMAIL.upper()),
                (others, "reply", "other@example.com"),
                (mine, "reply", EMAIL),
            ]
        ):
            MailDelivery.create(
                message_id=f"{number}@x", ticket_id=ticket.id, sequence=number, kind=kind,
                recipient=recipient, recipient_name="Somebody", locale="fr", state="sent",
                due_at=api.clock.now, updated_at=api.clock.now,
            )  # fmt: skip
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
        workers.run(BUILD_EXPORT)
        mails = json.loads(downloaded(api, asked.headers["location"]).read("mails.json"))
        assert [(mail["kind"], mail.get("ticket_id"), mail.get("recipient_name")) for mail in mails] == [
            ("reply", mine.id, "Somebody"),
            ("assigned", None, None),
        ]

    def test_holds_what_they_have_read_and_not_what_others_have(self, api: Api, workers: Workers) -> None:
        ticket = make_ticket("closed", user_id=PERSON)
        message = make_message(ticket, user_id=7)
        for reader in (PERSON, 7):
            MessageReceipt.create(
                message_id=message.id, reader_id=reader, ticket_id=ticket.id, read_at=api.clock.now
            )
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
        workers.run(BUILD_EXPORT)
        read = json.loads(downloaded(api, asked.headers["location"]).read("receipts.json"))
        assert [(row["ticket_id"], row["message_id"]) for row in read] == [(ticket.id, message.id)]

    def test_holds_when_they_have_worked_as_staff_and_not_on_what(self, api: Api, workers: Workers) -> None:
        mine, others = make_ticket("closed", user_id=PERSON), make_ticket("closed", user_id=OTHER)
        staff: dict[str, Any] = {"user_id": PERSON, "author_role": "agent", "author_name": "Zoe"}
        for ticket in (mine, others):
            message = make_message(ticket, **staff, content="Of the other one.")
            make_message(ticket, user_id=OTHER)
            make_attachment(ticket, user_id=PERSON, file_name="of-the-other-one.txt", state="pending")
            for reader in (PERSON, OTHER):
                MessageReceipt.create(
                    message_id=message.id, reader_id=reader, ticket_id=ticket.id, read_at=api.clock.now
                )
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
        workers.run(BUILD_EXPORT)
        text = downloaded(api, asked.headers["location"]).read("work.json").decode()
        assert [
            (row["kind"], row.get("user_id", row.get("reader_id")), row.get("author_name"))
            for row in json.loads(text)
        ] == [("message", PERSON, "Zoe"), ("receipt", PERSON, None), ("attachment", PERSON, None)]
        assert "ticket_id" not in text
        assert "other one" not in text
        assert "other-one" not in text

    @pytest.fixture
    def log_lines(self) -> Iterator[list[Any]]:
        with structlog.testing.capture_logs() as lines:
            yield lines

    def test_the_log_says_who_got_the_archive(
        self,
        api: Api,
        workers: Workers,
        log_lines: list[Any],
    ) -> None:
        asked = api.admin().post("/privacy/exports", {"user_id": PERSON})
        workers.run(BUILD_EXPORT)
        api.admin(98).get(f"{asked.headers['location']}/download")
        api.agent(7).get(f"{asked.headers['location']}/download")
        given = [line for line in log_lines if line.get("action") == "download_export"]
        assert [(line["user_id"], line["export_id"]) for line in given] == [(98, asked.json["id"])]


def test_two_admins_who_erase_each_other_at_once_do_not_get_stuck(api: Api, workers: Workers) -> None:
    """Each takes who asked out of the other's request."""
    requests = [
        request_privacy(
            kind="erasure",
            occasion=Occasion(SYSTEM, datetime.now(UTC)),
            user_id=user_id,
            email=None,
            source="script",
        )
        for user_id in (PERSON, OTHER)
    ]
    ids = [request.id for request in requests]
    PrivacyRequest.update(requested_by=PERSON).where(PrivacyRequest.id == ids[1]).execute()
    PrivacyRequest.update(requested_by=OTHER).where(PrivacyRequest.id == ids[0]).execute()
    DueEffect.update(leased_until=None).execute()
    threads = [threading.Thread(target=workers.effects[ERASE_PERSON], args=((0,),)) for _ in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    workers.run()
    assert {row.state for row in PrivacyRequest.select()} == {"finished"}
    assert {row.requested_by for row in PrivacyRequest.select()} == {None}
