"""A request that may be sent twice: its first answer is kept for a day and given again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import peewee
from cryptography.fernet import Fernet

from sav.domain.errors import Conflict, Invalid
from sav.models.database import is_duplicate, is_lock_timeout
from sav.models.prepared import Prepared, given, insert_rows
from sav.models.tables import IdempotencyKey

LIFETIME = timedelta(hours=24)
T = TypeVar("T")


_FIRST = Prepared(
    lambda: IdempotencyKey.select().where(
        IdempotencyKey.caller == given("caller"), IdempotencyKey.key_hash == given("key_hash")
    )
)


class IdempotencyMismatch(Invalid):
    """This Idempotency-Key was already used for another request."""

    code = "idempotency_mismatch"


class RequestInFlight(Conflict):
    """The first request with this Idempotency-Key is still being answered; try again shortly."""

    code = "idempotency_in_flight"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it was given: status code, headers, and the JSON body's text."""

    status: int
    headers: dict[str, str]
    body: str


class AlreadyAnswered(Exception):
    """Not an error: the request was answered before, and this is the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("already answered")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class FirstAnswer(Generic[T]):
    """The key of one request. `claim` and `keep`, or `record` alone, run in the transaction of what the
    request does, so that a key without its write, or a write without its key, cannot outlive a crash.

    `caller` names who asks, `key_hash` and `fingerprint` are SHA-256 in hex of the key and of the whole
    request, and `render` makes the answer from what the operation returns.
    """

    caller: str
    key_hash: str
    fingerprint: str
    render: Callable[[T], Answer]
    seal: Fernet | None = None
    """What the stored body is encrypted with, when it holds a secret. It is made from the key as the caller
    sent it, of which the row has a hash alone: whoever reads the table cannot read the body."""

    def claim(self, *, now: datetime) -> None:
        """Takes the key; raises `AlreadyAnswered`, `IdempotencyMismatch` or `RequestInFlight`."""
        self._take({"fingerprint": self.fingerprint, "status": None, "created_at": now}, now)

    def record(self, result: T, *, now: datetime) -> None:
        """Takes the key and stores the answer at once, at the end of a transaction that locks nothing which
        another request with this key could want. Raises like `claim`: then all of it is rolled back."""
        self._take({"fingerprint": self.fingerprint, "created_at": now, **self._stored(result)}, now)

    def _take(self, fresh: dict[str, Any], now: datetime) -> None:
        try:
            # A second request waits here until the first one has committed.
            insert_rows(IdempotencyKey, [{"caller": self.caller, "key_hash": self.key_hash, **fresh}])
            return
        except peewee.IntegrityError as error:
            if not is_duplicate(error):
                raise
        except peewee.OperationalError as error:
            if is_lock_timeout(error):
                raise RequestInFlight from error
            raise
        first = self._first()
        if first is not None and first.created_at > now - LIFETIME:
            self._answer_from(first)
        IdempotencyKey.update(**fresh).where(self._mine()).execute()

    def look(self, *, now: datetime) -> None:
        """Raises as `claim` does when the request was answered before, and takes nothing: for work that
        must be done before the transaction that claims."""
        first = self._first()
        if first is not None and first.created_at > now - LIFETIME:
            self._answer_from(first)

    def keep(self, result: T) -> None:
        """Stores the answer to give from now on."""
        IdempotencyKey.update(**self._stored(result)).where(self._mine()).execute()

    def _stored(self, result: T) -> dict[str, Any]:
        answer = self.render(result)
        body = self.seal.encrypt(answer.body.encode()).decode() if self.seal else answer.body
        return {"status": answer.status, "headers": answer.headers, "body": body}

    def _answer_from(self, first: IdempotencyKey) -> None:
        if first.fingerprint != self.fingerprint:
            raise IdempotencyMismatch
        if first.status is None:
            raise RequestInFlight
        body = first.body or ""
        if self.seal:
            body = self.seal.decrypt(body.encode()).decode()
        raise AlreadyAnswered(Answer(first.status, first.headers, body))

    def _first(self) -> IdempotencyKey | None:
        return _FIRST.first(caller=self.caller, key_hash=self.key_hash)

    def _mine(self) -> Any:
        return (IdempotencyKey.caller == self.caller) & (IdempotencyKey.key_hash == self.key_hash)
