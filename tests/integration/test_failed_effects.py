"""What an operator decides about failed effects touches these alone, and each decision once."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from sav.models.tables import DueEffect
from sav.operations import failed_effects, hints
from sav.operations.failed_effects import (
    discard_failed_effect,
    discard_failed_effects,
    retry_failed_effect,
    retry_failed_effects,
)
from sav.operations.hints import Hint
from sav.queries.failed_effects import cause_of, count_failed_effects, failed_effect, list_failed_effects
from tests.actors.owed import new_ticket
from tests.actors.threads import at_the_same_time

pytestmark = pytest.mark.usefixtures("empty_database")

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


def given_up(count: int, *, effect: str = "mail", at: datetime = NOW, ticket_id: int = 1) -> list[int]:
    return [
        DueEffect.create(
            effect=effect,
            ticket_id=ticket_id,
            sequence=sequence + 1,
            due_at=at,
            lease_owner="somebody",
            leased_until=at,
            tries=10,
            last_error="OSError",
            failed_at=at,
            created_at=at,
        ).id
        for sequence in range(count)
    ]


def test_a_retried_effect_is_as_new_and_hinted_at() -> None:
    (effect_id,) = given_up(1)
    given: list[Hint] = []
    hints.listen(given.append)
    with capture_logs() as logs:
        assert retry_failed_effect(effect_id=effect_id, operator="camille", now=NOW)
    token = DueEffect.get_by_id(effect_id)
    assert (token.failed_at, token.tries, token.lease_owner, token.leased_until) == (None, 0, None, None)
    assert (token.due_at, given) == (NOW, [Hint("mail", 1)])
    assert [(line["action"], line["operator"]) for line in logs] == [("retry_effect", "camille")]
    assert not retry_failed_effect(effect_id=effect_id, operator="camille", now=NOW)


def test_what_has_not_failed_cannot_be_touched() -> None:
    new_ticket()
    (token,) = DueEffect.select()
    assert not retry_failed_effect(effect_id=token.id, operator="camille", now=NOW)
    assert not discard_failed_effect(effect_id=token.id, operator="camille")
    assert discard_failed_effects(effect=None, operator="camille", now=NOW) == 0
    assert failed_effect(token.id) is None


def test_all_of_a_name_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_effects, "EFFECTS_A_BATCH", 2)
    given_up(5)
    others = given_up(1, effect="other")
    later = given_up(1, at=NOW + timedelta(seconds=1), ticket_id=2)
    counts = []
    while count := retry_failed_effects(effect="mail", operator="camille", now=NOW):
        counts.append(count)
    assert counts == [2, 2, 1]
    assert [failed.id for failed in list_failed_effects(effect=None, after_id=0, limit=9)] == [
        *others,
        *later,
    ]


def test_two_operators_at_once_decide_each_once() -> None:
    given_up(40)
    shares = at_the_same_time(
        *[lambda: discard_failed_effects(effect="mail", operator="camille", now=NOW)] * 4
    )
    shares = [*shares, discard_failed_effects(effect="mail", operator="camille", now=NOW)]
    assert sum(shares) == 40
    assert DueEffect.select().count() == 0


def test_the_list_goes_on_behind_an_id() -> None:
    ids = given_up(5)
    first = list_failed_effects(effect="mail", after_id=0, limit=3)
    rest = list_failed_effects(effect="mail", after_id=first[-1].id, limit=3)
    assert [failed.id for failed in (*first, *rest)] == ids
    assert (count_failed_effects(effect="mail"), count_failed_effects(effect="other")) == (5, 0)


def test_a_ticket_s_effect_is_about_its_event() -> None:
    ticket_id = new_ticket()
    (effect_id,) = given_up(1, ticket_id=ticket_id)
    failed = failed_effect(effect_id)
    assert failed is not None
    cause = cause_of(failed)
    assert cause is not None
    assert (cause.event_name, cause.text) == ("ticket.created", None)


def test_what_the_clock_owes_is_about_nothing() -> None:
    (effect_id,) = given_up(1, effect="housekeeping", ticket_id=0)
    failed = failed_effect(effect_id)
    assert failed is not None
    assert (failed.ticket_id, cause_of(failed)) == (None, None)
