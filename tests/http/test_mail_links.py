"""Where the links in mails lead: a survey that is answered once, and the end of mails that nobody needs."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from falcon.testing import Result, TestClient

from sav.domain.notifications import SURVEY_LIFETIME
from sav.domain.signed_tokens import survey_token
from sav.http.app import create_app
from sav.http.rate_limits import PublicDoor
from sav.models.tables import MailPreference, ServiceSecret, Ticket
from sav.operations.service_secrets import link_secret
from tests.actors.notices import RULES, deliveries, settled, write_deliveries
from tests.actors.test_send_mail import mails
from tests.actors.threads import at_the_same_time
from tests.plugins.desk import UNLIMITED, Api, Clock
from tests.servers.mailbox import Mailbox

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SUBJECT = "My <b>parcel</b>"


@pytest.fixture
def ticket(api: Api) -> dict[str, Any]:
    customer = api.customer(email="zoe@example.org", name="Zoe")
    ticket = customer.opened(subject=SUBJECT, description="secret-description")
    api.admin().post(f"/tickets/{ticket['id']}/messages", {"content": "secret-note", "is_internal": True})
    assert api.admin().post(f"/tickets/{ticket['id']}/close").status_code == 200
    return ticket


def links(kind: str) -> str:
    """The path of a link in the closing mail, as it arrives."""
    with Mailbox() as mailbox:
        settled(mails(mailbox))
        closing = [mail for mail in mailbox.arrived if "closed" in mail.subject]
    (mail,) = closing
    found = re.search(rf"{RULES.public_url}(/public/{kind}/[\w-]+)", mail.text)
    assert found is not None
    return found[1]


def send(api: Api, path: str, form: str) -> Result:
    return api.client.simulate_post(path, body=form, headers=FORM)


def rating(ticket: dict[str, Any]) -> tuple[int | None, str | None]:
    row = Ticket.get_by_id(ticket["id"])
    return row.satisfaction_rating, row.satisfaction_comment


def assert_safe_page(answer: Result) -> None:
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"].startswith("noindex")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers
    assert "<script" not in answer.text


def test_a_link_shows_the_survey_and_changes_nothing(api: Api, ticket: dict[str, Any]) -> None:
    path = links("surveys")
    before = Ticket.get_by_id(ticket["id"]).version
    for _ in range(3):
        page = api.get(path, params={"rating": "4"})
        assert page.status_code == 200
        assert_safe_page(page)
    assert ticket["ticket_number"] in page.text
    assert "My &lt;b&gt;parcel&lt;/b&gt;" in page.text
    assert '<html lang="en">' in page.text
    assert re.search(r'value="4" required checked', page.text)
    assert "secret" not in page.text
    assert "zoe" not in page.text
    assert (rating(ticket), Ticket.get_by_id(ticket["id"]).version) == ((None, None), before)


@pytest.mark.parametrize("how", ["form", "json"])
def test_an_answer_counts_once(api: Api, ticket: dict[str, Any], how: str) -> None:
    path = links("surveys")
    if how == "form":
        answer = send(api, path, "rating=4&comment=Merci+%C3%A0+vous")
    else:
        answer = api.post(path, {"rating": 4, "comment": "Merci à vous"})
    assert answer.status_code == 200, answer.text
    assert_safe_page(answer)
    assert rating(ticket) == (4, "Merci à vous")
    again = send(api, path, "rating=1&comment=")
    assert (again.status_code, again.text) == (200, answer.text)
    assert rating(ticket) == (4, "Merci à vous")
    assert api.get(path).text == answer.text
    history = api.admin().get(f"/tickets/{ticket['id']}/history").json["data"]
    rated = [event for event in history if event["event"] == "ticket.satisfaction.received"]
    assert [(event["actor_role"], event["actor_id"], event["data"]["rating"]) for event in rated] == [
        ("customer", 1, 4)
    ]


def test_an_empty_comment_is_none(api: Api, ticket: dict[str, Any]) -> None:
    assert send(api, links("surveys"), "rating=5&comment=").status_code == 200
    assert rating(ticket) == (5, None)


@pytest.mark.parametrize(
    "form", ["", "rating=6", "rating=x", "rating=4&rating=5", "rating=4&who=me", "%ff=1"]
)
def test_a_form_that_is_wrong_rates_nothing(api: Api, ticket: dict[str, Any], form: str) -> None:
    assert send(api, links("surveys"), form).status_code in (400, 422)
    assert rating(ticket) == (None, None)


def test_a_guest_is_asked_in_their_language_and_rates_as_a_guest(api: Api) -> None:
    body = {"email": "g@example.org", "subject": "S", "description": "D", "locale": "fr"}
    number = api.post("/public/tickets", body).json["ticket_number"]
    row = Ticket.get(Ticket.ticket_number == number)
    api.admin().post(f"/tickets/{row.id}/close")
    with Mailbox() as mailbox:
        settled(mails(mailbox))
        (mail,) = [mail for mail in mailbox.arrived if "fermée" in mail.subject]
    found = re.search(r"/public/surveys/[\w-]+", mail.text)
    assert found is not None
    assert '<html lang="fr">' in api.get(found[0]).text
    assert send(api, found[0], "rating=3").status_code == 200
    assert rating({"id": row.id}) == (3, None)
    (rated,) = [
        event
        for event in api.admin().get(f"/tickets/{row.id}/history").json["data"]
        if event["event"] == "ticket.satisfaction.received"
    ]
    assert (rated["actor_role"], rated["actor_id"]) == ("guest", None)


class TestLinksThatAreNotGood:
    def paths(self, ticket: dict[str, Any], clock: Clock) -> list[str]:
        secret = link_secret()
        good = survey_token(secret=secret, ticket_id=ticket["id"], expires_at=clock.now + timedelta(days=1))
        expired = survey_token(secret=secret, ticket_id=ticket["id"], expires_at=clock.now)
        absent = survey_token(secret=secret, ticket_id=10**9, expires_at=clock.now + timedelta(days=1))
        forged = survey_token(
            secret=b"x" * 32, ticket_id=ticket["id"], expires_at=clock.now + timedelta(days=1)
        )
        changed = [
            good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :] for place in (0, 9, 30)
        ]
        return [
            f"/public/{kind}/{token}"
            for kind in ("surveys", "unsubscribe")
            for token in (
                expired,
                absent,
                forged,
                *changed,
                good[:-4],
                good + "A",
                "x",
                "é",
                "%00",
                "x" * 190,
            )
        ]

    def test_all_look_the_same(self, api: Api, clock: Clock, ticket: dict[str, Any]) -> None:
        answers = []
        for path in self.paths(ticket, clock):
            for answer in (api.get(path), api.post(path, {"rating": 1} if "surveys" in path else None)):
                assert answer.status_code == 404, path
                assert_safe_page(answer)
                answers.append(answer.text)
                # As if each came from elsewhere: guessing is counted, and ends soon.
                clock.forward(minutes=2)
        assert len(set(answers)) == 1
        assert rating(ticket) == (None, None)
        assert MailPreference.select().count() == 0

    def test_guessing_is_bounded(self, api: Api, ticket: dict[str, Any]) -> None:
        door = PublicDoor(replace(UNLIMITED, wrong_guesses_per_minute=3))
        client = TestClient(create_app(replace(api.desk, public_door=door)))
        paths = ["/public/surveys/guess", "/public/unsubscribe/guess"] * 2
        assert [client.simulate_get(path).status_code for path in paths] == [404, 404, 404, 429]

    def test_a_ticket_that_is_open_cannot_be_rated(self, api: Api, clock: Clock) -> None:
        ticket = api.customer().opened()
        token = survey_token(
            secret=link_secret(), ticket_id=ticket["id"], expires_at=clock.now + SURVEY_LIFETIME
        )
        assert api.get(f"/public/surveys/{token}").status_code == 404


def test_one_click_ends_mails_that_are_not_essential_and_no_others(api: Api, ticket: dict[str, Any]) -> None:
    path = links("unsubscribe")
    page = api.get(path, headers={"Accept-Language": "de, fr;q=0.8"})
    assert page.status_code == 200
    assert '<html lang="fr">' in page.text
    assert "zoe" not in page.text
    assert MailPreference.select().count() == 0
    for _ in range(2):
        answer = send(api, path, "List-Unsubscribe=One-Click")
        assert answer.status_code == 200
        assert_safe_page(answer)
    (kept,) = MailPreference.select()
    assert "zoe" not in kept.address_hash

    another = api.customer(email="Zoe@Example.org").opened()
    api.admin().post(f"/tickets/{another['id']}/resolve", {"resolution": "It came."})
    api.admin().post(f"/tickets/{another['id']}/close")
    settled()
    mine = [(row.kind, row.state, row.reason) for row in deliveries() if row.ticket_id == another["id"]]
    assert [item for item in mine if item[0] != "assigned"] == [
        ("received", "recorded", None),
        ("resolved", "recorded", None),
        ("closed", "suppressed", "unsubscribed"),
    ]


def test_whoever_has_rated_is_not_asked_again(api: Api) -> None:
    customer = api.customer(email="zoe@example.org")
    ticket = customer.opened()
    api.admin().post(f"/tickets/{ticket['id']}/resolve", {"resolution": "It came."})
    assert customer.post(f"/tickets/{ticket['id']}/satisfaction", {"rating": 5}).status_code == 200
    api.admin().post(f"/tickets/{ticket['id']}/close")
    with Mailbox() as mailbox:
        settled(mails(mailbox))
        (mail,) = [mail for mail in mailbox.arrived if mail.subject.endswith("closed")]
    assert "/public/surveys/" not in mail.text + mail.html


def test_processes_that_need_the_secret_at_once_make_one(empty_database: object) -> None:
    assert len(set(at_the_same_time(*[link_secret] * 4))) == 1
    assert ServiceSecret.select().count() == 1


def test_an_address_is_learned_once_and_again_when_it_changes(api: Api) -> None:
    for email in ("zoe@example.org", "zoe@example.org", "new@example.org", "not an address"):
        api.customer(email=email, name="Zoe").opened()
    written = write_deliveries()
    assert {row.recipient for row in written} == {"new@example.org"}
    assert {row.recipient_name for row in written} == {"Zoe"}


def test_what_strangers_write_is_not_carried_to_anybody(api: Api) -> None:
    body = {
        "email": "victim@example.org",
        "name": "Buy-this",
        "subject": "Buy-this",
        "description": "Buy-this",
    }
    assert api.post("/public/tickets", body).status_code == 201
    with Mailbox() as mailbox:
        settled(mails(mailbox))
        (mail,) = mailbox.arrived
    assert mail.recipient == "victim@example.org"
    assert "Buy-this" not in mail.subject + mail.text + mail.html + str(mail.message["To"])
