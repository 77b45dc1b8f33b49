"""Foreign events that arrive together: written down in one transaction, each once."""

from datetime import UTC, datetime
from functools import partial

import pytest

from sav.domain.effects import HANDLE_RECEIVED_EVENT
from sav.models.tables import DueEffect, ReceivedEvent
from sav.operations import hints
from sav.operations.received_events import IncomingEvent, receive_events
from tests.actors.threads import at_the_same_time
from tests.plugins.desk import counted_queries

pytestmark = pytest.mark.usefixtures("empty_database")

NOW = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)


def key(number: int) -> str:
    return f"{number:064x}"


def batch(*numbers: int) -> list[IncomingEvent]:
    return [
        IncomingEvent(dedup_key=key(number), name="order.issue", text="{}", request_id=None)
        for number in numbers
    ]


def receive(*numbers: int) -> set[str]:
    return receive_events(events=batch(*numbers), now=NOW)


def rows_and_tokens() -> tuple[list[str], list[int], list[int]]:
    rows = list(ReceivedEvent.select().order_by(ReceivedEvent.id))
    tokens = DueEffect.select().order_by(DueEffect.sequence)
    return [row.dedup_key for row in rows], [row.id for row in rows], [token.sequence for token in tokens]


def test_a_batch_is_written_in_its_order_with_a_token_for_each_event() -> None:
    given: list[hints.Hint] = []
    hints.listen(given.append)
    assert receive(3, 1, 2) == {key(1), key(2), key(3)}

    keys, ids, sequences = rows_and_tokens()
    assert keys == [key(3), key(1), key(2)]
    assert sequences == ids
    assert given == [hints.Hint(HANDLE_RECEIVED_EVENT, 0)]


def test_copies_are_recognised_within_a_batch_and_from_before() -> None:
    receive(1, 2)
    assert receive(2, 3, 3, 1, 3) == {key(3)}
    assert receive(3, 2, 1) == set()
    assert rows_and_tokens()[0] == [key(1), key(2), key(3)]


def test_fifty_events_cost_no_more_statements_than_two() -> None:
    with counted_queries() as two:
        receive(1, 2)
    with counted_queries() as fifty:
        receive(*range(3, 53))
    assert len(fifty) == len(two)


def test_batches_that_share_copies_at_the_same_moment_write_each_event_once() -> None:
    for start in range(0, 100, 20):
        numbers = range(start, start + 20)
        # In opposite orders, so that each waits for what another one has not committed yet.
        orders = [numbers, numbers[::-1], numbers[5:], numbers[:15]]
        shares = at_the_same_time(*(partial(receive, *order) for order in orders))
        new = [one for share in shares for one in share]
        assert sorted(new) == [key(number) for number in numbers]
    keys, ids, sequences = rows_and_tokens()
    assert sorted(keys) == [key(number) for number in range(100)]
    assert sequences == ids
