"""A connection to MySQL or MariaDB on which what needs no answer of its own goes together with what follows.

A transaction's BEGIN goes with its first statement, and its last writes with the COMMIT: each trip that is
saved is work for both ends, and time in which rows are locked.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from pymysql import err
from pymysql.connections import MAX_PACKET_LEN, Connection
from pymysql.constants import CLIENT, CR
from pymysql.protocol import MysqlPacket

from sav.models.result_rows import Rows

if TYPE_CHECKING:
    _Connection: TypeAlias = Connection[Any]
else:
    _Connection = Connection

LAST_WORDS = frozenset({1053, 1927, 4031})
"""With these a server takes its leave, over a socket that may stay open for a moment: it shuts down (1053),
has killed the connection (1927, MariaDB), or waited for too long (4031, MySQL)."""


_HEADER_BYTES = 4
_ERROR = 0xFF


class Wire(_Connection):
    """PyMySQL's connection; what is here sends several statements at once, and each in its order.

    None of their texts is made of what people write: values are escaped by the driver, as everywhere.
    """

    _context: ssl.SSLContext | None = None
    _read_timeout: float | None
    _next_seq_id: int
    server_version: str

    def __init__(self, **options: Any) -> None:
        self._opening = b""
        self._waiting: list[bytes] = []
        super().__init__(**options, client_flag=CLIENT.MULTI_STATEMENTS)

    @property
    def is_opening(self) -> bool:
        """Whether a transaction begins with the next statement: until then nothing has taken effect."""
        return bool(self._opening)

    def begin_with_next(self, *, isolation_level: str | None = None) -> None:
        level = f"SET TRANSACTION ISOLATION LEVEL {isolation_level};" if isolation_level else ""
        self._opening = f"{level}BEGIN".encode()

    def add_to_next(self, statement: str) -> None:
        """Goes before the next statement, which raises what is wrong with it."""
        self._waiting.append(statement.encode(self.encoding))

    def forget(self) -> None:
        """Drops what was not sent."""
        self._opening = b""
        self._waiting.clear()

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        try:
            with self._answer_is_read():
                if self._opening or self._waiting:
                    return self._query_together(sql, unbuffered)
                return super().query(sql, unbuffered)
        finally:
            # On a lost connection it is kept: a transaction that had not begun may be begun anew.
            if self.open:
                self.forget()

    def next_result(self, unbuffered: bool = False) -> int:
        with self._answer_is_read():
            return super().next_result(unbuffered)

    @contextmanager
    def _answer_is_read(self) -> Iterator[None]:
        try:
            yield
        except err.Error as error:
            if error.args and error.args[0] in LAST_WORDS:
                self._force_close()  # type: ignore[attr-defined]
            raise
        except BaseException:
            # Somebody broke in (a time limit of Dramatiq's does): the answer that was not read would be taken
            # for the next statement's.
            self._force_close()  # type: ignore[attr-defined]
            raise

    def _query_together(self, sql: str | bytes, unbuffered: bool) -> int:
        own = sql.encode(self.encoding) if isinstance(sql, str) else sql
        ahead = [*self._opening.split(b";"), *self._waiting] if self._opening else self._waiting
        left = len(ahead)
        try:
            rows = super().query(b";".join([*ahead, own]), unbuffered)
            while left:
                left -= 1
                rows = self.next_result(unbuffered)
        except err.IntegrityError as error:
            if left == 0:
                raise
            # Who expects a duplicate of their own must not take this for it.
            raise err.InternalError(*error.args) from None
        return rows

    def payload(self) -> bytes:
        """What the server's next packet holds; raises what it says went wrong.

        The driver's `_read_packet` without an object for each: a ticket and its messages are 60 packets.
        """
        data = b""
        length = MAX_PACKET_LEN
        while length == MAX_PACKET_LEN:
            header = self._read_bytes(_HEADER_BYTES)  # type: ignore[attr-defined]
            if header[3] != self._next_seq_id:
                # No answer to this question: MariaDB's farewell, for one.
                self._force_close()  # type: ignore[attr-defined]
                raise err.OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
            self._next_seq_id = (header[3] + 1) % 256
            length = header[0] | header[1] << 8 | header[2] << 16
            piece: bytes = self._read_bytes(length)  # type: ignore[attr-defined]
            data = data + piece if data else piece
        if data[0] == _ERROR:
            MysqlPacket(data, self.encoding).raise_for_error()
        return data

    def _read_query_result(self, unbuffered: bool = False) -> int:
        # As the driver does it, with another reader of rows.
        self._result = None
        result = Rows(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows or 0

    def connect_anew(self) -> None:
        """Over another socket, to the same server; what waits goes on waiting."""
        opening, waiting = self._opening, self._waiting
        self._opening, self._waiting = b"", []
        # Else the driver would wait on the new socket for what an answer over the old one has announced.
        self._result = None
        try:
            self._force_close()  # type: ignore[attr-defined]
            self.connect()
        finally:
            self._opening, self._waiting = opening, waiting

    def _create_ssl_ctx(self, sslp: Any) -> Any:
        make = super()._create_ssl_ctx  # type: ignore[misc]
        if sslp:
            return make(sslp)
        # The driver's would load all certificates of the system for each connection, to check none of them.
        if Wire._context is None:
            Wire._context = make(sslp)
        return Wire._context
