"""A private MySQL or MariaDB, whichever is installed."""

import subprocess
from collections.abc import Sequence
from typing import ClassVar

from tests.servers.addresses import Address
from tests.servers.ports import LOOPBACK
from tests.servers.private import COMMAND_TIMEOUT_SECONDS, PrivateServer, find_program

USER = "root"
PASSWORD = "root"

# Run by the server at every start, so each statement bears repetition. MariaDB's installer has made the
# account already, without a password; MySQL's has not.
LOGIN = f"""
CREATE USER IF NOT EXISTS '{USER}'@'{LOOPBACK}' IDENTIFIED BY '{PASSWORD}';
ALTER USER '{USER}'@'{LOOPBACK}' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'{LOOPBACK}' WITH GRANT OPTION;
"""


class PrivateMySQL(PrivateServer):
    """A database server that commits durably: what it has confirmed survives `kill()`."""

    title: ClassVar[str] = "the private database server"
    accounts: ClassVar[tuple[str, ...]] = ("mysql",)

    @property
    def address(self) -> Address:
        return Address(scheme="mysql", host=LOOPBACK, port=self.port, user=USER, password=PASSWORD)

    def command(self) -> Sequence[str]:
        return [
            find_program("mariadbd", "mysqld"),
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--bind-address={LOOPBACK}",
            f"--port={self.port}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self.directory / 'pid'}",
            f"--init-file={self.directory / 'login.sql'}",
            "--skip-name-resolve",
            *self.log_options,
            "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=64M",
            # Written at each commit, not synced: it survives the death of the process, if not of the machine.
            "--innodb-flush-log-at-trx-commit=2",
        ]

    @property
    def log_options(self) -> Sequence[str]:
        return ["--skip-log-bin"]

    def prepare(self) -> None:
        (self.directory / "login.sql").write_text(LOGIN)
        data = self.directory / "data"
        if not data.exists():
            data.mkdir(mode=0o750)
            self.own(data)
            self.run(self._initialise_command())

    def _initialise_command(self) -> Sequence[str]:
        server = find_program("mariadbd", "mysqld")
        data = f"--datadir={self.directory / 'data'}"
        if not is_mariadb(server):
            return [server, "--no-defaults", data, "--initialize-insecure"]
        installer = find_program("mariadb-install-db", "mysql_install_db")
        return [
            installer,
            "--no-defaults",
            data,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]


def is_mariadb(server: str) -> bool:
    version = subprocess.run(
        [server, "--no-defaults", "--version"],
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=True,
    )
    return "MariaDB" in version.stdout
