"""Hands mails to the mail server: over an encrypted connection, in bounded time, a few at a time.

What a server says is one of four things to us: it has taken the mail; it will not take this one, ever
(`Refused`); not now (`NotNow`); or it is not there for any mail (`ServerTrouble`), after which it is left
alone for a while. If it was there, and left when it was given a mail, that mail is a suspect (`BrokenOff`).
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from sav.mail.compose import Mail

CONNECT_TIMEOUT_SECONDS = 5.0
ANSWER_TIMEOUT_SECONDS = 10.0
"""How long the server may take to answer one command."""
LEAVE_TIMEOUT_SECONDS = 1.0
"""How long we wait for its farewell."""
MAIL_TIMEOUT_SECONDS = 20.0
"""How long one mail may take, with connecting, whatever the server does: less than the lease on it."""
MAILS_A_SESSION = 100
"""After so many mails a connection is made anew: some servers ask for it."""
SESSIONS_A_PROCESS = 2
"""A server that hangs holds up so many threads of a worker process, and no more."""
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 30.0
"""How long a server is left alone that was not there: also how late its return may be noticed."""

Encryption = Literal["none", "starttls", "tls"]

log = structlog.get_logger(__name__)


class MailTrouble(Exception):
    """A mail could not be handed over; `code` is what the server said, 0 when it said nothing."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(f"{type(self).__name__} {code}" if code else type(self).__name__)
        self.code = code


class Refused(MailTrouble):
    """The server will never take this mail, or has nobody of this address."""


class NotNow(MailTrouble):
    """The server takes this mail later, perhaps."""


class ServerTrouble(MailTrouble):
    """The server is away, too slow, or does not let us in: no mail can be sent now."""


class BrokenOff(ServerTrouble):
    """The server let us in, and broke off at this mail: perhaps because of it."""


class LoginRefused(ServerTrouble):
    """The server does not accept our name and password, our address, or our way to encrypt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mails are handed over. Certificates are checked against the system's, or `SSL_CERT_FILE`."""

    host: str
    port: int
    encryption: Encryption
    username: str | None = None
    password: str | None = None


class PostOffice:
    """Any thread may come; at most `sessions` are served at the same time, and the others sent away."""

    def __init__(
        self,
        server: MailServer,
        *,
        sessions: int = SESSIONS_A_PROCESS,
        mail_timeout_seconds: float = MAIL_TIMEOUT_SECONDS,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self._server = server
        self._places = threading.Semaphore(sessions)
        self._mail_timeout_seconds = mail_timeout_seconds
        self._first_pause_seconds = first_pause_seconds
        self._pause_seconds = 0.0
        self._closed_until = 0.0

    @contextmanager
    def session(self) -> Iterator[Session | None]:
        """A session, which connects with its first mail; None when there is no place, or no server."""
        if time.monotonic() < self._closed_until or not self._places.acquire(blocking=False):
            yield None
            return
        session = Session(self._server, mail_timeout_seconds=self._mail_timeout_seconds)
        try:
            yield session
        except ServerTrouble as trouble:
            self._close_for_a_while(trouble)
            raise
        else:
            if session.has_sent:
                self._pause_seconds = 0.0
        finally:
            session.end()
            self._places.release()

    def _close_for_a_while(self, trouble: ServerTrouble) -> None:
        # A server that lets us in is there: the others are not to wait long for one that it breaks off at.
        before = 0.0 if isinstance(trouble, BrokenOff) else self._pause_seconds
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, max(self._first_pause_seconds, 2 * before))
        self._closed_until = time.monotonic() + self._pause_seconds
        say = log.error if isinstance(trouble, LoginRefused) else log.warning
        # Neither the server's own words, which may quote an address, nor ours.
        say(
            "the mail server cannot be used",
            action="send_mail",
            reason=type(trouble.__cause__ or trouble).__name__,
            code=trouble.code,
            pause_seconds=self._pause_seconds,
        )


class Session:
    """One connection to the server, for one mail after the other."""

    def __init__(self, server: MailServer, *, mail_timeout_seconds: float = MAIL_TIMEOUT_SECONDS) -> None:
        self._server = server
        self._mail_timeout_seconds = mail_timeout_seconds
        self._smtp: smtplib.SMTP | None = None
        self._handed_over = 0
        self.has_sent = False

    def send(self, mail: Mail) -> None:
        """Returns once the server has taken the mail; raises a `MailTrouble`."""
        was_let_in = False
        try:
            with _translated(), self._alarm():
                if self._smtp is None or self._handed_over >= MAILS_A_SESSION:
                    self.end()
                    self._smtp = self._connected()
                    self._handed_over = 0
                self._handed_over += 1
                was_let_in = True
                _hand_over(self._smtp, mail)
        except LoginRefused:
            self._break_off()
            raise
        except ServerTrouble as trouble:
            self._break_off()
            if was_let_in:
                raise BrokenOff(trouble.code) from trouble.__cause__
            raise
        self.has_sent = True

    def check(self) -> None:
        """Connects, encrypts and logs in, and sends nothing; raises a `ServerTrouble`."""
        try:
            with _translated(), self._alarm():
                self._smtp = self._connected()
        finally:
            self.end()

    def end(self) -> None:
        """Takes leave of the server, if it listens."""
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        with suppress(OSError, smtplib.SMTPException):
            if smtp.sock is not None:
                smtp.sock.settimeout(LEAVE_TIMEOUT_SECONDS)
                smtp.quit()
        with suppress(OSError):
            smtp.close()

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        context = ssl.create_default_context()
        name = _own_name()
        smtp = (
            smtplib.SMTP_SSL(local_hostname=name, timeout=CONNECT_TIMEOUT_SECONDS, context=context)
            if server.encryption == "tls"
            else smtplib.SMTP(local_hostname=name, timeout=CONNECT_TIMEOUT_SECONDS)
        )
        # Known to the alarm before it says its first word.
        self._smtp = smtp
        # The name that its certificate has to carry; `connect` alone does not keep it.
        smtp._host = server.host  # type: ignore[attr-defined]
        code, _ = smtp.connect(server.host, server.port)
        if code != 220:
            raise ServerTrouble(code)
        if smtp.sock is not None:
            smtp.sock.settimeout(ANSWER_TIMEOUT_SECONDS)
        if server.encryption == "starttls":
            smtp.starttls(context=context)
        smtp.ehlo_or_helo_if_needed()
        if server.username is not None:
            smtp.login(server.username, server.password or "")
        return smtp

    @contextmanager
    def _alarm(self) -> Iterator[None]:
        """Breaks the connection off when a mail takes too long: a server may answer byte by byte."""
        rang = threading.Event()

        def ring() -> None:
            rang.set()
            self._break_off()

        alarm = threading.Timer(self._mail_timeout_seconds, ring)
        alarm.daemon = True
        alarm.start()
        try:
            yield
        except Exception as error:
            if rang.is_set():
                raise ServerTrouble from TimeoutError(str(type(error)))
            raise
        finally:
            alarm.cancel()

    def _break_off(self) -> None:
        # Taken once: the thread that uses it forgets it when it finds it broken.
        connection = None if self._smtp is None else self._smtp.sock
        if connection is None:
            return
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            connection.close()


def _own_name() -> str:
    """How we greet: the library would ask the network, which may take its time."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def _hand_over(smtp: smtplib.SMTP, mail: Mail) -> None:
    options = []
    if mail.needs_smtputf8:
        if not smtp.has_extn("smtputf8"):
            # Whoever has such an address cannot be reached through this server.
            raise Refused
        options = ["SMTPUTF8", "BODY=8BITMIME"]
    code, _ = smtp.mail(mail.sender, options)
    if code != 250:
        # Our own address: true of every mail, and nothing that its reader could help.
        raise LoginRefused(code) if code >= 500 else ServerTrouble(code)
    code, _ = smtp.rcpt(mail.recipient)
    if code not in (250, 251):
        _start_anew(smtp, code)
    try:
        code, _ = smtp.data(mail.content)
    except smtplib.SMTPDataError as error:
        code = error.smtp_code
    if code != 250:
        _start_anew(smtp, code)


def _start_anew(smtp: smtplib.SMTP, code: int) -> None:
    """Forgets this mail, so that the connection is good for the next one; raises what its refusal means."""
    if code == 421 or code < 0:
        raise ServerTrouble(max(code, 0))
    smtp.rset()
    raise Refused(code) if code >= 500 else NotNow(code)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (
        smtplib.SMTPAuthenticationError,
        smtplib.SMTPNotSupportedError,
        ssl.SSLCertVerificationError,
    ) as e:
        raise LoginRefused(getattr(e, "smtp_code", 0)) from e
    except smtplib.SMTPResponseException as error:
        raise ServerTrouble(max(error.smtp_code, 0)) from error
    except (OSError, smtplib.SMTPException, ValueError) as error:
        # ValueError is what a socket says that was closed under smtplib's hands.
        raise ServerTrouble from error
