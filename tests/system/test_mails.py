"""Mails as people get them: a real service, a real mail server, both languages, and what dies in between."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.mailbox import Arrived, Mailbox
from tests.servers.ports import LOOPBACK, free_port, wait_until
from tests.system.running_service import UpService, call

ARRIVAL_SECONDS = 60.0
NOTE = "note-pangolin"
TEXTS = {"answer": "answer-giraffe", "question": "question-ocelot", "resolution": "resolution-tapir"}
AGENT, ADMIN = 7, 99
Starter = Callable[..., UpService]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def start(tmp_path: Path, mailbox: Mailbox) -> Iterator[Starter]:
    """Starts the service, again and again on the same data, with the mail server's address."""
    started: list[UpService] = []
    port, numbers = free_port(), itertools.count(1)

    def start(**variables: str) -> UpService:
        settings = {
            "SMTP_HOST": LOOPBACK,
            "SMTP_PORT": str(mailbox.port),
            "SMTP_TLS": "none",
            "MAIL_FROM": "Desk <sav@example.com>",
            "MAIL_DESK": "desk@example.com",
            "SAV_PUBLIC_URL": f"http://{LOOPBACK}:{port}",
            "TICKET_URL": "https://shop.example.com/t/{ticket_number}",
            **variables,
        }
        service = UpService(tmp_path / "var", port=port, log=tmp_path / f"up-{next(numbers)}.log", **settings)
        started.append(service)
        service.wait_until_ready()
        return service

    yield start
    for service in started:
        service.kill()


def request(service: UpService, role: str, method: str, path: str, body: object = None) -> Any:
    status, answer = call(service.port, method, path, token=service.token(role), body=body)
    assert status < 300, answer
    return answer


def with_subjects(mailbox: Mailbox, number: str, count: int) -> list[Arrived]:
    """The mails about one ticket, once so many have come."""

    def mine() -> list[Arrived]:
        return [mail for mail in mailbox.arrived if number in mail.subject]

    wait_until(lambda: len(mine()) >= count, timeout_seconds=ARRIVAL_SECONDS, what=f"{count} mails")
    return mine()


@pytest.mark.parametrize("locale", ["fr", "en"])
def test_every_mail_of_a_tickets_life_arrives(start: Starter, mailbox: Mailbox, locale: str) -> None:
    service = start(DEFAULT_LOCALE=locale)
    request(service, "agent", "GET", "/agents/me")
    ticket = request(service, "customer", "POST", "/tickets", {"subject": "Zebra", "description": "d"})
    path, number = f"/tickets/{ticket['id']}", ticket["ticket_number"]
    request(service, "admin", "POST", f"{path}/assign", {"agent_id": AGENT})
    request(service, "agent", "POST", f"{path}/messages", {"content": NOTE, "is_internal": True})
    request(service, "agent", "POST", f"{path}/messages", {"content": TEXTS["answer"]})
    request(service, "customer", "POST", f"{path}/messages", {"content": TEXTS["question"]})
    request(service, "agent", "POST", f"{path}/resolve", {"resolution": TEXTS["resolution"]})
    request(service, "admin", "POST", f"{path}/close")
    arrived = with_subjects(mailbox, number, 6)
    words = {
        "fr": ("bien reçu", "ticket pour vous", "nouvelle réponse", "Réponse du client", "résolue", "fermée"),
        "en": (
            "have received",
            "Assigned to you",
            "new answer",
            "customer has replied",
            "resolved",
            "closed",
        ),
    }[locale]
    by_word = {word: [mail for mail in arrived if word in mail.subject] for word in words}
    assert {word: len(found) for word, found in by_word.items()} == dict.fromkeys(words, 1)
    received, assigned, answer, question, resolved, closed = (by_word[word][0] for word in words)
    customer, agent = "camille@example.com", "alex@example.com"
    assert [mail.recipient for mail in (received, answer, resolved, closed)] == [customer] * 4
    assert [mail.recipient for mail in (assigned, question)] == [agent] * 2
    first = received.message["Message-ID"]
    for mail in arrived:
        assert mail.message["Auto-Submitted"] == "auto-generated"
        assert NOTE not in mail.text + mail.html
        if mail is not received:
            assert mail.message["In-Reply-To"] == mail.message["References"] == first
    for mail, text in ((answer, "answer"), (question, "question"), (resolved, "resolution")):
        assert TEXTS[text] in mail.text
        assert TEXTS[text] in mail.html

    link = re.search(r"http://\S+/public/surveys/\S+", closed.text)
    assert link is not None
    page = httpx.get(link[0])
    assert (page.status_code, f'lang="{locale}"' in page.text) == (200, True)
    assert httpx.post(link[0], data={"rating": "5", "comment": ""}).status_code == 200
    rated = request(service, "admin", "GET", path)
    assert (rated["satisfaction_rating"], rated["satisfaction_comment"]) == (5, None)


@pytest.mark.parametrize(("locale", "word"), [("fr", "Escalade"), ("en", "Escalated")])
def test_the_desk_hears_of_an_urgent_ticket_that_nobody_answers(
    start: Starter, mailbox: Mailbox, locale: str, word: str
) -> None:
    service = start(DEFAULT_LOCALE=locale, ESCALATION_TIMEOUT_HOURS="0.0003")
    body = {"subject": "Zebra", "description": "d", "priority": "urgent"}
    ticket = request(service, "customer", "POST", "/tickets", body)
    arrived = with_subjects(mailbox, ticket["ticket_number"], 2)
    [escalated] = [mail for mail in arrived if mail.recipient == "desk@example.com"]
    assert word in escalated.subject
    assert ticket["ticket_number"] in escalated.html


def test_mails_outlast_a_mail_server_that_is_gone_and_a_service_that_is_killed(
    start: Starter, mailbox: Mailbox
) -> None:
    mailbox.stop()
    service = start(DEFAULT_LOCALE="en")
    numbers = []
    for subject in ("one", "two", "three"):
        body = {"subject": subject, "description": "d"}
        numbers.append(request(service, "customer", "POST", "/tickets", body)["ticket_number"])
    service.kill()
    start(DEFAULT_LOCALE="en")
    assert mailbox.arrived == []
    mailbox.start()
    for number in numbers:
        with_subjects(mailbox, number, 1)


def test_a_service_that_is_killed_while_the_server_answers_sends_one_copy_at_most(
    start: Starter, mailbox: Mailbox
) -> None:
    mailbox.hold.clear()
    service = start(DEFAULT_LOCALE="en")
    ticket = request(service, "customer", "POST", "/tickets", {"subject": "s", "description": "d"})
    wait_until(lambda: mailbox.connections > 0, timeout_seconds=ARRIVAL_SECONDS, what="a connection")
    service.kill()
    mailbox.hold.set()
    start(DEFAULT_LOCALE="en")
    arrived = with_subjects(mailbox, ticket["ticket_number"], 1)
    wait_until(
        lambda: "state=sent" in "".join(path.read_text() for path in logs_of(service)),
        timeout_seconds=ARRIVAL_SECONDS,
        what="the delivery to be settled",
    )
    arrived = with_subjects(mailbox, ticket["ticket_number"], 1)
    assert len(arrived) <= 2
    assert len({mail.message["Message-ID"] for mail in arrived}) == 1


def logs_of(service: UpService) -> list[Path]:
    return sorted(service.log.parent.glob("up-*.log"))
