"""`q`: what people type into a search field, and which tickets it finds, on every database alike."""

import pytest

from sav.domain.caller import Role
from sav.models.tables import Ticket
from tests.http.problems import problem
from tests.http.test_lists import simple, store
from tests.plugins.desk import Api, counted_queries

# Each ticket by a name: its subject, and its description.
TICKETS: dict[str, tuple[str, str]] = {
    "screen": ("L'écran est cassé", "Après trois jours, l'écran reste noir. Référence ABC-123456."),
    "today": ("Livraison prévue aujourd'hui", "Le colis n'est pas arrivé à Besançon."),
    "email": ("Change my address", "Please use jean.dupont+sav@example-shop.com from now on."),
    "emoji": ("Merci 🎁🎁", "Le cadeau est arrivé 😀 en avance."),
    "percent": ("Remise de 50% refusée", "The code 100%_OFF is refused; path C:\\temp\\x_y."),
    "operators": ("C++ handbook (2nd edition)", "Ordered: \"C++ handbook\" ~ 30 € <b>bold</b> @home."),
    "stop words": ("The best of the west", "To be or not to be, about this: where and when?"),
    "short": ("TV de 55 pouces", "Ma TV ne va pas. Un os."),
    "german": ("Größe falsch", "Die Straße stimmt nicht, Größe XL bestellt."),
    "hyphen": ("Porte-monnaie perdu", "Commande CMD-2026-000042, sous-total faux."),
    "underscore": ("file_name wrong", "The export data_2026_final is empty."),
    "numbers": ("Order 4711", "Order 47110815 of 2026-03-29 costs 1.299,00."),
    "greek": ("Παραγγελία χάθηκε", "Заказ потерян."),
}  # fmt: skip

# What is typed, and what it finds.
SEARCHES: dict[str, list[str]] = {
    # Words, whatever their case and their accents.
    "écran": ["screen"],
    "ecran": ["screen"],
    "ÉCRAN": ["screen"],
    "casse": ["screen"],
    "Besancon": ["today"],
    "besançon": ["today"],
    "arrive": ["today", "emoji"],
    # The beginning of a word, not its middle.
    "handb": ["operators"],
    "livr": ["today"],
    "andbook": [],
    "471": ["numbers"],
    "47110815": ["numbers"],
    # Several words: all of them, in any order and in either text.
    "noir écran": ["screen"],
    "colis livraison": ["today"],
    "colis écran": [],
    "order costs": ["numbers"],
    "   order    costs  ": ["numbers"],
    # Short words, and words that search engines like to leave out.
    "TV": ["short"],
    "tv 55": ["short"],
    "TV pouces": ["short"],
    "the best of": ["stop words"],
    "about": ["stop words"],
    "where and when": ["stop words"],
    # Apostrophes and hyphens separate words.
    "l'écran": ["screen"],
    "l\u2019écran": ["screen"],
    "aujourd'hui": ["today"],
    "aujourd": ["today"],
    "hui": ["today"],
    "porte-monnaie": ["hyphen"],
    "monnaie": ["hyphen"],
    "ABC-123456": ["screen"],
    "123456": ["screen"],
    "ABC 123456": ["screen"],
    "CMD-2026-000042": ["hyphen"],
    "CMD-2026": ["hyphen"],
    "2026-03-29": ["numbers"],
    # Addresses.
    "jean.dupont+sav@example-shop.com": ["email"],
    "jean.dupont": ["email"],
    "@example-shop.com": ["email"],
    "dupont@": ["email"],
    # An underscore is part of a word.
    "file_name": ["underscore"],
    "data_2026_final": ["underscore"],
    "data_2026": ["underscore"],
    # Operators mean nothing.
    "+écran": ["screen"],
    "-écran": ["screen"],
    "écran -noir": ["screen"],
    "~handbook": ["operators"],
    "handbook*": ["operators"],
    "*andbook": [],
    '"C++ handbook"': ["operators"],
    '"handbook': ["operators"],
    "(2nd edition)": ["operators"],
    "((handbook": ["operators"],
    "<handbook >edition": ["operators"],
    "handbook @2": ["operators"],
    "handbook @distance": [],
    "handbook AND edition": [],
    "handbook OR nothing": [],
    "NOT handbook": [],
    "subject:handbook": [],
    "handbook^2": ["operators"],
    "{handbook}": ["operators"],
    "handbook;": ["operators"],
    "bold": ["operators"],
    "handbook -- edition": ["operators"],
    "' OR 1=1 --": ["numbers"],
    "\\handbook": ["operators"],
    # Without a word, a text is looked for as it stands, and wildcards are none.
    "%": ["percent"],
    "50%": ["percent"],
    "%%": [],
    "++": ["operators"],
    "€": ["operators"],
    "\\": ["percent"],
    "\\\\": [],
    "🎁": ["emoji"],
    "🎁🎁": ["emoji"],
    "🎁🎁🎁": [],
    "😀": ["emoji"],
    "😀 cadeau": ["emoji"],
    "🚀": [],
    "?!?": [],
    "*": [],
    '"': ["operators"],
    "(": ["operators"],
    "@": ["email", "operators"],
    "<bold>": ["operators"],
    # Other scripts.
    "παραγγελία": ["greek"],
    "ЗАКАЗ": ["greek"],  # noqa: RUF001
    "χάθηκε потерян": ["greek"],
    "χάθηκε перян": [],
    "größe": ["german"],
    # Nothing like it.
    "xyzzy": [],
}  # fmt: skip


@pytest.fixture
def library(api: Api) -> dict[int, str]:
    """The names of the tickets, by their ids."""
    names = dict(enumerate(TICKETS, 1))
    store(
        [
            simple(number, subject=TICKETS[name][0], description=TICKETS[name][1])
            for number, name in names.items()
        ]
    )
    return names


def found(caller: Api, names: dict[int, str], text: str) -> list[str]:
    answer = caller.get("/tickets", params={"q": text, "per_page": 100})
    assert answer.status_code == 200, (text, answer.text)
    return sorted(names.get(row["id"], "noise") for row in answer.json["data"])


def test_what_is_typed_and_what_it_finds(api: Api, library: dict[int, str]) -> None:
    for role in ("customer", "agent", "admin"):
        caller = api.as_caller(role, 1)
        results = {text: found(caller, library, text) for text in SEARCHES}
        wrong = {text: names for text, names in results.items() if names != sorted(SEARCHES[text])}
        assert wrong == {}


STRANGE = [
    *(character * 200 for character in ("x", "é", "🎁", "'", "+", '"', "(", "*", "%", "_", "\\", "-", "<")),
    *"+-*\"()~<>@%_\\'`;#?\t\x01\x1a\x7f\x80\u0663\u200b\u202e\ue000\ufeff\ufffd\U0010ffff",
    "a " * 99 + "b", "a" + "\u0301" * 100, "a\tb", "a\nb", "\ufb01", "\uff11\uff12\uff13",
    "- - -", "+-+-", "@@@", "@ 5", "<>", "~~", "--", "/*", "*/", "a* b*", "+a +b", '"a" "b"', '"a b"@3',
    "+(a b)", "a~1", "^a", "a:b", "{a b}: c", "NEAR(a b)", "a NEAR/2 b", "AND", "OR", "NOT", "NULL", "true",
    "0", "-1", "1e400", "ticket_search", "subject", "SELECT", "x' OR 'x'='x", "%s", "{}", "{0}", "%(a)s",
]  # fmt: skip


def test_nothing_that_is_typed_breaks_it(api: Api, library: dict[int, str]) -> None:
    for role in ("customer", "agent", "admin"):
        caller = api.as_caller(role, 1)
        for text in STRANGE:
            answer = caller.get("/tickets", params={"q": text})
            blank = not text.strip()
            assert answer.status_code == (400 if blank else 200), (text, answer.text)


def test_blank_and_too_long_texts_are_refused(api: Api) -> None:
    for text in ("", " ", "\t \n", "\u3000", "x" * 201, "🎁" * 201):
        problem(api.admin().get("/tickets", params={"q": text}), 400, "invalid_query", ["q"])


def test_each_role_finds_what_it_sees(api: Api) -> None:
    everybody: list[tuple[Role, int]] = [
        ("customer", 1),
        ("customer", 2),
        ("agent", 7),
        ("agent", 8),
        ("admin", 99),
    ]
    store(
        [
            simple(1, user_id=1, subject="A blue parcel"),
            simple(2, user_id=2, subject="A blue parcel", assigned_to=7, status="assigned"),
            simple(3, user_id=2, subject="A blue parcel", assigned_to=8, status="resolved"),
            simple(4, user_id=None, subject="A blue parcel", assigned_to=8, status="closed"),
            simple(5, user_id=1, subject="A blue parcel", deleted=True),
            simple(6, user_id=1, subject="A red parcel"),
            simple(7, user_id=2, subject="A red one", description="Not blue: the parcel."),
        ]
    )
    Ticket.update(internal_notes="secret blue", resolution_notes="secret").execute()
    seen = {
        who: [
            row["id"] for row in api.as_caller(*who).get("/tickets", params={"q": "blue parcel"}).json["data"]
        ]
        for who in everybody
    }
    assert seen == {
        ("customer", 1): [1],
        ("customer", 2): [7, 3, 2],
        ("agent", 7): [7, 2, 1],
        ("agent", 8): [7, 4, 3, 1],
        ("admin", 99): [7, 4, 3, 2, 1],
    }
    for who in everybody:
        # Notes are not searched: nobody learns from a search what they may not read.
        assert api.as_caller(*who).get("/tickets", params={"q": "secret"}).json["data"] == []


def test_a_search_is_filtered_sorted_counted_and_paged(api: Api) -> None:
    store(
        [
            simple(
                number,
                subject=f"Parcel {number}",
                priority="urgent" if number % 2 else "low",
                tags=() if number % 3 else ("x",),
            )
            for number in range(1, 31)
        ]
    )  # fmt: skip
    admin = api.admin()
    query = {
        "q": "parcel",
        "priority": "urgent",
        "tag": "x",
        "sort": "created_at",
        "per_page": 2,
        "include_total": "true",
    }
    first = admin.get("/tickets", params=query)
    assert [row["id"] for row in first.json["data"]] == [3, 9]
    assert first.json["meta"]["total"] == 5
    rest = admin.get(
        "/tickets", params={**query, "cursor": first.json["meta"]["next_cursor"], "per_page": 100}
    )
    assert [row["id"] for row in rest.json["data"]] == [15, 21, 27]


def test_a_change_is_found_at_once(api: Api) -> None:
    customer = api.customer(1)
    path = f"/tickets/{customer.opened(subject='Lost umbrella')['id']}"

    def finds(text: str) -> bool:
        return bool(customer.get("/tickets", params={"q": text}).json["data"])

    assert finds("umbrella")
    customer.put(path, {"subject": "Lost parasol"})
    assert (finds("umbrella"), finds("parasol")) == (False, True)
    customer.put(path, {"description": "It was green."})
    assert (finds("never"), finds("green")) == (False, True)
    customer.delete(path)
    assert not finds("parasol")


def test_a_search_costs_few_statements(api: Api, library: dict[int, str]) -> None:
    for text in ("écran", "TV de", "colis livraison perdu", "%", "x" * 200):
        # What is kept, how many tickets a filter leaves, the newest of them, whether these lie together, more
        # of them, the index, and the page's rows.
        for caller, most in ((api.customer(1), 5), (api.admin(), 6), (api.agent(7), 11)):
            with counted_queries() as statements:
                caller.get("/tickets", params={"q": text})
            assert len(statements) <= most, statements


def test_the_longest_texts_are_searched_to_their_end(api: Api) -> None:
    store([simple(1, subject="x" * 255, description="word " * 3999 + "last!")])
    admin = api.admin()
    for text, count in (("last", 1), ("x" * 200, 1), ("y" * 200, 0), ("word last", 1)):
        assert len(admin.get("/tickets", params={"q": text}).json["data"]) == count, text
