"""Rows are read from the server's bytes as the driver itself reads them, whatever is in them."""

import random
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sav.models.result_rows import CONVERSIONS
from sav.models.wire import Wire
from tests.plugins.servers import ServerAddresses

LENGTHS = (0, 1, 250, 251, 252, 65_535, 65_536, 16_777_210, 16_777_215, 16_777_220)
"""Around each way in which a value's length is written, and where a row no longer fits into one packet."""

ONE_OF_EACH = """
    SELECT -1, 18446744073709551615, 1.5, CAST(2.50 AS DECIMAL(10, 2)), PI(), NULL, '', 'œuvre 🙂', x'ff00',
           CAST('2026-03-29' AS DATE), CAST('-11:30:00' AS TIME), CAST('2026-03-29 02:30:00' AS DATETIME),
           CAST('2026-03-29 02:30:00.000123' AS DATETIME(6)), b'101', TRUE, JSON_OBJECT('é', 1),
           CAST('é' AS BINARY), CONVERT('é' USING latin1), REPEAT('é', 200) AS `what is long`
"""


@pytest.fixture(scope="module")
def driver(server_addresses: ServerAddresses) -> Iterator[Any]:
    yield from connection(pymysql.Connection, server_addresses)


@pytest.fixture(scope="module")
def wire(server_addresses: ServerAddresses) -> Iterator[Any]:
    yield from connection(Wire, server_addresses)


def connection(kind: Any, server_addresses: ServerAddresses) -> Iterator[Any]:
    address = server_addresses.database
    opened = kind(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        charset="utf8mb4",
        conv=CONVERSIONS,
        autocommit=True,
    )
    yield opened
    opened.close()


def answer(connection: Any, sql: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.description, cursor.rowcount, cursor.fetchall()


def test_each_type_has_the_drivers_value_and_description(driver: Any, wire: Any) -> None:
    # Twice: the second time the columns are known.
    for _ in range(2):
        expected, found = answer(driver, ONE_OF_EACH), answer(wire, ONE_OF_EACH)
        assert found == expected
        assert [type(value) for value in found[2][0]] == [type(value) for value in expected[2][0]]


def test_columns_of_a_table_too(driver: Any, wire: Any) -> None:
    table = """
        CREATE TEMPORARY TABLE kinds (at TIMESTAMP(3) NULL, year YEAR, kind ENUM('é', 'b'),
        some SET('a', 'b'), flags BIT(12), small TINYINT(1), wide BIGINT UNSIGNED, exact DECIMAL(20, 6),
        short FLOAT, body LONGTEXT, bytes VARBINARY(9), place POINT)
    """
    row = """
        INSERT INTO kinds (at, year, kind, some, flags, small, wide, exact, short, body, bytes, place) VALUES
        ('2026-03-29 01:30:00.120', 2026, 'é', 'a,b', b'100000000001', -1, 18446744073709551614, 1.5, 0.1,
         'œ', x'00ff', POINT(1, 2)), (NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    """
    found = []
    for connection in (driver, wire):
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS sav_test_of_rows")
            cursor.execute("USE sav_test_of_rows")
            cursor.execute(table)
            cursor.execute(row)
        found.append(answer(connection, "SELECT * FROM kinds"))
        with connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute("SELECT * FROM kinds")
            found[-1] += (cursor.fetchall(),)
            cursor.execute("DROP DATABASE sav_test_of_rows")
    assert found[0] == found[1]
    assert [list(map(type, values)) for values in found[0][2]] == [list(map(type, v)) for v in found[1][2]]


def test_columns_of_the_same_name_and_another_type_are_not_mistaken(driver: Any, wire: Any) -> None:
    for value in ("1", "'1'", "1.0", "CAST('2026-03-29 01:00:00' AS DATETIME)", "NULL"):
        statement = f"SELECT {value} AS same"
        assert answer(wire, statement) == answer(driver, statement)


@pytest.mark.parametrize("length", LENGTHS)
def test_values_of_any_length(driver: Any, wire: Any, length: int) -> None:
    with wire.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        (most,) = cursor.fetchone()
    # What is longer than the server sends is NULL, and so is read too.
    statement = f"SELECT REPEAT('a', {length}), 'behind', REPEAT('b', {length})"
    ((first, behind, last),) = answer(wire, statement)[2]
    assert behind == "behind"
    if length < most // 4:
        assert (first, last) == ("a" * length, "b" * length)
    assert answer(driver, statement)[2] == ((first, behind, last),)


def test_no_row_and_many(driver: Any, wire: Any) -> None:
    for statement in (
        "SELECT 1 FROM DUAL WHERE FALSE",
        "SELECT seq.n, NULL, 'x' FROM (SELECT 1 AS n" + " UNION ALL SELECT 2" * 300 + ") seq",
        "DO 1",
    ):
        assert answer(wire, statement) == answer(driver, statement)


def test_an_error_between_rows_is_told_and_the_connection_goes_on(wire: Any) -> None:
    statement = "SELECT n, (SELECT 1 UNION SELECT n) FROM (SELECT 1 AS n UNION ALL SELECT 2) some"
    with pytest.raises(pymysql.err.OperationalError, match="more than 1 row"):
        answer(wire, statement)
    assert answer(wire, "SELECT 'still here'")[2] == (("still here",),)


def test_rows_can_be_read_one_by_one(driver: Any, wire: Any) -> None:
    statement = "SELECT 1, 'one' UNION ALL SELECT 2, NULL"
    read = []
    for connection in (driver, wire):
        with connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(statement)
            read.append(list(cursor.fetchall_unbuffered()))
    assert read[0] == read[1] == [(1, "one"), (2, None)]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.binary(max_size=300),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.datetimes(),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(VALUES, min_size=1, max_size=20), number=st.integers(1, 3))
def test_whatever_is_asked_both_read_the_same(driver: Any, wire: Any, values: list[Any], number: int) -> None:
    row = f"SELECT {', '.join(['%s'] * len(values))}"
    statement = " UNION ALL ".join([row] * number)
    shuffled = [random.Random(n).sample(values, len(values)) for n in range(number)]
    parameters = tuple(value for row_values in shuffled for value in row_values)
    assert answer(wire, statement, parameters) == answer(driver, statement, parameters)
