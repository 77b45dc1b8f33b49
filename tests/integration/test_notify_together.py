"""What several tickets owe to be told, in one transaction; and when that cannot be, each by itself."""

from datetime import UTC, datetime

import pytest

from sav.actors.owed_effects import do_owed_effects
from sav.domain.effects import NOTIFY, SEND_MAIL
from sav.mail.rules import MailRules
from sav.models.tables import Contact, DueEffect, MailDelivery
from sav.operations.effect_claims import Claim, claim_effects
from sav.operations.notify import FactMissing, LeaseLost, notify, notify_together
from tests.actors.notices import RULES, write_deliveries
from tests.actors.owed import new_ticket, owed

pytestmark = pytest.mark.usefixtures("empty_database")


def claims(tickets: list[int]) -> list[Claim]:
    return claim_effects(effect=NOTIFY, ticket_ids=tickets, owner="me", now=datetime.now(UTC), limit=100)


def written() -> list[tuple[int, str, str]]:
    rows = MailDelivery.select().order_by(MailDelivery.ticket_id)
    return [(row.ticket_id, row.kind, row.state) for row in rows]


def tell_all(claims: list[Claim], rules: MailRules = RULES) -> None:
    notify_together(claims, rules=rules, now=datetime.now(UTC))


@pytest.mark.parametrize("address", ["camille@example.com", None])
def test_together_they_write_what_each_writes_by_itself(address: str | None) -> None:
    if address is not None:
        Contact.insert(user_id=1, email=address, updated_at=datetime.now(UTC)).execute()
    apart, together = ([new_ticket(mails=True) for _ in range(3)] for _ in range(2))
    for claim in claims(apart):
        notify(claim, rules=RULES, now=datetime.now(UTC))
    by_themselves = [(kind, state) for _, kind, state in written()]
    mails = owed(effect=SEND_MAIL)
    tell_all(claims(together))
    assert [(kind, state) for _, kind, state in written()] == by_themselves * 2
    assert {ticket_id for ticket_id, _, _ in written()} == {*apart, *together}
    assert (owed(effect=NOTIFY), owed(effect=SEND_MAIL)) == (0, 2 * mails)
    deliveries = {row.id for row in MailDelivery.select().where(MailDelivery.state == "due")}
    assert {token.sequence for token in DueEffect.select().where(DueEffect.effect == SEND_MAIL)} == deliveries
    assert bool(deliveries) == (address is not None)


def test_a_delivery_that_is_there_already_keeps_back_no_other_and_is_not_doubled() -> None:
    tickets = [new_ticket(mails=True) for _ in range(3)]
    first = next(claim for claim in claims(tickets) if claim.ticket_id == tickets[1])
    token = DueEffect.get_by_id(first.token_id).__data__
    notify(first, rules=RULES, now=datetime.now(UTC))
    DueEffect.insert({**token, "lease_owner": None, "leased_until": None}).execute()
    DueEffect.update(lease_owner=None, leased_until=None).where(DueEffect.effect == NOTIFY).execute()
    write_deliveries()
    assert [ticket_id for ticket_id, kind, _ in written() if kind == "received"] == tickets
    assert owed(effect=NOTIFY) == 0
    assert not DueEffect.select().where(DueEffect.tries > 0).exists(), "it was no failure of anybody"


def test_whoever_has_lost_one_lease_does_nothing_of_it() -> None:
    tickets = [new_ticket(mails=True) for _ in range(2)]
    mine = claims(tickets)
    DueEffect.update(lease_owner="heir").where(DueEffect.id == mine[0].token_id).execute()
    with pytest.raises(LeaseLost):
        tell_all(mine)
    assert (written(), owed(effect=NOTIFY)) == ([], 2)


def test_a_token_without_a_fact_is_not_taken_for_done() -> None:
    tickets = [new_ticket(mails=True) for _ in range(3)]
    lost = DueEffect.get(DueEffect.effect == NOTIFY, DueEffect.ticket_id == tickets[1])
    DueEffect.update(sequence=1000).where(DueEffect.id == lost.id).execute()
    with pytest.raises(FactMissing):
        tell_all(claims(tickets))
    assert (written(), owed(effect=NOTIFY)) == ([], 3)
    DueEffect.update(lease_owner=None, leased_until=None).where(DueEffect.effect == NOTIFY).execute()
    write_deliveries()
    assert [ticket_id for ticket_id, kind, _ in written() if kind == "received"] == [tickets[0], tickets[2]]
    assert DueEffect.get_by_id(lost.id).tries == 1


def test_one_that_cannot_be_told_fails_alone() -> None:
    tickets = [new_ticket(mails=True) for _ in range(3)]
    told: list[int] = []

    def tell(claim: Claim) -> None:
        if claim.ticket_id == tickets[1]:
            raise RuntimeError("no luck")
        notify(claim, rules=RULES, now=datetime.now(UTC))
        told.append(claim.ticket_id)

    def cannot(_: object) -> None:
        raise RuntimeError("one of them")

    do_owed_effects(NOTIFY, tell, do_all=cannot, ticket_ids=tickets)
    assert told == [tickets[0], tickets[2]]
    (left,) = DueEffect.select().where(DueEffect.effect == NOTIFY)
    assert (left.ticket_id, left.tries, left.last_error) == (tickets[1], 1, "RuntimeError")
