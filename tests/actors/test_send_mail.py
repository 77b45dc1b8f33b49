"""Mails on their way: a real mail server that takes them, refuses, hangs, encrypts, dies and comes back."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from sav.actors.send_mail import Mails, send_due_mails
from sav.domain.effects import RETRY_POLICIES, SEND_MAIL
from sav.mail.smtp import MailServer, PostOffice
from sav.models.tables import Contact, DueEffect, MailDelivery, Message, Ticket
from sav.operations.converse import delete_message, reply_to_ticket
from sav.operations.edit_ticket import delete_ticket
from tests.actors.notices import RULES, deliveries, settled, write_deliveries
from tests.actors.owed import LONG_AGO, OCCASION, add_message, new_ticket, owed, utc_now
from tests.actors.threads import at_the_same_time
from tests.plugins.desk import occasion
from tests.servers.mailbox import LOOPBACK, Mailbox, make_certificates
from tests.servers.ports import wait_until

pytestmark = pytest.mark.usefixtures("empty_database")

QUICK = 0.1
"""How long these tests let a server be left alone."""


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


def office(port: int, **options: Any) -> PostOffice:
    timeouts = {name: options.pop(name) for name in ("mail_timeout_seconds", "sessions") if name in options}
    server: dict[str, Any] = {"host": LOOPBACK, "port": port, "encryption": "none", **options}
    return PostOffice(MailServer(**server), first_pause_seconds=QUICK, **timeouts)


def mails(mailbox: Mailbox, **options: Any) -> Mails:
    return Mails(rules=RULES, office=office(mailbox.port, **options))


def due_mail(address: str = "zoe@example.org", user_id: int = 1) -> None:
    """One mail that is due: the receipt of a new ticket."""
    Contact.replace(user_id=user_id, email=address, name="Zoe", updated_at=LONG_AGO).execute()
    new_ticket(mails=True)
    write_deliveries()


def wait_no_more() -> None:
    """What waits for its next try need not."""
    DueEffect.update(leased_until=None, due_at=LONG_AGO).where(DueEffect.effect == SEND_MAIL).execute()


def send_until_settled(means: Mails) -> None:
    """As relay and workers would, but without their pauses."""

    def try_once() -> bool:
        wait_no_more()
        send_due_mails(means)
        return not MailDelivery.select().where(MailDelivery.state == "due").exists()

    wait_until(try_once, timeout_seconds=30, what="all deliveries to be settled")


def test_a_mail_is_sent_once_and_its_delivery_says_so(mailbox: Mailbox) -> None:
    due_mail()
    assert settled(mails(mailbox)) == [("received", "zoe@example.org", "sent")]
    assert settled(mails(mailbox)) == [("received", "zoe@example.org", "sent")]
    (arrived,) = mailbox.arrived
    (delivery,) = deliveries()
    assert (arrived.sender, arrived.recipient) == ("sav@example.com", "zoe@example.org")
    assert arrived.message["Message-ID"] == f"<{delivery.message_id}>"
    assert (delivery.tries, delivery.last_error) == (1, None)
    assert delivery.sent_at is not None
    assert owed(effect=SEND_MAIL) == 0


def test_the_log_of_a_mail_names_the_request_that_it_comes_of(mailbox: Mailbox) -> None:
    due_mail()
    mailbox.on_recipient = lambda _: "450 later"
    with capture_logs(processors=[merge_contextvars]) as lines:
        send_due_mails(mails(mailbox))
        mailbox.on_recipient = lambda _: None
        wait_no_more()
        send_due_mails(mails(mailbox))
    told = [line.get("request_id") for line in lines if line.get("action") == SEND_MAIL]
    assert len(told) == 2
    assert set(told) == {OCCASION.request_id}


def test_many_mails_go_over_one_connection(mailbox: Mailbox) -> None:
    for _ in range(12):
        due_mail()
    send_due_mails(mails(mailbox))
    assert (len(mailbox.arrived), mailbox.connections) == (12, 1)


def test_workers_at_once_send_every_mail_once(mailbox: Mailbox) -> None:
    for _ in range(20):
        due_mail()
    means = mails(mailbox)
    at_the_same_time(*[lambda: send_due_mails(means)] * 4)
    ids = [mail.message["Message-ID"] for mail in mailbox.arrived]
    assert len(ids) == len(set(ids)) == 20


def test_a_dead_address_fails_at_once_and_blocks_nobody(mailbox: Mailbox) -> None:
    mailbox.on_recipient = lambda address: "550 nobody here" if address.startswith("dead") else None
    for number, address in enumerate(("zoe@example.org", "dead@example.org", "yan@example.org"), start=1):
        due_mail(address, number) if number == 1 else due_mail(address)
    send_due_mails(mails(mailbox))
    states = {row.recipient: (row.state, row.last_error) for row in deliveries()}
    assert states == {
        "zoe@example.org": ("sent", None),
        "dead@example.org": ("failed", "Refused 550"),
        "yan@example.org": ("sent", None),
    }
    assert owed(effect=SEND_MAIL) == 0
    assert mailbox.connections == 1


def test_mails_that_make_the_server_leave_do_not_stand_before_the_others(mailbox: Mailbox) -> None:
    mailbox.on_recipient = lambda address: "421 too many for them" if address.startswith("full") else None
    addresses = [f"full{number}@example.org" for number in range(3)] + ["zoe@example.org"]
    for address in addresses:
        due_mail(address)
    means, before = mails(mailbox), utc_now()

    def try_again() -> bool:
        send_due_mails(means)
        return bool(mailbox.arrived)

    wait_until(try_again, timeout_seconds=30, what="the mail behind them")
    assert [mail.recipient for mail in mailbox.arrived] == ["zoe@example.org"]
    tokens = list(DueEffect.select().where(DueEffect.effect == SEND_MAIL))
    # Each has had its try, and its pauses grow.
    assert [token.tries for token in tokens] == [1, 1, 1]
    assert all(token.due_at - before >= RETRY_POLICIES[SEND_MAIL].pause(0) for token in tokens)
    assert {(row.state, row.last_error) for row in deliveries()} == {("due", "BrokenOff"), ("sent", None)}


def test_what_is_refused_for_now_is_tried_again_later(mailbox: Mailbox) -> None:
    mailbox.on_recipient = lambda _: "451 come back later"
    due_mail()
    before = utc_now()
    means = mails(mailbox)
    send_due_mails(means)
    token = DueEffect.get(DueEffect.effect == SEND_MAIL)
    assert token.due_at - before >= RETRY_POLICIES[SEND_MAIL].pause(0)
    send_due_mails(means)
    (delivery,) = deliveries()
    assert (delivery.state, delivery.tries, delivery.last_error) == ("due", 1, "NotNow")
    mailbox.on_recipient = lambda _: None
    wait_no_more()
    send_due_mails(means)
    (delivery,) = deliveries()
    assert (delivery.state, delivery.tries, len(mailbox.arrived)) == ("sent", 2, 1)


def test_a_mail_that_is_put_off_for_days_is_given_up_and_stays_visible(mailbox: Mailbox) -> None:
    mailbox.on_data = lambda _: "452 no room"
    due_mail()
    last = (RETRY_POLICIES[SEND_MAIL].tries or 0) - 1
    DueEffect.update(tries=last).where(DueEffect.effect == SEND_MAIL).execute()
    MailDelivery.update(tries=last).execute()
    send_due_mails(mails(mailbox))
    (delivery,) = deliveries()
    assert delivery.state == "failed"
    assert DueEffect.get(DueEffect.effect == SEND_MAIL).failed_at is not None


def test_days_pass_before_a_mail_is_given_up() -> None:
    policy = RETRY_POLICIES[SEND_MAIL]
    pauses = sum((policy.pause(tries) for tries in range(policy.tries or 0)), timedelta())
    assert timedelta(days=3) < pauses < timedelta(days=6)


def test_content_that_is_refused_fails_at_once(mailbox: Mailbox) -> None:
    mailbox.on_data = lambda _: "554 looks like spam"
    due_mail()
    assert settled(mails(mailbox)) == [("received", "zoe@example.org", "failed")]


class TestServerAway:
    def test_everything_arrives_once_it_is_back_and_no_try_was_lost(self, mailbox: Mailbox) -> None:
        mailbox.stop()
        for _ in range(5):
            due_mail()
        means = mails(mailbox)
        for _ in range(20):
            wait_no_more()
            send_due_mails(means)
        assert {row.state for row in deliveries()} == {"due"}
        assert {token.tries for token in DueEffect.select().where(DueEffect.effect == SEND_MAIL)} == {0}
        mailbox.start()
        send_until_settled(means)
        assert len(mailbox.wait_for(5)) == 5

    def test_it_is_left_alone_for_a_while(self, mailbox: Mailbox) -> None:
        mailbox.stop()
        due_mail()
        due_mail()
        means = Mails(
            rules=RULES, office=PostOffice(MailServer(host=LOOPBACK, port=mailbox.port, encryption="none"))
        )
        send_due_mails(means)
        mailbox.start()
        send_due_mails(means)
        assert mailbox.connections == 0
        # The one that showed it waits a little; the other was not touched.
        owing = DueEffect.select().where(DueEffect.effect == SEND_MAIL).order_by(DueEffect.sequence)
        assert [token.leased_until is not None for token in owing] == [True, False]

    def test_a_server_that_hangs_holds_up_no_more_than_its_places(self, mailbox: Mailbox) -> None:
        mailbox.hold.clear()
        for _ in range(4):
            due_mail()
        means = mails(mailbox, mail_timeout_seconds=1.0, sessions=2)
        still_in = [threading.Event() for _ in range(4)]

        def work(event: threading.Event) -> None:
            send_due_mails(means)
            event.set()

        at_the_same_time(*[lambda event=event: work(event) for event in still_in])
        assert mailbox.connections == 2
        assert {row.state for row in deliveries()} == {"due"}
        mailbox.hold.set()
        send_until_settled(means)
        # What it took after we had given up may come again, with the same id.
        assert len({mail.message["Message-ID"] for mail in mailbox.wait_for(4)}) == 4


class TestEncryption:
    @pytest.fixture
    def authority(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        made = make_certificates(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
        return made.server

    @pytest.mark.parametrize("encryption", ["tls", "starttls"])
    def test_mails_go_encrypted_and_we_log_in(self, authority: Path, encryption: str) -> None:
        due_mail()
        with Mailbox(certificate=authority, tls=encryption == "tls", login=("desk", "pw")) as mailbox:
            means = mails(mailbox, host="localhost", encryption=encryption, username="desk", password="pw")
            send_due_mails(means)
            assert len(mailbox.arrived) == 1

    @pytest.mark.parametrize("encryption", ["tls", "starttls"])
    def test_a_certificate_of_somebody_else_is_refused(
        self, tmp_path: Path, encryption: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        made = make_certificates(tmp_path)
        due_mail()
        with Mailbox(certificate=made.server, tls=encryption == "tls") as mailbox:
            send_due_mails(mails(mailbox, host="localhost", encryption=encryption))
            assert mailbox.arrived == []
        (delivery,) = deliveries()
        assert delivery.state == "due"

    def test_a_certificate_for_another_name_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = make_certificates(tmp_path, host="elsewhere.example")
        monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
        due_mail()
        with Mailbox(certificate=made.server) as mailbox:
            send_due_mails(mails(mailbox, host="localhost", encryption="starttls"))
            assert mailbox.arrived == []

    def test_without_starttls_nothing_is_said_in_the_clear(self, mailbox: Mailbox) -> None:
        due_mail()
        send_due_mails(mails(mailbox, encryption="starttls"))
        assert mailbox.arrived == []
        assert {row.state for row in deliveries()} == {"due"}

    def test_a_refused_login_is_no_fault_of_the_mails(self, authority: Path) -> None:
        due_mail()
        with Mailbox(certificate=authority, login=("desk", "pw")) as mailbox:
            options = {"host": "localhost", "encryption": "starttls", "username": "desk"}
            means = mails(mailbox, **options, password="wrong")
            send_due_mails(means)
            assert {row.state for row in deliveries()} == {"due"}
            wait_no_more()
            send_until_settled(mails(mailbox, **options, password="pw"))
            assert len(mailbox.arrived) == 1


class TestAddresses:
    def test_an_international_domain_goes_out_as_dns_knows_it(self, mailbox: Mailbox) -> None:
        due_mail("zoe@bücher.example")
        send_due_mails(mails(mailbox))
        assert [mail.recipient for mail in mailbox.arrived] == ["zoe@xn--bcher-kva.example"]

    def test_an_international_name_needs_a_server_that_knows_them(self, mailbox: Mailbox) -> None:
        due_mail("zoé@example.org")
        send_due_mails(mails(mailbox))
        assert [mail.recipient for mail in mailbox.arrived] == ["zoé@example.org"]

    def test_without_such_a_server_it_fails_alone(self) -> None:
        due_mail("zoé@example.org")
        due_mail("zoe@example.org")
        with Mailbox(smtputf8=False) as mailbox:
            send_due_mails(mails(mailbox))
            assert [mail.recipient for mail in mailbox.arrived] == ["zoe@example.org"]
        assert [row.state for row in deliveries()] == ["failed", "sent"]


class TestWhatIsNotSent:
    def test_without_a_server_mails_are_recorded(self) -> None:
        due_mail()
        assert settled() == [("received", "zoe@example.org", "recorded")]
        assert owed(effect=SEND_MAIL) == 0

    def test_a_deleted_message_is_not_sent(self, mailbox: Mailbox) -> None:
        due_mail()
        ticket = Ticket.get()
        message = reply_to_ticket(occasion=occasion("admin", 99, LONG_AGO), ticket_id=ticket.id, content="x")
        write_deliveries()
        delete_message(occasion=occasion("admin", 99, LONG_AGO), ticket_id=ticket.id, message_id=message.id)
        settled(mails(mailbox))
        assert [(row.kind, row.state, row.reason) for row in deliveries()] == [
            ("received", "sent", None),
            ("reply", "suppressed", "deleted"),
        ]

    def test_a_note_would_not_be_sent_even_if_a_fact_spoke_of_it(self, mailbox: Mailbox) -> None:
        due_mail()
        ticket_id = Ticket.get().id
        note = Message.create(
            ticket_id=ticket_id,
            author_role="agent",
            author_name="Alex",
            author_email="",
            content="secret",
            is_internal=True,
            created_at=LONG_AGO,
            updated_at=LONG_AGO,
        )
        add_message(ticket_id, note.id, mails=True)
        settled(mails(mailbox))
        assert {(row.kind, row.state) for row in deliveries()} >= {("customer_replied", "suppressed")}
        assert not any(b"secret" in mail.content for mail in mailbox.arrived)

    def test_nothing_is_sent_about_a_deleted_ticket(self, mailbox: Mailbox) -> None:
        due_mail()
        delete_ticket(occasion=occasion("admin", 99, LONG_AGO), ticket_id=Ticket.get().id)
        assert settled(mails(mailbox)) == [("received", "zoe@example.org", "suppressed")]


def test_a_worker_that_dies_after_sending_sends_one_copy_of_the_same_id(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """SIGKILL: no `except Exception` hears of it."""

    def die(**_: Any) -> None:
        raise Killed

    due_mail()
    with monkeypatch.context() as dying:
        dying.setattr("sav.actors.send_mail.settle_delivery", die)
        with pytest.raises(Killed):
            send_due_mails(mails(mailbox))
    send_due_mails(mails(mailbox))
    assert len(mailbox.arrived) == 1, "the lease of the dead one holds"
    wait_no_more()
    send_due_mails(mails(mailbox))
    send_due_mails(mails(mailbox))
    first, second = (mail.message["Message-ID"] for mail in mailbox.arrived)
    assert first == second


def test_an_operators_retry_sends_what_had_failed(mailbox: Mailbox) -> None:
    mailbox.on_data = lambda _: "452 no room"
    due_mail()
    last = (RETRY_POLICIES[SEND_MAIL].tries or 0) - 1
    DueEffect.update(tries=last).where(DueEffect.effect == SEND_MAIL).execute()
    MailDelivery.update(tries=last).execute()
    send_due_mails(mails(mailbox))
    mailbox.on_data = lambda _: None
    DueEffect.update(failed_at=None, tries=0).where(DueEffect.effect == SEND_MAIL).execute()
    wait_no_more()
    assert settled(mails(mailbox)) == [("received", "zoe@example.org", "sent")]


def test_a_fact_is_told_once_however_often_its_token_is_done() -> None:
    new_ticket(mails=True)
    at_the_same_time(*[write_deliveries] * 3)
    write_deliveries()
    assert [(row.kind, row.state, row.reason) for row in deliveries()] == [
        ("received", "suppressed", "no_address")
    ]
