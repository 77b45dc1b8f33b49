"""A private virus scanner: Debian's clamd with one signature of our own, so that nothing is downloaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.servers.addresses import Address
from tests.servers.install import install_debian_packages
from tests.servers.ports import LOOPBACK
from tests.servers.private import PrivateServer, find_program

SIGNATURE = "Sav.Test.Eicar"
# Split, so that no scanner takes this file for what it looks for.
EICAR_PART = b"$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!"
STREAM_LIMIT_BYTES = 512 * 1024
"""The longest file that this one takes."""
PACKAGES = ("clamav-daemon",)


class PrivateClamd(PrivateServer):
    """clamd on TCP. It finds EICAR, which it calls `SIGNATURE.UNOFFICIAL` as all that is not ClamAV's own."""

    title: ClassVar[str] = "the private clamd"
    accounts: ClassVar[tuple[str, ...]] = ("clamav",)

    @property
    def address(self) -> Address:
        return Address(scheme="tcp", host=LOOPBACK, port=self.port, user="", password="")

    def command(self) -> Sequence[str]:
        return [find_program("clamd"), "--foreground", f"--config-file={self.directory / 'clamd.conf'}"]

    def prepare(self) -> None:
        signatures = self.directory / "signatures"
        signatures.mkdir(exist_ok=True)
        (signatures / "sav.ndb").write_text(f"{SIGNATURE}:0:*:{EICAR_PART.hex()}\n")
        temporary = self.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        self.own(temporary)
        (self.directory / "clamd.conf").write_text(
            f"TCPSocket {self.port}\nTCPAddr {LOOPBACK}\nDatabaseDirectory {signatures}\n"
            f"TemporaryDirectory {temporary}\nStreamMaxLength {STREAM_LIMIT_BYTES}\n"
            # Everything it would otherwise look after by itself.
            "SelfCheck 0\nConcurrentDatabaseReload no\nMaxThreads 4\n"
        )


def installed_clamd(directory: Path) -> PrivateClamd:
    """A clamd that can be started, installed first when it is not here; CannotInstall when that fails."""
    server = PrivateClamd(directory)
    if not server.is_installed:
        install_debian_packages(PACKAGES)
        # Only now is there the account that it wants to run as.
        server = PrivateClamd(directory)
    return server
