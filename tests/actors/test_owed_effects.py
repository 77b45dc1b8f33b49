"""Effects that are broken off where they are."""

import pytest
from dramatiq.middleware import TimeLimitExceeded

from sav.actors.owed_effects import do_owed_effects
from sav.domain.effects import PUBLISH_EVENT
from sav.models.database import database, is_sqlite, transaction
from sav.models.tables import DueEffect, Ticket
from sav.models.wire import Wire
from sav.operations.effect_claims import Claim, finish_effect
from tests.actors.owed import new_ticket, owed


@pytest.fixture(autouse=True)
def nothing_owed(empty_database: dict[str, str]) -> None:
    pass


def test_a_job_that_takes_too_long_has_failed_and_what_follows_is_answered_rightly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticket_id = new_ticket()

    def endless(claim: Claim) -> None:
        with transaction():
            finish_effect(claim=claim)
            if is_sqlite():
                raise TimeLimitExceeded
            read = Wire._read_query_result  # type: ignore[attr-defined]

            def broken_into(wire: Wire, unbuffered: bool = False) -> None:
                monkeypatch.setattr(Wire, "_read_query_result", read)
                raise TimeLimitExceeded

            monkeypatch.setattr(Wire, "_read_query_result", broken_into)
            Ticket.update(subject="half").execute()

    do_owed_effects(PUBLISH_EVENT, endless, ticket_ids=[ticket_id])
    token = DueEffect.get(DueEffect.effect == PUBLISH_EVENT)
    assert (token.tries, token.last_error, token.lease_owner) == (1, "TimeLimitExceeded", None)
    assert (Ticket.get().subject, owed(ticket_id)) == ("Lost parcel", 1)
    assert database.execute_sql("SELECT 7").fetchone() == (7,)
