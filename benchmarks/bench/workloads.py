"""What is asked for: requests that are ready to send, made for what one seeded database holds."""

import json
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import cache
from urllib.parse import urlencode

import jwt

from benchmarks.bench.bounds import DIFFERENT_REQUESTS, HOT_REQUESTS
from benchmarks.bench.ground import reading
from benchmarks.seed import AGENTS, BUSY_CUSTOMERS
from benchmarks.vocabulary import COMMON, TAIL, Writer, vocabulary
from sav.queries.pages import DEEPEST_NUMBERED_ROW, encode_cursor
from tests.servers.addresses import Address

SECRET = "a secret of the benchmark, long enough for HS256"  # noqa: S105
TOKEN_LIFETIME_SECONDS = 6 * 3600
ADMIN = 1
PAGE = 25
PAGE_DEPTHS = (0.3, 0.7, 1.0)
"""How deep the pages by number are, as shares of the deepest that there is."""
CURSOR_DEPTHS = (0.1, 0.5, 0.9)
WORDS_OF_A_KIND = 20
SEARCHES = {"common": 0, "mid": len(COMMON) + TAIL // 20, "rare": len(COMMON) + TAIL - 2 * WORDS_OF_A_KIND}
"""From which place in the vocabulary on, the most frequent first, words of a kind are taken."""

Requests = Sequence[bytes]


@cache
def token(role: str, user_id: int) -> str:
    """An access token as the authentication service would sign it."""
    claims = {"sub": str(user_id), "role": role, "exp": int(time.time()) + TOKEN_LIFETIME_SECONDS}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def request(method: str, path: str, *, authorization: str = "", body: object = None) -> bytes:
    """One request as it goes over the wire."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept: application/json"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def by(role: str, user_id: int, method: str, path: str, body: object = None) -> bytes:
    return request(method, path, authorization=f"Bearer {token(role, user_id)}", body=body)


class Workload:
    """Requests about the tickets of one database; the same every time."""

    def __init__(self, address: Address, *, tickets: int) -> None:
        self._dice = random.Random(20)  # noqa: S311
        self._write = Writer(self._dice)
        # As `benchmarks.seed` has drawn it.
        self._words = vocabulary(random.Random(1))  # noqa: S311
        self._tickets = tickets
        step = max(1, tickets // DIFFERENT_REQUESTS)
        with reading(address) as cursor:
            cursor.execute(
                "SELECT id, user_id FROM support_tickets WHERE id <= %s AND id %% %s = 0 "
                "AND user_id IS NOT NULL AND deleted_at IS NULL",
                (tickets, step),
            )
            self._owned: list[tuple[int, int]] = list(cursor.fetchall())
            cursor.execute(
                "SELECT id, user_id FROM support_tickets WHERE id BETWEEN %s AND %s AND user_id IS NOT NULL "
                "AND deleted_at IS NULL AND status NOT IN ('resolved', 'closed') LIMIT %s",
                (int(0.9 * tickets), tickets, HOT_REQUESTS),
            )
            self._in_hand: list[tuple[int, int]] = list(cursor.fetchall())
            marks = [max(1, int(tickets * (1 - depth))) for depth in CURSOR_DEPTHS]
            cursor.execute("SELECT id, created_at FROM support_tickets WHERE id IN %s", (marks,))
            self._marks = list(cursor.fetchall())
        self._dice.shuffle(self._owned)

    def create(self) -> Requests:
        return [
            by("customer", user_id, "POST", "/tickets", self.new_ticket())
            for _, user_id in self._owned[:HOT_REQUESTS]
        ]

    def new_ticket(self) -> dict[str, str]:
        return {"subject": self._write.words(3, 8), "description": self._write.description()}

    def reply(self) -> Requests:
        return [
            by(
                "customer",
                user_id,
                "POST",
                f"/tickets/{number}/messages",
                {"content": self._write.words(10, 40)},
            )
            for number, user_id in self._in_hand
        ]

    def get(self, *, warm: bool = False, query: str = "") -> Requests:
        wanted = self._owned[:HOT_REQUESTS] if warm else self._owned
        return [by("customer", user_id, "GET", f"/tickets/{number}{query}") for number, user_id in wanted]

    def by_user(self) -> Requests:
        """Their newest 25: of customers who have as many."""
        return [by("customer", user_id, "GET", "/tickets") for user_id in BUSY_CUSTOMERS]

    def inbox(self) -> Requests:
        """Of agents: what is theirs, and what is open."""
        return [by("agent", agent, "GET", "/tickets") for agent in AGENTS[:100:5]]

    def newest(self) -> Requests:
        return self._as_admin({})

    def filtered(self) -> Requests:
        return self._as_admin(
            {"status": "open"}, {"priority": "urgent"}, {"category": "order", "status": "closed"}
        )

    def numbered_page(self) -> Requests:
        deepest = min(DEEPEST_NUMBERED_ROW, self._tickets) // PAGE
        return self._as_admin(*({"page": max(1, int(depth * deepest))} for depth in PAGE_DEPTHS))

    def cursor_page(self) -> Requests:
        return self._as_admin(
            *(
                {"cursor": encode_cursor("-created_at", created_at.replace(tzinfo=UTC), number)}
                for number, created_at in self._marks
            )
        )

    def statistics(self) -> Requests:
        return [by("admin", ADMIN, "GET", "/tickets/statistics")]

    def search(self, kind: str, **filters: str) -> Requests:
        first = SEARCHES[kind]
        return self._as_admin(
            *({"q": word, **filters} for word in self._words[first : first + WORDS_OF_A_KIND])
        )

    def _as_admin(self, *queries: Mapping[str, object]) -> Requests:
        return [by("admin", ADMIN, "GET", f"/tickets?{urlencode(query)}".rstrip("?")) for query in queries]
