"""Due effects: who has them, until when, and how they come back."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from sav.domain.effects import PUBLISH_EVENT
from sav.models.tables import DueEffect
from sav.operations import due_effects
from sav.operations.due_effects import (
    LAST_ERROR_LENGTH,
    LEASE,
    REDELIVERY,
    claim_publications,
    complete_effects,
    postpone_effects,
    return_hints,
    take_due_hints,
)
from sav.operations.effect_claims import claim_effects
from sav.operations.hints import Hint
from tests.actors.owed import LONG_AGO, add_message, new_ticket, owed, utc_now
from tests.actors.threads import at_the_same_time

pytestmark = pytest.mark.usefixtures("empty_database")

NOW = LONG_AGO + timedelta(hours=1)
SECOND = timedelta(seconds=1)


def claim(ticket_id: int, owner: str, now: datetime = NOW) -> list[int]:
    """The published sequence numbers that are claimed."""
    claimed = claim_publications(ticket_ids=[ticket_id], owner=owner, now=now)
    return [publication.published_sequence for publication in claimed]


def tokens(ticket_id: int) -> list[int]:
    query = DueEffect.select().where(DueEffect.ticket_id == ticket_id).order_by(DueEffect.sequence)
    return [token.id for token in query]


def owner() -> str:
    return str(uuid4())


def test_a_claim_takes_all_that_a_ticket_owes_in_order_and_nobody_else_gets_any() -> None:
    ticket_id, other_ticket = new_ticket(messages=3), new_ticket()
    first, second = owner(), owner()
    assert claim(ticket_id, first) == [1, 2, 3, 4]
    assert claim(ticket_id, second) == []
    assert claim(other_ticket, second) == [1]


def test_of_no_tickets_there_is_nothing_to_claim() -> None:
    ticket_id = new_ticket()
    assert claim_publications(ticket_ids=[], owner="me", now=utc_now()) == []
    assert claim_effects(effect=PUBLISH_EVENT, ticket_ids=[], owner="me", now=utc_now(), limit=9) == []
    assert owed(ticket_id) == 1


def test_a_claim_of_many_tickets_takes_those_that_are_free_and_of_each_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(due_effects, "PUBLICATIONS_A_CLAIM", 6)
    taken, long, short = new_ticket(messages=1), new_ticket(messages=4), new_ticket()
    claim(taken, owner())
    add_message(taken)
    holder = owner()

    def claimed() -> list[tuple[int, int | None]]:
        publications = claim_publications(ticket_ids=[taken, long, short], owner=holder, now=NOW)
        return [(each.ticket_id, each.published_sequence) for each in publications]

    assert claimed() == [(long, 1), (long, 2), (short, 1)]
    complete_effects(token_ids=[*tokens(long)[:2], *tokens(short)], owner=holder)
    assert claimed() == [(long, 3), (long, 4), (long, 5)]
    leases = {token.lease_owner for token in DueEffect.select().where(DueEffect.ticket_id == long)}
    assert leases == {holder}, "not the first alone: its heir would have to wait for the others"


def test_of_many_claimants_of_the_same_tickets_each_ticket_has_one() -> None:
    tickets = [new_ticket(messages=1) for _ in range(10)]

    def share() -> list[int]:
        publications = claim_publications(ticket_ids=tickets, owner=owner(), now=NOW)
        return [each.ticket_id for each in publications]

    shares = at_the_same_time(*[share] * 6)
    assert sorted(ticket_id for share in shares for ticket_id in share) == sorted(tickets * 2)


def test_what_comes_while_a_ticket_is_held_waits_for_its_holder() -> None:
    ticket_id = new_ticket()
    holder = owner()
    assert claim(ticket_id, holder) == [1]
    add_message(ticket_id)
    assert claim(ticket_id, owner()) == []
    assert claim(ticket_id, holder) == [1, 2]


def test_a_lease_that_has_run_out_is_taken_over() -> None:
    ticket_id = new_ticket(messages=1)
    dead, heir = owner(), owner()
    assert claim(ticket_id, dead) == [1, 2]
    assert claim(ticket_id, heir, NOW + LEASE - SECOND) == []
    assert claim(ticket_id, heir, NOW + LEASE + SECOND) == [1, 2]


def test_whoever_has_lost_a_lease_can_neither_complete_nor_postpone() -> None:
    ticket_id = new_ticket()
    late, heir = owner(), owner()
    claim(ticket_id, late)
    claim(ticket_id, heir, NOW + LEASE + SECOND)
    assert complete_effects(token_ids=tokens(ticket_id), owner=late) == 0
    postpone_effects(token_ids=tokens(ticket_id), owner=late, until=NOW, error="late")
    token = DueEffect.get(DueEffect.ticket_id == ticket_id)
    assert (token.lease_owner, token.tries, token.last_error) == (heir, 0, None)
    assert complete_effects(token_ids=tokens(ticket_id), owner=heir) == 1
    assert owed(ticket_id) == 0


def test_a_postponed_effect_says_how_often_and_why_and_is_due_again() -> None:
    ticket_id = new_ticket()
    holder, until = owner(), NOW + timedelta(seconds=20)
    claim(ticket_id, holder)
    postpone_effects(token_ids=tokens(ticket_id), owner=holder, until=until, error="x" * 10_000)
    token = DueEffect.get(DueEffect.ticket_id == ticket_id)
    assert (token.tries, token.lease_owner, token.due_at) == (1, None, until)
    assert token.last_error == "x" * LAST_ERROR_LENGTH
    assert take_due_hints(now=until - SECOND) == []
    assert take_due_hints(now=until) == [Hint(PUBLISH_EVENT, ticket_id)]


def test_a_hint_that_was_taken_is_hidden_for_the_time_of_redelivery() -> None:
    ticket_id = new_ticket(messages=2)
    hint = Hint(PUBLISH_EVENT, ticket_id)
    assert take_due_hints(now=NOW) == [hint], "one for the ticket, whatever it owes"
    assert take_due_hints(now=NOW + REDELIVERY - SECOND) == []
    assert take_due_hints(now=NOW + REDELIVERY) == [hint]


def test_returned_hints_are_due_soon() -> None:
    tickets = [new_ticket(messages=1) for _ in range(3)]
    taken = take_due_hints(now=NOW)
    assert sorted(hint.ticket_id for hint in taken) == tickets
    return_hints(hints=taken[1:], due_at=NOW + SECOND, now=NOW)
    assert take_due_hints(now=NOW) == []
    assert sorted(hint.ticket_id for hint in take_due_hints(now=NOW + SECOND)) == sorted(
        hint.ticket_id for hint in taken[1:]
    )


def test_returning_a_hint_leaves_alone_what_somebody_is_at_work_on() -> None:
    ticket_id = new_ticket()
    taken = take_due_hints(now=NOW)
    claim(ticket_id, owner())
    return_hints(hints=taken, due_at=NOW, now=NOW)
    assert take_due_hints(now=NOW + SECOND) == []


def test_a_failed_effect_waits_for_an_operator() -> None:
    new_ticket()
    DueEffect.update(failed_at=NOW).execute()
    assert take_due_hints(now=NOW + timedelta(days=1)) == []


def test_relays_that_ask_together_share_what_is_due_without_overlap() -> None:
    tickets = {new_ticket() for _ in range(40)}

    def take() -> list[int]:
        return [hint.ticket_id for hint in take_due_hints(now=NOW)]

    shares = at_the_same_time(*[take] * 4)
    taken = [ticket_id for share in shares for ticket_id in share]
    # A relay skips what another one is just taking; it is hidden, not lost, unless nobody has it.
    taken += take()
    assert sorted(taken) == sorted(tickets)


def test_of_many_claimants_one_gets_the_ticket() -> None:
    ticket_id = new_ticket(messages=4)
    shares = at_the_same_time(*[lambda: claim(ticket_id, owner())] * 6)
    assert sorted(len(share) for share in shares) == [0, 0, 0, 0, 0, 5]
