"""The routes that are no part of the API that callers program against, as OpenAPI describes them."""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
TAG = "service"

_LINK = (
    ("key", "path", "The file's key.", {"type": "string", "minLength": 1}),
    ("name", "query", "The name that it is saved under.", {"type": "string"}),
    ("type", "query", "Its media type.", {"type": "string"}),
    ("expires", "query", "When the link ends: seconds since 1970.", {"type": "string"}),
    ("signature", "query", "What the link is good by.", {"type": "string"}),
)
_ASSET = (("name", "path", "The file's name.", {"type": "string", "minLength": 1}),)
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def _text(media_type: str) -> Json:
    return {media_type: {"schema": {"type": "string"}}}


def service_operations(*, headers: Callable[..., Json], problem: Json) -> Json:
    """Paths and operations; `headers(*names)` gives those of an answer, `problem` is the schema of errors."""

    def operation(
        summary: str,
        name: str,
        *,
        answers: dict[int, tuple[str, Json | None]],
        parameters: tuple[tuple[str, str, str, Json], ...] = (),
        more_headers: tuple[str, ...] = (),
    ) -> Json:
        refused = {"application/problem+json": {"schema": problem}}
        return {
            "operationId": name,
            "summary": summary,
            "tags": [TAG],
            "parameters": [
                {"name": name, "in": place, "required": True, "description": text, "schema": schema}
                for name, place, text, schema in parameters
            ],
            "responses": {
                str(status): {
                    "description": text,
                    "headers": headers(*(more_headers if content else ())),
                    "content": content or refused,
                }
                for status, (text, content) in answers.items()
            },
        }

    document = {"application/json": {"schema": {"type": "object"}}}
    file = ("Content-Disposition", "Accept-Ranges")
    return {
        "/openapi.json": {
            "get": operation("Read this document", "get_openapi", answers={200: ("The document.", document)})
        },
        "/docs": {
            "get": operation(
                "Read this document as a page",
                "get_docs",
                answers={200: ("A page that needs no other host.", _text("text/html"))},
            )
        },
        "/docs/{name}": {
            "get": operation(
                "Fetch a script or a style of that page",
                "get_docs_file",
                parameters=_ASSET,
                answers={
                    200: ("The file.", {**_text("text/javascript"), **_text("text/css")}),
                    404: ("Not found", None),
                },
            )
        },
        "/metrics": {
            "get": operation(
                "Read what Prometheus reads",
                "get_metrics",
                answers={200: ("The text format of Prometheus.", _text("text/plain"))},
            )
        },
        "/files/{key}": {
            "get": operation(
                "Follow a link to a file, where files are kept on disk",
                "get_file",
                parameters=_LINK,
                more_headers=file,
                answers={
                    200: ("The file.", _BYTES),
                    206: ("The part that `Range` asks for.", _BYTES),
                    403: ("The link is not good, or no longer", None),
                    404: ("Not found", None),
                    416: ("There is no such part", None),
                },
            )
        },
    }
