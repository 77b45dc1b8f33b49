"""A balancer of connections, as a cluster's service is one: new ones go to its members in turn."""

import itertools

from tests.servers.cable import Cable
from tests.servers.ports import LOOPBACK


class Balancer(Cable):
    """Give clients `balancer.port`. Who is taken out gets nothing new, and keeps what they have."""

    def __init__(self) -> None:
        super().__init__(LOOPBACK, 0)
        self._members: list[int] = []
        self._turns = itertools.count()

    def add(self, port: int) -> None:
        self._members = [*self._members, port]

    def take_out(self, port: int) -> None:
        self._members = [member for member in self._members if member != port]

    def _next_target(self) -> tuple[str, int]:
        members = self._members
        return LOOPBACK, members[next(self._turns) % len(members)]
