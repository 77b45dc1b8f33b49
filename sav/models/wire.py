"""A connection to MySQL or MariaDB on which what needs no answer of its own goes together with what follows.

A transaction's BEGIN goes with its first statement, and its last writes with the COMMIT: each trip that is
saved is work for both ends, and time in which rows are locked.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, TypeAlias

from pymysql import err
from pymysql.connections import Connection
from pymysql.constants import CLIENT

if TYPE_CHECKING:
    _Connection: TypeAlias = Connection[Any]
else:
    _Connection = Connection

LAST_WORDS = frozenset({1053, 1927, 4031})
"""With these a server takes its leave, over a socket that may stay open for a moment: it shuts down (1053),
has killed the connection (1927, MariaDB), or waited for too long (4031, MySQL)."""


class Wire(_Connection):
    """PyMySQL's connection; what is here sends several statements at once, and each in its order.

    None of their texts is made of what people write: values are escaped by the driver, as everywhere.
    """

    _context: ssl.SSLContext | None = None
    _read_timeout: float | None
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
            if self._opening or self._waiting:
                return self._query_together(sql, unbuffered)
            return super().query(sql, unbuffered)
        except err.Error as error:
            if error.args and error.args[0] in LAST_WORDS:
                self._force_close()  # type: ignore[attr-defined]
            raise
        except BaseException:
            # Somebody broke in (a time limit of Dramatiq's does): the answer that was not read would be taken
            # for the next statement's.
            self._force_close()  # type: ignore[attr-defined]
            raise
        finally:
            # On a lost connection it is kept: a transaction that had not begun may be begun anew.
            if self.open:
                self.forget()

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

    def connect_anew(self) -> None:
        """Over another socket, to the same server; what waits goes on waiting."""
        opening, waiting = self._opening, self._waiting
        self._opening, self._waiting = b"", []
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
