"""What the private servers have in common: a directory, an account, a life that can begin again."""

import os
import pwd
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.servers.addresses import Address
from tests.servers.ports import NotReady, accepts, free_port, wait_until
from tests.servers.process import ServerProcess, switch_to, unprivileged_account

START_TIMEOUT_SECONDS = 90.0
STOP_TIMEOUT_SECONDS = 20.0
KILLED_TIMEOUT_SECONDS = 10.0
COMMAND_TIMEOUT_SECONDS = 60.0
LOG_LINES_SHOWN = 20

# Debian keeps daemons where an ordinary user's PATH does not look.
SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"


class NotInstalled(Exception):
    """The server's program is not on this machine."""


class ServerFailed(Exception):
    """A private server did not start, or one of its commands failed; carries the end of its output."""


class PrivateServer(ABC):
    """A server of our own on the loopback: started, stopped, killed, started again on the same data and port.

    The directory should be short and enterable by other accounts (not pytest's `tmp_path`; see the fixture
    `server_directory`): under root most run as somebody else, and a socket's path has a limit of 107 bytes.
    """

    title: ClassVar[str]
    accounts: ClassVar[tuple[str, ...]] = ()
    """Whom to run as under root, best first; empty: as ourselves."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = directory / "server.log"
        self.account = unprivileged_account(*self.accounts) if self.accounts else None
        self._process: ServerProcess | None = None

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where it answers, and a login that may do everything."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command that runs it in the foreground; NotInstalled when there is none."""

    @abstractmethod
    def prepare(self) -> None:
        """Write what the command needs into the directory; called before every start, on old data too."""

    def environment(self) -> dict[str, str]:
        return {"PATH": search_path(), "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}

    @property
    def is_installed(self) -> bool:
        try:
            self.command()
        except NotInstalled:
            return False
        return True

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Return once it accepts connections; ServerFailed with the end of its log when it does not."""
        if self.running:
            return
        self.kill()  # what is left when it ended by itself
        command = self.command()
        self._hand_over_directory()
        try:
            self.prepare()
            self._process = self.spawn(command, log=self.log)
            self._wait_until_accepting()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it in good order; what has not ended after STOP_TIMEOUT_SECONDS is killed."""
        if self._process is not None:
            self._process.terminate(timeout_seconds=STOP_TIMEOUT_SECONDS)
            self._forget_process()

    def kill(self) -> None:
        """SIGKILL, as a power cut would: nothing is flushed and nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._forget_process()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def spawn(self, command: Sequence[str], *, log: Path) -> ServerProcess:
        return ServerProcess(command, environment=self.environment(), log=log, account=self.account)

    def run(self, command: Sequence[str]) -> str:
        """Run a short command as the server's account and return its output; ServerFailed when it fails."""
        done = subprocess.run(
            command,
            env=self.environment(),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
            **switch_to(self.account),
        )
        if done.returncode != 0:
            raise ServerFailed(f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stdout}")
        return str(done.stdout)

    def own(self, path: Path) -> None:
        """Give a file or directory that we made to the account the server runs as."""
        if self.account is not None:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def _hand_over_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.own(self.directory)
        if self.account is not None and not _can_write(self.account, self.directory):
            raise ServerFailed(
                f"{self.title}: the account {self.account.pw_name} cannot enter {self.directory}; "
                "choose a directory whose parents are open to others"
            )

    def _wait_until_accepting(self) -> None:
        what = f"{self.title} on port {self.port}"
        try:
            wait_until(
                lambda: not self.running or accepts(self.port),
                timeout_seconds=START_TIMEOUT_SECONDS,
                what=what,
            )
        except NotReady as late:
            raise ServerFailed(f"{late}; {self._end_of_log()}") from None
        if not self.running:
            raise ServerFailed(f"{what} ended at once; {self._end_of_log()}")

    def _end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n    ".join([f"the end of {self.log}:", *lines[-LOG_LINES_SHOWN:]])

    def _forget_process(self) -> None:
        # A helper process may hold the port for a moment after the leader of its group is gone.
        self._process = None
        wait_until(
            lambda: not accepts(self.port),
            timeout_seconds=KILLED_TIMEOUT_SECONDS,
            what=f"{self.title} to let go of port {self.port}",
        )


def search_path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_DIRECTORIES}"


def find_program(*names: str, first_in: Sequence[Path] = ()) -> str:
    """The path of the first of these programs that is installed; NotInstalled when none is."""
    places = os.pathsep.join([*map(str, first_in), search_path()])
    for name in names:
        if found := shutil.which(name, path=places):
            return found
    raise NotInstalled(f"no {' or '.join(names)} on this machine")


def _can_write(account: pwd.struct_passwd, directory: Path) -> bool:
    # Asked of the kernel: permissions of every parent, groups and access lists count.
    return (
        subprocess.run(["/usr/bin/test", "-w", str(directory)], check=False, **switch_to(account)).returncode
        == 0
    )
