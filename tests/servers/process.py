"""A command that runs in a process group of its own and never outlives the tests."""

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class ServerProcess:
    """A running command, its children included, under an account that may differ from ours.

    A guard beside it reads a pipe that only we hold open: when we end, by whatever cause, kill -9 included,
    the pipe closes and the guard kills the group.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        account: pwd.struct_passwd | None,
    ) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                # Away from the terminal: Ctrl-C is for the runner, which then stops its servers in order.
                start_new_session=True,
                **switch_to(account),
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", f"read -r _; kill -9 -{self._process.pid}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def terminate(self, *, timeout_seconds: float) -> None:
        """Ask it to end (SIGTERM); whatever is left after the time is killed."""
        if self.running:
            self._signal_group(signal.SIGTERM)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to every process of the group: nobody gets to tidy up."""
        if self._guard.poll() is None:
            self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._guard.kill()
        self._guard.communicate()

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


def unprivileged_account(*candidates: str) -> pwd.struct_passwd | None:
    """Whom a server runs as: under root the first of these accounts that exists, else None: ourselves."""
    if os.geteuid() != 0:
        return None
    known = {account.pw_name: account for account in pwd.getpwall()}
    return next((known[name] for name in candidates if name in known), known["nobody"])


def switch_to(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """The arguments with which `subprocess` starts a command as this account."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
