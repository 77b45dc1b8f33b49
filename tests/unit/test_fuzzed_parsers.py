"""Whatever bytes come from outside, a parser gives a sound value or refuses them in its own words.

Those of tokens, key sets, files and foreign events have the like beside their other tests; docs/security.md
lists all of them.
"""

import io
import json
import re
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import click
import falcon
import orjson
import pytest
from falcon.testing import create_environ
from hypothesis import example, given
from hypothesis import strategies as st

from sav.domain.addresses import is_address, named_address
from sav.domain.errors import SavError
from sav.domain.file_names import key_name, object_key, shown_name
from sav.domain.locales import LOCALES
from sav.domain.occasion import is_sane_request_id
from sav.domain.privacy import Subject
from sav.domain.signed_tokens import (
    BadToken,
    survey_token,
    surveyed_ticket,
    unsubscribe_token,
    unsubscribed_address,
)
from sav.domain.ticket_numbers import number_as_written
from sav.hands.import_records import Desk, WrongHeader, csv_records, examined, json_lines
from sav.hands.link_guest_tickets import read_accounts
from sav.hands.long_runs import ResumeFile
from sav.http import payloads
from sav.http.client_addresses import Network, client_of
from sav.http.error_responses import STATUS_OF
from sav.http.forms import ONE_FILE, SEVERAL_FILES, FileForm, UploadRoom, received_form
from sav.http.pages import chosen_locale
from sav.http.requests import (
    expected_versions,
    is_known_to_caller,
    parse_body,
    parse_form,
    parse_query,
    path_id,
    read_body,
)
from sav.http.signed_files import wanted_range
from sav.operations.erase_traces import is_about
from sav.operations.receipts import BadReceipt, public_key, read_receipt, signed, verified
from sav.queries.pages import InvalidCursor, decode_cursor, encode_cursor
from sav.queries.ticket_search import MOST_WORDS, Search
from sav.storage.disk import DiskStore, LinkRefused, NoSuchObject
from sav.storage.virus_scanner import Clamd, ScannerUnavailable
from tests.factories.forms import BOUNDARY, PNG, TEXT, multipart
from tests.servers.ports import LOOPBACK

NOW = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)
SECRET = b"a secret of the tests"
BODIES = [
    model for model in vars(payloads).values() if isinstance(model, type) and issubclass(model, payloads.Body)
]
QUERIES = [
    model
    for model in vars(payloads).values()
    if isinstance(model, type) and issubclass(model, payloads.Query)
]
NAMES = sorted({name for model in BODIES for name in model.model_fields} | {"__class__", "id", ""})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
# As WSGI hands a header over: each character is a byte.
HEADER = st.text(st.characters(max_codepoint=255), max_size=200)


def mutated(original: bytes) -> st.SearchStrategy[bytes]:
    """The original with a piece of it replaced, doubled or left out."""
    place = st.integers(0, len(original))
    signs = st.sampled_from([b"\r\n", b"--", b"\0", b'"', b";", b"%", b"\xff"])
    return st.builds(
        lambda start, end, piece: original[:start] + piece + original[end:],
        place,
        place,
        st.binary(max_size=20) | signs,
    )


def request(body: bytes = b"", *, query: str = "", **headers: str) -> falcon.Request:
    environ = create_environ(
        query_string=query, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
    options = falcon.RequestOptions()
    options.keep_blank_qs_values = True
    return falcon.Request(environ, options=options)


def refused_in_our_words(parse: Callable[[], Any]) -> Any:
    """What it gives; an error must be one that has a status."""
    try:
        return parse()
    except SavError as error:
        if not isinstance(error, tuple(kind for kind, _ in STATUS_OF)):
            pytest.fail(f"{error!r} has no status")
        return None


# --- Requests


@given(body=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000)
@example(b"1" * 10_000)
@example(b'{"rating": 1e999}')
@example(b'{"rating": NaN}')
@example(b'{"subject": "\\ud800", "description": "x"}')
@example(b'{"subject": "a", "subject": "b"}')
def test_json_bodies(body: bytes) -> None:
    for model in BODIES:
        refused_in_our_words(lambda model=model: parse_body(body, model))


@given(body=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
def test_json_bodies_of_known_fields(body: dict[str, Any]) -> None:
    try:
        content = orjson.dumps(body)
    except (TypeError, ValueError):  # an integer beyond 64 bits, half a character
        return
    for model in BODIES:
        found = refused_in_our_words(lambda model=model: parse_body(content, model))
        assert found is None or set(found.model_dump(exclude_unset=True)) <= set(body)


@given(body=st.binary(max_size=300) | st.text("rating=&%comment1é+;", max_size=80).map(str.encode))
@example(b"rating=5" + b"&a=1" * 100)
def test_bodies_of_pages(body: bytes) -> None:
    refused_in_our_words(lambda: parse_form(body, payloads.SatisfactionBody))


@given(body=st.binary(max_size=100), kind=HEADER)
@example(b"x" * (1024 * 1024 + 1), "application/json")
def test_content_types(body: bytes, kind: str) -> None:
    refused_in_our_words(lambda: read_body(request(body, Content_Type=kind), form=True))


@given(st.text(max_size=80).map(quote) | st.text("abc%=&+[]cursorpage0123456789-T:Z", max_size=60))
@example("page=99999999999999999999&cursor=%00&per_page=-0")
def test_query_strings(text: str) -> None:
    for model in QUERIES:
        refused_in_our_words(lambda model=model: parse_query(request(query=text), model))


@given(
    name=st.sampled_from(["from", "to", "tz", "created_from", "created_to", "updated_from"]),
    text=st.text(max_size=60) | st.text("0123456789-:TZ+. ", max_size=40) | st.datetimes().map(str),
)
@example("from", "0001-01-01T00:00:00+23:59")
@example("to", "9999-12-31")
@example("tz", "../../etc/passwd")
@example("tz", "Europe/Paris\0")
@example("from", "2026-03-29T02:30")
def test_dates_and_time_zones(name: str, text: str) -> None:
    query = f"{name}={quote(text)}"
    for model in (payloads.StatisticsQuery, payloads.TicketListQuery):
        refused_in_our_words(lambda model=model: parse_query(request(query=query), model))


@given(text=HEADER | st.text('W/"1234.,* ', max_size=60))
@example('"' + "1" * 10_000 + '"')
@example(", ".join(['"1.1"'] * 500))
@example('W/"' * 2_000)
def test_conditions(text: str) -> None:
    versions = refused_in_our_words(lambda: expected_versions(request(If_Match=text)))
    assert versions is None or all(version > 0 for version in versions)
    assert is_known_to_caller(request(If_None_Match=text), "7.1") in (True, False)


@given(text=HEADER | st.text("bytes=-,0123456789 ", max_size=60), size=st.integers(0, 10_000))
def test_ranges(text: str, size: int) -> None:
    found = refused_in_our_words(lambda: wanted_range(text, size=size))
    assert found is None or 0 <= found.first <= found.last < size


@given(text=st.text(max_size=40) | st.text("0123456789", max_size=40))
def test_ids_in_paths(text: str) -> None:
    found = refused_in_our_words(lambda: path_id(text))
    assert found is None or (0 < found < 2**63 and str(found) == text)


@given(text=st.text(max_size=200))
def test_request_ids(text: str) -> None:
    if is_sane_request_id(text):
        assert re.fullmatch(r"[ -~]{1,128}", text)


@given(text=HEADER)
def test_languages(text: str) -> None:
    assert chosen_locale(text, default="fr") in LOCALES


@given(
    peer=st.none() | st.text(max_size=40) | st.ip_addresses().map(str),
    forwarded=st.none()
    | HEADER
    | st.lists(st.ip_addresses().map(str) | st.text("[]:.%,x1f", max_size=12)).map(",".join),
    trusted=st.lists(
        st.ip_addresses(network="10.0.0.0/8").map(lambda address: Network.__args__[0](str(address)))
    ),
)
def test_client_addresses(peer: str | None, forwarded: str | None, trusted: list[Any]) -> None:
    client = client_of(peer=peer, forwarded_for=forwarded, trusted=trusted)
    assert re.fullmatch(r"unknown|[0-9a-f:.]+(/64)?", client)


# --- Forms with files

A_FORM = multipart([("file", "a.png", PNG[:40]), ("message_id", None, b"7"), ("files", "b.log", TEXT)])


@pytest.mark.parametrize("shape", [ONE_FILE, SEVERAL_FILES], ids=["one", "several"])
@given(body=mutated(A_FORM) | st.binary(max_size=400), boundary=st.just(BOUNDARY) | HEADER)
@example(A_FORM.replace(b'filename="a.png"', b"filename*=utf-7''+2AA-"), BOUNDARY)
@example(A_FORM.replace(b'filename="a.png"', b"filename*=idna''xn--0"), BOUNDARY)
@example(b"--x\r\n" * 10_000, "x")
def test_forms_with_files(shape: FileForm, body: bytes, boundary: str) -> None:
    def receive() -> None:
        kind = f"multipart/form-data; boundary={boundary}"
        with received_form(
            request(body, Content_Type=kind), shape, UploadRoom(maximum_file_bytes=1000)
        ) as form:
            assert 1 <= len(form.files) <= shape.maximum_files
            for file in form.files:
                assert 0 <= file.content.seek(0) < file.size == len(file.content.read()) <= 1000
            assert form.message_id is None or 0 < form.message_id < 2**63
            form.fingerprint.decode()

    refused_in_our_words(receive)


@given(name=st.text(max_size=300), number=st.integers(1, 2**63 - 1))
@example("../../etc/passwd", 1)
@example("\u202egnp.exe", 1)
def test_file_names(name: str, number: int) -> None:
    shown_name(name).encode()
    assert re.fullmatch(r"[^/\\\x00-\x1f]+", key_name(name))
    key = object_key(ticket_id=number, attachment_id=number, file_name=name)
    assert key.count("/") == 3
    assert len(key.encode()) < 1024


# --- Texts that are handed back to us


@pytest.mark.parametrize("kind", [int, str, datetime], ids=["int", "str", "datetime"])
@given(text=st.text(max_size=80) | st.binary(max_size=60).map(lambda noise: noise.hex()))
def test_cursors(kind: type, text: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(text, order="-created_at", of_type=kind)


@given(content=JSON, of_type=st.sampled_from([int, str, datetime]))
def test_cursors_of_anything(content: Any, of_type: type) -> None:
    """Somebody who knows how they are made."""
    try:
        cursor = encode_cursor("-created_at", content, 7)
    except (TypeError, ValueError):
        return
    try:
        key, row_id = decode_cursor(cursor, order="-created_at", of_type=of_type)
    except InvalidCursor:
        return
    assert type(key) is of_type
    assert row_id == 7


TOKENS = (
    survey_token(secret=SECRET, ticket_id=7, expires_at=NOW + timedelta(days=1)),
    unsubscribe_token(secret=SECRET, address_hash="ab" * 32),
)


@given(token=st.text(max_size=250) | st.sampled_from(TOKENS).flatmap(lambda good: mutated(good.encode())).map(
    lambda noise: noise.decode("latin-1")
))  # fmt: skip
def test_tokens_of_links(token: str) -> None:
    for open_token in (
        lambda: surveyed_ticket(token, secret=SECRET, now=NOW),
        lambda: unsubscribed_address(token, secret=SECRET),
    ):
        try:
            open_token()
        except BadToken:
            continue
        assert token.rstrip("=") in TOKENS


@given(values=st.tuples(st.text(max_size=60), st.text(max_size=60), HEADER, HEADER, HEADER))
@example(("../../secret", "a", "b", "1", "c"))
@example(("\0", "\0", "\0", "9" * 5000, "\xff"))
def test_links_to_files(tmp_path_factory: pytest.TempPathFactory, values: tuple[str, ...]) -> None:
    store = DiskStore(directory=tmp_path_factory.getbasetemp() / "links", public_url="http://files.example")
    key, name, mime_type, expires, signature = values
    with pytest.raises((LinkRefused, NoSuchObject)):
        store.open_link(
            key, file_name=name, mime_type=mime_type, expires=expires, signature=signature, now=NOW
        )


@given(text=st.text(max_size=60) | st.text("TICKE-0123456789OIL", max_size=40))
def test_ticket_numbers(text: str) -> None:
    found = number_as_written(text)
    assert found is None or number_as_written(found) == found


@given(text=st.text(max_size=120) | st.text('a@.<>"\\ (),:;é', max_size=60))
@example("a@" + "." * 300)
@example("\ud800@example.com")
def test_mail_addresses(text: str) -> None:
    assert is_address(text) in (True, False)
    try:
        name, address = named_address(text)
    except ValueError:
        return
    assert is_address(address)
    assert not re.search(r"[\r\n]", name + address)


@given(text=st.text(max_size=300) | st.text("+-*\"()<>~@% abcé_'\\", max_size=60))
@example("a " * 10_000)
@example("\u0345" * 1_000)
@example("ﷺ" * 300)
@example("привет магазин")
def test_searches(text: str) -> None:
    search = Search(text)
    assert len(search.words) <= MOST_WORDS
    # No word holds what the full-text index or a pattern would take for an operator.
    assert all(re.fullmatch(r"[\w\u0300-\u036f]+", word) or not word.isascii() for word in search.words)
    assert not set("".join(search.indexed)) & set("+-*\"()<>~@%'\\ ")
    search.by_reading()
    for word in search.indexed:
        search.by_index([word])


# --- Answers of other servers


class _Scanner:
    """A clamd that is alive, and says something of our choice to each file."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.answer = b""
        self.client = Clamd(host=LOOPBACK, port=self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(1024)
                connection.sendall(b"PONG\0" if asked == b"zPING\0" else self.answer)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def scanner() -> Any:
    scanner = _Scanner()
    yield scanner
    scanner.close()


@given(
    answer=st.binary(max_size=200) | mutated(b"stream: OK\0") | mutated(b"stream: Eicar-Signature FOUND\0")
)
@example(b"x" * 100_000)
def test_answers_of_the_virus_scanner(scanner: _Scanner, answer: bytes) -> None:
    scanner.answer = answer
    try:
        found = scanner.client.find_virus([b"hello"])
    except ScannerUnavailable:
        return
    if found is None:
        assert answer.rstrip(b"\0").strip() == b"stream: OK"
    else:
        assert found.isprintable()
        assert len(found) <= 100


A_DESK = Desk(now=NOW, agents=frozenset({44}), files=None, largest_file_bytes=1_000)
A_RECORD = (
    b'{"external_id": "1", "subject": "a", "description": "b", "user_id": 5, "status": "closed", '
    b'"created_at": "2024-01-15T22:30:00Z", "closed_at": "2024-01-16T22:30:00Z", "tags": ["x"], "messages": '
    b'[{"author": "customer", "content": "c", "created_at": "2024-01-15T23:00:00Z"}]}\n'
)
A_TABLE = (
    b"external_id,subject,description,created_at,user_id,tags,metadata\n"
    b'1,a,b,2024-01-15T22:30:00Z,5,x;y,"{""a"": 1}"\n2,"a\nb",c,2024-01-15T22:30:00Z,6,,\n'
)


@given(text=mutated(A_RECORD * 2) | st.binary(max_size=300))
@example(text=b'{"external_id": "1", "created_at": 1e400}\n')
@example(text=b"[" * 100_000)
def test_records_of_a_former_system(text: bytes) -> None:
    for line in json_lines(io.BytesIO(text)):
        found = examined(line, A_DESK)
        assert (found.ticket is None) == bool(found.wrong)


@given(text=mutated(A_TABLE) | st.binary(max_size=300).map(lambda rows: A_TABLE + rows))
@example(text=A_TABLE + b'"never closed')
@example(text=b"\x00" + A_TABLE)
def test_tables_of_a_former_system(text: bytes) -> None:
    try:
        lines = list(csv_records(io.BytesIO(text)))
    except WrongHeader:
        return
    for line in lines:
        found = examined(line, A_DESK)
        assert (found.ticket is None) == bool(found.wrong)


THEIRS = Subject(user_ids=frozenset({42}), email="lea@x.example")


def _as_json(value: Any) -> bytes:
    # As others write it: orjson refuses numbers beyond 64 bits, and lone surrogates.
    return json.dumps(value).encode()


NAMED = (b"lea@x.example", b"Lea@X.example", b'"user_id": 42', b"userId=42", b'"user_id":"42"')


@given(
    before=st.binary(max_size=100) | JSON.map(_as_json),
    named=st.sampled_from(NAMED),
    after=st.binary(max_size=100) | JSON.map(_as_json),
)
@example(before=b"[" * 5_000, named=NAMED[0], after=b"")
@example(before=b'{"', named=NAMED[0], after=b'": {}}')
def test_dead_letters_that_name_somebody(before: bytes, named: bytes, after: bytes) -> None:
    assert is_about(before + b" " + named + b" " + after, THEIRS)


@given(body=st.binary(max_size=200) | JSON.map(_as_json) | mutated(b'{"data": {"user_id": 7}}'))
@example(body=b'{"user_id": 4e400}')
@example(body=b'{"user_id": true}')
def test_dead_letters_of_anything(body: bytes) -> None:
    nobody = Subject(user_ids=frozenset({2**62}), email="nobody.at.all@nowhere.example")
    assert is_about(body, nobody) is False


A_STATEMENT = {"version": 1, "subject_hash": "ab", "erased": {"tickets": 2}}
A_RECEIPT = orjson.dumps(signed(A_STATEMENT, secret=SECRET))


@given(text=mutated(A_RECEIPT) | st.binary(max_size=200) | JSON.map(_as_json))
@example(text=A_RECEIPT)
@example(text=b"[" * 100_000)
@example(text=b'{"statement": {}, "signature": "\xc3\xa9"}')
def test_receipts(text: bytes) -> None:
    try:
        statement = verified(read_receipt(io.BytesIO(text)), public_key=public_key(SECRET))
    except BadReceipt:
        return
    assert statement == A_STATEMENT


ACCOUNTS = b"user_id,email\n5,ann@example.com\n6, bob@example.com \n"


@given(text=mutated(ACCOUNTS) | st.binary(max_size=200).map(lambda rows: ACCOUNTS + rows))
@example(text=b'"never closed')
@example(text=ACCOUNTS + b"9" * 5_000 + b",c@example.com")
@example(text=ACCOUNTS + b"\x00")
def test_lists_of_accounts(text: bytes) -> None:
    decoded = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8-sig", errors="replace", newline="")
    try:
        accounts = read_accounts(decoded, name="verified.csv")
    except click.ClickException:
        return
    assert all(0 < account.user_id < 2**63 and is_address(account.email) for account in accounts)


@pytest.fixture(scope="module")
def resume_file(tmp_path_factory: pytest.TempPathFactory) -> ResumeFile:
    return ResumeFile(tmp_path_factory.mktemp("runs") / "run.json", "abc")


@given(text=mutated(b'{"fingerprint": "abc", "accounts": 5}') | st.binary(max_size=200) | JSON.map(_as_json))
@example(text=b"[" * 100_000)
@example(text=b'{"fingerprint": "abc"}')
def test_places_of_runs(resume_file: ResumeFile, text: bytes) -> None:
    resume_file.path.write_bytes(text)
    try:
        place = resume_file.kept()
    except click.ClickException:
        return
    assert isinstance(place, dict)
    assert "fingerprint" not in place
