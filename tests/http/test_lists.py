"""Lists: what is in them, in which order, page by page, and what they cost.

What a list should hold is worked out a second time here, in plain Python over all rows.
"""

import random
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from sav.domain.caller import Role
from sav.domain.ticket_lifecycle import PRIORITIES, SOURCES, STATUSES
from sav.models.database import is_sqlite
from sav.models.tables import Agent, Event, Message, Ticket, TicketTag
from sav.queries.pages import encode_cursor
from tests.http.problems import problem
from tests.plugins.desk import Api, counted_queries

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
ORDERS = ("-created_at", "created_at", "-updated_at", "updated_at", "-priority")
CATEGORIES = (None, "order", "Order", "produit", "prêt", "pret")
TAGS = ("vip", "VIP", "été", "ete", "a,b", "50%", "x_y")
ROLES: tuple[tuple[Role, int], ...] = (
    ("customer", 1),
    ("customer", 2),
    ("agent", 7),
    ("agent", 8),
    ("admin", 99),
)


@dataclass(frozen=True)
class Row:
    """A ticket, as far as lists look at it."""

    id: int
    user_id: int | None
    assigned_to: int | None
    status: str
    priority: str
    category: str | None
    source: str
    created_at: datetime
    updated_at: datetime
    tags: tuple[str, ...] = ()
    subject: str = "Parcel"
    description: str = "It never came."
    deleted: bool = False


def store(rows: list[Row]) -> None:
    columns = [
        {
            "id": row.id,
            "ticket_number": f"TICKET-{row.id}",
            "user_id": row.user_id,
            "assigned_to": row.assigned_to,
            "subject": row.subject,
            "description": row.description,
            "status": row.status,
            "priority": row.priority,
            "category": row.category,
            "source": row.source,
            "tags": list(row.tags),
            "metadata": {},
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "deleted_at": NOON if row.deleted else None,
        }
        for row in rows
    ]
    for start in range(0, len(columns), 1000):
        Ticket.insert_many(columns[start : start + 1000]).execute()
    tags = [{"ticket_id": row.id, "tag": tag} for row in rows for tag in row.tags]
    if tags:
        TicketTag.insert_many(tags).execute()


def simple(ticket_id: int, **fields: Any) -> Row:
    """A row that differs from others by what is given."""
    at = NOON + timedelta(minutes=ticket_id)
    fixed = {
        "user_id": 1, "assigned_to": None, "status": "open", "priority": "normal", "category": None,
        "source": "web", "created_at": at, "updated_at": at,
    }  # fmt: skip
    return Row(ticket_id, **{**fixed, **fields})


@dataclass
class Shelf:
    """All rows there are, and what each caller should see of them."""

    api: Api
    rows: list[Row] = field(default_factory=list)

    def add(self, *rows: Row) -> None:
        store(list(rows))
        self.rows.extend(rows)

    def caller(self, role: Role, user_id: int) -> Api:
        return self.api.as_caller(role, user_id)

    def expected(
        self, role: Role, user_id: int, order: str = "-created_at", wanted: dict[str, Any] | None = None
    ) -> list[int]:
        visible = (row for row in self.rows if in_sight(row, role, user_id))
        chosen = [row for row in visible if is_wanted(row, user_id, wanted or {})]
        return [row.id for row in sorted(chosen, key=sort_key(order), reverse=order.startswith("-"))]


def in_sight(row: Row, role: Role, user_id: int) -> bool:
    sights = {
        "admin": True,
        "agent": row.status == "open" or row.assigned_to == user_id,
        "customer": row.user_id == user_id,
    }
    return sights[role] and not row.deleted


def is_wanted(row: Row, user_id: int, wanted: dict[str, Any]) -> bool:
    tests: dict[str, Callable[[Any], bool]] = {
        "status": lambda values: row.status in values,
        "priority": lambda values: row.priority in values,
        "category": lambda values: row.category in values,
        "source": lambda values: row.source in values,
        "tag": lambda values: bool(set(values) & set(row.tags)),
        "assigned_to": lambda value: row.assigned_to == {"me": user_id, "none": None}.get(value, value),
        "user_id": lambda value: row.user_id == value,
        "created_from": lambda value: row.created_at >= value,
        "created_to": lambda value: row.created_at <= value,
        "updated_from": lambda value: row.updated_at >= value,
    }
    return all(tests[name](value) for name, value in wanted.items())


def sort_key(order: str) -> Callable[[Row], Any]:
    if order == "-priority":
        return lambda row: (PRIORITIES.index(row.priority), row.id)  # type: ignore[arg-type]
    name = order.removeprefix("-")
    return lambda row: (getattr(row, name), row.id)


def query_string(**parameters: Any) -> str:
    texts = {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in parameters.items()
    }
    return urlencode(texts, doseq=True)


def ids(caller: Api, **parameters: Any) -> list[int]:
    """All ids of a list, page by page, by following `Link`."""
    return [
        row["id"] for page in pages(caller, f"/tickets?{query_string(**parameters)}") for row in page["data"]
    ]


def pages(caller: Api, url: str) -> Iterator[Any]:
    while url:
        path, _, query = url.partition("?")
        answer = caller.get(path, query_string=query)
        assert answer.status_code == 200, answer.text
        link = answer.headers.get("Link", "")
        assert bool(link) == (answer.json["meta"]["next_cursor"] is not None)
        assert not link or (link.startswith("<") and link.endswith('>; rel="next"'))
        yield answer.json
        url = link.removeprefix("<").removesuffix('>; rel="next"')


def random_row(dice: random.Random, ticket_id: int) -> Row:
    # Few instants for many tickets: most sort keys come several times.
    created_at = NOON + timedelta(hours=dice.randrange(-20, 20), microseconds=dice.randrange(2))
    status = dice.choice(STATUSES)
    return Row(
        id=ticket_id,
        user_id=dice.choice((1, 1, 2, 3, None)),
        # An open ticket has nobody; should one have somebody all the same, it is not in a list twice.
        assigned_to=dice.choice((7, 8, None, None)) if status == "open" else dice.choice((7, 8, 9, None)),
        status=status,
        priority=dice.choice(PRIORITIES),
        category=dice.choice(CATEGORIES),
        source=dice.choice(SOURCES),
        created_at=created_at,
        updated_at=created_at + timedelta(hours=dice.randrange(3)),
        tags=tuple(dice.sample(TAGS, dice.randrange(3))),
        deleted=dice.random() < 0.1,
    )


@pytest.fixture
def dice() -> random.Random:
    return random.Random(20260329)


@pytest.fixture
def shelf(api: Api, dice: random.Random) -> Shelf:
    """A few hundred tickets of all kinds."""
    shelf = Shelf(api)
    shelf.add(*(random_row(dice, number) for number in range(1, 301)))
    return shelf


@pytest.fixture
def noise(api: Api) -> Shelf:
    """Tickets that must not appear in anybody's list: of others, at work elsewhere, or deleted."""
    shelf = Shelf(api)
    shelf.add(
        *(simple(900 + number, user_id=77, assigned_to=66, status="closed", category="noise", tags=("noise",))
          for number in range(5)),
        *(simple(950 + number, user_id=number % 3, assigned_to=7, status="assigned", deleted=True)
          for number in range(9)),
        *(simple(960 + number, user_id=1, deleted=True) for number in range(5)),
    )  # fmt: skip
    return shelf


# Sights, filters, orders


@pytest.mark.parametrize(("role", "user_id"), ROLES)
def test_each_order_of_each_sight(shelf: Shelf, role: Role, user_id: int) -> None:
    caller = shelf.caller(role, user_id)
    for order in ORDERS:
        expected = shelf.expected(role, user_id, order)
        assert ids(caller, sort=order, per_page=100) == expected
        assert ids(caller, sort=order, per_page=17) == expected
    assert ids(caller) == shelf.expected(role, user_id, "-created_at")
    assert len(shelf.expected(role, user_id)) > 40


FILTERS: dict[str, list[Any]] = {
    "status": [["open"], ["closed"], ["resolved", "waiting_customer"], list(STATUSES), ["open", "open"]],
    "priority": [["urgent"], ["low", "high"], list(PRIORITIES)],
    "category": [["order"], ["Order"], ["prêt"], ["pret", "produit"], ["nothing"]],
    "source": [["phone"], ["web", "chat"], list(SOURCES)],
    "tag": [["vip"], ["VIP"], ["été", "a,b"], ["50%"], ["x_y"], ["xzy"], ["%"], list(TAGS)],
    "assigned_to": ["me", "none", 7, 8, 12345, 2**63 - 1],
    "created_from": [
        NOON,
        NOON - timedelta(hours=5),
        NOON + timedelta(microseconds=1),
        NOON + timedelta(days=2),
    ],
    "created_to": [NOON, NOON + timedelta(microseconds=1), NOON - timedelta(days=2)],
    "updated_from": [NOON, NOON + timedelta(hours=10)],
}


@pytest.mark.parametrize(("role", "user_id"), ROLES)
def test_each_filter_alone(shelf: Shelf, role: Role, user_id: int) -> None:
    caller, found = shelf.caller(role, user_id), 0
    for name, values in FILTERS.items():
        for value in values:
            expected = shelf.expected(role, user_id, wanted={name: value})
            assert ids(caller, per_page=100, **{name: value}) == expected, (name, value)
            found += len(expected)
    assert found > 200


@pytest.mark.parametrize(("role", "user_id"), ROLES)
def test_filters_together(shelf: Shelf, dice: random.Random, role: Role, user_id: int) -> None:
    caller, found = shelf.caller(role, user_id), 0
    for _ in range(60):
        names = dice.sample(list(FILTERS), dice.randrange(2, 5))
        wanted = {name: dice.choice(FILTERS[name]) for name in names}
        if role != "customer" and dice.random() < 0.3:
            wanted["user_id"] = dice.choice((1, 2, 3, 4))
        order, per_page = dice.choice(ORDERS), dice.choice((3, 10, 100))
        expected = shelf.expected(role, user_id, order, wanted)
        assert ids(caller, sort=order, per_page=per_page, **wanted) == expected, (wanted, order)
        total = caller.get("/tickets", query_string=query_string(include_total="true", **wanted)).json[
            "meta"
        ]["total"]
        assert total == len(expected)
        found += len(expected)
    assert found > 100


def test_noise_is_nowhere(noise: Shelf) -> None:
    noise.add(
        simple(1, user_id=1),
        simple(2, user_id=1, assigned_to=7, status="in_progress", category="order", tags=("vip",)),
        simple(3, user_id=2, assigned_to=8, status="resolved"),
    )
    seen = {("customer", 1): [2, 1], ("customer", 2): [3], ("agent", 7): [2, 1], ("agent", 8): [3, 1]}
    for (role, user_id), expected in seen.items():
        caller = noise.caller(role, user_id)  # type: ignore[arg-type]
        assert ids(caller) == expected == noise.expected(role, user_id)  # type: ignore[arg-type]
        assert ids(caller, category="noise") == ids(caller, tag="noise") == ids(caller, assigned_to=66) == []
        assert caller.get("/tickets", query_string="include_total=true").json["meta"]["total"] == len(
            expected
        )
    assert ids(noise.caller("admin", 99)) == [904, 903, 902, 901, 900, 3, 2, 1]


def test_assigned_to(noise: Shelf) -> None:
    noise.add(
        simple(1, assigned_to=7, status="assigned"),
        simple(2, assigned_to=8, status="assigned"),
        simple(3),
        simple(4, assigned_to=99, status="resolved"),
    )
    agent, admin, customer = (noise.caller(*who) for who in (("agent", 7), ("admin", 99), ("customer", 1)))  # type: ignore[arg-type]
    assert (ids(agent, assigned_to="me"), ids(agent, assigned_to=7)) == ([1], [1])
    assert (ids(admin, assigned_to="me"), ids(admin, assigned_to=7)) == ([4], [1])
    assert (
        ids(agent, assigned_to="none")
        == ids(admin, assigned_to="none")
        == ids(customer, assigned_to="none")
        == [3]
    )
    # An agent does not find what is another one's, nor a customer what is theirs as an agent.
    assert ids(agent, assigned_to=8) == ids(customer, assigned_to="me") == []
    assert ids(customer, assigned_to=8) == [2]


def test_user_id_is_for_staff(noise: Shelf) -> None:
    noise.add(simple(1, user_id=1), simple(2, user_id=2))
    customer = noise.caller("customer", 1)
    for other in (2, 77, 2**63 - 1):
        problem(customer.get("/tickets", query_string=f"user_id={other}"), 403, "forbidden")
    assert ids(customer, user_id=1) == [1]
    assert ids(noise.caller("agent", 7), user_id=2) == ids(noise.caller("admin", 99), user_id=2) == [2]
    assert ids(noise.caller("agent", 7), user_id=77) == []


def test_a_day_is_the_whole_of_it_in_utc(api: Api) -> None:
    moments = [
        datetime(2026, 3, 28, 23, 59, 59, 999_999, UTC),
        datetime(2026, 3, 29, tzinfo=UTC),
        datetime(2026, 3, 29, 23, 59, 59, 999_999, UTC),
        datetime(2026, 3, 30, tzinfo=UTC),
    ]
    store([simple(number, created_at=at, updated_at=at) for number, at in enumerate(moments, 1)])
    admin = api.admin()
    assert ids(admin, created_from="2026-03-29") == [4, 3, 2]
    assert ids(admin, created_to="2026-03-29") == [3, 2, 1]
    assert ids(admin, created_from="2026-03-29", created_to="2026-03-29") == [3, 2]
    assert ids(admin, updated_from="2026-03-30") == [4]


def test_an_offset_is_honoured(api: Api) -> None:
    store([simple(1, created_at=datetime(2026, 3, 29, 0, 30, tzinfo=UTC))])
    admin = api.admin()
    same = ["2026-03-29T00:30:00Z", "2026-03-29T00:30:00.000000z", "2026-03-29T02:30:00+02:00",
            "2026-03-28T19:00:00-05:30", "2026-03-29 00:30Z", "2026-03-29T00:30:00-00:00"]  # fmt: skip
    for text in same:
        assert ids(admin, created_from=text) == ids(admin, created_to=text) == [1], text
    assert ids(admin, created_from="2026-03-29T00:30:00.000001Z") == []
    assert ids(admin, created_to="2026-03-29T00:29:59.999999Z") == []
    assert ids(admin, created_from="1000-01-01", created_to="9999-12-31") == [1]


def test_unknown_parameters_are_refused_with_the_good_ones(api: Api) -> None:
    answer = api.admin().get("/tickets", query_string="status=open&state=open&limit=5")
    problem(answer, 400, "invalid_query", ["state", "limit"])


# Pages


def test_the_size_of_a_page(shelf: Shelf) -> None:
    admin = shelf.caller("admin", 99)
    for per_page in (1, 2, 100):
        page = admin.get("/tickets", query_string=f"per_page={per_page}").json
        assert (len(page["data"]), page["meta"]["per_page"]) == (per_page, per_page)
    assert len(admin.get("/tickets").json["data"]) == 25
    for per_page in (0, 101, -1):
        problem(
            admin.get("/tickets", query_string=f"per_page={per_page}"), 400, "invalid_query", ["per_page"]
        )


def test_the_last_page_has_no_next(api: Api) -> None:
    store([simple(number) for number in range(1, 5)])
    admin = api.admin()
    # Exactly full, not full, one over.
    for per_page, sizes in ((4, [4]), (2, [2, 2]), (3, [3, 1]), (1, [1, 1, 1, 1]), (100, [4])):
        assert [len(page["data"]) for page in pages(admin, f"/tickets?per_page={per_page}")] == sizes
    assert api.customer(5).get("/tickets").json == {"data": [], "meta": {"per_page": 25, "next_cursor": None}}


def test_pages_by_number(shelf: Shelf) -> None:
    expected = shelf.expected("admin", 99)
    for role, user_id in ROLES:
        expected, got = shelf.expected(role, user_id), []
        for number in range(1, len(expected) // 20 + 3):
            page = shelf.caller(role, user_id).get("/tickets", query_string=f"page={number}&per_page=20")
            got.append([row["id"] for row in page.json["data"]])
        assert got == [expected[start : start + 20] for start in range(0, len(got) * 20, 20)]
        assert got[-1] == []


def test_a_page_by_number_goes_on_by_cursor(shelf: Shelf) -> None:
    admin, expected = (
        shelf.caller("admin", 99),
        shelf.expected("admin", 99, "updated_at", {"source": ["web", "chat"]}),
    )
    url = "/tickets?source=web&source=chat&sort=updated_at&per_page=10&page=3"
    assert [row["id"] for page in pages(admin, url) for row in page["data"]] == expected[20:]


def test_cursor_and_page_exclude_each_other(shelf: Shelf) -> None:
    admin = shelf.caller("admin", 99)
    cursor = admin.get("/tickets").json["meta"]["next_cursor"]
    answer = admin.get("/tickets", query_string=f"cursor={cursor}&page=2")
    problem(answer, 400, "invalid_query", ["page"])


@pytest.mark.parametrize("order", ORDERS)
def test_cursors_are_stable_while_tickets_come_change_and_go(shelf: Shelf, order: str) -> None:
    admin, dice = shelf.caller("admin", 99), random.Random(1)
    before = shelf.expected("admin", 99, order)
    seen, touched = [], set()
    for page in pages(admin, f"/tickets?sort={order}&per_page=20"):
        seen += [row["id"] for row in page["data"]]
        number = 1000 + len(seen)
        store([random_row(dice, number), simple(number + 1, created_at=NOON - timedelta(days=9)),
               simple(number + 2, created_at=NOON + timedelta(days=9))])  # fmt: skip
        gone = dice.choice(before)
        touched.add(gone)
        Ticket.update(deleted_at=NOON).where(Ticket.id == gone).execute()
    untouched = [ticket_id for ticket_id in before if ticket_id not in touched]
    assert len(seen) == len(set(seen))
    assert [ticket_id for ticket_id in seen if ticket_id in set(untouched)] == untouched


def test_up_to_the_ten_thousandth_row_by_number_and_beyond_by_cursor(api: Api) -> None:
    # All of one instant and one priority: only the id keeps them apart.
    store([simple(number, created_at=NOON, updated_at=NOON) for number in range(1, 10_013)])
    admin = api.admin()
    newest = list(range(10_012, 0, -1))

    last = admin.get("/tickets", query_string="page=100&per_page=100")
    assert [row["id"] for row in last.json["data"]] == newest[9_900:10_000]
    assert [
        row["id"] for row in admin.get("/tickets", query_string="page=10000&per_page=1").json["data"]
    ] == [13]
    for query in (
        "page=101&per_page=100",
        "page=5001&per_page=2",
        "page=401",
        "page=10001&per_page=1",
        f"page={2**63 - 1}",
    ):
        answer = admin.get("/tickets", query_string=query)
        assert "cursor" in problem(answer, 400, "page_too_deep")["detail"]

    path, _, query = last.headers["Link"][1:].partition(">")[0].partition("?")
    rest = admin.get(path, query_string=query)
    assert [row["id"] for row in rest.json["data"]] == newest[10_000:]
    assert rest.json["meta"]["next_cursor"] is None
    for order in ORDERS:
        cursor = encode_cursor(order, 2 if order == "-priority" else NOON, 6)
        deep = admin.get("/tickets", query_string=urlencode({"sort": order, "cursor": cursor, "per_page": 3}))
        assert [row["id"] for row in deep.json["data"]] == ([5, 4, 3] if order.startswith("-") else [7, 8, 9])


def test_the_total_is_counted_only_when_asked_for(shelf: Shelf) -> None:
    for role, user_id in ROLES:
        caller = shelf.caller(role, user_id)
        caller.get("/tickets")
        for query in ("", "include_total=false", "status=open&q=parcel", "page=2", "sort=-priority"):
            # The first call of a filter asks how much it leaves.
            caller.get("/tickets", query_string=f"{query}&per_page=7")
            with counted_queries() as statements:
                answer = caller.get("/tickets", query_string=query)
            assert "total" not in answer.json["meta"]
            assert not any("COUNT(" in statement.upper() for statement in statements)

        caller.get("/tickets", query_string="include_total=true&per_page=7&status=open")
        with counted_queries() as statements:
            answer = caller.get("/tickets", query_string="include_total=true&per_page=1&status=open")
        assert answer.json["meta"]["total"] == len(shelf.expected(role, user_id, wanted={"status": ["open"]}))
        # The sums of the desk are corrected by two counts of what they do not hold yet.
        counts = 1 if role == "customer" else 2
        assert sum("COUNT(" in statement.upper() for statement in statements) == counts


def test_the_total_does_not_depend_on_the_page(shelf: Shelf) -> None:
    admin = shelf.caller("admin", 99)
    totals = {page["meta"]["total"] for page in pages(admin, "/tickets?include_total=true&per_page=40")}
    assert totals == {len(shelf.expected("admin", 99))}


def test_the_link_keeps_every_parameter_and_works(api: Api) -> None:
    store([simple(number, category="a&b=c é", tags=("50%", "x y")) for number in range(1, 6)])
    asked = {
        "category": "a&b=c é", "tag": ["50%", "x y"], "sort": "created_at", "per_page": "2",
        "q": "parcel & came", "created_from": "2026-03-29T00:00:00+02:00", "include_total": "true",
    }  # fmt: skip
    got = [
        row["id"]
        for page in pages(api.admin(), f"/tickets?{urlencode(asked, doseq=True)}")
        for row in page["data"]
    ]
    assert got == [1, 2, 3, 4, 5]


# Cursors that were not given out


@pytest.fixture
def cursor(shelf: Shelf) -> str:
    given: str = (
        shelf.caller("admin", 99).get("/tickets", query_string="per_page=7").json["meta"]["next_cursor"]
    )
    return given


def refused(caller: Api, cursor: str, path: str = "/tickets", **parameters: str) -> None:
    answer = caller.get(path, query_string=urlencode({"cursor": cursor, **parameters}))
    assert answer.status_code == 400, (cursor, answer.text)
    problem(answer, 400, "invalid_cursor")


def test_a_changed_cursor_is_refused(shelf: Shelf, cursor: str) -> None:
    admin = shelf.caller("admin", 99)
    content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for position in range(len(content)):
        for bit in (0, 3, 7):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            refused(admin, urlsafe_b64encode(bytes(changed)).decode().rstrip("="))
    for position in range(len(cursor)):
        refused(admin, cursor[:position] + ("A" if cursor[position] != "A" else "B") + cursor[position + 1 :])
        refused(admin, cursor[:position] + cursor[position + 1 :])
        refused(admin, cursor[:position] + "." + cursor[position:])
    for changed_text in (cursor + "=", cursor + "A", cursor + " ", cursor * 2, cursor.lower(), cursor[::-1]):
        refused(admin, changed_text)


def test_another_orders_cursor_is_refused(shelf: Shelf) -> None:
    admin = shelf.caller("admin", 99)
    for given in ORDERS:
        cursor = admin.get("/tickets", query_string=f"sort={given}&per_page=7").json["meta"]["next_cursor"]
        for asked in ORDERS:
            if asked != given:
                refused(admin, cursor, sort=asked)
        refused(admin, cursor, path="/agents")


INSANE_POSITIONS: list[Any] = [
    ["-created_at", "2026-03-29T12:00:00+00:00", 2**63],
    ["-created_at", "2026-03-29T12:00:00+00:00", 2**64 - 1],
    ["-created_at", "2026-03-29T12:00:00+00:00", 0],
    ["-created_at", "2026-03-29T12:00:00+00:00", -1],
    ["-created_at", "2026-03-29T12:00:00+00:00", "5"],
    ["-created_at", "2026-03-29T12:00:00+00:00", 5.0],
    ["-created_at", "2026-03-29T12:00:00+00:00", True],
    ["-created_at", "2026-03-29T12:00:00+00:00", None],
    ["-created_at", "2026-03-29T12:00:00+00:00", [5]],
    ["-created_at", "2026-03-29T12:00:00", 5],
    ["-created_at", "2026-03-29", 5],
    ["-created_at", "2026-03-29T12:00:00+02:00", 5],
    ["-created_at", "0001-01-01T00:00:00+23:59", 5],
    ["-created_at", "9999-12-31T23:59:59-23:59", 5],
    ["-created_at", "2026-13-29T12:00:00+00:00", 5],
    ["-created_at", "", 5],
    ["-created_at", 5, 5],
    ["-created_at", None, 5],
    ["-created_at", {}, 5],
    ["created_at", "2026-03-29T12:00:00+00:00", 5],
    ["-created_at", "2026-03-29T12:00:00+00:00"],
    ["-created_at", "2026-03-29T12:00:00+00:00", 5, 5],
    [["-created_at"], "2026-03-29T12:00:00+00:00", 5],
    {"-created_at": 1, "2026-03-29T12:00:00+00:00": 2, "5": 3},
    "abc", 123, None, True, [], {}, [None, None, None],
]  # fmt: skip


def forged(position: Any) -> str:
    """A cursor with a good checksum over anything."""
    content = orjson.dumps(position)
    return urlsafe_b64encode(zlib.crc32(content).to_bytes(4, "big") + content).decode().rstrip("=")


def test_a_forged_cursor_is_refused(shelf: Shelf) -> None:
    admin = shelf.caller("admin", 99)
    good = ["-created_at", "2026-03-29T12:00:00+00:00", 5]
    assert forged(good) == encode_cursor("-created_at", NOON, 5)
    assert admin.get("/tickets", query_string=f"cursor={forged(good)}").status_code == 200
    for position in INSANE_POSITIONS:
        refused(admin, forged(position))
    for key in (2**63, 2**64 - 1, 1.5, "2", None, True, [2]):
        refused(admin, forged(["-priority", key, 5]), sort="-priority")
    for key in (2**63, -1.5, "2", None):
        refused(admin, forged(["user_id", key, 5]), path="/agents")


def test_a_forged_cursor_shows_nothing_more(noise: Shelf) -> None:
    noise.add(simple(1, user_id=1))
    top = encode_cursor("-created_at", NOON + timedelta(days=1), 2**63 - 1)
    assert ids(noise.caller("customer", 1), cursor=top) == [1]


# The other lists


@pytest.fixture
def thread(api: Api) -> str:
    """A customer's ticket, open, with 60 messages, every third of them a note."""
    ticket = api.customer(1).opened()["id"]
    Message.insert_many(
        {
            "id": number, "ticket_id": ticket, "user_id": 1, "author_role": "customer", "author_name": "Zoé",
            "author_email": "", "content": f"Message {number}", "is_internal": number % 3 == 0,
            "created_at": NOON, "updated_at": NOON, "deleted_at": NOON if number % 10 == 0 else None,
        }
        for number in range(1, 61)
    ).execute()  # fmt: skip
    Event.insert_many(
        {
            "event_id": f"{number:036}", "ticket_id": ticket, "sequence": number, "name": "ticket.updated",
            "data": {}, "changes": {}, "actor_role": "admin", "occurred_at": NOON,
        }
        for number in range(2, 61)
    ).execute()  # fmt: skip
    Ticket.update(event_count=60).execute()
    Agent.insert_many(
        {"user_id": number * 10, "capacity": 5, "categories": [], "created_at": NOON, "updated_at": NOON}
        for number in range(10, 70)
    ).execute()
    return f"/tickets/{ticket}"


@pytest.mark.parametrize("per_page", [1, 7, 100])
def test_the_other_lists_page_by_page(api: Api, thread: str, per_page: int) -> None:
    def whole(caller: Api, path: str, key: str) -> list[int]:
        query = f"?per_page={per_page}&include_total=true"
        parts = list(pages(caller, path + query))
        rows = [row[key] for part in parts for row in part["data"]]
        assert {part["meta"]["total"] for part in parts} == {len(rows)}
        return rows

    kept = [number for number in range(1, 61) if number % 10]
    assert whole(api.admin(), f"{thread}/messages", "id") == kept
    assert whole(api.customer(1), f"{thread}/messages", "id") == [number for number in kept if number % 3]
    assert whole(api.admin(), f"{thread}/history", "sequence") == list(range(1, 61))
    assert whole(api.admin(), "/agents", "user_id") == [number * 10 for number in range(10, 70)]


def test_the_other_lists_by_number_and_their_end(api: Api, thread: str) -> None:
    for path in (f"{thread}/messages", f"{thread}/history", "/agents"):
        admin = api.admin()
        first = admin.get(path, query_string="per_page=10").json
        second = admin.get(path, query_string="per_page=10&page=2").json
        after = admin.get(path, query_string=f"per_page=10&cursor={first['meta']['next_cursor']}").json
        assert second["data"] == after["data"] != []
        assert admin.get(path, query_string="page=101&per_page=99").json["data"] == []
        problem(admin.get(path, query_string="page=101&per_page=100"), 400, "page_too_deep")
        problem(admin.get(path, query_string="per_page=101"), 400, "invalid_query", ["per_page"])
        problem(admin.get(path, query_string="status=open"), 400, "invalid_query", ["status"])
        refused(admin, first["meta"]["next_cursor"][:-2], path)
        refused(admin, forged(["created_at", 5, 5]), path)


def test_messages_that_come_while_one_reads(api: Api, thread: str) -> None:
    seen = []
    for page in pages(api.admin(), f"{thread}/messages?per_page=20"):
        seen += [row["id"] for row in page["data"]]
        if len(seen) < 60:
            api.customer(1).post(f"{thread}/messages", {"content": "And?"})
    assert seen == sorted(set(seen))
    assert len(seen) >= 54 + 2


# What they cost: as many statements for many rows as for one


def statements_of(caller: Api, url: str, **headers: str) -> int:
    path, _, query = url.partition("?")
    with counted_queries() as statements:
        answer = caller.get(path, query_string=query, headers=headers)
    assert answer.status_code in (200, 304), answer.text
    return len(statements)


COSTS = {
    "/tickets?per_page=100": 1,
    "/tickets?per_page=100&status=open&tag=vip&sort=-priority": 1,
    "/tickets?page=2": 1,
    "{thread}/messages?per_page=100": 2,
    "{thread}/messages?per_page=100&include_total=true": 3,
    "{thread}/messages/1": 2,
    "{thread}/messages/unread-count": 2,
}
# Staff's totals come from the sums, in five statements; one more counts an agent's own.
TOTAL_COSTS = {"customer": 2, "agent": 7, "admin": 6}
STAFF_COSTS = {
    "{thread}/history?per_page=100": 2,
    "{thread}/history?per_page=100&include_total=true": 3,
    "/agents?per_page=100": 1,
    "/agents?per_page=100&include_total=true": 2,
    "/agents/100": 1,
}


@pytest.mark.parametrize(("role", "user_id"), [("customer", 1), ("agent", 7), ("admin", 99)])
def test_the_number_of_statements_is_the_same_for_any_number_of_rows(
    api: Api, thread: str, dice: random.Random, role: Role, user_id: int
) -> None:
    caller = api.process(megabytes=0).as_caller(role, user_id)
    # To a server the ticket's statement and that of its messages are one.
    detail = {"{thread}": 2 if is_sqlite() else 1}
    costs = {**COSTS, **detail, "/tickets?include_total=true": TOTAL_COSTS[role]}
    if role != "customer":
        costs |= STAFF_COSTS
    # The first call of an agent also puts them on the roster; the first of a filter asks how much it leaves.
    for url in costs:
        caller.get(url.format(thread=thread))

    measured = {url: statements_of(caller, url.format(thread=thread)) for url in costs}
    assert measured == costs
    store([random_row(dice, number) for number in range(1000, 1200)])
    assert {url: statements_of(caller, url.format(thread=thread)) for url in costs} == costs


def test_what_the_caller_has_already_costs_one_statement(api: Api, thread: str) -> None:
    customer = api.customer(1)
    tag = customer.get(thread).headers["ETag"]
    assert statements_of(customer, thread, **{"If-None-Match": tag}) == 1


def test_an_agents_own_entry_costs_one_statement(api: Api) -> None:
    agent = api.agent(7)
    first, second = statements_of(agent, "/agents/me"), statements_of(agent, "/agents/me")
    assert (first, second) == (4, 1)
