"""Where a server is and who logs in, as one value and as one URL."""

from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlsplit

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, kw_only=True)
class Address:
    """`path` is RabbitMQ's virtual host; the other servers have none."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read `scheme://user:password@host:port/path`; ValueError when a part that we need is missing."""
        parts = urlsplit(url)
        if not (parts.hostname and parts.port and parts.username):
            raise ValueError("expected scheme://user:password@host:port")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port,
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
            path=unquote(parts.path.removeprefix("/")),
        )

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        credentials = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        path = f"/{quote(self.path, safe='')}" if self.path else ""
        return f"{self.scheme}://{credentials}@{host}:{self.port}{path}"

    @property
    def is_local(self) -> bool:
        return self.host in LOOPBACK_NAMES

    def with_path(self, path: str) -> "Address":
        return replace(self, path=path)

    def __str__(self) -> str:
        """For people: without the password."""
        return f"{self.host}:{self.port}"
