"""Falcon, and nothing else: what a request costs before anything is done for it."""

from typing import Any

import falcon

ANSWER = b'{"ok": true}'


class Nothing:
    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.data = ANSWER


app: falcon.App[Any, Any] = falcon.App()
app.add_route("/", Nothing())
