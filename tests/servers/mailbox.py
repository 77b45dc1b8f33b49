"""A real mail server that keeps what it gets, and that a test can make refuse, hang and encrypt."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.ports import free_port, wait_until

LOOPBACK = "127.0.0.1"
ARRIVAL_TIMEOUT_SECONDS = 30.0
Rule = Callable[[str], str | None]


@dataclass(frozen=True)
class Arrived:
    """A mail with its envelope, as it came over the wire."""

    sender: str
    recipient: str
    content: bytes

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return self._body("plain")

    @property
    def html(self) -> str:
        return self._body("html")

    def _body(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())


class Mailbox:
    """Starts with the block and ends with it; `port` stays the same when it is stopped and started again."""

    def __init__(
        self,
        *,
        certificate: Path | None = None,
        tls: bool = False,
        login: tuple[str, str] | None = None,
        smtputf8: bool = True,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.arrived: list[Arrived] = []
        self.connections = 0
        self.on_recipient: Rule = lambda _: None
        self.on_data: Rule = lambda _: None
        self.hold = threading.Event()
        self.hold.set()
        self._context = _server_context(certificate) if certificate else None
        self._tls, self._login, self._smtputf8 = tls, login, smtputf8
        self._controller: Controller | None = None

    def __enter__(self) -> Mailbox:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        options: dict[str, Any] = {}
        if self._login:
            options.update(authenticator=self._authenticate, auth_required=True)
            options["auth_require_tls"] = self._context is not None and not self._tls
        if self._context and not self._tls:
            options.update(tls_context=self._context, require_starttls=True)
        controller = _Controller(
            self,
            hostname=LOOPBACK,
            port=self.port,
            enable_SMTPUTF8=self._smtputf8,
            ssl_context=self._context if self._tls else None,
            **options,
        )
        before = self.connections
        controller.start()
        # It has asked itself whether it answers.
        self.connections = before
        self._controller = controller

    def stop(self) -> None:
        self.hold.set()
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def wait_for(self, count: int) -> list[Arrived]:
        wait_until(
            lambda: len(self.arrived) >= count,
            timeout_seconds=ARRIVAL_TIMEOUT_SECONDS,
            what=f"{count} mails",
        )
        return list(self.arrived)

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and self._login == (
            data.login.decode(),
            data.password.decode(),
        )
        return AuthResult(success=good)

    # What aiosmtpd calls.

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.on_recipient(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        import asyncio

        while not self.hold.is_set():
            await asyncio.sleep(0.05)
        recipient = envelope.rcpt_tos[0]
        if answer := self.on_data(recipient):
            return answer
        content = envelope.original_content or b""
        self.arrived.append(Arrived(envelope.mail_from or "", recipient, content))
        return "250 OK"


class _Controller(Controller):
    def factory(self) -> SMTP:
        self.handler.connections += 1
        return super().factory()


@dataclass(frozen=True)
class Certificates:
    """A certificate authority of the tests, and a server's certificate with its key in one file."""

    authority: Path
    server: Path


def make_certificates(directory: Path, *, host: str = "localhost") -> Certificates:
    """For `host` and the loopback address."""
    key, authority_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The tests' authority")])
    authority = (
        _certificate(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        _certificate(subject, authority_name, key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    made = Certificates(directory / "authority.pem", directory / "server.pem")
    made.authority.write_bytes(authority.public_bytes(pem))
    made.server.write_bytes(secret + certificate.public_bytes(pem))
    return made


def _certificate(subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
