"""A private database server and its replica, which really replicates: late, stopped, killed, as one likes."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tests.servers.login import LOGIN_TIMEOUT_SECONDS
from tests.servers.mysql import PASSWORD, USER, PrivateMySQL, is_mariadb
from tests.servers.ports import LOOPBACK, wait_until
from tests.servers.private import find_program

if TYPE_CHECKING:
    from pymysql.cursors import DictCursor

CATCH_UP_TIMEOUT_SECONDS = 30.0


class PrivateSource(PrivateMySQL):
    """A server that writes down, for its replica, what it commits."""

    number: ClassVar[int] = 1

    @property
    def log_options(self) -> Sequence[str]:
        # MariaDB's global transaction ids are always on.
        ids = () if self._is_mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
        return ["--log-bin=binlog", f"--server-id={self.number}", "--binlog-format=ROW", *ids]

    @property
    def _is_mariadb(self) -> bool:
        return is_mariadb(find_program("mariadbd", "mysqld"))

    @contextlib.contextmanager
    def statements(self) -> Iterator["DictCursor"]:
        import pymysql
        from pymysql.cursors import DictCursor

        connection = pymysql.connect(
            host=LOOPBACK,
            port=self.port,
            user=USER,
            password=PASSWORD,
            cursorclass=DictCursor,
            autocommit=True,
            connect_timeout=LOGIN_TIMEOUT_SECONDS,
        )
        with connection, connection.cursor() as cursor:
            yield cursor

    def statements_answered(self) -> int:
        """How many SELECTs it has answered so far."""
        with self.statements() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Com_select'")
            (row,) = cursor.fetchall()
        return int(row["Value"])


class PrivateReplica(PrivateSource):
    """A server that writes after the source, by itself again whenever it is started."""

    title: ClassVar[str] = "the private replica"
    number: ClassVar[int] = 2

    @property
    def log_options(self) -> Sequence[str]:
        # Several at a time, and yet in the order of the source: the fastest that the service allows.
        at_a_time = (
            ("--slave-parallel-threads=4", "--slave-parallel-mode=optimistic")
            if self._is_mariadb
            else ("--replica-parallel-workers=4", "--replica-preserve-commit-order=ON")
        )
        return [*super().log_options, "--relay-log=relay", "--relay-log-recovery=ON", *at_a_time]

    def follow(self, source: PrivateSource) -> None:
        """Begins to replicate all that the source has ever committed."""
        if self._is_mariadb:
            follow = (
                f"CHANGE MASTER TO master_host = '{LOOPBACK}', master_port = {source.port}, "
                f"master_user = '{USER}', master_password = '{PASSWORD}', master_use_gtid = slave_pos, "
                "master_connect_retry = 1"
            )
        else:
            follow = (
                f"CHANGE REPLICATION SOURCE TO source_host = '{LOOPBACK}', source_port = {source.port}, "
                f"source_user = '{USER}', source_password = '{PASSWORD}', source_auto_position = 1, "
                "source_connect_retry = 1, get_source_public_key = 1"
            )
        with self.statements() as cursor:
            cursor.execute(follow)
        self._say("START")

    def hold_back(self) -> None:
        """From now on it stays as it is, and answers as before."""
        self._say("STOP", "SQL_THREAD")

    def go_on(self) -> None:
        self._say("START", "SQL_THREAD")

    def wait_for(self, source: PrivateSource) -> None:
        """Returns once it has all that the source has committed so far."""
        with source.statements() as cursor:
            cursor.execute(
                "SELECT @@gtid_binlog_pos AS at" if self._is_mariadb else "SELECT @@gtid_executed AS at"
            )
            (row,) = cursor.fetchall()
        wait = "MASTER_GTID_WAIT(%s, %s)" if self._is_mariadb else "WAIT_FOR_EXECUTED_GTID_SET(%s, %s)"
        with self.statements() as cursor:
            cursor.execute(f"SELECT {wait} AS answer", (row["at"], CATCH_UP_TIMEOUT_SECONDS))
            (row,) = cursor.fetchall()
        assert row["answer"] == 0, self._state()

    def wait_until_connected(self) -> None:
        """Returns once it hears from the source (again)."""
        wait_until(
            lambda: "Yes" in (self._state().get("Slave_IO_Running"), self._state().get("Replica_IO_Running")),
            timeout_seconds=CATCH_UP_TIMEOUT_SECONDS,
            what="the replica to hear from its source",
        )

    def _say(self, verb: str, thread: str = "") -> None:
        with self.statements() as cursor:
            cursor.execute(f"{verb} {'SLAVE' if self._is_mariadb else 'REPLICA'} {thread}")

    def _state(self) -> dict[str, object]:
        with self.statements() as cursor:
            cursor.execute(f"SHOW {'SLAVE' if self._is_mariadb else 'REPLICA'} STATUS")
            (row,) = cursor.fetchall()
        return dict(row)


@contextlib.contextmanager
def replicated(directory: Path) -> Iterator[tuple[PrivateSource, PrivateReplica]]:
    """A server and a replica that follows it."""
    with PrivateSource(directory / "source") as source, PrivateReplica(directory / "replica") as replica:
        replica.follow(source)
        replica.wait_until_connected()
        yield source, replica
