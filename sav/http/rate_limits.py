"""The limits of the doors that are open to strangers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

import falcon
import structlog
from cachetools import LRUCache

from sav.domain.rate_limits import RateLimit, RateLimited, Standing, standing_of
from sav.http.client_addresses import Network, client_of
from sav.operations.rate_counters import count_hit, look_up

MINUTE, HOUR = 60, 3600
EVERYBODY = "everybody"
REMEMBERED_REFUSALS = 100_000
"""How many that were refused a process remembers, so that refusing them again asks nothing."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicLimits:
    """What strangers may do, and whose word about their address is believed."""

    requests_per_minute: int
    """Of one address."""
    requests_per_minute_overall: int
    wrong_guesses_per_minute: int
    """Of one address: numbers and tokens that open nothing."""
    tickets_per_hour: int
    """For one e-mail."""
    files_per_hour: int
    """By the guest of one ticket."""
    trusted_proxies: Sequence[Network] = ()

    @property
    def per_address(self) -> RateLimit:
        return RateLimit("address", self.requests_per_minute, MINUTE)

    @property
    def overall(self) -> RateLimit:
        return RateLimit("overall", self.requests_per_minute_overall, MINUTE)

    @property
    def guesses(self) -> RateLimit:
        return RateLimit("guesses", self.wrong_guesses_per_minute, MINUTE)

    @property
    def per_email(self) -> RateLimit:
        return RateLimit("email", self.tickets_per_hour, HOUR)

    @property
    def files(self) -> RateLimit:
        return RateLimit("files", self.files_per_hour, HOUR)


class PublicDoor:
    """The door for those who have no account; one for all requests of a process."""

    def __init__(self, limits: PublicLimits) -> None:
        self.limits = limits
        self._refused: LRUCache[tuple[str, int, str], bool] = LRUCache(REMEMBERED_REFUSALS)
        self._lock = Lock()

    def admission(self, req: falcon.Request, resp: falcon.Response, *, now: datetime) -> "Admission":
        """A request at the door."""
        address = client_of(
            peer=req.remote_addr,
            forwarded_for=req.get_header("X-Forwarded-For"),
            trusted=self.limits.trusted_proxies,
        )
        return Admission(self, address, resp, now=now)

    def is_refused(self, limit: RateLimit, subject: str, now: datetime) -> bool:
        """Whether this process has refused them before in this window, and so without asking again: a flood
        costs the database nothing more. It is never wrong, because counts only grow."""
        with self._lock:
            return (limit.name, limit.window(now), subject) in self._refused

    def remember_refusal(self, limit: RateLimit, subject: str, now: datetime) -> None:
        with self._lock:
            self._refused[limit.name, limit.window(now), subject] = True


class Admission:
    """One stranger's request, let in as far as the limits go; the answer's `RateLimit-*` headers say how far.

    Wrong guesses count for the address that makes them and never for the ticket that they are about: nobody
    can lock a guest out of their ticket by guessing at it from elsewhere.
    """

    def __init__(self, door: PublicDoor, address: str, resp: falcon.Response, *, now: datetime) -> None:
        self._door = door
        self._limits = door.limits
        self._address = address
        self._resp = resp
        self._now = now

    def enter(self, *, guessing: bool) -> None:
        """Counts the request; with `guessing`, whoever has guessed wrong too often is refused like the right.

        Raises `RateLimited`. What is refused for its address does not use up what is there for all.
        """
        if guessing:
            self._refuse_again(self._limits.guesses, self._address)
        self._hit(self._limits.per_address, self._address)
        if guessing:
            self._look_for_guesses()
        self._hit(self._limits.overall, EVERYBODY)

    def wrong_guess(self) -> None:
        """Counts a number or a token that opened nothing."""
        guesses = count_hit(self._limits.guesses, subject=self._address, now=self._now)
        if guesses.is_used_up:
            self._show(guesses)
            log.warning("an address guesses", action="rate_limit", limit=guesses.limit.name)

    def open_ticket_for(self, mailbox: str) -> None:
        """Counts a ticket that is opened for this e-mail; raises `RateLimited`."""
        self._hit(self._limits.per_email, mailbox)

    def attach_file_to(self, ticket_id: int) -> None:
        """Counts a file that a ticket's guest sends; raises `RateLimited`, before it is received."""
        self._hit(self._limits.files, str(ticket_id))

    def _hit(self, limit: RateLimit, subject: str) -> None:
        self._refuse_again(limit, subject)
        standing = count_hit(limit, subject=subject, now=self._now)
        if limit == self._limits.per_address:
            self._show(standing)
        if standing.is_exceeded:
            self._refuse(standing, subject)

    def _look_for_guesses(self) -> None:
        guesses = look_up(self._limits.guesses, subject=self._address, now=self._now)
        if guesses.is_used_up:
            self._refuse(guesses, self._address)

    def _refuse_again(self, limit: RateLimit, subject: str) -> None:
        if self._door.is_refused(limit, subject, self._now):
            self._refuse(standing_of(limit, hits=limit.allowed + 1, now=self._now), subject)

    def _refuse(self, standing: Standing, subject: str) -> None:
        self._door.remember_refusal(standing.limit, subject, self._now)
        self._show(standing)
        log.warning("refused for a rate limit", action="rate_limit", limit=standing.limit.name)
        raise RateLimited(retry_after_seconds=standing.reset_seconds)

    def _show(self, standing: Standing) -> None:
        """Several limits hold at once. The headers tell of the address's own, by which a client can pace
        itself, unless another one is used up."""
        self._resp.set_headers(
            {
                "RateLimit-Limit": str(standing.limit.allowed),
                "RateLimit-Remaining": str(standing.remaining),
                "RateLimit-Reset": str(standing.reset_seconds),
            }
        )
