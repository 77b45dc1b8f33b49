"""Files that wait for the virus scanner: seen, served to nobody, passed or refused; with a real clamd."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from falcon.testing import TestClient

from sav.actors.owed_effects import do_owed_effects
from sav.domain.effects import NOTIFY, REMOVE_OBJECTS, SCAN_ATTACHMENT
from sav.http.app import create_app
from sav.models.tables import Attachment, DueEffect, Event
from sav.operations.effect_claims import claim_effects
from sav.operations.remove_objects import remove_objects
from sav.operations.scan_attachment import scan_attachment
from sav.queries.pipeline_health import pipeline_health
from sav.storage.virus_scanner import Clamd, NoScanner, VirusScanner
from tests.factories.files import EICAR
from tests.factories.forms import PNG, form, text_of
from tests.http.problems import problem
from tests.plugins.desk import Api, Shelf
from tests.servers.clamd import SIGNATURE, STREAM_LIMIT_BYTES, PrivateClamd
from tests.servers.ports import LOOPBACK

NOW = datetime(2026, 3, 29, 10, 31, tzinfo=UTC)
FOUND = f"{SIGNATURE}.UNOFFICIAL"


@pytest.fixture
def desk(api: Api) -> Api:
    """The HTTP tier of a desk that has a virus scanner."""
    strict = dataclasses.replace(api.desk, arrival="quarantined")
    return Api(TestClient(create_app(strict)), strict, api.clock)


@pytest.fixture
def shelf(desk: Api) -> Shelf:
    assert isinstance(desk.desk.storage, Shelf)
    return desk.desk.storage


@pytest.fixture
def scanner(clamd: PrivateClamd) -> Clamd:
    clamd.start()
    return Clamd(host=LOOPBACK, port=clamd.port)


class Workers:
    """Do all that is owed and due, as often as they are asked."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def work(self, scanner: VirusScanner) -> None:
        effects = {
            SCAN_ATTACHMENT: partial(scan_attachment, scanner=scanner, store=self._shelf, now=NOW),
            REMOVE_OBJECTS: partial(remove_objects, store=self._shelf),
        }
        while due := self._due():
            for token in due:
                do_owed_effects(token.effect, effects[token.effect], ticket_ids=[token.ticket_id])

    def _due(self) -> list[DueEffect]:
        now = datetime.now(UTC)
        return [
            token
            for token in DueEffect.select().where(DueEffect.effect.in_([SCAN_ATTACHMENT, REMOVE_OBJECTS]))
            if token.leased_until is None or token.leased_until <= now
        ]


@pytest.fixture
def workers(shelf: Shelf) -> Workers:
    return Workers(shelf)


class During(VirusScanner):
    """A scanner that finds what it is told to, and while it scans something else happens."""

    def __init__(self, happening: Callable[[], Any], *, finds: str | None) -> None:
        self._happening, self._finds = happening, finds

    def find_virus(self, chunks: Iterable[bytes]) -> str | None:
        assert list(chunks)
        self._happening()
        return self._finds


def attached(caller: Api, ticket: int, name: str = "parcel.png", content: bytes = PNG, **fields: Any) -> str:
    """The path of a new file."""
    answer = caller.post(f"/tickets/{ticket}/attachments", **form(("file", name, content), **fields))
    assert answer.status_code == 201, answer.text
    return f"/tickets/{ticket}/attachments/{answer.json['id']}"


@pytest.fixture
def ticket(desk: Api) -> int:
    return int(desk.customer().opened()["id"])


def facts(ticket: int) -> list[str]:
    query = Event.select(Event.name).where(Event.ticket_id == ticket).order_by(Event.sequence)
    return [event.name.removeprefix("ticket.") for event in query]


def everybody(desk: Api) -> Iterator[Api]:
    yield from (desk.customer(), desk.agent(), desk.admin())


def assert_served(desk: Api, path: str) -> None:
    for caller in everybody(desk):
        assert caller.get(f"{path}/download").status_code == 302
        assert caller.get(path).json["file_url"]
        assert caller.get(path).json["state"] == "available"


def assert_waiting(desk: Api, path: str) -> None:
    for caller in everybody(desk):
        for query in ("", "redirect=false", "redirect=true"):
            problem(caller.get(f"{path}/download", query_string=query), 409, "attachment_quarantined")
        document = caller.get(path).json
        assert document["state"] == "quarantined"
        assert document["file_url"] is None


def assert_gone(desk: Api, path: str) -> None:
    for caller in everybody(desk):
        problem(caller.get(path), 404, "not_found")
        problem(caller.get(f"{path}/download"), 404, "not_found")
        assert caller.get(path.rpartition("/")[0]).json["data"] == []


def test_without_a_scanner_files_are_served_at_once(api: Api) -> None:
    ticket = api.customer().opened()["id"]
    assert_served(api, attached(api.customer(), ticket))
    assert facts(ticket) == ["created", "attachment.added"]
    assert not DueEffect.select().where(DueEffect.effect == SCAN_ATTACHMENT).exists()


def test_a_file_in_quarantine_is_seen_and_served_to_nobody(desk: Api, ticket: int, shelf: Shelf) -> None:
    path = attached(desk.customer(), ticket)
    assert_waiting(desk, path)
    assert desk.customer().get(f"/tickets/{ticket}").json["attachments"][0]["state"] == "quarantined"
    assert desk.customer().get(f"/tickets/{ticket}/attachments").json["data"][0]["state"] == "quarantined"
    assert len(shelf.keys) == 1
    assert facts(ticket) == ["created", "attachment.added", "attachment.quarantined"]
    # What `/metrics` shows as the effects that are owed.
    assert pipeline_health(now=datetime.now(UTC)).effects[SCAN_ATTACHMENT].owed == 1


def test_a_clean_file_passes(desk: Api, ticket: int, workers: Workers, scanner: Clamd) -> None:
    path = attached(desk.customer(), ticket)
    before = desk.customer().get(f"/tickets/{ticket}").headers["ETag"]
    workers.work(scanner)
    assert_served(desk, path)
    assert facts(ticket)[2:] == ["attachment.quarantined", "attachment.passed"]
    assert desk.customer().get(f"/tickets/{ticket}").headers["ETag"] != before


def test_a_virus_is_refused_and_goes(
    desk: Api, ticket: int, workers: Workers, scanner: Clamd, shelf: Shelf
) -> None:
    path = attached(desk.customer(), ticket, "invoice.txt", b"pay here\n" + EICAR)
    workers.work(scanner)
    assert_gone(desk, path)
    assert shelf.keys == []
    assert not Attachment.select().exists()
    refused = desk.agent().get(f"/tickets/{ticket}/history").json["data"][-1]
    assert refused["event"] == "ticket.attachment.refused"
    assert refused["data"]["virus"] == FOUND
    assert refused["changes"] == {"file_name": {"from": "invoice.txt", "to": None}}
    assert refused["actor_role"] == "system"
    told = DueEffect.get(DueEffect.effect == NOTIFY, DueEffect.sequence == refused["sequence"])
    assert told.ticket_id == ticket


def test_of_several_files_only_the_virus_goes(
    desk: Api, ticket: int, workers: Workers, scanner: Clamd, shelf: Shelf
) -> None:
    files = [("files", f"{number}.txt", text_of(100 + number)) for number in range(3)]
    sent = form(*files, ("files", "evil.txt", EICAR))
    answer = desk.customer().post(f"/tickets/{ticket}/attachments/multiple", **sent)
    assert answer.status_code == 201
    assert {file["state"] for file in answer.json["data"]} == {"quarantined"}
    workers.work(scanner)
    left = desk.customer().get(f"/tickets/{ticket}/attachments").json["data"]
    assert [(file["file_name"], file["state"]) for file in left] == [
        (f"{number}.txt", "available") for number in range(3)
    ]
    assert len(shelf.keys) == 3


def test_without_its_scanner_a_file_waits_and_then_passes(
    desk: Api, ticket: int, workers: Workers, clamd: PrivateClamd, scanner: Clamd
) -> None:
    clamd.stop()
    path = attached(desk.customer(), ticket)
    workers.work(scanner)
    assert_waiting(desk, path)
    token = DueEffect.get(DueEffect.effect == SCAN_ATTACHMENT)
    assert (token.tries, token.last_error, token.failed_at) == (1, "ScannerUnavailable", None)
    clamd.start()
    DueEffect.update(leased_until=None).execute()
    workers.work(Clamd(host=LOOPBACK, port=clamd.port))
    assert_served(desk, path)


def test_a_worker_without_a_scanner_passes_nothing(desk: Api, ticket: int, workers: Workers) -> None:
    path = attached(desk.customer(), ticket)
    workers.work(NoScanner())
    assert_waiting(desk, path)


def test_a_file_that_is_too_long_for_the_scanner_waits(
    desk: Api, ticket: int, workers: Workers, scanner: Clamd
) -> None:
    path = attached(desk.customer(), ticket, "a.log", text_of(STREAM_LIMIT_BYTES + 1))
    workers.work(scanner)
    assert_waiting(desk, path)


@pytest.mark.parametrize("damage", ["away", "gone", "short"])
def test_a_file_that_cannot_be_read_waits(
    desk: Api, ticket: int, workers: Workers, scanner: Clamd, shelf: Shelf, damage: str
) -> None:
    path = attached(desk.customer(), ticket, "a.txt", b"hello")
    match damage:
        case "away":
            shelf.is_there = False
        case "gone":
            shelf.delete(shelf.keys[0])
        case "short":
            Attachment.update(file_size=6).execute()
    workers.work(scanner)
    shelf.is_there = True
    assert_waiting(desk, path)
    assert DueEffect.get(DueEffect.effect == SCAN_ATTACHMENT).last_error == "StorageUnavailable"


def test_a_note_s_file_stays_hidden_from_customers(desk: Api, workers: Workers, scanner: Clamd) -> None:
    ticket = desk.customer().opened()["id"]
    note = {"content": "for us", "is_internal": True}
    message = desk.agent().post(f"/tickets/{ticket}/messages", note).json["id"]
    path = attached(desk.agent(), ticket, message_id=message)
    for _ in range(2):
        problem(desk.customer().get(path), 404, "not_found")
        problem(desk.customer().get(f"{path}/download"), 404, "not_found")
        workers.work(scanner)
    assert desk.agent().get(f"{path}/download").status_code == 302


@pytest.mark.parametrize("finds", [None, FOUND])
def test_a_file_deleted_while_it_is_scanned_stays_deleted(
    desk: Api, ticket: int, workers: Workers, shelf: Shelf, finds: str | None
) -> None:
    path = attached(desk.customer(), ticket)
    workers.work(During(lambda: desk.customer().delete(path), finds=finds))
    assert_gone(desk, path)
    assert shelf.keys == []
    assert facts(ticket)[-1] == "attachment.deleted"
    assert not DueEffect.select().where(DueEffect.effect == SCAN_ATTACHMENT).exists()


def test_a_file_deleted_before_its_scan_is_not_scanned(
    desk: Api, ticket: int, workers: Workers, shelf: Shelf
) -> None:
    path = attached(desk.customer(), ticket)
    desk.customer().delete(path)

    def never() -> None:
        raise AssertionError

    workers.work(During(never, finds=None))
    assert shelf.keys == []
    assert not DueEffect.select().where(DueEffect.effect == SCAN_ATTACHMENT).exists()


@pytest.mark.parametrize(("finds", "keys_left"), [(None, 1), (FOUND, 0)])
def test_the_virus_of_a_ticket_that_was_deleted_goes_too(
    desk: Api, ticket: int, workers: Workers, shelf: Shelf, finds: str | None, keys_left: int
) -> None:
    path = attached(desk.customer(), ticket)
    workers.work(During(lambda: desk.admin().delete(f"/tickets/{ticket}"), finds=finds))
    problem(desk.admin().get(path), 404, "not_found")
    assert len(shelf.keys) == keys_left
    assert facts(ticket)[-1] == "deleted"
    assert not DueEffect.select().where(DueEffect.effect == SCAN_ATTACHMENT).exists()


@pytest.mark.parametrize("finds", [None, FOUND])
def test_of_two_who_scan_the_same_file_the_first_decides(
    desk: Api, ticket: int, shelf: Shelf, finds: str | None
) -> None:
    attached(desk.customer(), ticket)
    (claim,) = claim_effects(
        effect=SCAN_ATTACHMENT, ticket_ids=[ticket], owner="first", now=desk.clock(), limit=1
    )
    other = dataclasses.replace(claim, owner="second")

    def scan(with_claim: Any, scanner: VirusScanner) -> None:
        scan_attachment(with_claim, scanner=scanner, store=shelf, now=desk.clock())

    def overtaken() -> None:
        scan(other, During(lambda: None, finds=finds))

    scan(claim, During(overtaken, finds=None if finds else FOUND))
    conclusion = "attachment.refused" if finds else "attachment.passed"
    assert [name for name in facts(ticket) if name in ("attachment.passed", "attachment.refused")] == [
        conclusion
    ]
    assert not DueEffect.select().where(DueEffect.effect == SCAN_ATTACHMENT).exists()
    # A message that comes again finds nothing to do.
    scan(claim, During(lambda: None, finds=FOUND))
    assert facts(ticket)[-1] == conclusion
