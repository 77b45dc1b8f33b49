"""Files of a ticket: attached, listed, downloaded, deleted."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from falcon.testing import Result

from sav.actors.owed_effects import do_owed_effects
from sav.domain.effects import REMOVE_OBJECTS
from sav.models.tables import Attachment, DueEffect, Event
from sav.operations.remove_objects import remove_objects
from tests.factories.forms import PDF, PNG, TEXT, form, text_of
from tests.http.problems import nothing_changes, problem
from tests.plugins.desk import MAXIMUM_FILE_BYTES, Api, Clock, Shelf


@pytest.fixture
def shelf(api: Api) -> Shelf:
    assert isinstance(api.desk.storage, Shelf)
    return api.desk.storage


@pytest.fixture
def files(api: Api) -> str:
    """The path of the files of a new ticket of customer 1."""
    return f"/tickets/{api.customer().opened()['id']}/attachments"


def attached(caller: Api, path: str, name: str = "parcel.png", content: bytes = PNG, **fields: Any) -> Any:
    answer = caller.post(path, **form(("file", name, content), **fields))
    assert answer.status_code == 201, answer.text
    return answer.json


def follow(api: Api, url: str, **headers: str) -> Result:
    """What a browser gets that goes to a link, with nothing but the link."""
    parts = urlsplit(url)
    return api.client.simulate_get(parts.path, query_string=parts.query, headers=headers)


def remove_what_is_owed(shelf: Shelf) -> None:
    for owed in list(DueEffect.select().where(DueEffect.effect == REMOVE_OBJECTS)):
        do_owed_effects(
            REMOVE_OBJECTS, lambda claim: remove_objects(claim, store=shelf), ticket_ids=[owed.ticket_id]
        )


# --- Attaching --------------------------------------------------------------------------------------------


def test_a_file_is_attached(api: Api, files: str, shelf: Shelf) -> None:
    answer = api.customer().post(files, **form(("file", "Mein Paket.png", PNG)))
    assert answer.status_code == 201
    document = answer.json
    ticket_id = int(files.split("/")[2])
    assert document == {
        "id": document["id"],
        "ticket_id": ticket_id,
        "message_id": None,
        "user_id": 1,
        "file_name": "Mein Paket.png",
        "file_type": "png",
        "file_size": len(PNG),
        "mime_type": "image/png",
        "state": "available",
        "created_at": "2026-03-29T10:30:00.000000Z",
        "updated_at": "2026-03-29T10:30:00.000000Z",
    }
    assert answer.headers["Location"] == f"{files}/{document['id']}"
    assert shelf.keys == [f"tickets/{ticket_id}/{document['id']}/Mein_Paket.png"]
    assert Attachment.get().state == "available"
    assert api.customer().get(files).json["data"] == [document]
    assert api.customer().get(f"/tickets/{ticket_id}").json["attachments"] == [document]


def test_several_files_are_attached_in_their_order(api: Api, files: str, shelf: Shelf) -> None:
    sent = form(("files", "a.png", PNG), ("files", "b.pdf", PDF), ("file", "c.log", TEXT))
    answer = api.customer().post(f"{files}/multiple", **sent)
    assert answer.status_code == 201, answer.text
    assert [file["file_name"] for file in answer.json["data"]] == ["a.png", "b.pdf", "c.log"]
    assert [file["file_type"] for file in answer.json["data"]] == ["png", "pdf", "log"]
    assert answer.headers["Location"] == files
    assert len(shelf.keys) == 3
    assert api.customer().get(files).json["data"] == answer.json["data"]


def test_ten_files_are_taken_and_eleven_are_not(api: Api, files: str, shelf: Shelf) -> None:
    parts = [("files", f"{number}.txt", TEXT) for number in range(11)]
    with nothing_changes():
        found = problem(api.customer().post(f"{files}/multiple", **form(*parts)), 422, "invalid", ["files"])
    assert found["errors"][0]["code"] == "too_many_files"
    assert shelf.keys == []
    assert api.customer().post(f"{files}/multiple", **form(*parts[:10])).status_code == 201
    assert len(shelf.keys) == 10


def test_a_file_as_large_as_allowed(api: Api, files: str, shelf: Shelf) -> None:
    document = attached(api.customer(), files, "large.txt", text_of(MAXIMUM_FILE_BYTES))
    assert document["file_size"] == MAXIMUM_FILE_BYTES
    url = api.customer().get(f"{files}/{document['id']}").json["file_url"]
    assert follow(api, url).content == text_of(MAXIMUM_FILE_BYTES)


def test_a_file_may_hang_on_a_message(api: Api, files: str) -> None:
    customer, ticket = api.customer(), files.removesuffix("/attachments")
    message = customer.post(f"{ticket}/messages", {"content": "See the picture."}).json["id"]
    other = customer.post(f"{ticket}/messages", {"content": "And?"}).json["id"]
    document = attached(customer, files, message_id=message)
    assert document["message_id"] == message
    assert customer.get(f"{files}/message/{message}").json["data"] == [document]
    assert customer.get(f"{files}/message/{other}").json["data"] == []
    assert customer.get(f"{files}/message/{other + 100}").status_code == 404


@pytest.mark.parametrize("which", ["absent", "another ticket's", "deleted", "a note"])
def test_a_message_that_is_not_there_for_the_caller(api: Api, files: str, shelf: Shelf, which: str) -> None:
    customer, admin, ticket = api.customer(), api.admin(), files.removesuffix("/attachments")
    messages = f"{ticket}/messages"
    match which:
        case "absent":
            message = 4711
        case "another ticket's":
            other = f"/tickets/{customer.opened()['id']}/messages"
            message = customer.post(other, {"content": "Other."}).json["id"]
        case "deleted":
            message = customer.post(messages, {"content": "Gone."}).json["id"]
            customer.delete(f"{messages}/{message}")
        case _:
            message = admin.post(messages, {"content": "Note.", "is_internal": True}).json["id"]
    with nothing_changes():
        answer = customer.post(files, **form(("file", "a.png", PNG), message_id=message))
        problem(answer, 422, "no_such_message", ["message_id"])
    assert shelf.keys == []


def test_what_is_attached_is_in_the_history_and_in_no_event(api: Api, files: str) -> None:
    document = attached(api.customer(), files)
    event = Event.select().order_by(Event.id.desc()).get()
    assert event.name == "ticket.attachment.added"
    assert event.published_sequence is None
    assert event.data["attachment_id"] == document["id"]
    history = api.admin().get(f"{files.removesuffix('/attachments')}/history").json["data"]
    assert history[-1]["changes"] == {"file_name": {"from": None, "to": "parcel.png"}}


def test_a_closed_ticket_takes_files_of_staff_alone(api: Api, files: str, shelf: Shelf) -> None:
    ticket = files.removesuffix("/attachments")
    api.customer().post(f"{ticket}/close")
    with nothing_changes():
        problem(api.customer().post(files, **form(("file", "a.png", PNG))), 409, "ticket_closed")
        several = form(("files", "a.png", PNG))
        problem(api.customer().post(f"{files}/multiple", **several), 409, "ticket_closed")
    attached(api.admin(), files)
    assert len(shelf.keys) == 1


# --- Internal files ---------------------------------------------------------------------------------------


def test_a_file_on_a_note_is_for_staff_alone(api: Api, files: str) -> None:
    customer, admin, ticket = api.customer(), api.admin(), files.removesuffix("/attachments")
    note = admin.post(f"{ticket}/messages", {"content": "Look.", "is_internal": True}).json["id"]
    shown = attached(customer, files, "shown.png")
    hidden = attached(admin, files, "hidden.png", message_id=note)

    def seen(caller: Api) -> list[list[str]]:
        lists = (caller.get(files).json["data"], caller.get(ticket).json["attachments"])
        return [[file["file_name"] for file in documents] for documents in lists]

    assert seen(admin) == [["shown.png", "hidden.png"]] * 2
    assert seen(customer) == [["shown.png"]] * 2
    total = {"query_string": "include_total=true"}
    assert customer.get(files, **total).json["meta"]["total"] == 1
    for path in (f"{files}/{hidden['id']}", f"{files}/{hidden['id']}/download", f"{files}/message/{note}"):
        assert admin.get(path).status_code in (200, 302), path
        problem(customer.get(path), 404, "not_found")
    with nothing_changes():
        problem(customer.delete(f"{files}/{hidden['id']}"), 404, "not_found")
    assert customer.get(f"{files}/{shown['id']}").status_code == 200


def test_a_deleted_message_hides_its_files_from_everybody(api: Api, files: str) -> None:
    customer, ticket = api.customer(), files.removesuffix("/attachments")
    message = customer.post(f"{ticket}/messages", {"content": "Oops."}).json["id"]
    document = attached(customer, files, message_id=message)
    customer.delete(f"{ticket}/messages/{message}")
    for caller in (customer, api.admin()):
        assert caller.get(files).json["data"] == []
        assert caller.get(ticket).json["attachments"] == []
        for path in (f"{files}/{document['id']}", f"{files}/message/{message}"):
            problem(caller.get(path), 404, "not_found")


# --- Going to a file --------------------------------------------------------------------------------------


def test_a_download_leads_to_the_file(api: Api, files: str, clock: Clock) -> None:
    document = attached(api.customer(), files, "Rückgabe é.csv", b"a,b\n1,2\n3,4\n")
    path = f"{files}/{document['id']}/download"
    redirect = api.customer().get(path)
    assert redirect.status_code == 302
    told = api.customer().get(path, query_string="redirect=false")
    assert told.status_code == 200
    assert told.json == {"url": redirect.headers["Location"], "expires_at": "2026-03-29T11:30:00.000000Z"}
    assert told.json["url"].startswith("http://files.example/files/tickets/")
    assert api.customer().get(f"{files}/{document['id']}").json["file_url"] == told.json["url"]

    file = follow(api, told.json["url"])
    assert file.status_code == 200
    assert file.content == b"a,b\n1,2\n3,4\n"
    assert file.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    disposition = file.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="R_ckgabe _.csv"; ')
    assert disposition.endswith("filename*=UTF-8''R%C3%BCckgabe%20%C3%A9.csv")
    assert file.headers["Content-Length"] == "12"
    assert file.headers["Accept-Ranges"] == "bytes"


def test_a_link_expires_after_an_hour(api: Api, files: str, clock: Clock) -> None:
    document = attached(api.customer(), files)
    url = api.customer().get(f"{files}/{document['id']}").json["file_url"]
    clock.forward(minutes=59, seconds=59)
    assert follow(api, url).status_code == 200
    clock.forward(seconds=1)
    problem(follow(api, url), 403, "invalid_link")


def tampered(url: str) -> Iterator[str]:
    yield url.split("?")[0]
    yield url[:-1] + ("0" if url[-1] != "0" else "1")
    yield url + "&more=1"
    yield url.replace("expires=1", "expires=2")
    yield url.replace("expires=", "expires=%20")
    yield url.replace("type=image", "type=text")
    yield url.replace("name=parcel", "name=virus")
    yield url.replace("/parcel.png", "/other.png")
    yield url.replace("/parcel.png", "/../../../../etc/passwd")
    yield url.replace("/parcel.png", "/%2e%2e/%2e%2e/link_secret")
    yield url.split("&signature=")[0] + "&signature="
    yield url.split("&signature=")[0] + "&signature=%C3%A9"
    yield url.replace("&signature=", "&signature=x&signature=")


def test_a_link_that_was_changed_opens_nothing(api: Api, files: str) -> None:
    document = attached(api.customer(), files)
    url = api.customer().get(f"{files}/{document['id']}").json["file_url"]
    changed = list(tampered(url))
    assert url not in changed
    for other in changed:
        problem(follow(api, other), 403, "invalid_link")
    assert follow(api, url).status_code == 200


def test_a_part_of_a_file(api: Api, files: str) -> None:
    document = attached(api.customer(), files, "digits.txt", b"0123456789")
    url = api.customer().get(f"{files}/{document['id']}").json["file_url"]
    for wanted, content, place in (
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=-20", b"0123456789", "bytes 0-9/10"),
        ("bytes=9-999", b"9", "bytes 9-9/10"),
    ):
        part = follow(api, url, Range=wanted)
        found = (part.status_code, part.content, part.headers["Content-Range"])
        assert found == (206, content, place), wanted
        assert part.headers["Content-Length"] == str(len(content))
    for ignored in ("bytes=0-1,3-4", "lines=1-2", "bytes=5-1", "bytes=-", "nonsense"):
        whole = follow(api, url, Range=ignored)
        assert (whole.status_code, whole.content) == (200, b"0123456789"), ignored
    assert follow(api, url, Range="bytes=0-1", **{"If-Range": '"x"'}).status_code == 200
    for beyond in ("bytes=10-", "bytes=10-12", "bytes=-0"):
        refused = follow(api, url, Range=beyond)
        problem(refused, 416, "range_not_satisfiable")
        assert refused.headers["Content-Range"] == "bytes */10"


# --- Deleting ---------------------------------------------------------------------------------------------


def test_a_deleted_file_is_gone_at_once_and_its_object_soon(api: Api, files: str, shelf: Shelf) -> None:
    customer = api.customer()
    document, other = attached(customer, files), attached(customer, files, "other.png")
    path = f"{files}/{document['id']}"
    assert customer.delete(path).json == {"message": "The attachment was deleted."}
    assert customer.get(files).json["data"] == [other]
    for gone in (customer.get(path), customer.get(f"{path}/download"), customer.delete(path)):
        problem(gone, 404, "not_found")
    event = Event.select().order_by(Event.id.desc()).get()
    assert (event.name, event.data["attachment_id"]) == ("ticket.attachment.deleted", document["id"])

    assert len(shelf.keys) == 2
    remove_what_is_owed(shelf)
    assert shelf.keys == [f"{files[1:].removesuffix('/attachments')}/{other['id']}/other.png"]
    assert [row.id for row in Attachment.select()] == [other["id"]]
    assert DueEffect.select().where(DueEffect.effect == REMOVE_OBJECTS).count() == 0


def test_the_object_waits_for_the_store(api: Api, files: str, shelf: Shelf, clock: Clock) -> None:
    document = attached(api.customer(), files)
    shelf.is_there = False
    assert api.customer().delete(f"{files}/{document['id']}").status_code == 200
    remove_what_is_owed(shelf)
    owed = DueEffect.get(DueEffect.effect == REMOVE_OBJECTS)
    assert (owed.tries, owed.last_error, owed.failed_at) == (1, "StorageUnavailable", None)
    assert Attachment.get().state == "deleted"

    shelf.is_there = True
    long_ago = owed.created_at - timedelta(days=1)
    DueEffect.update(leased_until=long_ago).where(DueEffect.id == owed.id).execute()
    remove_what_is_owed(shelf)
    assert (shelf.keys, Attachment.select().count()) == ([], 0)


def test_who_may_delete_a_file(api: Api, files: str) -> None:
    customer, agent, admin = api.customer(), api.agent(), api.admin()
    of_customer, of_agent = attached(customer, files), attached(agent, files)
    with nothing_changes():
        problem(agent.delete(f"{files}/{of_customer['id']}"), 403, "not_your_attachment")
        problem(customer.delete(f"{files}/{of_agent['id']}"), 403, "not_your_attachment")
    assert agent.delete(f"{files}/{of_agent['id']}").status_code == 200
    assert admin.delete(f"{files}/{of_customer['id']}").status_code == 200


# --- When the store is away -------------------------------------------------------------------------------


def test_without_the_store_nothing_is_attached_and_nothing_is_left(
    api: Api, files: str, shelf: Shelf
) -> None:
    shelf.is_there = False
    answer = api.customer().post(files, **form(("file", "a.png", PNG)))
    problem(answer, 503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert api.customer().get(files).json["data"] == []
    # What is known of the others is still told.
    shelf.is_there = True
    remove_what_is_owed(shelf)
    assert (shelf.keys, Attachment.select().count()) == ([], 0)
    attached(api.customer(), files)


def test_all_or_nothing_when_the_store_goes_away_in_the_middle(
    api: Api, files: str, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = shelf.put

    def put_one(key: str, *args: Any, **options: Any) -> None:
        put(key, *args, **options)
        shelf.is_there = False

    monkeypatch.setattr(shelf, "put", put_one)
    parts = [("files", f"{number}.txt", TEXT) for number in range(3)]
    problem(api.customer().post(f"{files}/multiple", **form(*parts)), 503, "storage_unavailable")
    assert len(shelf.keys) == 1
    assert api.customer().get(files).json["data"] == []
    assert Event.select().where(Event.name == "ticket.attachment.added").count() == 0
    shelf.is_there = True
    remove_what_is_owed(shelf)
    assert (shelf.keys, Attachment.select().count()) == ([], 0)


# --- Asking twice -----------------------------------------------------------------------------------------


def test_an_upload_that_is_sent_twice_happens_once(api: Api, files: str, shelf: Shelf) -> None:
    customer, key = api.customer(), {"Idempotency-Key": "once"}
    first = customer.post(files, **form(("file", "a.png", PNG), headers=key))
    assert first.status_code == 201
    api.customer().post(f"{files.removesuffix('/attachments')}/close")
    other_boundary = form(("file", "a.png", PNG), headers=key)
    other_boundary["body"] = other_boundary["body"].replace(b"boundary", b"frontier")
    other_boundary["headers"]["Content-Type"] = other_boundary["headers"]["Content-Type"].replace(
        "-boundary-", "-frontier-"
    )
    with nothing_changes():
        again = customer.post(files, **other_boundary)
        assert again.content == first.content
        assert again.headers["Idempotency-Replayed"] == "true"
        for other in (("file", "b.png", PNG), ("file", "a.png", PNG + b"\0")):
            problem(customer.post(files, **form(other, headers=key)), 422, "idempotency_mismatch")
    assert len(shelf.keys) == 1
    assert "file_url" not in first.text
