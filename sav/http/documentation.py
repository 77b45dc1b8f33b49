"""`/openapi.json`, made from what the responders say of themselves, and `/docs`, a page to read it."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import falcon
import orjson
from pydantic.json_schema import models_json_schema

from sav.http.error_responses import TITLES
from sav.http.forms import FileForm
from sav.http.payloads import Query
from sav.http.requests import LARGEST_ID
from sav.http.routes import TEXTS_IN_PATHS, Description, description_of
from sav.http.safe_headers import ALWAYS, BY_DEFAULT
from sav.http.service_routes import TAG as SERVICE
from sav.http.service_routes import service_operations

Json = dict[str, Any]
LONGEST_TEXT = 200
"""Of a path parameter that is no id; longer ones open nothing."""
SCHEMA_REF = "#/components/schemas/{model}"
_PROBLEM_SCHEMA: Json = {"$ref": SCHEMA_REF.format(model="Problem")}
METHODS = ("get", "post", "put", "patch", "delete")

_HEADERS: Json = {
    "X-Request-ID": {
        "description": "The request's id: the caller's own when it was sane, else a new one.",
        "schema": {"type": "string", "maxLength": 128},
    },
    "ETag": {"description": "The resource's revision.", "schema": {"type": "string"}},
    "Location": {
        "description": "Where the new resource is, or what was asked for.",
        "schema": {"type": "string"},
    },
    "Link": {"description": 'The next page, as rel="next".', "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "`true` when this is the stored first answer.",
        "schema": {"type": "string", "const": "true"},
    },
    "RateLimit-Limit": {
        "description": "How many requests the limit allows in its window.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Remaining": {
        "description": "How many of them are left.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit-Reset": {
        "description": "Seconds until the window ends and all are there again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
    "Cache-Control": {"description": "Whether it may be kept, and by whom.", "schema": {"type": "string"}},
    "Vary": {"description": "It depends on who asks.", "schema": {"type": "string"}},
    "X-Content-Type-Options": {
        "description": "`nosniff`: it is what its content type says.",
        "schema": {"type": "string"},
    },
    "Content-Security-Policy": {
        "description": "What a browser may do with it: nothing, for what is no page.",
        "schema": {"type": "string"},
    },
    "Referrer-Policy": {"description": "`no-referrer`.", "schema": {"type": "string"}},
    "Cross-Origin-Opener-Policy": {"description": "`same-origin`.", "schema": {"type": "string"}},
    "Cross-Origin-Resource-Policy": {
        "description": "Whose pages may draw it in.",
        "schema": {"type": "string"},
    },
    "Strict-Transport-Security": {
        "description": "To come back by TLS alone; where the service is behind TLS.",
        "schema": {"type": "string"},
    },
    "Content-Disposition": {"description": "To be saved, under this name.", "schema": {"type": "string"}},
    "Accept-Ranges": {"description": "`bytes`.", "schema": {"type": "string"}},
    "X-Robots-Tag": {"description": "For no index.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}},
}
_REQUEST_HEADERS: Json = {
    "X-Request-ID": (
        "An id to follow this request by: printable, up to 128 characters. Another one is replaced.",
        {},
    ),
    "Idempotency-Key": (
        "The same key gets the first answer again, for 24 hours.",
        {"minLength": 1, "maxLength": 255},
    ),
    "If-Match": ("Change only this revision, as its ETag says; else 412.", {}),
    "If-None-Match": ("Answer 304 when this is still the revision.", {}),
}
_PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457: what went wrong.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:sav:problem:not_found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; see the list of errors in the docs."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "Every wrong field at once.",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
                "additionalProperties": False,
            },
        },
        "allowed": {
            "type": "array",
            "description": "With `invalid_transition`: the actions that the status allows.",
            "items": {"type": "string"},
        },
    },
    "additionalProperties": False,
}


class OpenApiDocument:
    """`/openapi.json`"""

    def __init__(self, paths: Mapping[str, Any], *, version: str) -> None:
        self._document = orjson.dumps(openapi_document(paths, version=version))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._document


class DocumentationPage:
    """`/docs`: needs no other host."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", PAGE_POLICY)
        resp.text = _PAGE


class DocumentationAssets:
    """The scripts and styles of `/docs`, from the installed package."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        if name not in _ASSETS:
            raise falcon.HTTPNotFound
        package, resp.content_type = _ASSETS[name]
        resp.set_header("Cache-Control", "public, max-age=86400")
        resp.data = files(package).joinpath(name).read_bytes()


PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""What `/docs` may load: its own scripts and styles, and nothing from elsewhere."""
_ASSETS = {
    "swagger_bundle.js": ("offapi", "text/javascript"),
    "swagger_preset.js": ("offapi", "text/javascript"),
    "swagger_style.css": ("offapi", "text/css"),
    "show_api.js": ("sav.http.page_templates", "text/javascript"),
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sav-service API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger_style.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger_bundle.js"></script>
<script src="/docs/show_api.js"></script>
</body>
</html>
"""


def openapi_document(paths: Mapping[str, Any], *, version: str) -> Json:
    """The OpenAPI 3.1 description of all responders that `responder` has made."""
    described = {
        (path, method): description
        for path, resource in paths.items()
        for method, description in _descriptions(resource)
    }
    schemas = _schemas(list(described.values()))
    operations: Json = {}
    for (path, method), description in described.items():
        operations.setdefault(path, {})[method] = _operation(path, method, description, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sav-service",
            "version": version,
            "description": "The after-sales support desk: tickets, conversations, agents. Whatever answers "
            "GET answers HEAD too, without the body.",
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": name}
            for name in ("tickets", "messages", "attachments", "guests", "agents", "probes", SERVICE)
        ],
        "paths": {**operations, **service_operations(headers=_named, problem=_PROBLEM_SCHEMA)},
        "components": {
            "schemas": {**schemas["$defs"], "Problem": _PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "ticketToken": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Ticket-Token",
                    "description": "The access token that a guest was given with their ticket.",
                },
            },
        },
    }


def _descriptions(resource: Any) -> Iterator[tuple[str, Description]]:
    for method in METHODS:
        description = description_of(getattr(resource, f"on_{method}", None))
        if description:
            yield method, description


def _schemas(descriptions: list[Description]) -> Json:
    models: set[tuple[Any, Any]] = {(d.answer, "serialization") for d in descriptions}
    models |= {(d.body, "validation") for d in descriptions if d.body}
    in_order = sorted(models, key=lambda pair: str(pair[0].__name__))
    references, schemas = models_json_schema(in_order, ref_template=SCHEMA_REF)
    return {**schemas, "references": {model: ref for (model, _), ref in references.items()}}


def _operation(path: str, method: str, description: Description, schemas: Json) -> Json:
    operation: Json = {
        "operationId": _operation_id(path, method),
        "summary": description.summary,
        "tags": [_tag(path)],
        "parameters": list(_parameters(path, method, description)),
        "responses": _responses(path, method, description, schemas),
    }
    if description.callers != "anyone":
        operation["security"] = [{"ticketToken" if description.callers == "guest" else "token": []}]
    if description.body:
        kinds = [falcon.MEDIA_JSON, *([falcon.MEDIA_URLENCODED] if description.body_as_form else [])]
        content = {kind: {"schema": schemas["references"][description.body]} for kind in kinds}
        operation["requestBody"] = {"required": not description.body_optional, "content": content}
    if description.form:
        content = {falcon.MEDIA_MULTIPART: {"schema": _form_schema(description.form)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _form_schema(form: FileForm) -> Json:
    file = {"type": "string", "format": "binary", "minLength": 1}
    files = {"type": "array", "items": file, "minItems": 1, "maxItems": form.maximum_files}
    name = form.fields[0]
    # The other names of the field are for clients that cannot choose it.
    return {
        "type": "object",
        "required": [name],
        "properties": {
            name: file if form.maximum_files == 1 else files,
            "message_id": {
                "type": "integer",
                "minimum": 1,
                "maximum": LARGEST_ID,
                "description": "A message of the ticket that the files belong to.",
            },
        },
        "additionalProperties": False,
    }


def _operation_id(path: str, method: str) -> str:
    words = re.findall(r"[a-z]+", path.replace("{", "by_").replace("-", "_").replace("_", " "))
    return "_".join([method, *words])


def _tag(path: str) -> str:
    if path.startswith("/public"):
        return "guests"
    if "/messages" in path:
        return "messages"
    if "/attachments" in path:
        return "attachments"
    return next((name for name in ("tickets", "agents") if path.startswith(f"/{name}")), "probes")


def _parameters(path: str, method: str, description: Description) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", path):
        if name in TEXTS_IN_PATHS:
            schema: Json = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}
            text = {"description": TEXTS_IN_PATHS[name]}
        else:
            schema, text = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, {}
        yield {"name": name, "in": "path", "required": True, "schema": schema, **text}
    yield from _query_parameters(description.query)
    for name, (text, limits) in _REQUEST_HEADERS.items():
        if name in _request_headers(method, description):
            schema = {"type": "string", **limits}
            yield {"name": name, "in": "header", "required": False, "description": text, "schema": schema}


def _query_parameters(query: type[Query]) -> Iterator[Json]:
    texts = {field.alias or name: field.description for name, field in query.model_fields.items()}
    for name, schema in query.model_json_schema()["properties"].items() if query.model_fields else ():
        schema = {key: value for key, value in schema.items() if key not in ("title", "description")}
        if schema.get("default", "") in (None, []):
            del schema["default"]
        if {"type": "null"} in schema.get("anyOf", ()):
            # No parameter can be null; it is just not given.
            kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
            schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        text = texts[name]
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "schema": schema,
            **({"description": text} if text else {}),
        }


def _request_headers(method: str, description: Description) -> Iterator[str]:
    yield "X-Request-ID"
    if description.repeatable:
        yield "Idempotency-Key"
    if description.revisions == "write":
        yield "If-Match"
    if description.revisions == "read":
        yield "If-None-Match"


def _responses(path: str, method: str, description: Description, schemas: Json) -> Json:
    page = {falcon.MEDIA_HTML: {"schema": {"type": "string"}}}
    document = {falcon.MEDIA_JSON: {"schema": schemas["references"][description.answer]}}
    content = page if description.page else document
    responses: Json = {
        str(status): {
            "description": "A page for people."
            if description.page
            else (description.answer.__doc__ or "").strip().split("\n")[0],
            "headers": _response_headers(status, description),
            "content": content,
        }
        for status in (description.status, *description.other_answers)
    }
    if description.revisions == "read":
        responses["304"] = {"description": "The caller has this revision.", "headers": _named("ETag")}
    for status in sorted(_problem_statuses(path, description) - {int(status) for status in responses}):
        responses[str(status)] = {
            "description": TITLES[status],
            "headers": _named(*_PROBLEM_HEADERS.get(status, ()), *_limit_headers(description)),
            "content": {"application/problem+json": {"schema": _PROBLEM_SCHEMA}},
        }
    if description.page:
        responses["404"] = {**responses["404"], "content": page}
        responses["404"]["headers"] |= _named(*PAGE_HEADERS)
    return responses


PAGE_HEADERS = ("X-Robots-Tag",)
_PROBLEM_HEADERS = {
    401: ("WWW-Authenticate",),
    412: ("ETag",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def _limit_headers(description: Description) -> tuple[str, ...]:
    if not description.is_limited:
        return ()
    return ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def _problem_statuses(path: str, description: Description) -> set[int]:
    statuses = {400, 500, *description.problems}
    if not description.is_open:
        statuses |= {401, 503}
    if description.is_limited:
        statuses |= {429, 503}
    if description.callers in ("staff", "admin"):
        statuses.add(403)
    if "{" in path:
        statuses.add(404)
    if description.body or description.form:
        statuses |= {408, 413, 415, 422}
    if description.form:
        statuses.add(411)
    if description.repeatable:
        statuses |= {409, 422}
    if description.revisions == "write":
        statuses.add(412)
    return statuses


def _response_headers(status: int, description: Description) -> Json:
    names = []
    if description.revisions != "none" or (status == 201 and not description.form):
        names.append("ETag")
    if status in (201, 202, 302):
        names.append("Location")
    if description.repeatable:
        names.append("Idempotency-Replayed")
    if status == 503:
        names.append("Retry-After")
    if description.page:
        names += PAGE_HEADERS
    if "meta" in description.answer.model_fields:
        names.append("Link")
    return _named(*names, *_limit_headers(description))


def _named(*names: str) -> Json:
    """These headers, and those that every answer has."""
    always = ("X-Request-ID", "Cache-Control", *ALWAYS, *BY_DEFAULT, "Strict-Transport-Security")
    return {name: _HEADERS[name] for name in (*always, *names)}
