"""ETag, If-None-Match and If-Match: what has changed since the caller looked, and must not be overwritten."""

from typing import Any

import pytest
from falcon.testing import Result

from tests.http.problems import nothing_changes, problem
from tests.plugins.desk import Api


class Conversation:
    """A customer's ticket with a message, its agent, and an admin."""

    def __init__(self, api: Api) -> None:
        self.customer, self.agent, self.admin = api.customer(1), api.agent(7), api.admin(99)
        self.agent.get("/agents/me")
        self.ticket = f"/tickets/{self.customer.opened()['id']}"
        self.message = self.customer.post(f"{self.ticket}/messages", {"content": "Where is it?"}).headers[
            "Location"
        ]


@pytest.fixture
def talk(api: Api) -> Conversation:
    return Conversation(api)


def etag(caller: Api, path: str) -> str:
    answer = caller.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers["ETag"]


def is_known(caller: Api, path: str, header: str) -> bool:
    answer = caller.get(path, headers={"If-None-Match": header})
    if answer.status_code == 304:
        assert answer.content == b""
        assert answer.headers["ETag"] == etag(caller, path)
        return True
    assert answer.status_code == 200
    return False


# Every change of a ticket: who may make it in which turn.
CHANGES: list[tuple[str, str, str, Any]] = [
    ("customer", "PUT", "", {"subject": "Changed"}),
    ("customer", "PATCH", "", {"category": "delivery"}),
    ("agent", "POST", "/assign", {"agent_id": 7}),
    ("agent", "PUT", "", {"status": "waiting_customer"}),
    ("agent", "PUT", "", {"internal_notes": "A difficult one."}),
    ("agent", "POST", "/resolve", {"resolution": "Sent again."}),
    ("customer", "POST", "/satisfaction", {"rating": 5}),
    ("customer", "POST", "/close", None),
]


def test_each_change_gives_a_new_etag_and_takes_only_the_last_one(talk: Conversation) -> None:
    # Staff are told of more, so their ETag is another one.
    readers = {"customer": talk.customer, "agent": talk.admin}
    every = {who: [etag(reader, talk.ticket)] for who, reader in readers.items()}
    for who, method, path, body in CHANGES:
        caller: Api = getattr(talk, who)
        seen = every[who]
        for stale in seen[:-1]:
            with nothing_changes():
                refused = caller.call(method, talk.ticket + path, body, headers={"If-Match": stale})
                problem(refused, 412, "stale_version")
                assert refused.headers["ETag"] == seen[-1]

        done = caller.call(method, talk.ticket + path, body, headers={"If-Match": seen[-1]})

        assert done.status_code == 200, done.text
        assert done.headers["ETag"] not in seen
        assert done.headers["ETag"] == etag(readers[who], talk.ticket)
        for role, reader in readers.items():
            every[role].append(etag(reader, talk.ticket))
            known = [is_known(reader, talk.ticket, old) for old in every[role]]
            assert known == [*[False] * (len(known) - 1), True]


def test_the_refusal_names_the_etag_to_go_on_with(talk: Conversation) -> None:
    stale = etag(talk.customer, talk.ticket)
    talk.agent.put(talk.ticket, {"priority": "high"})

    refused = talk.customer.put(talk.ticket, {"subject": "Mine"}, headers={"If-Match": stale})
    again = talk.customer.put(talk.ticket, {"subject": "Mine"}, headers={"If-Match": refused.headers["ETag"]})

    assert (refused.status_code, again.status_code) == (412, 200)
    assert again.json["priority"] == "high"


def test_a_change_that_changes_nothing_keeps_the_etag(talk: Conversation) -> None:
    before = etag(talk.customer, talk.ticket)
    answer = talk.customer.put(talk.ticket, {"subject": "Lost parcel"})
    assert answer.headers["ETag"] == before == etag(talk.customer, talk.ticket)


def test_deleting_honours_if_match(talk: Conversation) -> None:
    stale = etag(talk.customer, talk.ticket)
    talk.customer.put(talk.ticket, {"subject": "Changed"})
    with nothing_changes():
        problem(talk.customer.delete(talk.ticket, headers={"If-Match": stale}), 412, "stale_version")

    current = etag(talk.customer, talk.ticket)
    assert talk.customer.delete(talk.ticket, headers={"If-Match": current}).status_code == 200
    with nothing_changes():
        problem(talk.customer.get(talk.ticket, headers={"If-None-Match": current}), 404, "not_found")
        problem(
            talk.customer.put(talk.ticket, {"subject": "x"}, headers={"If-Match": current}), 404, "not_found"
        )


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_message_has_an_etag_of_its_own(talk: Conversation, method: str) -> None:
    first = etag(talk.customer, talk.message)
    assert is_known(talk.customer, talk.message, first)

    corrected = talk.customer.call(method, talk.message, {"content": "Where?"}, headers={"If-Match": first})
    assert corrected.status_code == 200
    second = corrected.headers["ETag"]
    assert second == etag(talk.customer, talk.message) != first
    assert not is_known(talk.customer, talk.message, first)

    with nothing_changes():
        for refused in (
            talk.customer.call(method, talk.message, {"content": "Lost."}, headers={"If-Match": first}),
            talk.customer.delete(talk.message, headers={"If-Match": first}),
        ):
            problem(refused, 412, "stale_version")
            assert refused.headers["ETag"] == second
    assert talk.customer.delete(talk.message, headers={"If-Match": second}).status_code == 200


def test_a_new_message_comes_with_the_etag_it_will_have(talk: Conversation) -> None:
    answer = talk.agent.post(f"{talk.ticket}/messages", {"content": "On its way."})
    assert answer.headers["ETag"] == etag(talk.agent, answer.headers["Location"])


@pytest.mark.parametrize("action", ["/messages/mark-all-read", "/messages/{id}/mark-read"])
def test_being_read_is_news_for_a_cache_but_no_reason_to_refuse_a_change(
    talk: Conversation, action: str
) -> None:
    ticket, message = etag(talk.customer, talk.ticket), etag(talk.customer, talk.message)
    talk.agent.post(talk.ticket + action.format(id=talk.message.rpartition("/")[2]))

    # The caller's copy says "not read": it is old.
    assert not is_known(talk.customer, talk.ticket, ticket)
    assert not is_known(talk.customer, talk.message, message)
    # Their change is about the same text, and goes through.
    for path, body, seen in (
        (talk.message, {"content": "Where?"}, message),
        (talk.ticket, {"tags": ["a"]}, ticket),
    ):
        changed = talk.customer.put(path, body, headers={"If-Match": seen})
        if path == talk.ticket:
            # Correcting the message was a change of its ticket.
            problem(changed, 412, "stale_version")
            seen = changed.headers["ETag"]
            changed = talk.customer.put(path, body, headers={"If-Match": seen})
        assert changed.status_code == 200


def test_reading_breaks_nobodys_if_match(talk: Conversation) -> None:
    seen = etag(talk.customer, talk.ticket)
    talk.agent.post(f"{talk.ticket}/messages/mark-all-read")
    talk.admin.post(f"{talk.ticket}/messages/mark-all-read")

    changed = talk.customer.put(talk.ticket, {"subject": "Mine"}, headers={"If-Match": seen})

    assert changed.status_code == 200
    problem(
        talk.customer.put(talk.ticket, {"subject": "x"}, headers={"If-Match": seen}), 412, "stale_version"
    )


def test_reading_again_is_no_news(talk: Conversation) -> None:
    talk.agent.post(f"{talk.ticket}/messages/mark-all-read")
    seen = etag(talk.customer, talk.ticket), etag(talk.customer, talk.message)
    talk.agent.post(f"{talk.ticket}/messages/mark-all-read")
    talk.customer.post(f"{talk.ticket}/messages/mark-all-read")
    assert (etag(talk.customer, talk.ticket), etag(talk.customer, talk.message)) == seen


def test_a_message_is_news_of_its_ticket(talk: Conversation) -> None:
    seen = etag(talk.customer, talk.ticket)
    talk.agent.post(f"{talk.ticket}/messages", {"content": "On its way."})
    assert not is_known(talk.customer, talk.ticket, seen)


def test_the_ways_to_write_if_none_match(talk: Conversation) -> None:
    current = etag(talk.customer, talk.ticket)
    for header in (current, f"W/{current}", f'"x", {current}', f' {current} , W/"y"', "*"):
        assert is_known(talk.customer, talk.ticket, header), header
    for header in ("", '"x"', current.strip('"'), f"x{current}", f"{current} x", "**", '"', "\x01"):
        assert not is_known(talk.customer, talk.ticket, header), header


def test_the_ways_to_write_if_match(talk: Conversation) -> None:
    for number, header in enumerate(("{}", '"x", {}', ' {} , W/"y"', "*", " * ")):
        current = etag(talk.customer, talk.ticket)
        body = {"subject": f"Version {number}"}
        answer = talk.customer.put(talk.ticket, body, headers={"If-Match": header.format(current)})
        assert answer.status_code == 200, header


def test_conditions_hold_only_within_sight(talk: Conversation) -> None:
    stranger = talk.customer.as_caller("customer", 2)
    with nothing_changes():
        for header in ("*", etag(talk.customer, talk.ticket), '"1.0"'):
            for path in (talk.ticket, talk.message):
                problem(stranger.get(path, headers={"If-None-Match": header}), 404, "not_found")
                problem(stranger.delete(path, headers={"If-Match": header}), 404, "not_found")


def test_lists_and_other_resources_have_no_etag(talk: Conversation) -> None:
    answers: list[Result] = [
        talk.admin.get(path, headers={"If-None-Match": "*"})
        for path in ("/tickets", f"{talk.ticket}/messages", f"{talk.ticket}/history", "/agents", "/agents/7")
    ]
    assert [(answer.status_code, answer.headers.get("ETag")) for answer in answers] == [(200, None)] * 5
