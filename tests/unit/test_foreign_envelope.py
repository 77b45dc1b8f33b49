"""What other services' bytes become: a known event, or poison with a reason."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sav.actors.foreign_envelope import MAX_EVENT_BYTES, Poison, parse_foreign_event
from sav.domain.foreign_events import OrderIssue, Person, ProductIssue, UserRegistered


def body(event: str = "order.issue", data: Any = None, **members: Any) -> bytes:
    data = {"order_id": 7, "user_id": 1} if data is None else data
    return orjson.dumps({"event": event, "timestamp": "2026-01-15T10:30:00Z", "data": data, **members})


def test_an_order_issue_has_sensible_words_of_its_own() -> None:
    event = parse_foreign_event(
        body(data={"order_id": "A-7", "email": "a@b.fr", "issue_type": "late"}), message_id=None
    )

    assert event.fact == OrderIssue(
        person=Person(user_id=None, email="a@b.fr"),
        order_id="A-7",
        issue_type="late",
        subject="Order A-7: late",
        description="Order A-7: late",
        priority="normal",
    )


@pytest.mark.parametrize(
    ("severity", "priority"),
    [(None, "normal"), ("low", "low"), ("HIGH", "high"), ("critical", "urgent"), ("weird", "normal")],
)
def test_a_product_issue_is_as_urgent_as_it_is_severe(severity: str | None, priority: str) -> None:
    data = {"product_id": 3, "user_id": 1, "description": "Broken", "severity": severity}
    fact = parse_foreign_event(body("product.issue_reported", data), message_id=None).fact

    assert isinstance(fact, ProductIssue)
    assert fact.priority == priority


def test_an_email_counts_as_verified_only_when_it_is_said() -> None:
    fact = parse_foreign_event(
        body("user.registered", {"user_id": 1, "email": "a@b.fr"}), message_id=None
    ).fact

    assert fact == UserRegistered(user_id=1, email="a@b.fr", email_verified=False, name=None)


def test_what_may_be_left_out_may_be_null() -> None:
    optional = {"issue_type": None, "subject": None, "description": None, "priority": None}
    fact = parse_foreign_event(body(data={"order_id": 1, "user_id": 2, **optional}), message_id=None).fact
    assert isinstance(fact, OrderIssue)
    assert fact.priority == "normal"
    data = {"user_id": 1, "email": "a@b.fr", "email_verified": None, "name": None}
    user = parse_foreign_event(body("user.registered", data), message_id=None).fact
    assert isinstance(user, UserRegistered)
    assert user.email_verified is False


def test_fields_that_we_do_not_need_are_no_fault() -> None:
    parse_foreign_event(
        body(data={"order_id": 1, "user_id": 2, "basket": [1, 2]}, trace="x"), message_id=None
    )


POISON = {
    "nothing": b"",
    "no JSON": b"hello",
    "half of it": body()[:-1],
    "other encoding": '{"event": "é"}'.encode("latin-1"),
    "no object": b"[1, 2]",
    "null": b"null",
    "a number": b"7",
    "no envelope": b"{}",
    "no data": b'{"event": "order.issue"}',
    "data of another kind": body(data=[]),
    "nobody": body(data={"order_id": 1}),
    "no order": body(data={"user_id": 1}),
    "a text for an id": body(data={"order_id": 1, "user_id": "1"}),
    "a boolean for an id": body(data={"order_id": 1, "user_id": True}),
    "an id of nobody": body(data={"order_id": 1, "user_id": 0}),
    "an id too large": body(data={"order_id": 1, "user_id": 2**63}),
    "no e-mail": body(data={"order_id": 1, "email": "nobody"}),
    "an unknown priority": body(data={"order_id": 1, "user_id": 1, "priority": "now"}),
    "too long a subject": body(data={"order_id": 1, "user_id": 1, "subject": "x" * 256}),
    "a blank text": body("product.issue_reported", {"product_id": 1, "user_id": 1, "description": " "}),
    "verified by a word": body("user.registered", {"user_id": 1, "email": "a@b.fr", "email_verified": "yes"}),
    "unknown event": body("order.exploded"),
    "our own event": body("ticket.created"),
    "a number for an event": orjson.dumps({"event": 1, "data": {}}),
    "ten megabytes": b'{"event": "order.issue", "data": {"x": "' + b"x" * 10_000_000 + b'"}}',
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "deep data": b'{"event":"order.issue","data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "a forged job": orjson.dumps(
        {"queue_name": "sav_queue.effects", "actor_name": "publish_event", "args": [1], "kwargs": {},
         "options": {}, "message_id": "x", "message_timestamp": 1}
    ),
}  # fmt: skip


@pytest.mark.parametrize("content", POISON.values(), ids=POISON.keys())
def test_poison_has_a_reason_that_quotes_nobody(content: bytes) -> None:
    with pytest.raises(Poison) as poison:
        parse_foreign_event(content, message_id="m")

    assert 0 < len(poison.value.reason) < 1000
    assert "nobody" not in poison.value.reason.removeprefix("data: ")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_an_event_or_poison(content: bytes) -> None:
    with pytest.raises(Poison):
        parse_foreign_event(content, message_id=None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(["order.issue", "product.issue_reported", "user.registered"]), JSON)
def test_any_data_is_an_event_or_poison(name: str, data: Any) -> None:
    try:
        content = orjson.dumps({"event": name, "data": data})
    except TypeError:
        # An integer that no JSON library of ours writes.
        return
    try:
        event = parse_foreign_event(content, message_id=None)
    except Poison:
        return
    assert event.name == name


class TestDuplicates:
    def key(self, content: bytes, message_id: str | None = None) -> str:
        return parse_foreign_event(content, message_id=message_id).dedup_key

    def test_share_the_id_whatever_else_they_say(self) -> None:
        assert self.key(body(id="e1"), "m1") == self.key(
            body(id="e1", data={"order_id": 8, "user_id": 1}), "m2"
        )

    def test_share_the_message_id_when_there_is_no_id(self) -> None:
        assert self.key(body(), "m1") == self.key(body(data={"order_id": 8, "user_id": 1}), "m1")
        assert self.key(body(), "m1") != self.key(body(), "m2")

    def test_share_their_content_when_there_is_neither(self) -> None:
        again = orjson.dumps(dict(reversed(orjson.loads(body()).items())), option=orjson.OPT_INDENT_2)
        assert self.key(body()) == self.key(again)
        assert self.key(body()) != self.key(body(data={"order_id": 8, "user_id": 1}))

    def test_an_id_and_a_message_id_never_meet(self) -> None:
        assert self.key(body(id="x")) != self.key(body(), "x")


def test_a_number_is_an_id_and_an_odd_request_id_no_fault() -> None:
    event = parse_foreign_event(body(id=7, request_id="é" * 200), message_id=None)

    assert event.request_id is None
    assert event.dedup_key == parse_foreign_event(body(id=7), message_id="m").dedup_key


def test_the_longest_event_is_read() -> None:
    padding = MAX_EVENT_BYTES - len(body(padding=""))
    parse_foreign_event(body(padding="x" * padding), message_id=None)
    with pytest.raises(Poison):
        parse_foreign_event(body(padding="x" * (padding + 1)), message_id=None)
