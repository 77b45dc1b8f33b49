"""Files as they are sent, and forms that carry them."""

import io
from collections.abc import Sequence
from typing import Any

from tests.factories.files import pdf, png

BOUNDARY = "----a-boundary-of-the-tests"

PNG, PDF = png(), pdf()
TEXT = b"12:00 the parcel left the depot\n12:05 it came back\n"


def text_of(size: int) -> bytes:
    """A text of so many bytes."""
    return (TEXT * (size // len(TEXT) + 1))[:size]


Part = tuple[str, str | None, bytes]
"""A field's name, the file's name if it is one, and its bytes."""


def multipart(parts: Sequence[Part], *, boundary: str = BOUNDARY) -> bytes:
    """A form, byte by byte as browsers write it."""
    body = io.BytesIO()
    for field, file_name, content in parts:
        disposition = f'form-data; name="{field}"'
        if file_name is not None:
            disposition += f'; filename="{file_name}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
        body.write(head.encode())
        if file_name is not None:
            # Clients say what they like here; the service looks for itself.
            body.write(b"Content-Type: application/octet-stream\r\n")
        body.write(b"\r\n" + content + b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue()


def form(*parts: Part, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """What `Api.post` takes: `api.post(path, **form(("file", "a.png", PNG), message_id=3))`."""
    all_parts = [*parts, *((name, None, str(value).encode()) for name, value in fields.items())]
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    return {"body": multipart(all_parts), "headers": {"Content-Type": content_type, **(headers or {})}}
