"""What every answer says to browsers and caches, so that it is taken for what it is and nothing more."""

from typing import Any

import falcon

HSTS_SECONDS = 31_536_000
"""How long a browser that was here over TLS comes back over TLS alone: a year."""

ALWAYS = {
    # It is what its content type says.
    "X-Content-Type-Options": "nosniff",
    # The addresses of some pages hold a token.
    "Referrer-Policy": "no-referrer",
    # No page of another origin holds a window of ours, or draws our answers in.
    "Cross-Origin-Opener-Policy": "same-origin",
}
BY_DEFAULT = {
    # What is for programs may load nothing and be framed by nobody, should a browser show it.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Every answer, an error too, depends on who asks.
    "Vary": "Authorization",
}
"""What a resource may say otherwise."""
KEPT_BY_NOBODY = "private, no-store"
ASKED_AGAIN = "private, no-cache"
"""The caller may keep it, and asks each time whether it is still good: for what has an ETag."""


class SafeHeaders:
    """Sets them on every answer, errors included; with TLS before the service, HSTS too."""

    def __init__(self, *, is_behind_tls: bool) -> None:
        self._always = dict(ALWAYS)
        if is_behind_tls:
            self._always["Strict-Transport-Security"] = f"max-age={HSTS_SECONDS}"

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool
    ) -> None:
        resp.set_headers(self._always)
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", ASKED_AGAIN if resp.get_header("ETag") else KEPT_BY_NOBODY)
        for name, value in BY_DEFAULT.items():
            if resp.get_header(name) is None:
                resp.set_header(name, value)
